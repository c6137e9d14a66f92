"""Whether an index is up to date: whether it was built from these notes as they are, and analysed as they would be now.

Apart from papersearch.index.update, since every search asks for it and most need no update.
"""

from __future__ import annotations

import os

from papersearch.files import Known, changed_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from papersearch.index.reader import Snapshot

_VERSION_WITHIN = 512
"""Bytes of jieba's code in which its version is looked for."""
LAYOUT = 2
"""Goes up when the same notes and the same analysis would be stored in another way."""


def identity(dictionary: str = "") -> str:
    """What the terms in an index depend on besides the notes: our analysis, the stemmer, jieba's dictionary.

    Computed at every search, so the dictionary is told by jieba's version and its size, and not even looked for where
    it is known: a search needs no jieba, and a build looks for the one that it uses.
    """
    from papersearch.analysis import ANALYSIS
    from papersearch.analysis.stem import fingerprint
    from papersearch.analysis.words import dictionary_path

    words = _version_and_size(dictionary) or _version_and_size(dictionary_path())
    return f"layout {LAYOUT}; analysis {ANALYSIS}; jieba {words}; stems {fingerprint()}"


def same_layout(meta: dict[str, Any]) -> bool:
    """Whether what an index stores of a paper is what would be stored today."""
    return str(meta.get("identity")).startswith(f"layout {LAYOUT};")


def _version_and_size(path: str) -> str:
    """jieba's version, which stands at the beginning of its code, and the bytes of the dictionary; empty if none."""
    try:
        with open(os.path.join(os.path.dirname(path), "__init__.py"), "rb") as file:
            version = file.read(_VERSION_WITHIN).partition(b"__version__ = ")[2].partition(b"\n")[0]
        return f"{version.decode('ascii', 'replace').strip()} {os.stat(path).st_size}"
    except OSError:
        return ""


def absolute(roots: Sequence[str]) -> list[str]:
    """By what an index knows its corpus again."""
    return [os.path.abspath(root) for root in roots]


def stale_files(snapshot: Snapshot, roots: Sequence[str]) -> list[str]:
    """Notes that are not what the snapshot was built from. Raises CorpusError if a root is gone."""
    known = snapshot.places.states() if snapshot.places is not None else Known([], b"")
    return changed_files(roots, known, int(snapshot.meta.get("looked_at", 0)))
