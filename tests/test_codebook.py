"""Stored objects as codes of words: what is written is read, merging changes nothing, and damage is noticed."""

from __future__ import annotations

import base64
import json
import random
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from papersearch.errors import IndexDamagedError
from papersearch.index import builder, coding
from papersearch.index.builder import DocumentsWriter, InvertedWriter, json_bytes, merge_segments
from papersearch.index.codebook import MAX_WORD, WORD_BYTES, WORD_COUNT, WORD_FIRST, Codebook
from papersearch.index.coding import Codes, Collector, Cutter, learn_phrases, token_pattern
from papersearch.index.flatfile import FlatFile, FlatWriter
from papersearch.index.segment import STORED_BYTES, STORED_DICTIONARY, STORED_SIZE, STORED_START, Segment
from papersearch.index.toc import SegmentEntry
from papersearch.index.verify import _stored_problems

WORDS = [
    "模型",
    "训练",
    "图神经网络",
    "网络",
    "神经",
    "注意力",
    "注意",
    "attention",
    "Transformer",
    "learning",
    "the",
    "of",
]


def papers(count: int, seed: int = 1) -> list[bytes]:
    rng = random.Random(seed)
    found = []
    for number in range(count):
        words = [*rng.choices(WORDS, k=30), f"w{rng.randrange(10**6)}", rng.choice("齉龘爨靐") * rng.randrange(3)]
        rng.shuffle(words)
        text = "".join(word + rng.choice(["", " ", ", ", "。\n- "]) for word in words)
        paper = {"id": f"{seed}-{number}", "title": rng.choice(WORDS), "venue": "NeurIPS", "year": 2020 + number % 5}
        found.append(json_bytes({**paper, "sections": [{"text": text}]}, "it"))
    return found


def name_of(number: int) -> str:
    return f"{number:016}"


def segment_of(folder: Path, number: int, objects: Sequence[bytes], words: Sequence[str] = WORDS) -> Segment:
    documents = DocumentsWriter(str(folder), name_of(number))
    for stored in objects:
        documents.add(stored, [("text", len(stored))], words)
    files = {"doc": documents.close(), "inv": InvertedWriter(str(folder), name_of(number), len(objects)).close()}
    return Segment(
        str(folder), SegmentEntry(name_of(number), len(objects), lengths=dict(documents.totals), files=files)
    )


def stored_in(segment: Segment) -> list[bytes]:
    assert list(_stored_problems(segment)) == []
    return [segment.stored(doc) for doc in range(segment.documents) if doc not in segment.deleted]


@pytest.fixture(autouse=True)
def few_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "CODEBOOK_PAYS", 4000)


