"""Corpus → index: what changed since the last build is analysed again, everything else stays as it is.

What the table of contents remembers of a build (its meta, JSON):

    identity   what the analysis depends on; a change means that everything is analysed again
    dictionary where the dictionary lay that the notes were cut by
    roots      the corpus: absolute paths of its folders or files
    looked_at  Unix time in ns at which the states of the files were taken
    counts     kind → number of papers and of notes
    linked     whether a note may link to another
    words, groups       the user's own terms: words kept whole, names of one idea
    warnings, skipped   lines for the user about files
    built_at   UTC, ISO 8601
    origin     that it was built here, by this user (papersearch.index.origin)

Where papers stand, the states of files and how facets are written are in papersearch.index.places.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from functools import partial

from papersearch.errors import CorpusError, IndexDamagedError, IndexMissingError, UsageError
from papersearch.files import (
    TERMS_NAME,
    FileState,
    changed_files,
    cut,
    decode,
    digest_of,
    digest_of_pieces,
    disk_path,
    read_bytes,
    require,
    root_names,
    scan,
)
from papersearch.index import origin
from papersearch.index.reader import Snapshot, open_snapshot
from papersearch.index.state import absolute, identity, same_layout
from papersearch.paper import Paper
from papersearch.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from papersearch.digest import Kept, Resolver, Row
    from papersearch.files import Notice, Stat
    from papersearch.glossary.terms import Terms
    from papersearch.index.places import Columns, Edit, Places
    from papersearch.index.workers import Workers
    from papersearch.index.writer import IndexWriter
    from papersearch.reports import Changes

    Progress = Callable[[int, int], None]

NO_INDEX, DAMAGED = "no index yet", "the index was damaged"
"""Reasons to build anew."""


def paper_digest(stored: dict[str, Any]) -> int:
    """64 bits that tell two states of a paper apart, wherever it stands."""
    import hashlib  # not needed where nothing has changed, nor is json
    import json

    data = json.dumps(stored, ensure_ascii=False, sort_keys=True).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big")


def update(
    roots: Sequence[str],
    folder: str,
    *,
    rebuild: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
    lock_timeout_s: float = 10.0,
    current: Snapshot | None = None,
) -> Changes:
    """Bring the index in `folder` to the state of the notes under `roots`, in one step.

    Raises CorpusError when there is nothing to index (an index that is there stays), IndexBusyError,
    IndexReadOnlyError. An index that is damaged or of another version is built anew. `current`: an open snapshot of it,
    if the caller has one.
    """
    started = time.perf_counter()
    if not roots:
        raise UsageError("no corpus is named; name a folder of Markdown or one file")
    for root in roots:
        require(root)  # a missing corpus is told before anything is locked or created
    reason = _reason_to_rebuild(folder, roots, rebuild, current)
    if dry_run:
        with contextlib.nullcontext() if reason else open_snapshot(folder) as base:
            look, last = _look(roots), base or _whole(folder)
            terms = read_terms(roots, last.meta if last is not None else {})
            return _timed(_plan(roots, base, last, look, terms, reason).changes, started, dry_run=True)

    from papersearch.index.writer import IndexWriter

    was_whole = True
    while True:
        try:
            with (
                IndexWriter(folder, lock_timeout_s=lock_timeout_s, fresh=bool(reason), like=current) as writer,
                contextlib.ExitStack() as helpers,
            ):
                base = writer.base
                look, last = _look(roots), base or (_whole(folder) if was_whole else None)
                terms = read_terms(roots, last.meta if last is not None else {})
                if not reason and (base is None or _outdated(base, terms)):
                    # Another process changed the index between the look and the lock.
                    reason = NO_INDEX if base is None else _outdated(base, terms)
                    continue
                expected = sum(size for _, size, _, _ in look.stats) if reason else 0
                analysis = _Analysis(folder, terms, helpers, expected)
                plan = _plan(roots, base, last, look, terms, reason, analysis.begin)
                _carry_out(plan, writer, base, roots, analysis, progress, anew=rebuild)
            return _timed(plan.changes, started)
        except IndexDamagedError:
            # Found where segments were merged, or papers compared with what they were; or, when all is built anew, in
            # the generation before, which somebody damages right now: it is done without.
            if reason and not was_whole:
                raise
            was_whole = not reason
            reason = reason or DAMAGED


def _carry_out(
    plan: _Plan,
    writer: IndexWriter,
    base: Snapshot | None,
    roots: Sequence[str],
    analysis: _Analysis,
    progress: Progress | None,
    *,
    anew: bool,
) -> None:
    from papersearch.glossary import shipped_in
    from papersearch.glossary.cedict import compile_dictionary, prepare_dictionary

    if not len(plan.columns):
        left = "the index is left as it was" if base is not None else "put Markdown notes there or name another folder"
        raise CorpusError(f"no papers found in {', '.join(roots)}; {left}")
    prepare = partial(prepare_dictionary, writer.folder, anew=anew)
    analysis.add(plan.work, writer, progress or (lambda done, total: None), prepare)
    for paper_id in plan.changes.removed:
        writer.remove(paper_id)
    shipped_in(writer.folder, anew=anew)  # compiled now, so that no search has to
    compile_dictionary(writer.folder, anew=anew)  # before the switch: no search would notice that it is missing
    if plan.changes.any or base is None or _differs(base, plan):
        writer.commit({**plan.meta, "origin": _origin(writer.folder)}, plan.columns)


class _Analysis:
    """Papers → documents, on all cores if there are many."""

    def __init__(self, folder: str, terms: Terms, helpers: contextlib.ExitStack, expected: int) -> None:
        """`helpers` ends the processes that help. They are started here where notes of `expected` bytes are to be
        read, so that they are ready when these are."""
        from papersearch.index.workers import PAPER_BYTES, workers_for

        self._folder, self._words, self._helpers = folder, terms.words, helpers
        self._workers: Workers | None = None
        self._begun = False
        count = workers_for(expected // PAPER_BYTES)
        if count > 1:
            self._start(count)

    def _start(self, count: int) -> Workers:
        from papersearch.index.workers import Workers

        self._workers = self._helpers.enter_context(Workers(self._folder, self._words, count))
        return self._workers

    def begin(self, work: Sequence[Paper]) -> None:
        """Have others begin with the papers that are to be added, if there are many."""
        from papersearch.index.workers import workers_for

        count = workers_for(len(work))
        if count > 1:
            (self._workers or self._start(count)).give(work)
            self._begun = True

    def add(
        self, work: Sequence[Paper], writer: IndexWriter, progress: Progress, meanwhile: Callable[[], None]
    ) -> None:
        """Add documents of the papers. `meanwhile` is called if others do it."""
        progress(0, len(work))
        if not self._begun:
            self.begin(work)
        if self._begun and self._workers is not None:
            meanwhile()
            entries = self._workers.segments(lambda done: progress(done, len(work)))
            writer.adopt(entries, [paper.id for paper in work])
        elif work:
            self._helpers.close()  # there are fewer papers than it seemed
            from papersearch.analysis.words import jieba_words_with
            from papersearch.index.documents import to_document

            cut = jieba_words_with(self._words)
            for done, paper in enumerate(work):
                progress(done, len(work))
                writer.add(to_document(paper, cut))
        progress(len(work), len(work))


def _origin(folder: str) -> int:
    from papersearch.index.lock import folder_error

    try:
        return origin.stamp(folder)
    except OSError as error:
        raise folder_error(folder, error) from None


class _Look(Record):
    """What there was when a build began: taken before anything is read, so that the next look sees what came since."""

    at_ns: int
    stats: list[Stat]
    remarks: list[Notice]
    digests: dict[str, str]
    """Those of the files of terms, by their paths."""


def _look(roots: Sequence[str]) -> _Look:
    at_ns = time.time_ns()
    stats, remarks = scan(roots)
    digests: dict[str, str] = {}
    there = {path for path, *_ in stats}
    for prefix in root_names(roots):
        path = prefix + TERMS_NAME
        if path in there:
            with contextlib.suppress(OSError):
                digests[path] = digest_of(read_bytes(disk_path(roots, path)))
    return _Look(at_ns, stats, remarks, digests)


def read_terms(roots: Sequence[str], meta: dict[str, Any]) -> Terms:
    """The user's own terms of all roots; what is wrong with them is said with the place. Where a file of them cannot be
    read, they are what the meta of the index says, if it is of these roots."""
    from papersearch.glossary.terms import Terms, parse_terms

    found, known = Terms(), meta.get("roots") == absolute(roots)
    unread = False
    for root, prefix in zip(roots, root_names(roots), strict=True):
        path = os.path.join(root, TERMS_NAME)
        if not os.path.isdir(root) or not os.path.isfile(path):
            continue
        try:
            one = parse_terms(decode(read_bytes(path))[0])
        except OSError as error:
            left = "what it said stays" if known else "left out"
            one, unread = Terms(problems=((0, f"cannot be read ({error.strerror}); {left}"),)), True
        problems = tuple((line, f"{prefix}{TERMS_NAME}:{line}: {text}") for line, text in one.problems)
        found = Terms(found.groups + one.groups, found.words + one.words, found.problems + problems)
    if unread and known:
        return found._replace(groups=tuple(map(tuple, meta["groups"])), words=tuple(meta["words"]))
    return found


def _timed(changes: Changes, started: float, *, dry_run: bool = False) -> Changes:
    return changes.replace(took_ms=(time.perf_counter() - started) * 1000, dry_run=dry_run)


def _reason_to_rebuild(folder: str, roots: Sequence[str], rebuild: bool, current: Snapshot | None) -> str:
    """Why everything has to be analysed again; empty if what changed is enough."""
    if rebuild:
        return "asked for"
    try:
        with open_snapshot(folder, current) as snapshot:
            return _outdated(snapshot, read_terms(roots, snapshot.meta))
    except IndexMissingError:
        return NO_INDEX
    except IndexDamagedError:
        return DAMAGED


def _outdated(snapshot: Snapshot, terms: Terms) -> str:
    """Why nothing of a snapshot can be kept; empty if it can."""
    if origin.is_foreign(snapshot.folder, snapshot.meta.get("origin"), snapshot.files):
        return "the index was built elsewhere"
    if snapshot.meta.get("identity") != identity():
        return "the analysis changed"
    if snapshot.meta.get("words", []) != list(terms.words):
        return f"the words of {TERMS_NAME} changed"
    try:
        if snapshot.places is not None:
            snapshot.places.check()
    except IndexDamagedError:
        return DAMAGED
    return ""


def _differs(base: Snapshot, plan: _Plan) -> bool:
    from papersearch.index.places import Edit

    volatile = {"built_at", "looked_at"}
    if any(base.meta.get(key) != value for key, value in plan.meta.items() if key not in volatile):
        return True
    if isinstance(plan.columns, Edit):
        return plan.columns.changes
    return base.places is None or not base.places.same(plan.columns)


class _Plan(Record):
    """What a build has to do: the papers to be analysed, the meta and the places of the new generation."""

    changes: Changes
    work: list[Paper]
    meta: dict[str, Any]
    columns: Columns | Edit


def _whole(folder: str) -> Snapshot | None:
    """The generation that a build from nothing replaces, for the papers of notes that cannot be read now: None unless
    it is of this folder, stores papers as this program does, and every byte of it is what was written."""
    try:
        snapshot = open_snapshot(folder)
        if origin.is_foreign(folder, snapshot.meta.get("origin"), snapshot.files):
            return None
        for _, segment in snapshot.segments():
            for file in segment.files.values():
                file.check()
        if snapshot.places is not None:
            snapshot.places.check()
    except (IndexMissingError, IndexDamagedError):
        return None
    return snapshot if same_layout(snapshot.meta) else None


def _plan(
    roots: Sequence[str],
    base: Snapshot | None,
    last: Snapshot | None,
    look: _Look,
    terms: Terms,
    reason: str,
    begin: Callable[[Sequence[Paper]], None] = lambda papers: None,
) -> _Plan:
    """`base`: what is built upon; `last`: what is known of notes that cannot be read. `begin` is told of the papers as
    soon as they are known, where all of them are to be analysed."""
    if base is not None and base.places is not None and not terms.problems and not look.remarks and len(roots) == 1:
        plan = _plan_of_edits(roots, base, base.places, terms, look)
        if plan is not None:
            return plan
    from papersearch.digest import read_corpus
    from papersearch.index.places import Columns
    from papersearch.reports import Changes

    corpus, digests = read_corpus(roots, scanned=(look.stats, look.remarks), last_known=_last_known(last, roots))
    if base is None:
        begin(corpus.papers)
    digests |= look.digests
    columns = Columns(FileState(*stat, digests.get(stat[0], "")) for stat in look.stats)
    numbers = {path: number for number, (path, *_) in enumerate(look.stats)}
    columns.outlines = {numbers[path]: outline for path, outline in corpus.outlines.items()}
    before: dict[str, int] = {}
    if base is not None and base.places is not None:
        before = dict(zip(base.places.ids(), base.places.values("digests"), strict=True))
    added, changed, work = [], [], []
    kept = set()
    columns.links = sorted((numbers[source], numbers[target]) for source, target in corpus.links)
    for paper, key in zip(corpus.papers, corpus.keys, strict=True):
        digest = paper_digest(paper.stored())
        columns.add(paper, numbers[paper.path], digest, key)
        kept.add(paper.id)
        if paper.id not in before:
            added.append(paper.id)
        elif before[paper.id] != digest:
            changed.append(paper.id)
        else:
            continue
        work.append(paper)
    skipped = [str(n) for n in corpus.notices if n.kind == "skipped"]
    warnings = [str(n) for n in corpus.notices if n.kind == "encoding"] + [text for _, text in terms.problems]
    counts = Counter[str](paper.kind for paper in corpus.papers)
    changes = Changes(
        added=tuple(added),
        changed=tuple(changed),
        removed=tuple(paper_id for paper_id in before if paper_id not in kept),
        unchanged=len(corpus.papers) - len(work),
        files=len(corpus.files),
        skipped=tuple(skipped),
        warnings=tuple(warnings),
        rebuilt=reason,
    )
    meta = _meta(roots, terms, look.at_ns, counts, warnings=warnings, skipped=skipped)
    return _Plan(changes, work, meta, columns)


def _last_known(base: Snapshot | None, roots: Sequence[str]) -> Callable[[str], Kept | None]:
    """Path → what the index knows of the note, None if nothing or if it is of other roots."""
    from papersearch.digest import Kept, Row
    from papersearch.index.places import unpack_id

    if base is None or base.places is None or base.meta.get("roots") != absolute(roots):
        return lambda path: None
    places = base.places
    paths = [path for path, *_ in places.states().stats]
    numbers = {path: number for number, path in enumerate(paths)}
    links = places.links()

    def papers(number: int) -> Iterator[Row]:
        ranks = places.of_file(number)
        for key, packed in zip(places.values("keys", ranks), places.values("ids", ranks), strict=True):
            doc = _doc_of(base, unpack_id(packed))
            paper = Paper.from_stored(base.stored(doc), *places.place(doc))
            yield Row(key, paper.line, paper)

    def last_known(path: str) -> Kept | None:
        number = numbers.get(path)
        if number is None:
            return None
        rows = tuple(papers(number))
        from_here = tuple(paths[target] for source, target in links if source == number)
        for source in (source for source, target in links if target == number):
            for row in papers(source):
                for section in row.paper.sections if row.paper else ():
                    if section.companion and section.path == path:
                        return Kept(rows, from_here, "\n" * (section.line - 1) + section.text)
        return Kept(rows, from_here, None) if rows else None

    return last_known


def _meta(
    roots: Sequence[str],
    terms: Terms,
    looked_at: int,
    counts: Counter[str],
    *,
    warnings: Sequence[str] = (),
    skipped: Sequence[str] = (),
) -> dict[str, Any]:
    from papersearch.analysis.words import dictionary_path

    return {
        "identity": identity(),
        "dictionary": dictionary_path(),
        "roots": absolute(roots),
        "looked_at": looked_at,
        "counts": dict(+counts),
        "words": list(terms.words),
        "groups": [list(group) for group in terms.groups],
        "warnings": list(warnings),
        "skipped": list(skipped),
        "built_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(looked_at / 1e9)),
    }


def _plan_of_edits(roots: Sequence[str], base: Snapshot, places: Places, terms: Terms, look: _Look) -> _Plan | None:
    """The plan where files were edited: these are read, and those that links connect with them, and of them only
    the papers whose source changed.

    None where that is not enough: files came or went, something was remarked about a file, or papers of one heading
    need ids with ordinals.
    """
    from papersearch.digest import base_id
    from papersearch.index.places import Edit, has_ordinal, pack_id, unpack_id
    from papersearch.reports import Changes

    meta, stats = base.meta, look.stats
    known = places.states()
    paths = [path for path, *_ in stats]
    remarked = meta.get("warnings") or meta.get("skipped")
    if remarked or meta.get("roots") != absolute(roots) or [path for path, *_ in known.stats] != paths:
        return None
    edited = set(changed_files(roots, known, int(meta.get("looked_at", 0)), stats))
    edit = Edit(places)
    for number, (old, new) in enumerate(zip(known.stats, stats, strict=True)):
        if old != new or old[0] in edited:
            edit.states[number] = FileState(*new, look.digests.get(new[0]) or known.digest(number))
    edited.discard(TERMS_NAME)
    found = _read_edited(roots, edit, paths, {number for number in edit.states if paths[number] in edited})
    if found is None:
        return None
    counts = Counter({str(kind): int(count) for kind, count in meta.get("counts", {}).items()})
    added: list[str] = []
    changed: list[str] = []
    removed: list[str] = []
    work: list[Paper] = []
    for number, (ranks, rows, shift) in sorted(found.items()):
        ids, digests, keys, lines = (places.values(name, ranks) for name in ("ids", "digests", "keys", "lines"))
        at = {key: n for n, key in enumerate(keys)}
        before = {paper_id: n for n, paper_id in enumerate(ids)}
        if any(map(has_ordinal, ids)):
            return None
        edit.replace(ranks)
        now: list[int] = []
        run = (0, 0, 0)
        for row in rows:
            if row.paper is None:
                n = at[row.key]
                now.append(ids[n])
                before.pop(ids[n], None)
                if (n, row.line - lines[n]) != run[1:]:
                    edit.keep(range(ranks.start + run[0], ranks.start + run[1]), run[2])
                    run = (n, n, row.line - lines[n])
                run = (run[0], n + 1, run[2])
                continue
            edit.keep(range(ranks.start + run[0], ranks.start + run[1]), run[2])
            run = (0, 0, 0)
            paper = row.paper.replace(id=base_id(row.paper))
            digest = paper_digest(paper.stored())
            now.append(pack_id(paper.id))
            was = before.pop(now[-1], None)
            if was is None and base.doc_of(paper.id) is not None:
                return None
            same = was is not None and digests[was] == digest
            edit.add(paper, number, digest, row.key, ranks[was] if was is not None and same else None)
            if same:
                continue
            (changed if was is not None else added).append(paper.id)
            if was is not None:
                _forget(base, paper.id, edit, counts)
            edit.label(paper.category, paper.venue, paper.orgs)
            counts[paper.kind] += 1
            work.append(paper)
        edit.keep(range(ranks.start + run[0], ranks.start + run[1]), run[2])
        if len(set(now)) < len(now):
            return None
        for paper_id in map(unpack_id, before):
            if base.doc_of(f"{paper_id}-2") is not None:
                return None
            _forget(base, paper_id, edit, counts)
            removed.append(paper_id)
        if shift:
            rest = range(ranks.stop, places.of_file(number).stop)
            edit.replace(rest)
            edit.keep(rest, shift)
    edit.finish()
    if len(set(added)) < len(added):
        return None  # the same new paper in two files
    changes = Changes(
        added=tuple(added),
        changed=tuple(changed),
        removed=tuple(removed),
        unchanged=len(edit) - len(work),
        files=sum(path != TERMS_NAME for path in paths),
    )
    return _Plan(changes, work, _meta(roots, terms, look.at_ns, counts), edit)


_Found = dict[int, tuple[range, list["Row"], int]]
"""Number of a file → ranks of papers, what stands there now, and how many lines further down the rest of the file is.
Papers whose source is known have only a key."""


def _read_edited(roots: Sequence[str], edit: Edit, paths: list[str], edited: set[int]) -> _Found | None:
    """What is new in files that were edited, and in those that links connect with them; the edit is told of their
    contents and links. None if one cannot be read as what it was.
    """
    from papersearch.digest import Resolver, read_edited

    places = edit.base
    resolver = Resolver((path for path in paths if path != TERMS_NAME), whole_folder=os.path.isdir(roots[0]))
    linked = {number for link in edit.links for number in link}
    contents: dict[int, bytes] = {}
    found: _Found = {}
    for number in edited:
        path = paths[number]
        try:
            data = contents[number] = read_bytes(disk_path(roots, path))
        except OSError:
            return None
        outline = places.outline(number) if number not in linked else b""
        ranks = places.of_file(number)

        def keys(first: int, end: int, ranks: range = ranks) -> frozenset[int]:
            return frozenset(places.values("keys", ranks[first:end]))

        def is_note(url: str, path: str = path) -> bool:
            return resolver.resolve(path, url)[0] not in (None, path)

        if outline and (new := read_edited(path, data, outline, keys, is_note)) is not None:
            found[number] = ranks[new.first : new.end], new.rows, new.shift
            edit.states[number] = edit.states[number].replace(digest=new.digest)
            edit.outlines[number] = new.outline
    rest = _read_whole(roots, edit, paths, resolver, contents, edited - found.keys())
    if rest is None or rest.keys() & found.keys():
        return None  # a file that was read in part, and one that now links to it
    return found | rest


def _read_whole(
    roots: Sequence[str],
    edit: Edit,
    paths: list[str],
    resolver: Resolver,
    contents: dict[int, bytes],
    edited: set[int],
) -> _Found | None:
    """As _read_edited(), of files that have to be read as a whole. `contents`: those that were read already."""
    if not edited:
        return {}
    from papersearch.digest import Note, lines_of_pieces, parse_note, read_together

    places = edit.base
    numbers = {path: number for number, path in enumerate(paths)}
    neighbours: dict[int, set[int]] = {}
    for source, target in edit.links:
        neighbours.setdefault(source, set()).add(target)
        neighbours.setdefault(target, set()).add(source)
    notes: dict[int, Note] = {}
    cuts = {}
    pending = set(edited)
    while pending:
        number = pending.pop()
        path = paths[number]
        try:
            data = contents[number] if number in contents else read_bytes(disk_path(roots, path))
        except OSError:
            return None
        text, remark = decode(data)
        if remark:
            return None
        starts, pieces = cut(data)
        if lines := lines_of_pieces(data, starts):
            cuts[path] = lines, pieces
        state = edit.states.get(number) or places.states().state(number)
        digest = digest_of_pieces(pieces)
        if number in edit.states or digest != state.digest:
            edit.states[number] = state.replace(digest=digest)
        note = notes[number] = parse_note(path, text)
        near = {numbers[there] for _, url in note.links_to_notes() if (there := resolver.resolve(path, url)[0])}
        pending |= (near | neighbours.get(number, set())) - notes.keys()
    in_order = sorted(notes)
    ranks_of = {number: places.of_file(number) for number in in_order}
    keys = {paths[number]: frozenset(places.values("keys", ranks)) for number, ranks in ranks_of.items()}
    together = read_together([notes[number] for number in in_order], resolver, keys, cuts=cuts)
    others = [link for link in edit.links if link[0] not in notes]
    edit.links = sorted(others + [(numbers[source], numbers[target]) for source, target in together.links])
    for number in in_order:
        outline = together.outlines.get(paths[number], b"")
        if outline != places.outline(number):
            edit.outlines[number] = outline
    return {number: (ranks_of[number], together.rows[paths[number]], 0) for number in in_order}


def _forget(base: Snapshot, paper_id: str, edit: Edit, counts: Counter[str]) -> None:
    """Take what a paper was before out of the labels and counts."""
    stored = base.stored(_doc_of(base, paper_id))
    edit.label(stored["category"], stored["venue"], stored["orgs"], -1)
    counts[stored["kind"]] -= 1


def _doc_of(base: Snapshot, paper_id: str) -> int:
    doc = base.doc_of(paper_id)
    if doc is None:
        raise IndexDamagedError(f"{base.folder}: the paper {paper_id} has no document; run papersearch index --rebuild")
    return doc
