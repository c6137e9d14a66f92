"""Corpus → index: what changed since the last build is analysed again, everything else stays as it is.

What the table of contents remembers of a build (its meta, JSON):

    identity   what the analysis depends on; a change means that everything is analysed again
    files      path, size, mtime_ns, ctime_ns, digest of every note
    looked_at  Unix time in ns at which these were taken
    places     id → [path, line, end line, digest of the paper], in reading order
    labels     exact field → folded value → the value as most papers write it
    warnings, skipped   lines for the user about files
    built_at   UTC, ISO 8601
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from papersearch.errors import CorpusError, IndexDamagedError, IndexMissingError, UsageError
from papersearch.files import FileState, changed_files, digest_of, scan
from papersearch.index.reader import Snapshot, open_snapshot
from papersearch.paper import Paper

if TYPE_CHECKING:
    from papersearch.reports import Changes

LAYOUT = 1
"""Goes up when the same notes and the same analysis would be stored in another way."""

Progress = Callable[[int, int], None]


def identity() -> str:
    """What the terms in an index depend on besides the notes: our analysis, the stemmer, jieba's dictionary.

    Computed at every search, so jieba is found but not imported: its dictionary is told by its size.
    """
    from importlib.util import find_spec

    from papersearch.analysis import ANALYSIS
    from papersearch.analysis.stem import fingerprint

    spec = find_spec("jieba")
    folder = os.path.dirname(spec.origin) if spec and spec.origin else ""
    try:
        dictionary = os.stat(os.path.join(folder, "dict.txt")).st_size
    except OSError:
        dictionary = 0
    return f"layout {LAYOUT}; analysis {ANALYSIS}; jieba {dictionary}; stems {fingerprint()}"


def stale_files(snapshot: Snapshot, roots: Sequence[Path]) -> list[str]:
    """Notes that are not what the snapshot was built from. Raises CorpusError if a root is gone."""
    known = _file_states(snapshot.meta)
    return changed_files(roots, known, int(snapshot.meta.get("looked_at", 0)))


def _file_states(meta: dict[str, Any]) -> list[FileState]:
    try:
        return [FileState(str(p), int(s), int(m), int(c), str(d)) for p, s, m, c, d in meta["files"]]
    except (KeyError, TypeError, ValueError):
        return []


def paper_digest(stored: dict[str, Any]) -> str:
    """Tells two states of a paper apart, wherever it stands."""
    return digest_of(json.dumps(stored, ensure_ascii=False, sort_keys=True).encode("utf-8", "surrogatepass"))


def update(
    roots: Sequence[Path],
    folder: Path,
    *,
    rebuild: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
    lock_timeout_s: float = 10.0,
) -> Changes:
    """Bring the index in `folder` to the state of the notes under `roots`, in one step.

    Raises CorpusError when there is nothing to index (an index that is there stays), IndexBusyError,
    IndexReadOnlyError. An index that is damaged or of another version is built anew.
    """
    started = time.perf_counter()
    if not roots:
        raise UsageError("no corpus is named; name a folder of Markdown or one file")
    scan(roots)  # a missing corpus is told before anything is locked or created
    reason = _reason_to_rebuild(folder, rebuild)
    if dry_run:
        changes, _, _, _ = _compare(roots, None if reason else open_snapshot(folder), reason)
        return _timed(changes, started, dry_run=True)

    from papersearch.index.writer import IndexWriter

    with IndexWriter(folder, lock_timeout_s=lock_timeout_s, fresh=bool(reason)) as writer:
        reason = reason or _reason_to_rebuild(folder, rebuild)  # another process may have built it
        base = None if reason else open_snapshot(folder)
        changes, papers, changed, meta = _compare(roots, base, reason)
        if base is not None and base.doc_count and not papers:
            raise CorpusError(f"no papers found in {_names(roots)}; the index is left as it was")
        if not papers:
            raise CorpusError(f"no papers found in {_names(roots)}; put Markdown notes there or name another folder")
        from papersearch.analysis.words import jieba_words
        from papersearch.glossary import shipped_in
        from papersearch.index.documents import to_document

        for done, paper in enumerate(changed):
            if progress:
                progress(done, len(changed))
            writer.add(to_document(paper, jieba_words))
        if progress:
            progress(len(changed), len(changed))
        for paper_id in changes.removed:
            writer.remove(paper_id)
        if changes.any or base is None or _differs(base.meta, meta):
            writer.commit(meta)
        shipped_in(str(folder))  # compiled now, so that no search has to
    return _timed(changes, started)


def _timed(changes: Changes, started: float, *, dry_run: bool = False) -> Changes:
    from dataclasses import replace

    return replace(changes, took_ms=(time.perf_counter() - started) * 1000, dry_run=dry_run)


def _names(roots: Sequence[Path]) -> str:
    return ", ".join(str(root) for root in roots)


def _reason_to_rebuild(folder: Path, rebuild: bool) -> str:
    """Why everything has to be analysed again; empty if what changed is enough."""
    if rebuild:
        return "asked for"
    try:
        with open_snapshot(folder) as snapshot:
            if snapshot.meta.get("identity") != identity():
                return "the analysis changed"
    except IndexMissingError:
        return "no index yet"
    except IndexDamagedError:
        return "the index was damaged"
    return ""


def _differs(old: dict[str, Any], new: dict[str, Any]) -> bool:
    volatile = {"built_at", "looked_at"}
    return any(old.get(key) != value for key, value in new.items() if key not in volatile)


def _compare(
    roots: Sequence[Path], base: Snapshot | None, reason: str
) -> tuple[Changes, list[Paper], list[Paper], dict[str, Any]]:
    """(what changed, all papers, those to be analysed, the new meta)."""
    from papersearch.digest import read_corpus
    from papersearch.reports import Changes

    looked_at = time.time_ns()
    states, _ = scan(roots)  # before reading: a change in between is seen at the next look
    corpus, contents = read_corpus(roots)
    before: dict[str, str] = {}
    if base is not None:
        before = {paper_id: place[3] for paper_id, place in base.meta.get("places", {}).items()}
    places: dict[str, list[Any]] = {}
    added, changed, work = [], [], []
    for paper in corpus.papers:
        digest = paper_digest(paper.stored())
        places[paper.id] = [paper.path, paper.line, paper.end_line, digest]
        if paper.id not in before:
            added.append(paper.id)
        elif before[paper.id] != digest:
            changed.append(paper.id)
        else:
            continue
        work.append(paper)
    removed = [paper_id for paper_id in before if paper_id not in places]
    skipped = [str(n) for n in corpus.notices if n.kind == "skipped"]
    warnings = [str(n) for n in corpus.notices if n.kind == "encoding"]
    meta = {
        "identity": identity(),
        "files": [
            [s.path, s.size, s.mtime_ns, s.ctime_ns, digest_of(contents[s.path]) if s.path in contents else ""]
            for s in states
        ],
        "looked_at": looked_at,
        "places": places,
        "labels": _labels(corpus.papers),
        "warnings": warnings,
        "skipped": skipped,
        "built_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(looked_at / 1e9)),
    }
    changes = Changes(
        added=tuple(added),
        changed=tuple(changed),
        removed=tuple(removed),
        unchanged=len(corpus.papers) - len(work),
        files=len(corpus.files),
        skipped=tuple(skipped),
        warnings=tuple(warnings),
        rebuilt=reason,
    )
    return changes, corpus.papers, work, meta


def _labels(papers: Sequence[Paper]) -> dict[str, dict[str, str]]:
    """How facets are written: of the spellings of a value the one that most papers use, then the first."""
    from papersearch.analysis.normalize import exact_value

    spellings: dict[str, dict[str, Counter[str]]] = {"category": {}, "venue": {}, "org": {}}
    for paper in papers:
        values = {"category": [paper.category], "venue": [paper.venue], "org": paper.orgs}
        for name, written in values.items():
            for value in written:
                if value:
                    spellings[name].setdefault(exact_value(value), Counter())[value] += 1
    return {
        name: {key: counts.most_common(1)[0][0] for key, counts in by_key.items()} for name, by_key in spellings.items()
    }
