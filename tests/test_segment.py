"""What a segment's postings are written as is read as what it was: terms, documents, weights, positions."""

from __future__ import annotations

import random
from itertools import accumulate, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from papersearch.errors import UsageError
from papersearch.index import lexicon
from papersearch.index.builder import InvertedWriter, TermPostings
from papersearch.index.flatfile import SIZES, FlatFile
from papersearch.index.lexicon import PAIR_NEXT, TERM_BITS, TERM_FILTER, encode
from papersearch.index.segment import CODE_BITS, SegmentField
from papersearch.index.ways import FEW_BITS, GO_ON, Coding, along_ways, doc_width, pack_ways

ascending = st.sets(st.integers(0, 400), min_size=1, max_size=60).map(sorted)


def written(folder: Path, documents: int, terms: list[TermPostings], *, positional: bool = True) -> SegmentField:
    """A field of these postings, as it is read."""
    writer = InvertedWriter(str(folder), "0" * 16, documents)
    writer.write_field("f", positional, terms)
    writer.close()
    return SegmentField(FlatFile(str(folder / f"{'0' * 16}.inv")), "f", positional, documents)


def posted(term: str, docs: list[int]) -> TermPostings:
    """A term once in each document, at a place of its own."""
    return encode(term), docs, [1.0] * len(docs), [1] * len(docs), [doc % 1000 for doc in docs]


def check(field: SegmentField, terms: list[TermPostings]) -> None:
    firsts, begin = field.all_bounds()
    assert field.term_count == len(terms) and field.terms(range(len(terms))) == [term for term, *_ in terms]
    for number, (term, docs, weights, _, positions) in enumerate(terms):
        rows = field.rows(number)
        assert field.find(term) == number == field.ceiling(term) and field.term(number) == term
        assert rows == range(firsts[number], firsts[number + 1]) and field.doc_frequency(number) == len(docs)
        assert field.docs_of(number) == docs == field.docs_between(len(docs), begin[number], begin[number + 1])
        assert field.weights(rows) == weights
        if field.positional:
            assert field.positions_of(rows)[1] == positions


words = st.text(min_size=1, max_size=4)
pairs = st.text("一丁七万丈三上下a\0\ud800𠀀", min_size=1, max_size=2) | st.text(min_size=1, max_size=2)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(words, ascending, min_size=1, max_size=300)
    | st.dictionaries(pairs, ascending, min_size=1, max_size=300),
    st.integers(0, 3),
)
def test_what_is_written_is_read(postings: dict[str, list[int]], size: int) -> None:
    spread = (1, 40, 700, 50_000)[size]  # documents of one, two, three and four bytes
    terms = [posted(term, [doc * spread for doc in postings[term]]) for term in sorted(postings, key=encode)]
    with TemporaryDirectory() as folder:
        field = written(Path(folder), 400 * spread + 1, terms)
        assert field.coding.width == (2, 2, 3, 4)[size]
        check(field, terms)
        numbers = range(field.term_count)
        for text in [*postings, *(text[:1] for text in postings), "", "a", "中", "\U0010ffff", "一a", "a一", "一丁七"]:
            assert field.find(encode(text)) == (
                [term for term, *_ in terms].index(encode(text)) if text in postings else -1
            )
            assert field.terms(field.prefix_range(encode(text))) == [t for t, *_ in terms if t.startswith(encode(text))]
            assert sorted(field.texts_with(encode(text))) == sorted(t for t in postings if text in t) if text else True
        assert list(field.numbers_with(30)) == [(n, len(terms[n][1])) for n in numbers if len(terms[n][1]) >= 30]


def test_terms_of_very_many_documents_and_blocks_of_all_sizes(tmp_path: Path) -> None:
    rng = random.Random(5)
    terms = [
        posted(f"w{n:05}", sorted(rng.sample(range(5000), rng.choice((1, 1, 1, 2, 300, 4000))))) for n in range(900)
    ]
    field = written(tmp_path, 5000, terms)
    assert field.term_count > 4 << TERM_BITS and field.row_count > 4 << CODE_BITS
    check(field, terms)


