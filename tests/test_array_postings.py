"""Postings that arrays made of tokens are those that are made term by term, byte by byte."""

from __future__ import annotations

import random
import sys
from array import array
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora import SHIPPED, read
from papersearch.analysis.tokens import Pairs
from papersearch.analysis.words import SEAM, jieba_words
from papersearch.errors import IndexDamagedError
from papersearch.index import builder, writer
from papersearch.index.builder import CollectedTokens, InvertedWriter, Tokens
from papersearch.index.documents import to_document
from papersearch.index.flatfile import FlatFile
from papersearch.index.lexicon import encode
from papersearch.index.segment import Segment, SegmentField
from papersearch.index.toc import SegmentEntry
from papersearch.index.ways import Coding

np = pytest.importorskip("numpy")

from papersearch.arrays import postings, stored  # noqa: E402

BOOSTS = [1.0, 3.0, 0.5, 0.3, 0.15, 1e-30, 2.0**60, 1.0 + 2.0**-30]
Token = tuple[str, int, int]
"""Term, position, code of the boost."""


def check(documents: dict[int, list[Token]], boosts: list[float], last: int) -> None:
    """`documents`: number → tokens; `last`: of the documents of the segment."""
    one, other = Tokens(boosts), postings.ArrayTokens(boosts)
    collected: CollectedTokens
    for collected in (one, other):
        for doc, tokens in sorted(documents.items()):
            for code in range(len(boosts)):
                here = [(term, position) for term, position, its in tokens if its == code]
                collected.add(doc, code, [term for term, _ in here], array("I", [position for _, position in here]))
    assert written(one, last) == written(other, last)


def written(collected: CollectedTokens, last: int) -> dict[str, Any]:
    rows = collected.rows(Coding(last + 1))
    code_of = bytearray(number % 251 for number in range(len(rows.shapes)))
    return {
        **vars(rows.names),
        "docs": rows.docs,
        "lows": rows.lows,
        "shapes": rows.shapes,
        "numbers": [int(number) for number in rows.numbers],
        "frequencies": [*rows.frequencies()],
        "codes": rows.codes(code_of),
        "starts": [[*rows.starts(step)] for step in (1, 2, 64)],
    }


TERMS = st.sampled_from(["a", "b", "ab", "检", "检测", "\U00020000", "\uffff", "\ud800", "~a", "^x"]) | st.text(
    max_size=3
)
POSITIONS = st.integers(0, 600) | st.integers(0, 2**31 - 1)
DOCUMENTS = st.integers(0, 300) | st.integers(0, 2**20 - 1)


@settings(max_examples=500)
@given(
    st.dictionaries(DOCUMENTS, st.lists(st.tuples(TERMS, POSITIONS, st.integers(0, len(BOOSTS) - 1)), max_size=12)),
    st.permutations(BOOSTS),
    st.sampled_from([64, 40, 0]),
)
def test_postings_are_the_same(documents: dict[int, list[Token]], boosts: list[float], key_bits: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postings, "KEY_BITS", key_bits)
        check(documents, boosts, max(documents, default=0))


@settings(max_examples=50)
@given(st.integers(1, 700), st.integers(0, 600), st.integers(1, 4), st.integers(0, 2**21))
def test_postings_of_terms_with_many_documents_are_the_same(count: int, way: int, repeats: int, last: int) -> None:
    tokens = [("many", 7 * number, number % 3) for number in range(repeats)]
    documents = {number * way: [*tokens, (f"w{number % 300}", 300, 0)] for number in range(count)}
    check(documents, BOOSTS, max(last, *documents))


def test_postings_with_more_positions_than_a_shape_holds_are_the_same() -> None:
    tokens = [("many", 300 * number, number % len(BOOSTS)) for number in range(700)]
    check({0: tokens, 3: tokens[:255], 9: tokens[:256]}, BOOSTS, 70_000)


RUNS = st.lists(
    st.tuples(
        st.text("检测图像\U00020000\U0003ffff\uffff々", min_size=1, max_size=6),
        st.integers(0, 600) | st.integers(0, 2**31 - 6),
        st.lists(st.booleans(), min_size=7, max_size=7),
    ),
    max_size=6,
)
Runs = list[tuple[str, int, list[bool]]]
"""Characters, the position of the first, whether the terms that begin with each are kept."""


def pairs_of(runs: Runs) -> Pairs:
    text, starts = SEAM.join([run for run, _, _ in runs]), [start for _, start, _ in runs]
    kept = b"".join([bytes(flags[: len(run) + 1]) for run, _, flags in runs])
    return Pairs(text, starts, kept, sum(max(1, len(run) - 1) for run, _, _ in runs))


@settings(max_examples=200)
@given(st.dictionaries(DOCUMENTS, RUNS, max_size=6), st.booleans(), st.integers(0, 6), st.integers(0, 2**20))
def test_postings_of_pairs_are_the_same(documents: dict[int, Runs], with_others: bool, cut: int, last: int) -> None:
    one, other = Tokens(BOOSTS), postings.ArrayTokens(BOOSTS)
    collected: CollectedTokens
    for collected in (one, other):
        for doc, runs in sorted(documents.items()):
            pairs = pairs_of(runs[:cut])
            pairs.take(pairs_of(runs[cut:]))
            kept = [(run[i : i + 2], start + i, 1.0) for run, start, flags in runs for i in range(len(run) - 1 or 1) if flags[i]]  # fmt: skip
            assert [*pairs] == kept
            assert len(pairs) == sum(max(1, len(run) - 1) for run, _, _ in runs)
            collected.add_pairs(doc, 1, pairs)
            if with_others:
                collected.add(doc, 3, ["检测", "w"], array("I", [5, 6]))
    last = max(last, *documents, 0)
    assert written(one, last) == written(other, last)


