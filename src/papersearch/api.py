"""The library's front: an index over a corpus that builds, refreshes and answers. Reads no argv and no environment."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque

from papersearch.analysis.tokens import tokens
from papersearch.analysis.words import vocabulary_cutter
from papersearch.errors import (
    CorpusError,
    IndexDamagedError,
    IndexFolderError,
    IndexMissingError,
    IndexReadOnlyError,
    UsageError,
)
from papersearch.fields import FACETS, FIELDS
from papersearch.glossary import DICTIONARY_FILE, Combined, Remembered, shipped_in
from papersearch.index import origin
from papersearch.index.reader import Snapshot, open_snapshot
from papersearch.index.state import absolute, identity, stale_files
from papersearch.paper import Paper
from papersearch.query import SORTS, Exact, Node, Years, parse_query, parse_years
from papersearch.results import FacetCounts, Hit, Results
from papersearch.search import Answer, IndexSearcher, Request
from papersearch.snippets import Notes
from papersearch.stopwords import STOP_WORDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import Any, TypeVar

    from papersearch.files import Notice
    from papersearch.glossary import Lookup
    from papersearch.index.places import Places
    from papersearch.reports import Changes, Status

    PathLike = str | os.PathLike[str]
    Answered = TypeVar("Answered")

REFRESH_LOCK_S = 0.2
"""How long a search waits for another writer before it answers from the last finished build."""
BUILD_LOCK_S = 10.0
MENDS = 3
"""How often one call builds an index anew that is damaged again before it has answered."""
KEPT_NOTES, LARGEST_KEPT = 512, 1 << 14
"""Papers that an open index keeps decoded, and characters of notes up to which one is."""


def _roots(corpus: PathLike | Sequence[PathLike]) -> list[str]:
    paths = [corpus] if isinstance(corpus, (str, os.PathLike)) else list(corpus)
    return [os.fspath(path) for path in paths]


class _Generation:
    """One snapshot with what is derived from it. Never changes once made."""

    def __init__(self, snapshot: Snapshot, before: _Generation | None = None) -> None:
        """`before`: the one that it takes the place of, if it was open."""
        self.snapshot = snapshot
        self.meta = snapshot.meta
        if snapshot.places is None:
            raise IndexDamagedError(f"{snapshot.folder} does not say where its papers stand; run papersearch index")
        self.places: Places = snapshot.places
        same_names = before is not None and before.meta.get("groups") == self.meta.get("groups")
        self._glossary: Lookup | None = before._glossary if before is not None and same_names else None
        self._notes: dict[int, Notes] = {}
        self._kept: deque[int] = deque()
        """Documents of `_notes`, the oldest first."""
        self.searcher = IndexSearcher(snapshot, self.order_of, self.glossary)

    def glossary(self) -> Lookup:
        """Opened when the first query has words."""
        if self._glossary is None:
            parts = [shipped_in(self.snapshot.folder)]
            if rows := self.snapshot.meta.get("groups"):
                from papersearch.glossary import Glossary
                from papersearch.glossary.terms import groups_of

                parts.insert(0, Glossary(groups_of(rows)))
            if os.path.exists(os.path.join(self.snapshot.folder, DICTIONARY_FILE)):
                from papersearch.glossary.dictionary import dictionary_in

                if dictionary := dictionary_in(self.snapshot.folder):
                    parts.append(dictionary)
            self._glossary = Remembered(Combined(parts) if len(parts) > 1 else parts[0])
        return self._glossary

    def order_of(self, doc: int) -> tuple[object, ...]:
        """Where the document stands in reading order."""
        return (self.places.rank(doc),)

    def notes(self, doc: int) -> Notes:
        """The paper of a document, with its notes ready for excerpts: those of the last hits are kept."""
        notes = self._notes.get(doc)
        if notes is None:
            notes = Notes(self.paper(doc))
            if sum([len(section.text) for section in notes.paper.sections]) <= LARGEST_KEPT:
                self._notes[doc] = notes
                self._kept.append(doc)
                if len(self._kept) > KEPT_NOTES:  # one at a time: to let go of all takes as long as a search
                    self._notes.pop(self._kept.popleft(), None)
        return notes

    def paper(self, doc: int) -> Paper:
        stored = self.snapshot.stored(doc)
        try:
            return Paper.from_stored(stored, *self.places.place(doc))
        except (KeyError, TypeError, ValueError) as error:
            raise IndexDamagedError(
                f"{self.snapshot.folder}: document {doc} is not what was stored ({type(error).__name__}); "
                "run papersearch index --rebuild"
            ) from None


class Index:
    """An open index. Safe to share by threads; every search sees one finished generation. Use as a context manager."""

    def __init__(
        self, roots: Sequence[str], folder: str, now: _Generation, notices: Sequence[str], *, mends: bool
    ) -> None:
        """Not for callers: use open_index(). `mends`: whether an index found damaged is built anew."""
        self._mends = mends
        self._roots = list(roots)
        self._folder = folder
        self._now = now
        self._notices = tuple(notices)
        self._lock = threading.Lock()

    def search(
        self,
        query: str = "",
        *,
        category: str | Sequence[str] = (),
        venue: str | Sequence[str] = (),
        org: str | Sequence[str] = (),
        year: str | int | Sequence[str | int] = (),
        sort: str = "score",
        limit: int | None = 10,
        offset: int = 0,
        strict: bool = False,
        facets: bool | Iterable[str] = False,
        explain: bool = False,
    ) -> Results:
        """Ranked search. Without words it lists everything that the filters admit, in reading order.

        Values of one filter are alternatives, filters of different fields must all hold. `year` takes 2022,
        "2019..2021", "2021..", "..2017". `sort`: score, year, -year, title, venue. `limit=None` returns all.
        `strict` answers only what matches every word; `explain` adds to each hit the parts of its score. Raises
        UsageError for a bad year, sort or number.
        """
        started = time.perf_counter()
        if not isinstance(query, str):
            raise UsageError(f"a query is a string, not {type(query).__name__}")
        if sort not in SORTS:
            raise UsageError(f"no order {sort!r}; use one of {', '.join(SORTS)}")
        if (limit is not None and limit < 0) or offset < 0:
            raise UsageError("limit and offset are numbers from 0 on")
        given = {"category": _values(category), "venue": _values(venue), "org": _values(org), "year": _values(year)}
        names = self._facet_names(FACETS if facets is True else facets or ())
        request = Request(parse_query(query), _filters(given), sort, limit, offset, strict, names, explain)

        def ask(now: _Generation) -> Results:
            answer = now.searcher.search(request)
            hits = tuple(self._hits(now, answer, offset))
            return Results(
                query=query,
                filters={name: values for name, values in given.items() if values},
                stage=answer.stage,
                total=answer.total,
                hits=hits,
                notices=tuple(answer.notices),
                facets=_facet_counts(now, answer),
                took_ms=(time.perf_counter() - started) * 1000,
            )

        return self._sound(ask)

    def _sound(self, ask: Callable[[_Generation], Answered]) -> Answered:
        """What `ask` makes of the current generation, if that is what was written, before and after; one that turns out
        damaged is built anew and asked again."""
        for left in reversed(range(MENDS + 1)):
            now = self._now
            try:
                now.snapshot.recheck()
                answer = ask(now)
                now.snapshot.recheck()
                return answer
            except IndexDamagedError as error:
                if not (self._mends and left):
                    raise
                self._mend(now, error)
        raise AssertionError("unreachable")

    def _mend(self, damaged: _Generation, error: IndexDamagedError) -> None:
        """Take the generation that another thread or process has put in the place of a damaged one, or build it."""
        from papersearch.index.update import update

        with self._lock:
            if self._now is not damaged:
                return
            now: _Generation | None = None
            with contextlib.suppress(IndexFolderError):
                now = _Generation(open_snapshot(self._folder))
            if now is None or now.snapshot.generation == damaged.snapshot.generation or _is_foreign(now.snapshot):
                update(self._roots, self._folder, rebuild=True, lock_timeout_s=BUILD_LOCK_S)
                now = _Generation(open_snapshot(self._folder))
            self._now = now
            self._notices = (*self._notices, _mended(error))

    def _hits(self, now: _Generation, answer: Answer, offset: int) -> Iterator[Hit]:
        matched = now.searcher.matched(answer, [found.doc for found in answer.found])
        for rank, (found, (zones, terms)) in enumerate(zip(answer.found, matched, strict=True), offset + 1):
            notes = now.notes(found.doc)
            cut = notes.excerpt(terms)
            score = round(found.score, 6)
            yield Hit(
                rank, score, notes.paper, cut.text, cut.highlights, cut.path, cut.line, found.stage, zones, found.parts
            )

    def similar(self, paper_id: str, *, limit: int | None = 10) -> Results:
        """The papers nearest to one: those that share most of its telling words. Raises UsageError as get() does."""
        started = time.perf_counter()

        def ask(now: _Generation) -> Results:
            doc = _doc_of(now, paper_id)
            paper = now.paper(doc)
            answer = now.searcher.similar(_telling_words(paper, now.searcher), doc, limit)
            hits = tuple(self._hits(now, answer, 0))
            took_ms = (time.perf_counter() - started) * 1000
            return Results(f"similar:{paper.id}", {}, answer.stage, answer.total, hits, took_ms=took_ms)

        return self._sound(ask)

    def get(self, paper_id: str) -> Paper:
        """The paper of that id, or of the only id that begins so. Raises UsageError naming the candidates."""
        return self._sound(lambda now: now.paper(_doc_of(now, paper_id)))

    def papers(self) -> list[Paper]:
        """All papers in reading order."""
        return self._sound(lambda now: [now.paper(doc) for doc in sorted(now.snapshot.docs(), key=now.order_of)])

    def facets(self, fields: Iterable[str] = ()) -> FacetCounts:
        """Values and counts of the given facet fields (all of them if none is given). Raises UsageError."""
        names = self._facet_names(fields) or FACETS
        request = Request(parse_query(""), limit=0, facets=names)
        return self._sound(lambda now: _facet_counts(now, now.searcher.search(request)))

    def _facet_names(self, fields: Iterable[str]) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(fields))
        for name in names:
            if name not in FACETS:
                raise UsageError(f"no facet field {name!r}; use one of {', '.join(FACETS)}")
        return names

    def refresh(self) -> Changes:
        """Look whether the corpus changed and index what did. Raises IndexBusyError while another process writes."""
        from papersearch.index.update import update

        with self._lock:
            current = self._now.snapshot
            changes = update(self._roots, self._folder, lock_timeout_s=BUILD_LOCK_S, current=current)
            self._now = _Generation(open_snapshot(self._folder, current), self._now)
            return changes

    def status(self) -> Status:
        """What is indexed, and whether it is what lies on disk now."""
        return _status(self._roots, self._folder, self._now.snapshot)

    @property
    def notices(self) -> tuple[str, ...]:
        """What opening had to tell: files skipped or read in another encoding, a refresh that could not be done."""
        return self._notices

    def close(self) -> None:
        """Let go of the files. Papers and results already returned stay as they are."""
        self._now.snapshot.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_index(
    corpus: PathLike | Sequence[PathLike] = "corpus", index: PathLike = "index", *, refresh: bool = True
) -> Index:
    """Open the index of a corpus, building it if there is none and refreshing it if the notes changed.

    With `refresh=False` the last finished build answers as it is (IndexMissingError if there is none). Where the
    index folder cannot be written, or the disk is full, an existing index is used as it is and a notice says so;
    IndexReadOnlyError if it was built elsewhere, and so cannot be trusted. A missing or empty corpus
    never erases an index: CorpusError where there is no index to answer from, else a notice.
    """
    roots, folder = _roots(corpus), os.fspath(index)
    now: _Generation | None = None
    notices: list[str] = []
    damage: IndexDamagedError | None = None
    try:
        snapshot = open_snapshot(folder)
        if _is_foreign(snapshot):
            if not os.access(folder, os.W_OK):
                reason = "was built elsewhere, and its folder cannot be written to build it anew"
                raise IndexReadOnlyError(f"the index in {folder} {reason}; name another folder with --index")
            raise IndexDamagedError(f"the index in {folder} was built elsewhere; run: papersearch index")
        now = _Generation(snapshot)
    except IndexMissingError:
        if not refresh:
            raise
    except IndexDamagedError as error:
        if not refresh:
            raise
        damage = error
        notices.append(_mended(error))
    if refresh:
        try:
            current = False
            if now is not None:
                try:
                    current = not (_analysed_otherwise(now.meta) or stale_files(now.snapshot, roots))
                except IndexDamagedError as error:
                    now, damage = None, error
                    notices.append(_mended(error))
            if not current:
                from papersearch.index.update import update

                lock_timeout_s = BUILD_LOCK_S if now is None else REFRESH_LOCK_S
                update(roots, folder, rebuild=damage is not None, lock_timeout_s=lock_timeout_s)
                now = _Generation(open_snapshot(folder))
        except (IndexFolderError, CorpusError) as error:
            if isinstance(error, IndexDamagedError):
                raise
            if now is None:
                raise damage or error from None
            if isinstance(error, CorpusError) and now.meta.get("roots") != absolute(roots):
                raise  # the index is that of other notes
            notices.append(f"{error}; answered from the last finished build")
    assert now is not None
    return Index(roots, folder, now, [*notices, *_remarks(now)], mends=refresh)


def _remarks(now: _Generation) -> list[str]:
    """What the build had to say about files."""
    return [str(line) for key in ("skipped", "warnings") for line in now.meta.get(key, [])]


def _is_foreign(snapshot: Snapshot) -> bool:
    """Whether the index was not built where it lies."""
    return origin.is_foreign(snapshot.folder, snapshot.meta.get("origin"), snapshot.files)


def _analysed_otherwise(meta: dict[str, Any]) -> bool:
    """Whether the notes would be analysed in another way today."""
    return bool(meta.get("identity") != identity(str(meta.get("dictionary", ""))))


def _mended(error: IndexDamagedError) -> str:
    return f"{str(error).split(';')[0]}; it was built anew"


def build_index(
    corpus: PathLike | Sequence[PathLike],
    index: PathLike,
    *,
    rebuild: bool = False,
    dry_run: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Changes:
    """Index what changed (everything with `rebuild`) and switch to the new generation in one step.

    `dry_run` only says what would change. `progress(done, total)` is called as papers are analysed. Raises
    CorpusError, IndexBusyError, IndexReadOnlyError.
    """
    from papersearch.index.update import update

    return update(
        _roots(corpus),
        os.fspath(index),
        rebuild=rebuild,
        dry_run=dry_run,
        progress=progress,
        lock_timeout_s=BUILD_LOCK_S,
    )


def index_status(corpus: PathLike | Sequence[PathLike], index: PathLike) -> Status:
    """The state of an index without building or refreshing it; `built` is False where there is none."""
    roots, folder = _roots(corpus), os.fspath(index)
    try:
        with open_snapshot(folder) as snapshot:
            return _status(roots, folder, snapshot)
    except IndexMissingError:
        from papersearch.reports import Status

        return Status(tuple(roots), folder, built=False, stale=True)


def check_corpus(corpus: PathLike | Sequence[PathLike]) -> list[Notice]:
    """Lint of the digest: broken links, headings without venue or year, duplicate papers, suspicious venues.

    Raises CorpusError if the corpus does not exist.
    """
    from papersearch.lint import check

    return check(_roots(corpus))


def _status(roots: Sequence[str], folder: str, snapshot: Snapshot) -> Status:
    try:
        stale = stale_files(snapshot, roots)
    except CorpusError:
        stale = [root for root in roots if not os.path.exists(root)]
    counts = snapshot.meta.get("counts", {})
    from papersearch.reports import Status

    return Status(
        corpus=tuple(roots),
        index=folder,
        built=True,
        stale=bool(stale) or _is_foreign(snapshot) or _analysed_otherwise(snapshot.meta),
        papers=int(counts.get("paper", 0)),
        notes=int(counts.get("note", 0)),
        files=snapshot.places.file_count if snapshot.places is not None else 0,
        generation=snapshot.generation,
        built_at=str(snapshot.meta.get("built_at", "")),
        bytes=_size_of(folder),
        stale_files=tuple(stale),
    )


def _size_of(folder: str) -> int:
    """Bytes of the files in a folder, of which some may go while it is looked at."""
    size = 0
    for entry in os.scandir(folder):
        with contextlib.suppress(OSError):
            if entry.is_file(follow_symlinks=False):
                size += entry.stat(follow_symlinks=False).st_size
    return size


def _values(given: str | int | Sequence[str | int]) -> list[str]:
    if isinstance(given, (str, int)):
        return [str(given)] if str(given).strip() else []
    return [str(value) for value in given if str(value).strip()]


def _filters(given: dict[str, list[str]]) -> tuple[Node, ...]:
    """Filter clauses from a caller's arguments. Raises UsageError for a bad year."""
    clauses: list[Node] = []
    for name, values in given.items():
        if not values:
            continue
        if name == "year":
            try:
                clauses.append(Years(tuple(parse_years(part) for value in values for part in value.split(","))))
            except ValueError as error:
                raise UsageError(f"year: {error}") from None
        else:
            clauses.append(Exact(name, tuple(dict.fromkeys(values))))
    return tuple(clauses)


