"""Whoosh as the judge: its searcher over our files against its own files, and our snapshot against its reader.

Random small indexes (several segments, deletions, updates, odd boosts, missing fields) are written twice by Whoosh's
SegmentWriter, once with its own codec and once with ours, and asked the same random query trees.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from whoosh import query as q
from whoosh import scoring
from whoosh.analysis import Analyzer, StemmingAnalyzer, Token
from whoosh.fields import ID, KEYWORD, STORED, TEXT, Schema
from whoosh.filedb.filestore import FileStorage
from whoosh.index import FileIndex
from whoosh.matching import ReadTooFar
from whoosh.qparser import QueryParser
from whoosh.util.numeric import byte_to_length, length_to_byte
from whoosh.writing import SegmentWriter

from papersearch.errors import IndexMissingError
from papersearch.index.codec import FlatIndex, FlatSegmentWriter, flat, whoosh_index
from papersearch.index.reader import open_snapshot
from papersearch.index.toc import Toc
from papersearch.index.verify import verify
from papersearch.index.writer import Document, IndexWriter

BUDGET_S = 8.0
LONG_BUDGET_S = float(os.environ.get("PAPERSEARCH_FUZZ_S", "60"))
WORDS = [first + second for first in "abcdef词" for second in "uvwxyz"]
# Whoosh's own codec rounds lengths each time it merges; ours keeps them. Lengths it need not round make both agree.
LENGTHS = [length for length in range(1, 220) if byte_to_length(length_to_byte(length)) == length]
WEIGHTINGS: list[Callable[[], Any]] = [
    scoring.BM25F,
    scoring.Frequency,
    lambda: scoring.BM25F(B=0.3, K1=2, note_B=0.9),
    scoring.TF_IDF,
]
EXACT_WEIGHTINGS = WEIGHTINGS[:2]
"""The others use sums of weights, which the stock codec keeps in four bytes."""
OPTIONS: list[dict[str, Any]] = [
    {"limit": 10},
    {"limit": 3},
    {"limit": None},
    {"limit": None, "filter": q.Term("cat", "x")},
    {"limit": 5, "mask": q.Term("cat", "y")},
]


class BoostedWords(Analyzer):  # type: ignore[misc]
    """`word^2.5 other`: words at blanks, each with an optional boost."""

    def __call__(self, value: str, positions: bool = False, start_pos: int = 0, **options: Any) -> Iterator[Token]:
        token = Token(positions, False, mode=options.get("mode", ""))
        for number, part in enumerate(value.split()):
            text, _, boost = part.partition("^")
            token.text, token.boost, token.pos, token.stopped = text, float(boost or 1), start_pos + number, False
            yield token


def schema(wrap: Callable[[Any], Any]) -> Schema:
    return Schema(
        id=ID(unique=True, stored=True),
        body=wrap(TEXT(analyzer=BoostedWords())),
        note=wrap(TEXT(analyzer=BoostedWords(), stored=True)),
        tag=KEYWORD(scorable=True),
        cat=ID(),
        extra=STORED(),
    )


def word(rng: random.Random) -> str:
    return WORDS[min(int(rng.expovariate(0.12)), len(WORDS) - 1)]


def text(rng: random.Random, length: int, boosts: list[float]) -> str:
    return " ".join(word(rng) + (f"^{rng.choice(boosts)}" if rng.random() < 0.3 else "") for _ in range(length))


def document(rng: random.Random, number: int, boosts: list[float]) -> dict[str, Any]:
    made: dict[str, Any] = {"id": str(number), "extra": {"n": number, "文": ["x", None]}}
    if rng.random() < 0.95:
        made["body"] = text(rng, rng.choice(LENGTHS[: rng.choice([3, 30, len(LENGTHS)])]), boosts)
    if rng.random() < 0.4:
        made["note"] = text(rng, 3, boosts)
    if rng.random() < 0.6:
        made["tag"] = " ".join(word(rng) for _ in range(3))
    if rng.random() < 0.8:
        made["cat"] = rng.choice(["x", "y", "类"])
    if rng.random() < 0.1:
        made["_body_boost"] = 1.75
    return made


def tree(rng: random.Random, depth: int = 2) -> q.Query:
    def below() -> q.Query:
        return tree(rng, depth - 1)

    field = rng.choice(["body", "body", "body", "note", "tag"])
    kind = rng.randrange(8 if depth else 5)
    if kind < 2:
        return q.Term(field, word(rng))
    if kind == 2:
        return q.Phrase(rng.choice(["body", "note"]), [word(rng), word(rng)], slop=rng.choice([1, 1, 3]))
    if kind == 3:
        return rng.choice(
            [
                q.Prefix(field, word(rng)[:1]),
                q.Wildcard(field, "*" + word(rng)[1]),
                q.TermRange(field, "av", "cx"),
                q.FuzzyTerm(field, word(rng)),
                q.Term("cat", "x"),
            ]
        )
    if kind == 4:
        return rng.choice([q.Every(), q.Every("note"), q.Term("cat", "类"), q.Term("body", "absent")])
    if kind == 5:
        return q.Or([below() for _ in range(rng.randrange(2, 5))])
    if kind == 6:
        return q.And([below() for _ in range(2)])
    return rng.choice(
        [
            lambda: q.AndNot(below(), below()),
            lambda: q.AndMaybe(below(), below()),
            lambda: q.Require(below(), below()),
            lambda: q.DisjunctionMax([below(), below()]),
            lambda: q.Or([below(), q.Not(below())]),
        ]
    )()


def stock_index(folder: Path) -> FileIndex:
    folder.mkdir()
    return FileIndex.create(FileStorage(str(folder)), schema(lambda field: field))


def flat_index(folder: Path) -> FlatIndex:
    folder.mkdir()
    FlatSegmentWriter(FlatIndex(folder, schema(flat), Toc(0, [], {}))).commit()
    return FlatIndex(folder, schema(flat))


def build(rng: random.Random, stock: FileIndex, ours: FlatIndex) -> bool:
    """Write the same documents, deletions and updates, in several commits, to both.

    Returns:
        Whether all boosts are numbers that the stock codec's four-byte weights hold exactly.
    """
    exact = rng.random() < 0.7
    boosts = [0.5, 2.0, 2.5] if exact else [round(rng.random() * 5 + 0.01, 3) for _ in range(400)]
    count = committed = 0
    for _ in range(rng.randrange(1, 4)):
        added = [document(rng, count + i, boosts) for i in range(rng.choice([2, 40, 200]))]
        count += len(added)
        deleted = [str(rng.randrange(count)) for _ in range(count // 10)]
        # of documents committed before: Whoosh does not replace what the same writer added
        updated = [document(rng, number, boosts) for number in rng.sample(range(committed), committed // 20)]
        committed = count
        optimize = rng.random() < 0.4
        for index, make in ((stock, SegmentWriter), (ours, FlatSegmentWriter)):
            writer = make(index)
            for one in added:
                writer.add_document(**one)
            for doc_id in deleted:
                writer.delete_by_term("id", doc_id)
            for one in updated:
                writer.update_document(**one)
            writer.commit(merge=False)
            # Merging apart from adding: the stock writer would put the new documents first. And the same in both:
            # Whoosh's idf counts deleted documents, and its AndNot can err by a document that depends on the order.
            if optimize:
                make(index).commit(optimize=True)
    return exact


def answer(searcher: Any, query: q.Query, **options: Any) -> list[tuple[int, float]]:
    return [(hit.docnum, hit.score) for hit in searcher.search(query, **options)]


def same(expected: list[tuple[int, float]], got: list[tuple[int, float]], exact: bool) -> bool:
    """Whether two answers agree; if not exactly, documents of nearly equal score may change places."""
    if exact:
        return expected == got
    expected_scores, got_scores = [score for _, score in expected], [score for _, score in got]
    last = min(expected_scores, default=0.0) * (1 + 1e-4)
    return got_scores == pytest.approx(expected_scores, rel=1e-5) and all(
        dict(got).get(doc) == pytest.approx(score, rel=1e-5) for doc, score in expected if score > last
    )


def compare_readers(stock: Any, ours: Any) -> None:
    """Every term, posting, length and stored object of two readers with the same document numbers."""
    assert list(stock.all_terms()) == list(ours.all_terms())
    for name, term in stock.all_terms():
        expected, got = stock.postings(name, term), ours.postings(name, term)
        assert stock.doc_frequency(name, term) == ours.doc_frequency(name, term)
        assert stock.frequency(name, term) == pytest.approx(ours.frequency(name, term))
        while expected.is_active():
            assert (expected.id(), expected.weight()) == (got.id(), pytest.approx(got.weight()))
            if name in ("body", "note"):
                assert expected.value_as("positions") == got.value_as("positions")
            expected.next()
            got.next()
        assert not got.is_active()
    assert ours.doc_frequency("body", "absent") == ours.frequency("body", "absent") == 0
    for doc in stock.all_doc_ids():
        assert stock.stored_fields(doc) == ours.stored_fields(doc)
        for name in ("body", "note", "tag"):
            assert (stock.doc_field_length(doc, name) or 0) == ours.doc_field_length(doc, name)
    for name in ("body", "note", "tag"):
        assert stock.field_length(name) == ours.field_length(name)


def compare(folder: Path, seed: int, budget_s: float) -> int:
    """Compare random indexes until the time is up; number of queries compared."""
    end, compared = time.monotonic() + budget_s, 0
    while time.monotonic() < end:
        seed += 1
        rng = random.Random(seed)
        stock, ours = stock_index(folder / f"stock{seed}"), flat_index(folder / f"ours{seed}")
        exact = build(rng, stock, ours)
        assert verify(folder / f"ours{seed}") == []
        if rng.random() < 0.2:
            compare_readers(stock.reader(), ours.reader())
        for make in WEIGHTINGS:
            with stock.searcher(weighting=make()) as stocked, ours.searcher(weighting=make()) as flattened:
                for _ in range(30 if make is scoring.BM25F else 8):
                    query, options = tree(rng), rng.choice(OPTIONS)
                    try:
                        expected = answer(stocked, query, **options)
                    except (IndexError, AssertionError):  # Whoosh's AndNot reads past the end, its Require trips
                        continue
                    got = answer(flattened, query, **options)
                    assert same(expected, got, exact and make in EXACT_WEIGHTINGS), (
                        f"seed {seed}, {type(make()).__name__}, {query!r}, {options}: {expected} | {got}"
                    )
                    compared += 1
                    if time.monotonic() > end:
                        return compared
    return compared


def test_whoosh_finds_the_same_in_our_files(tmp_path: Path) -> None:
    assert compare(tmp_path, 1000, BUDGET_S) > 50


@pytest.mark.slow
def test_whoosh_finds_the_same_in_our_files_for_long(tmp_path: Path) -> None:
    assert compare(tmp_path, random.randrange(1 << 30), LONG_BUDGET_S) > 50


def test_readers_hold_the_same_without_deletions(tmp_path: Path) -> None:
    rng = random.Random(7)
    stock, ours = stock_index(tmp_path / "stock"), flat_index(tmp_path / "ours")
    for commit in range(3):
        made = [document(rng, commit * 30 + number, [0.5, 2.0]) for number in range(30)]
        for writer in (SegmentWriter(stock), FlatSegmentWriter(ours)):
            for one in made:
                writer.add_document(**one)
            writer.commit(merge=False)
    assert len(ours._segments()) == 3
    compare_readers(stock.reader(), ours.reader())


def random_tokens(rng: random.Random) -> list[tuple[str, int, float]]:
    tokens = [(word(rng), rng.randrange(60), rng.choice([0.5, 1.0, 3.0, 0.1])) for _ in range(rng.randrange(40))]
    return [*tokens, (word(rng), 2**31 - 1, 1.0)]


def random_index(folder: Path, seed: int) -> None:
    rng = random.Random(seed)
    for commit in range(4):
        with IndexWriter(folder) as writer:
            for number in range(commit * 20, commit * 30 + 30):
                tokens = {"text": random_tokens(rng), "grams": random_tokens(rng)[:5]}
                keywords = {"venue": rng.sample(["NeurIPS", "a b", "会议"], rng.randrange(3)), "year": ["2020"]}
                writer.add(Document(f"p{number}", tokens, {}, keywords, {"title": f"title {number}"}))
            writer.remove(f"p{rng.randrange(60)}")
            writer.commit({})


@pytest.mark.parametrize("seed", range(3))
def test_snapshot_and_whoosh_read_the_same_postings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr("papersearch.index.codec.MERGE_ALL_BELOW", 0)
    random_index(tmp_path, seed)
    index = whoosh_index(tmp_path)
    with open_snapshot(tmp_path) as snapshot, index.searcher() as searcher:
        reader = searcher.reader()
        assert len(snapshot.segments()) > 1 and reader.has_deletions()
        live = list(reader.all_doc_ids())
        assert list(snapshot.docs()) == live and snapshot.doc_count == len(live)
        for name in ("text", "grams", "venue", "year", "id"):
            field = snapshot.field(name)
            lexicon = [term.decode() for term in reader.lexicon(name)]
            assert list(field.terms()) == sorted(set(lexicon))
            for term in lexicon:
                matcher, postings = reader.postings(name, term), field.postings(term)
                expected = []
                while matcher.is_active():
                    positions = matcher.value_as("positions") if name in ("text", "grams") else []
                    expected.append((matcher.id(), matcher.weight(), positions))
                    matcher.next()
                assert field.doc_frequency(term) == len(expected)
                assert (postings is None) == (not expected)
                if postings is not None:
                    places = [list(postings.positions(i)) for i in range(len(postings))]
                    assert list(zip(postings.docs, postings.weights, places, strict=True)) == expected
        for doc in live:
            assert reader.stored_fields(doc)["stored"] == snapshot.stored(doc)
            length = snapshot.field("text").length(doc)
            assert reader.doc_field_length(doc, "text") == byte_to_length(length_to_byte(length))


def test_whoosh_index_is_searched_with_whoosh(tmp_path: Path) -> None:
    with IndexWriter(tmp_path) as writer:
        title = [("efficient", 0, 3.0), ("attention", 1, 3.0), ("注意力", 2048, 1.0)]
        writer.add(Document("p1", {"text": title}, {}, {"venue": ["NeurIPS"], "year": ["2020"]}, {"title": "One"}))
        writer.add(Document("p2", {"text": [("attention", 0, 3.0), ("efficient", 1, 1.0)]}, stored={"title": "Two"}))
        writer.commit({})
    index = whoosh_index(tmp_path)
    parser = QueryParser("text", index.schema)
    with index.searcher() as searcher:
        for query, ids in (
            ('"efficient attention"', ["One"]),
            ("attention", ["One", "Two"]),
            ("attention NOT 注意力", ["Two"]),
            ("year:2020 AND venue:NeurIPS", ["One"]),
            ("id:p2", ["Two"]),
            ("atten*", ["One", "Two"]),
            ("absent", []),
        ):
            hits = searcher.search(parser.parse(query))
            assert sorted(hit["stored"]["title"] for hit in hits) == ids, query
    assert index.latest_generation() == 1 and index.last_modified() > 0
    with pytest.raises(TypeError, match="IndexWriter"):
        index.writer()


def test_a_matcher_at_its_end(tmp_path: Path) -> None:
    with IndexWriter(tmp_path) as writer:
        for number in range(3):
            writer.add(Document(f"p{number}", {"text": [("word", 0, 1.0)]}))
        writer.commit({})
    with whoosh_index(tmp_path).searcher() as searcher:
        matcher = searcher.reader().postings("text", "word")
        matcher.skip_to(2)
        assert (matcher.id(), matcher.is_active()) == (2, True)
        twin = matcher.copy()
        matcher.next()
        assert not matcher.is_active() and twin.id() == 2
        assert matcher.id() > 2, "Whoosh's AndNotMatcher asks for it"
        with pytest.raises(ReadTooFar):
            matcher.skip_to(2)
        matcher.reset()
        assert list(matcher.all_ids()) == [0, 1, 2]


def test_whoosh_follows_new_generations(tmp_path: Path) -> None:
    with pytest.raises(IndexMissingError):
        whoosh_index(tmp_path)
    with IndexWriter(tmp_path) as writer:
        writer.commit({})
    index = whoosh_index(tmp_path)
    searcher = index.searcher()
    assert searcher.doc_count() == 0
    with IndexWriter(tmp_path) as writer:
        writer.add(Document("p1", {"text": [("word", 0, 1.0)]}))
        writer.add(Document("p2", {"text": [("word", 0, 1.0)]}))
        writer.commit({})
    assert not searcher.up_to_date()
    searcher = searcher.refresh()
    with IndexWriter(tmp_path) as writer:
        writer.remove("p1")
        writer.commit({})
    searcher = searcher.refresh()  # in Whoosh itself this brings deleted documents back
    assert [hit["stored"] for hit in searcher.search(q.Term("text", "word"))] == [{}]
    assert searcher.doc_count() == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"body": TEXT()},
        {"body": TEXT(chars=True)},
        {"body": flat(TEXT(vector=True))},
        {"body": flat(TEXT(analyzer=StemmingAnalyzer(), spelling=True))},
        {"cat": ID(sortable=True)},
    ],
    ids=repr,
)
def test_schemas_that_would_need_pickles_are_refused(tmp_path: Path, fields: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=next(iter(fields))):
        FlatIndex(tmp_path, Schema(**fields), Toc(0, [], {}))


def test_flat_wants_plain_positions() -> None:
    with pytest.raises(TypeError):
        flat(TEXT(phrase=False))


def test_merge_policies_of_whoosh_are_refused(tmp_path: Path) -> None:
    writer = FlatSegmentWriter(flat_index(tmp_path / "index"))
    with pytest.raises(TypeError, match="merge policies"):
        writer.commit(mergetype=lambda writer, segments: segments)
    writer.cancel()