@settings(max_examples=200)
@given(
    st.sets(
        st.text("一丁七万丈三上下a\n\0\ud800𠀀", min_size=1, max_size=2) | st.text(min_size=1, max_size=2), min_size=1
    )
    | st.sets(st.text(min_size=1, max_size=9), min_size=1)
    | st.sets(st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=1, max_size=2), min_size=300)
)
def test_lexicons_are_the_same(terms: set[str]) -> None:
    names = postings.ArrayNames()
    names.terms = sorted(map(encode, terms))
    assert names.lexicon() == builder.lexicon_of(names.terms)


def test_tokens_that_come_again_at_one_position_are_the_same() -> None:
    check({0: [("a", 5, 3), ("a", 5, 3), ("a", 5, 4)], 1: [("a", 5, 4), ("a", 5, 3), ("a", 5, 3)]}, BOOSTS, 1)


def test_segments_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = [to_document(paper, jieba_words) for paper in read(SHIPPED).papers]
    assert writer._collector() is postings.ArrayTokens
    sections = []
    for name, collector in (("terms", Tokens), ("arrays", postings.ArrayTokens)):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(writer, "_collector", lambda collector=collector: collector)
        segments = writer.SegmentsWriter(tmp_path / name)
        for document in documents:
            segments.add(document)
        (entry,) = segments.finish()
        files = [(tmp_path / name / file).read_bytes() for file in sorted(entry.file_names())]
        sections.append([data.partition(b',"meta":')[0] for data in files])  # then the segment's name, and checksums
    assert sections[0] == sections[1]


@pytest.mark.parametrize("documents", [5000, 100_000])
def test_documents_in_all_codings_are_read_as_they_are_one_by_one(tmp_path: Path, documents: int) -> None:
    rng = random.Random(documents)
    sizes = [*range(1, 60), *range(60, documents // 2, documents // 60)]
    spread = {f"w{size}": sorted(rng.sample(range(documents), size)) for size in sizes}
    near = {f"v{size}": [*range(size, 2 * size)] for size in sizes}
    terms = [
        (encode(term), docs, [1.0] * len(docs), [1] * len(docs), [3] * len(docs))
        for term, docs in sorted((spread | near).items())
    ]
    file = InvertedWriter(str(tmp_path), "0" * 16, documents)
    file.write_field("f", True, terms)
    file.close()
    field = SegmentField(FlatFile(str(tmp_path / f"{'0' * 16}.inv")), "f", True, documents)
    digits = {
        field.coding.digits(stop - start, end - begin)
        for start, stop, begin, end in map(field.bounds, range(len(terms)))
    }
    assert digits == {0, 1, 2, 3}
    assert stored.Rows(field).docs.tolist() == [doc for _, docs, *_ in terms for doc in docs]
    part = stored._Part(0, frozenset(), field)
    for term, docs, *_ in terms:
        assert part.read(term).docs.tolist() == docs


def test_without_numpy_terms_are_collected_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "papersearch.arrays.postings", None)
    assert writer._collector() is Tokens


def bytes_of(folder: Path, entry: SegmentEntry) -> list[bytes]:
    """Those of its files, without its name and the checksum of the directory that has it."""
    files = [(folder / name).read_bytes() for name in entry.file_names()]
    return [data[: -len("CRC-PSFE")].replace(entry.segment_id.encode(), b"") for data in files]


@pytest.mark.parametrize("cut", [(1,), (100,), (40, 41, 220)])
def test_segments_are_merged_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: tuple[int, ...]
) -> None:
    """On arrays, and posting by posting; whatever the stored objects of the first one are."""
    papers = read(SHIPPED).papers
    made = [to_document(papers[n % len(papers)], jieba_words)._replace(id=str(n)) for n in range(5 * len(papers))]
    bounds = [0, *(at for at in cut if at < len(made)), len(made)]
    entries = []
    for start, end in pairwise(bounds):
        segments = writer.SegmentsWriter(tmp_path)
        for document in made[start:end]:
            segments.add(document)
        entries += segments.finish()
    sources = [Segment(str(tmp_path), entry) for entry in entries]
    written = []
    for name, least in (("mergedonarrays00", 0), ("mergedwithout000", sys.maxsize)):
        monkeypatch.setattr(builder, "ROWS_FOR_ARRAYS", least)
        entry = builder.merge_segments(str(tmp_path), sources, name)
        assert (entry.documents, len(entry.files)) == (len(made), 2)
        written.append(bytes_of(tmp_path, entry))
    assert written[0] == written[1]
    whole = writer.SegmentsWriter(tmp_path)
    for document in made:
        whole.add(document)
    (entry,) = whole.finish()
    assert written[0] == bytes_of(tmp_path, entry)


def test_postings_that_contradict_each_other_are_not_merged(tmp_path: Path) -> None:
    segments = writer.SegmentsWriter(tmp_path)
    for paper in read(SHIPPED).papers:
        segments.add(to_document(paper, jieba_words))
    (entry,) = segments.finish()
    field = Segment(str(tmp_path), entry).field("text")
    assert field is not None
    field.lows = field.lows[:-1]
    with pytest.raises(IndexDamagedError, match="positions out of bounds"):
        postings.merged_rows([(0, field)], Coding(1))