def _facet_counts(now: _Generation, answer: Answer) -> FacetCounts:
    """Counts by value as written, most frequent first; years newest first."""
    counts: FacetCounts = {}
    for name, by_value in answer.facets.items():
        labels = now.places.labels(name)
        rows = [(labels.get(value, value), n) for value, n in by_value.items()]
        if name == "year":
            counts[name] = sorted(rows, reverse=True)
        else:
            counts[name] = sorted(rows, key=lambda row: (-row[1], row[0].casefold()))
    return counts


def _doc_of(now: _Generation, paper_id: str) -> int:
    """The document of an id or of the only id that begins so. Raises UsageError."""
    wanted = paper_id.strip().lower()
    doc = now.snapshot.doc_of(wanted) if wanted else None
    if doc is None:
        candidates = now.snapshot.ids(wanted) if wanted else []
        if not candidates:
            raise UsageError(f"no paper has the id {paper_id!r}; `papersearch list` shows all ids")
        if len(candidates) > 1:
            shown = ", ".join(candidates[:5]) + (", …" if len(candidates) > 5 else "")
            raise UsageError(f"{len(candidates)} papers have ids that begin with {paper_id!r}: {shown}")
        doc = now.snapshot.doc_of(candidates[0])
    assert doc is not None
    return doc


def _telling_words(paper: Paper, searcher: IndexSearcher) -> list[tuple[str, float]]:
    """Words of a paper that the index has, with how often they stand in it; those of the title count as it boosts."""
    cut = vocabulary_cutter(searcher.knows)
    counts: dict[str, float] = {}
    texts = [(paper.title, FIELDS["title"].boost)] + [(section.text, 1.0) for section in paper.sections]
    for text, boost in texts:
        for token in tokens(text, cut)[0]:
            if token.term[0].isalnum() and len(token.term) > 1 and token.term not in STOP_WORDS:
                counts[token.term] = counts.get(token.term, 0.0) + boost * token.factor
    return list(counts.items())
