"""What a shell may offer for a value: read from the index that is there. Nothing is built, refreshed or reported."""

from __future__ import annotations

import re
from collections.abc import Sequence

from papersearch.index import origin
from papersearch.index.reader import Snapshot, open_snapshot
from papersearch.settings import find_places

ID = "id"
"""Offers ids with their titles; every other name is that of an exact field."""

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ud800-\udfff]")
_SPECIAL_IN_BASH = re.compile(r"[^\w./:@%+=,\x80-\U0010ffff-]")


def offers(name: str, begin: str, corpus: Sequence[str] = (), index: str | None = None) -> list[tuple[str, str]]:
    """(value, what it stands for) of the values that begin so, ignoring case; nothing where anything is wrong.

    `corpus` and `index` are options as given, like those of find_places().
    """
    try:
        with open_snapshot(find_places(corpus, index).index) as snapshot:
            if origin.is_foreign(snapshot.folder, snapshot.meta.get("origin"), snapshot.files):
                return []
            found = _ids(snapshot, begin) if name == ID else _values(snapshot, name, begin)
    except Exception:  # a shell that completes has no place for a message
        return []
    return [(value, _UNSAFE.sub(" ", about)) for value, about in found if not _UNSAFE.search(value)]


def _values(snapshot: Snapshot, name: str, begin: str) -> list[tuple[str, str]]:
    labels = snapshot.places.labels(name) if snapshot.places is not None else {}
    values = {str(labels.get(term, term)) for term in snapshot.field(name).live_terms()}
    return [(value, "") for value in sorted(values) if value.casefold().startswith(begin.casefold())]


def _ids(snapshot: Snapshot, begin: str) -> list[tuple[str, str]]:
    found = []
    for paper_id in snapshot.ids(begin.lower()):
        doc = snapshot.doc_of(paper_id)
        if doc is not None:
            found.append((paper_id, str(snapshot.stored(doc).get("title", ""))))
    return found


def quoted(value: str, shell: str) -> str:
    """The value as the completion script of that shell hands it on. zsh and fish quote what they insert; bash inserts
    it as it is, after its `read` took one level of backslashes away."""
    return _SPECIAL_IN_BASH.sub(r"\\\\\g<0>", value) if shell == "bash" else value
