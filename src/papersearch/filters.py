"""Exact fields: which of their terms a filter means, and the values of documents."""

from __future__ import annotations

from papersearch.analysis.normalize import exact_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from papersearch.index.reader import Snapshot


def values(snapshot: Snapshot, name: str) -> dict[int, list[str]]:
    """Document → its values in an exact field."""
    reader = snapshot.field(name)
    found: dict[int, list[str]] = {}
    for term in reader.terms():
        postings = reader.postings(term)
        for doc in postings.docs if postings else ():
            found.setdefault(doc, []).append(term)
    return found


def exact_terms(snapshot: Snapshot, name: str, values: Sequence[str]) -> list[str]:
    """Terms of a field that one of the values means: a venue by its canonical name, other fields whole or by a part.
    A value that is none of the field's, but has commas, is read as several."""
    terms = list(snapshot.field(name).terms())
    found: list[str] = []
    pending = list(values)
    while pending:
        value = pending.pop()
        wanted = exact_value(value)
        if not wanted:
            continue
        if name == "venue":
            from papersearch.venues import canonical_venue  # its table is read only where it is asked for

            known = exact_value(canonical_venue(value) or value)
            chosen = [t for t in terms if t in (known, wanted)] or [t for t in terms if wanted in t]
        elif name == "has":
            chosen = [t for t in terms if wanted.rstrip("s") == t.rstrip("s")]
        else:
            chosen = [t for t in terms if wanted in t]
        if not chosen and "," in wanted:
            pending += wanted.split(",")
        found += chosen
    return found


def year_terms(snapshot: Snapshot, ranges: Sequence[tuple[int | None, int | None]]) -> list[str]:
    """Years within one of the ranges, both ends included."""
    return [
        term
        for term in snapshot.field("year").terms()
        if term.isdigit()
        and any((low is None or int(term) >= low) and (high is None or int(term) <= high) for low, high in ranges)
    ]
