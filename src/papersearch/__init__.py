"""Ranked search over a Markdown digest of papers, in Chinese and English.

    from papersearch import open_index
    with open_index(corpus="corpus", index="index") as index:
        for hit in index.search("后门 defense", year="2019..2020", limit=5):
            print(hit.rank, hit.paper.title, hit.snippet)

Importing the package loads nothing else; every name comes on first use.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from papersearch.api import Index, check_corpus, open_index
    from papersearch.errors import (
        CorpusError,
        IndexBusyError,
        IndexDamagedError,
        IndexFolderError,
        IndexMissingError,
        IndexReadOnlyError,
        PapersearchError,
        UsageError,
    )
    from papersearch.paper import Paper, Section
    from papersearch.reports import Changes, Status
    from papersearch.results import Hit, Results

_HOMES = {
    "api": ("Index", "check_corpus", "open_index"),
    "errors": (
        "CorpusError", "IndexBusyError", "IndexDamagedError", "IndexFolderError", "IndexMissingError",
        "IndexReadOnlyError", "PapersearchError", "UsageError",
    ),
    "paper": ("Paper", "Section"),
    "reports": ("Changes", "Status"),
    "results": ("Hit", "Results"),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Changes",
    "CorpusError",
    "Hit",
    "Index",
    "IndexBusyError",
    "IndexDamagedError",
    "IndexFolderError",
    "IndexMissingError",
    "IndexReadOnlyError",
    "Paper",
    "PapersearchError",
    "Results",
    "Section",
    "Status",
    "UsageError",
    "__version__",
    "check_corpus",
    "open_index",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'papersearch' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"papersearch.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