def test_the_filter_of_many_terms_knows_them_all_and_few_others(tmp_path: Path) -> None:
    rng = random.Random(9)
    texts = sorted({"".join(rng.choices("abcdefgh论文检索", k=rng.randrange(1, 9))) for _ in range(30_000)}, key=encode)
    field = written(tmp_path, 50, [posted(text, [n % 50]) for n, text in enumerate(texts[::2])])
    assert f"f/{TERM_FILTER}" in FlatFile(str(tmp_path / f"{'0' * 16}.inv"))
    assert [field.find(encode(text)) for text in texts[::2]] == list(range(len(texts[::2])))
    with pytest.MonkeyPatch.context() as patch:
        opened: list[int] = []
        read = lexicon.Words._block
        patch.setattr(lexicon.Words, "_block", lambda words, number: opened.append(number) or read(words, number))
        assert {field.find(encode(text)) for text in texts[1::2]} == {-1}
    assert len(opened) < len(texts[1::2]) / 10


def test_pairs_of_very_many_characters(tmp_path: Path) -> None:
    rng = random.Random(7)
    chars = [chr(0x4E00 + n) for n in range(0, 20_000, 7)]
    texts = {rng.choice(chars) + rng.choice(chars) for _ in range(300)} | set(rng.sample(chars, 50))
    texts |= {chars[5] + other for other in chars[::5]} | {other + chars[9] for other in chars[::5]}
    texts |= {chars[5] + chars[9], chars[-1] + chars[5]}
    terms = [posted(text, [n % 50]) for n, text in enumerate(sorted(texts))]
    field = written(tmp_path, 50, terms)
    assert f"f/{PAIR_NEXT}" in FlatFile(str(tmp_path / f"{'0' * 16}.inv"))
    check(field, terms)
    for char in (chars[5], chars[9], chars[-1], "丁"):
        assert field.texts_with(encode(char)) == sorted(text for text in texts if char in text)
    assert field.texts_with(encode(chars[5] + chars[9])) == [chars[5] + chars[9]]
    assert field.texts_with(encode(chars[5])[1:]) == [t for t in sorted(texts) if encode(chars[5])[1:] in encode(t)]
    assert field.terms(range(3, 3)) == [] and field.find(b"\xe4\xb8") == -1


def test_pairs_take_little_room(tmp_path: Path) -> None:
    rng = random.Random(8)
    texts = sorted({chr(0x4E00 + rng.randrange(3000)) + chr(0x4E00 + rng.randrange(3000)) for _ in range(100_000)})
    written(tmp_path, 50, [posted(text, [n % 50]) for n, text in enumerate(texts)])
    file = FlatFile(str(tmp_path / f"{'0' * 16}.inv"))
    size = sum(SIZES[file.section(name).format] * file.count(name) for name in file.names() if "pair." in name)
    assert size < 2 * len(texts)


def test_whole_values_have_neither_codes_nor_positions(tmp_path: Path) -> None:
    terms = [posted(f"v{n}", list(range(n, 5000, 7))) for n in range(7)]
    field = written(tmp_path, 5000, terms, positional=False)
    assert not field.has_codes
    check(field, terms)


@settings(max_examples=400, deadline=None)
@given(
    st.integers(2, 1 << 20).flatmap(
        lambda documents: st.tuples(
            st.just(documents), st.sets(st.integers(0, documents - 1), min_size=1, max_size=400).map(sorted)
        )
    ),
    st.booleans(),
)
def test_documents_are_packed_in_the_shortest_way_and_come_back(case: tuple[int, list[int]], near: bool) -> None:
    documents, docs = case
    docs = [*range(docs[0], min(documents, docs[0] + len(docs)))] if near else docs
    coding, count = Coding(documents), len(docs)
    packed = coding.pack(docs)
    assert coding.unpack(packed, count) == docs
    ways = [docs[0], *(second - first for first, second in pairwise(docs))]
    sizes = [count * coding.width]
    if count > 1:
        digits = 3 if count < documents >> FEW_BITS else 2
        sizes.append(len(pack_ways(ways, digits)))
        one = len(pack_ways(ways, 1))
        sizes += [one] if one < count else []
    assert len(packed) == min(sizes)


@pytest.mark.parametrize("digits", [1, 2, 3])
@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=30))
def test_ways_lead_where_they_came_from(digits: int, ways: list[int]) -> None:
    packed = pack_ways(ways, digits)
    assert along_ways(packed, digits) == list(accumulate(ways))
    values = sum(1 + way // GO_ON[digits] for way in ways)
    assert len(packed) == (values * digits + 1) // 2


@pytest.mark.parametrize("documents, width", [(1, 1), (256, 1), (257, 2), (65_536, 2), (65_537, 3), (1 << 24, 3)])
def test_the_width_of_a_document_holds_the_last_one(documents: int, width: int) -> None:
    assert doc_width(documents) == width


def test_a_term_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="byte FF"):
        written(tmp_path, 1, [(b"a\xff", [0], [1.0], [1], [0])])