def book_of(folder: Path, codes: Codes) -> Codebook:
    file = FlatWriter(str(folder / "book"))
    codes.write(file)
    file.close()
    return Codebook(FlatFile(str(folder / "book")))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30) | st.text(st.characters(categories=["Cs", "Cc", "Lo"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
odd_texts = st.one_of(
    st.sampled_from(
        ["x" * 3000, "汉" * 700, "\\" * 99, '"' * 50, "\ud800\udfff", "\U0001f600" * 9, "\x00\x1f\x7f", "{}"]
    ),
    st.binary(max_size=400).map(lambda data: base64.b64encode(data).decode()),
    st.lists(st.sampled_from(WORDS), max_size=40).map("".join),
)
objects_of_any_kind = st.lists(
    st.dictionaries(st.text(max_size=8), json_values | odd_texts, max_size=5).map(
        lambda value: json_bytes(value, "it")
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(objects_of_any_kind, objects_of_any_kind, st.lists(st.sampled_from(WORDS)))
def test_any_object_comes_back(collected: list[bytes], others: list[bytes], words: list[str]) -> None:
    collector = Collector(collected, words)
    collector.know(words)
    assert all(map(collector.add, [*collected, *collected]))
    assert list(collector.objects()) == [*collected, *collected]
    codes = collector.codes()
    with TemporaryDirectory() as folder:
        book = book_of(Path(folder), codes)
    for stored, packed in zip(collected, collector.coded(codes), strict=False):
        assert book.decode(memoryview(packed), len(stored)) == stored
    for stored in others:
        assert book.decode(memoryview(codes.encode(stored)), len(stored)) == stored
    assert Codes.of(book) == codes


def test_codes_are_short_and_the_same_each_time(tmp_path: Path) -> None:
    objects = papers(300)
    segment = segment_of(tmp_path, 1, objects)
    assert segment.codebook() is not None and stored_in(segment) == objects
    size = sum(len(segment.packed_object(doc)[0]) for doc in range(300))
    assert size < sum(map(len, objects)) / 4
    file = segment.files["doc"].path
    (tmp_path / "again").mkdir()
    segment_of(tmp_path / "again", 1, objects)
    assert Path(file).read_bytes() == (tmp_path / "again" / Path(file).name).read_bytes()


def test_few_objects_and_what_has_no_words_are_compressed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "CODEBOOK_PAYS", 1 << 17)
    rng = random.Random(2)
    few, noise = papers(3), [json_bytes({"x": base64.b64encode(rng.randbytes(700)).decode()}, "it") for _ in range(200)]
    for number, objects in enumerate((few, noise)):
        segment = segment_of(tmp_path, number, objects)
        assert segment.codebook() is None and stored_in(segment) == objects
        assert bool(segment.packed()[0]) == (objects is noise)


def test_more_than_can_be_collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = papers(300)
    for number, (name, limit) in enumerate([("MOST_COLLECTED", 5000), ("MOST_WORDS", 150)]):
        with monkeypatch.context() as patch:
            patch.setattr(coding, name, limit)
            segment = segment_of(tmp_path, number, objects)
            assert segment.codebook() is not None and stored_in(segment) == objects
    monkeypatch.setattr(coding, "PHRASE_TOKENS", 0)
    monkeypatch.setattr(coding, "MOST_WORDS", 2)  # not even one object
    segment = segment_of(tmp_path, 9, objects)
    assert segment.codebook() is None and stored_in(segment) == objects


def test_more_words_than_codes(tmp_path: Path) -> None:
    letters = "".join(random.Random(3).choices("abcdefghijklmnopqrstuvwxyz", k=420_000))
    words = [letters[i : i + 6] for i in range(0, len(letters), 6)]
    objects = [json_bytes({"t": " ".join(words[i : i + 500])}, "it") for i in range(0, len(words), 500)] * 4
    segment = segment_of(tmp_path, 1, objects)
    book = segment.codebook()
    assert book is not None and stored_in(segment) == objects
    assert sum(map(len, book.words())) > 40_000 and book.room[3] >= 65_536


def test_every_word_that_pays_has_a_code() -> None:
    counts = {"甲乙丙丁戊己"[number % 6] + chr(0x4E00 + number): 20 + 4000 // (number + 1) for number in range(3000)}
    codes = Codes.learned(counts)
    assert set(codes) == set(counts)
    assert [len(codes[word]) for word in (min(counts, key=counts.get), max(counts, key=counts.get))] == [3, 2]


def test_more_words_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coding, "DIGITS", (2, 3))
    counts = {f"w{number:04}": 4000 - number for number in range(3990)}
    codes = Codes.learned(counts)
    assert len(codes) == 15 * 256 and set(codes) == {word for word, often in counts.items() if often > 160}
    assert codes["w3989"] == "f" + b"w3989".hex() + "ff"


@pytest.mark.parametrize("mostly_one", [0.6, 2])
def test_merging_keeps_every_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mostly_one: float) -> None:
    """Rounds of merging segments with and without codebooks and with deleted documents, into segments of both kinds."""
    monkeypatch.setattr(builder, "MOSTLY_ONE", mostly_one)
    monkeypatch.setattr(builder, "COUNT_ALL", 150)
    rng = random.Random(4)
    segments, number = [], 0
    for turn in range(24):
        number += 1
        segments.append(segment_of(tmp_path, number, papers(rng.choice((1, 3, 40, 200)), seed=turn)))
        if turn % 2:
            number += 1
            taken = [segments.pop(rng.randrange(len(segments))) for _ in range(min(len(segments), rng.randint(1, 4)))]
            for segment in taken:
                if rng.random() < 0.6:
                    gone = frozenset(doc for doc in range(segment.documents) if rng.random() < 0.3)
                    segment.entry.deleted = segment.deleted = gone
            wanted = [stored for segment in taken for stored in stored_in(segment)]
            entry = merge_segments(str(tmp_path), taken, name_of(number))
            merged = Segment(str(tmp_path), entry)
            assert stored_in(merged) == wanted and entry.lengths.get("text", 0) == sum(map(len, wanted))
            assert sum(map(len, wanted)) < 4000 or merged.codebook() is not None
            segments.append(merged)
    assert any(segment.codebook() is not None for segment in segments)


def test_merging_makes_no_object_longer_than_it_would_be(tmp_path: Path) -> None:
    halves = [segment_of(tmp_path, number, papers(400, seed=number)) for number in range(2)]
    merged = Segment(str(tmp_path), merge_segments(str(tmp_path), halves, name_of(8)))
    whole = segment_of(tmp_path, 9, [*papers(400, seed=0), *papers(400, seed=1)])
    assert stored_in(merged) == stored_in(whole)
    assert len(merged.packed()[1]) < 1.03 * len(whole.packed()[1])


def test_words_are_cut_like_the_longest_that_are_known() -> None:
    rng = random.Random(5)
    for _ in range(300):
        known = {"".join(rng.choices("甲乙丙丁", k=rng.choice((2, 2, 3, 4, 5)))) for _ in range(rng.randrange(12))}
        cut = Cutter()
        for word in rng.sample(sorted(known), len(known)):
            cut.know([word, "word", "a"])
        run = "".join(rng.choices("甲乙丙丁戊", k=30))
        found, start = [], 0
        while start < len(run):
            size = max(size for size in range(1, 6) if size == 1 or run[start : start + size] in known)
            found.append(run[start : start + size])
            start += size
        assert cut(run) == found


def test_phrases_end_where_tokens_end() -> None:
    phrases = learn_phrases(papers(100), Cutter(WORDS))
    assert any('"venue":"NeurIPS"' in phrase for phrase in phrases)
    tokens = token_pattern(['","a":"', '","a":"of', '","a":"of the', ',"y":20', ',"y":']).findall
    assert tokens('","a":"of theory') == ['","a":"of', " theory"]
    assert tokens('","a":"often') == ['","a":"', "often"]
    assert tokens(',"y":2019') == [',"y":', "2019"] and tokens(',"y":20}') == [',"y":20', "}"]


# ---- Damage


def documents_file(folder: Path, sections: dict[str, array[int] | bytes]) -> Segment:
    """A segment of one document, with these sections in the place of good ones."""
    good: dict[str, array[int] | bytes] = {
        STORED_BYTES: b"\x00\x10\x01",
        STORED_START: array("B", [0, 3]),
        STORED_SIZE: array("B", [6]),
        STORED_DICTIONARY: b"",
        WORD_FIRST: bytes([1, 1, 0, 0]),
        WORD_BYTES: b'{}a":"',
        WORD_COUNT: array("B", [2, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
    }
    writer = FlatWriter(str(folder / f"{name_of(1)}.doc"))
    for name, values in (good | sections).items():
        writer.put(name, values)
    writer.meta.update(segment=name_of(1), documents=1)
    writer.close()
    files = {"doc": (writer.size, writer.crc32), "inv": InvertedWriter(str(folder), name_of(1), 1).close()}
    return Segment(str(folder), SegmentEntry(name_of(1), 1, files=files))


def coded(data: bytes) -> dict[str, array[int] | bytes]:
    return {STORED_BYTES: data, STORED_START: array("B", [0, len(data)])}


def digits(text: str) -> dict[str, array[int] | bytes]:
    return coded(bytes.fromhex(text))


def test_what_is_not_damaged_is_read(tmp_path: Path) -> None:
    segment = documents_file(
        tmp_path, digits("00 f22ff 100 f6222ff 01 f".replace(" ", "")) | {STORED_SIZE: array("B", [9])}
    )
    assert stored_in(segment) == [b'{"a":"b"}']


@pytest.mark.parametrize(
    "sections",
    [
        digits("001002"),  # a code of no word
        digits("001010"),
        digits("00100e"),
        digits("e00001"),
        digits("00100f"),
        digits("0010"),  # half a code
        digits("00f303132333"),  # half a literal
        digits("00f30313233f"),
        digits("00fff01000"),  # an empty one
        digits("ff"),
        digits("00f1f001f0"),
        digits(""),
        digits("00" * 200),
        {STORED_SIZE: array("B", [5])},
        {STORED_SIZE: array("B", [9])},
        {STORED_SIZE: array("Q", [1 << 60])},
        {STORED_SIZE: array("B", [0])},
        {STORED_START: array("B", [2, 1])},
        {STORED_START: array("B", [0, 4])},
        {WORD_FIRST: b""},
        {WORD_FIRST: bytes([1, 1, 0])},
        {WORD_FIRST: bytes([1, 1, 0, 0, 0])},
        {WORD_FIRST: bytes([15, 1, 0, 0])},
        {WORD_FIRST: bytes([200, 200, 200, 200])},
        {WORD_FIRST: bytes([0, 0, 0, 0])},
        {WORD_COUNT: array("B", [2, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0])},
        {WORD_COUNT: array("B", [2, 0, 0, 0, 0, 0, 0, 1])},
        {WORD_COUNT: array("B", [])},
        {WORD_COUNT: array("Q", [0, 0, 0, 1 << 62])},
        {WORD_COUNT: array("B", [0] * 3 * (MAX_WORD + 1) + [*[0] * MAX_WORD, 1]), WORD_BYTES: b"w" * (MAX_WORD + 1)},
        {WORD_COUNT: array("d", [0.5])},
        {WORD_BYTES: array("I", [1])},
    ],
)
def test_damage_is_one_line(tmp_path: Path, sections: dict[str, array[int] | bytes]) -> None:
    with pytest.raises(IndexDamagedError, match=r"^the index is damaged: [^\n]*$"):
        documents_file(tmp_path, sections).stored(0)


def test_a_codebook_without_its_sections_is_damaged(tmp_path: Path) -> None:
    writer = FlatWriter(str(tmp_path / "x"))
    writer.put(WORD_BYTES, b"a")
    writer.close()
    with pytest.raises(IndexDamagedError):
        Codebook(FlatFile(str(tmp_path / "x")))


@pytest.mark.parametrize("word", [b"\x80", b"a\xe4\xb8"])
def test_merging_words_that_are_no_text_is_damage(tmp_path: Path, word: bytes) -> None:
    counts = array("B", [1, 0, 0, *[0] * 9])
    counts[len(word) - 1] += 1
    sections = {WORD_BYTES: b"{" + word, WORD_COUNT: counts} | digits("0001")
    segment = documents_file(tmp_path, sections)
    other = segment_of(tmp_path, 2, papers(50))
    with pytest.raises(IndexDamagedError, match="not UTF-8"):
        merge_segments(str(tmp_path), [segment, other], name_of(3))


@pytest.mark.parametrize(
    ("sections", "problem"),
    [
        ({WORD_BYTES: b"ba", WORD_COUNT: array("B", [2, 0, 0, 0])}, "do not ascend"),
        ({WORD_BYTES: b"aa", WORD_COUNT: array("B", [2, 0, 0, 0])}, "do not ascend"),
        ({WORD_BYTES: b"aa", WORD_COUNT: array("B", [1, 1, 0, 0])}, "a word twice"),
        ({WORD_BYTES: b"a\xff", WORD_COUNT: array("B", [0, 1, 0, 0, 0, 0, 0, 0])}, "no text"),
        (
            {WORD_BYTES: b"".join(b"%02d" % i for i in range(17)), WORD_COUNT: array("B", [0, 17, 0, 0, 0, 0, 0, 0])},
            "no code",
        ),
    ],
)
def test_verify_knows_the_rules(tmp_path: Path, sections: dict[str, array[int] | bytes], problem: str) -> None:
    segment = documents_file(tmp_path, sections)
    problems: list[str] = []
    try:
        problems += _stored_problems(segment)
    except IndexDamagedError:
        assert problems
    assert problem in problems[0]


@pytest.mark.parametrize("changed", [lambda value: value + 1, lambda value: max(0, value - 1)])
def test_a_size_that_is_wrong_is_noticed(tmp_path: Path, changed: Callable[[int], int]) -> None:
    segment = segment_of(tmp_path, 1, papers(100))
    sizes: Any = [changed(size) for size in segment.packed()[3]]
    segment._stored_size = sizes
    with pytest.raises(IndexDamagedError, match="document 7 cannot be unpacked"):
        segment.stored(7)
    assert json.loads(papers(100)[7])
