"""What building and looking at an index tell: plain data. Apart from results.py, so that no search loads it."""

from __future__ import annotations

from papersearch.record import Record


class Changes(Record):
    """What a build did. `skipped` has one line a file that could not be read, with its reason; `warnings` what was
    read but should be looked at (a file in GBK); ids are those of papers."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    unchanged: int = 0
    files: int = 0
    skipped: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    rebuilt: str = ""
    """Why everything was analysed again ("no index yet", "analyzer changed", …); empty for an incremental build."""
    took_ms: float = 0.0
    dry_run: bool = False

    @property
    def any(self) -> bool:
        """Whether the index had to change."""
        return bool(self.added or self.changed or self.removed or self.rebuilt)


class Status(Record):
    """What is indexed, and whether it is what lies on disk now."""

    corpus: tuple[str, ...]
    index: str
    built: bool
    stale: bool
    papers: int = 0
    notes: int = 0
    files: int = 0
    generation: int = 0
    built_at: str = ""
    """Time of the last build, UTC, ISO 8601."""
    bytes: int = 0
    stale_files: tuple[str, ...] = ()
