"""Exact fields: which documents a filter admits, the values of documents, facets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from papersearch.analysis.normalize import exact_value
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


def count(snapshot: Snapshot, names: Sequence[str], docs: list[int]) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {}
    wanted = set(docs)
    for name in names:
        reader = snapshot.field(name)
        counts[name] = Counter()
        for term in reader.terms():
            postings = reader.postings(term)
            if n := len(wanted.intersection(postings.docs)) if postings else 0:
                counts[name][term] = n
    return counts


def exact_docs(snapshot: Snapshot, name: str, values: Sequence[str]) -> set[int]:
    """Documents with one of the values: a venue by its canonical name, other fields whole or by a part. A value that
    is none of the field's, but has commas, is read as several."""
    reader = snapshot.field(name)
    terms = list(reader.terms())
    docs: set[int] = set()
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
        for term in chosen:
            postings = reader.postings(term)
            docs.update(postings.docs if postings else ())
    return docs


def year_docs(snapshot: Snapshot, ranges: Sequence[tuple[int | None, int | None]]) -> set[int]:
    reader = snapshot.field("year")
    docs: set[int] = set()
    for term in reader.terms():
        if term.isdigit() and any(
            (low is None or int(term) >= low) and (high is None or int(term) <= high) for low, high in ranges
        ):
            postings = reader.postings(term)
            docs.update(postings.docs if postings else ())
    return docs
