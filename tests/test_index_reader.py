"""Snapshot against a model of an index in plain dicts, however the index is split; and against damage of every kind."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
import tracemalloc
import zlib
from array import array
from collections import defaultdict
from collections.abc import Callable
from math import fsum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from papersearch.errors import IndexDamagedError, IndexMissingError, UsageError
from papersearch.index import builder, codec, flatfile, lexicon, reader, segment, toc, ways
from papersearch.index.flatfile import FlatFile, FlatWriter
from papersearch.index.reader import Snapshot, open_snapshot, read_generation
from papersearch.index.verify import verify
from papersearch.index.writer import Document, IndexWriter

TERMS = ["a", "ab", "abc", "b", "词", "词语", "é", "\U0001f600", "\ud800x", "z"]


@pytest.fixture(autouse=True)
def no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # test_index_writer looks after durability


class Model:
    """What an index should answer: live documents by id, in the order of their last addition."""

    def __init__(self) -> None:
        self.documents: dict[str, Document] = {}

    def add(self, document: Document) -> None:
        self.documents.pop(document.id, None)
        self.documents[document.id] = document

    def remove(self, doc_id: str) -> bool:
        return self.documents.pop(doc_id, None) is not None

    def postings(self, name: str) -> dict[str, dict[str, tuple[float, list[int]]]]:
        """Term -> id -> (weight, positions)."""
        found: dict[str, dict[str, tuple[float, list[int]]]] = defaultdict(dict)
        for doc_id, document in self.documents.items():
            tokens = document.tokens.get(name, [])
            for term in {term for term, _, _ in tokens}:
                mine = [(position, boost) for text, position, boost in tokens if text == term]
                found[term][doc_id] = fsum(boost for _, boost in mine), sorted(position for position, _ in mine)
            for value in [doc_id] if name == "id" else document.keywords.get(name, []):
                found[value][doc_id] = 1.0, []
        return found

    def length(self, name: str, document: Document) -> int:
        return document.lengths.get(name, len(document.tokens.get(name, [])))


def check(snapshot: Snapshot, model: Model) -> None:
    """The snapshot answers as the model does."""
    docs = {doc: json.loads(snapshot.stored_raw(doc))["id"] for doc in snapshot.docs()}
    assert list(docs) == sorted(docs) and list(docs.values()) == list(model.documents)
    assert snapshot.doc_count == len(docs)
    assert snapshot.ids() == sorted(model.documents)
    for doc, doc_id in docs.items():
        assert snapshot.doc_of(doc_id) == doc
        assert snapshot.stored(doc) == model.documents[doc_id].stored
        assert doc_id in snapshot.ids(doc_id[:1])
    assert snapshot.doc_of("absent") is None and snapshot.ids("absent") == []
    for name in ("text", "grams", "venue", "id", "org"):
        field, expected = snapshot.field(name), model.postings(name)
        lengths = {doc_id: model.length(name, document) for doc_id, document in model.documents.items()}
        assert [field.length(doc) for doc in docs] == list(lengths.values())
        assert field.total_length == sum(lengths.values())
        assert field.average_length == (sum(lengths.values()) / len(docs) if docs else 0.0)
        terms = list(field.terms())
        assert terms == sorted(set(terms)) and set(terms) >= expected.keys()
        assert field.live_terms() == expected.keys()
        for term in {*terms, *expected, "absent"}:
            postings = field.postings(term)
            if term not in expected:
                assert postings is None and field.doc_frequency(term) == 0
                continue
            assert postings is not None
            got = {
                docs[doc]: (weight, list(postings.positions(i)))
                for i, (doc, weight) in enumerate(zip(postings.docs, postings.weights, strict=True))
            }
            assert got == expected[term]
            assert list(postings.docs) == sorted(postings.docs)
            assert len(postings) == field.doc_frequency(term) == len(expected[term])
        for prefix in ("", "a", "ab", "词", "q", "\U0001f600", "\udfff"):
            assert list(field.terms(prefix)) == [term for term in terms if term.startswith(prefix)]
            assert field.has_prefix(prefix) == any(term.startswith(prefix) for term in terms)


POSITIONS = st.one_of(st.integers(0, 5), st.integers(0, 300), st.integers(0, 70_000), st.integers(0, 2**31 - 1))
TOKENS = st.lists(st.tuples(st.sampled_from(TERMS), POSITIONS, st.sampled_from([0.1, 0.2, 0.5, 1.0, 3.0])), max_size=12)
DOCUMENTS = st.builds(
    lambda number, text, grams, length, venues: Document(
        id=f"p{number}",
        tokens={"text": text} | ({"grams": grams} if grams else {}),
        lengths={} if length is None else {"text": length},
        keywords={"venue": venues},
        stored={"id": f"p{number}", "文": [number, None, {"\ud800": "\ud800"}]},
    ),
    st.integers(0, 9),
    TOKENS,
    TOKENS,
    st.one_of(st.none(), st.integers(0, 2**32 - 1)),
    st.lists(st.sampled_from(["NeurIPS", "a b, c", "会议"]), unique=True),
)
COMMITS = st.lists(st.lists(st.one_of(DOCUMENTS, st.integers(0, 9)), max_size=8), min_size=1, max_size=5)
SPLITS: list[dict[tuple[Any, str], int]] = [
    {},
    {(codec, "MERGE_ALL_BELOW"): 0, (codec, "TOLERATED_DELETED"): 1},
    {(codec, "MERGE_ALL_BELOW"): 0, (codec, "MERGE_FACTOR"): 2, (codec, "SMALLEST_TIER"): 2},
    {(builder, "MAX_POOL_TOKENS"): 7, (codec, "MERGE_ALL_BELOW"): 0, (builder, "MAX_SHAPES"): 1},
    {(builder, "MAX_SHAPES"): 0},
    {(builder, "MAX_POOL_DOCUMENTS"): 1, (flatfile, "READ_WHOLE_BYTES"): 0},
]


@pytest.mark.parametrize("split", range(len(SPLITS)))
@given(commits=COMMITS)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=set(Phase) - {Phase.explain},  # which would trace every commit for minutes
)
def test_answers_do_not_depend_on_how_the_index_is_split(
    tmp_path_factory: pytest.TempPathFactory, split: int, commits: list[list[Document | int]]
) -> None:
    folder = tmp_path_factory.mktemp("index")
    model = Model()
    with pytest.MonkeyPatch.context() as patch:
        for (module, name), value in SPLITS[split].items():
            patch.setattr(module, name, value)
        for generation, commit in enumerate(commits, 1):
            with IndexWriter(folder) as writer:
                for step in commit:
                    if isinstance(step, int):
                        assert writer.remove(f"p{step}") == model.remove(f"p{step}")
                    else:
                        writer.add(step)
                        model.add(step)
                assert writer.commit({"commit": generation}) == generation
            with open_snapshot(folder) as snapshot:
                check(snapshot, model)
                assert (snapshot.generation, snapshot.meta) == (generation, {"commit": generation})
    assert verify(folder) == []


def filled(folder: Path, count: int = 30, seed: int = 1) -> Model:
    """An index of several segments with deleted documents, and its model."""
    rng, model = random.Random(seed), Model()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "MERGE_ALL_BELOW", 0)
        for start in range(0, count, 10):
            with IndexWriter(folder) as writer:
                for number in range(start, start + 12):
                    tokens = [
                        (rng.choice(TERMS[:8]), rng.randrange(3000), rng.choice([0.5, 1.0, 3.0])) for _ in range(20)
                    ]
                    pairs = [("".join(rng.sample("论文检索模型", 2)), rng.randrange(3000), 1.0) for _ in range(4)]
                    fields = {"text": tokens, "grams": pairs}
                    document = Document(f"p{number}", fields, {}, {"venue": ["NeurIPS"]}, {"id": f"p{number}"})
                    writer.add(document)
                    model.add(document)
                writer.commit({})
    return model


def test_more_shapes_than_have_a_code_and_rows_of_many_positions(tmp_path: Path) -> None:
    rng, model = random.Random(4), Model()
    often = [("often", position, 1.0) for position in range(0, 3000, 3)]
    with IndexWriter(tmp_path) as writer:
        for number in range(400):
            tokens = [(rng.choice(TERMS), rng.randrange(100_000), rng.randrange(1, 300) / 7) for _ in range(9)]
            document = Document(f"p{number}", {"text": tokens + often[: number * 5]}, stored={"id": f"p{number}"})
            writer.add(document)
            model.add(document)
        writer.commit({})
    with open_snapshot(tmp_path) as snapshot:
        check(snapshot, model)
        field = snapshot.segments()[0][1].field("text")
        assert field is not None and len(field.shape_weights) == 255 and len(field.odd_rows) > 1000
    assert verify(tmp_path) == []


def test_an_empty_index(tmp_path: Path) -> None:
    with IndexWriter(tmp_path) as writer:
        writer.commit({})
    with open_snapshot(tmp_path) as snapshot:
        check(snapshot, Model())
        with pytest.raises(IndexError):
            snapshot.stored(0)
        with pytest.raises(IndexError):
            snapshot.field("text").length(0)


def test_no_index(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(IndexMissingError, match="run: papersearch index"):
            open_snapshot(folder)
        assert read_generation(folder) is None
        assert len(verify(folder)) == 1


def test_document_numbers_out_of_range(tmp_path: Path) -> None:
    filled(tmp_path)
    with open_snapshot(tmp_path) as snapshot:
        for doc in (-1, 10_000):
            with pytest.raises(IndexError):
                snapshot.stored_raw(doc)


def test_stored_objects_are_decoded_anew(tmp_path: Path) -> None:
    filled(tmp_path)
    with open_snapshot(tmp_path) as snapshot:
        snapshot.stored(0)["id"] = "changed"
        assert snapshot.stored(0)["id"] != "changed"


def test_a_closed_snapshot_says_so_and_what_was_read_stays(tmp_path: Path) -> None:
    filled(tmp_path)
    snapshot = open_snapshot(tmp_path)
    postings = snapshot.field("text").postings("a")
    assert postings is not None
    expected = [list(postings.positions(i)) for i in range(len(postings))]
    snapshot.close()
    assert [list(postings.positions(i)) for i in range(len(postings))] == expected
    for use in (lambda: snapshot.field("text"), lambda: snapshot.stored(0), lambda: snapshot.doc_of("p1")):
        with pytest.raises(UsageError, match="closed"):
            use()


def test_a_snapshot_outlives_later_generations(tmp_path: Path) -> None:
    model = filled(tmp_path)
    snapshot = open_snapshot(tmp_path)
    for number in range(4):
        with IndexWriter(tmp_path, fresh=number == 2) as writer:
            writer.add(Document(f"new{number}", {"text": [("new", 0, 1.0)]}))
            writer.commit({})
    check(snapshot, model)
    assert read_generation(tmp_path) == snapshot.generation + 4


def test_one_snapshot_is_shared_by_threads(tmp_path: Path) -> None:
    model = filled(tmp_path)
    failures: list[BaseException] = []
    for _ in range(5):
        snapshot = open_snapshot(tmp_path)
        start = threading.Barrier(4)

        def work(snapshot: Snapshot = snapshot, start: threading.Barrier = start) -> None:
            try:
                start.wait()
                check(snapshot, model)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []


def test_a_reader_that_loses_the_race_with_commits_reads_the_new_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path)
    old = toc.read_toc(str(tmp_path))
    for _ in range(2):
        with IndexWriter(tmp_path, fresh=True) as writer:
            writer.add(Document("only", stored={"id": "only"}))
            writer.commit({})
    tables = [old, old, toc.read_toc(str(tmp_path))]
    monkeypatch.setattr(reader, "read_toc", lambda folder: tables.pop(0))
    with open_snapshot(tmp_path) as snapshot:
        assert snapshot.ids() == ["only"]
    monkeypatch.setattr(reader, "read_toc", lambda folder: old)
    monkeypatch.setattr(reader, "_RETRY_S", 0)
    with pytest.raises(IndexDamagedError, match="changes faster"):
        open_snapshot(tmp_path)


def test_one_commit_takes_no_file_from_a_reader_that_is_opening(tmp_path: Path) -> None:
    model = filled(tmp_path)
    table = toc.read_toc(str(tmp_path))
    with IndexWriter(tmp_path, fresh=True) as writer:
        writer.commit({})
    check(Snapshot(str(tmp_path), table), model)


def test_read_generation_follows_and_reads_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for generation in (1, 2):
        with IndexWriter(tmp_path) as writer:
            writer.commit({"long": "x" * 10_000})
        assert read_generation(tmp_path) == generation
    monkeypatch.setattr(toc, "read_toc", lambda folder: pytest.fail("read the whole table"))
    assert read_generation(str(tmp_path)) == 2


def test_importing_the_reader_is_cheap_by_what_it_imports() -> None:
    code = "import papersearch.index.reader, sys; print(*sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    modules = subprocess.run([sys.executable, "-S", "-c", code], env=environment, capture_output=True, text=True)
    loaded = set(modules.stdout.split())
    assert "papersearch.index.reader" in loaded, modules.stderr
    heavy = {"whoosh", "pickle", "_pickle", "jieba", "dataclasses", "inspect", "struct"}
    assert (
        loaded & (heavy | {"papersearch.index.writer", "papersearch.index.codec", "papersearch.index.builder"}) == set()
    )


def test_importing_the_room_imports_nothing() -> None:
    code = (
        "import papersearch; import sys; a = set(sys.modules); import papersearch.index; print(*set(sys.modules) - a)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    modules = subprocess.run([sys.executable, "-S", "-c", code], env=environment, capture_output=True, text=True)
    assert modules.stdout.split() == ["papersearch.index"], modules.stderr


# ---- Damage


def read_everything(folder: Path) -> list[Any]:
    """All that can be read of an index."""
    everything: list[Any] = [read_generation(folder)]
    with open_snapshot(folder) as snapshot:
        everything += [snapshot.meta, snapshot.doc_count, list(snapshot.docs()), snapshot.ids(), snapshot.doc_of("p1")]
        everything += [snapshot.stored(doc) for doc in snapshot.docs()]
        for name in ("text", "grams", "venue", "id"):
            field = snapshot.field(name)
            everything += [field.total_length, list(field.lengths), field.has_prefix("a")]
            for term in field.terms():
                postings = field.postings(term)
                everything += [term, field.doc_frequency(term)]
                if postings is not None:
                    everything += [postings.docs, postings.weights]
                    everything += [list(postings.positions(i)) for i in range(len(postings))]
    return everything


def index_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in (".doc", ".inv", ".json"))


def current_files(folder: Path) -> list[Path]:
    return [folder / "toc.json", *(folder / name for name in sorted(toc.read_toc(str(folder)).file_names()))]


def test_every_file_cut_short_or_gone_is_noticed(tmp_path: Path) -> None:
    filled(tmp_path)
    for path in current_files(tmp_path):
        data = path.read_bytes()
        for length in sorted({0, 1, 7, 8, len(data) // 2, len(data) - 1, *range(0, len(data), 97)}):
            path.write_bytes(data[:length])
            with pytest.raises(IndexDamagedError, match="run: papersearch index --rebuild"):
                open_snapshot(tmp_path)
            assert verify(tmp_path) != []
        path.unlink()
        error = IndexMissingError if path.name == "toc.json" else IndexDamagedError
        with pytest.raises(error, match=r"is missing|there is no index"):
            open_snapshot(tmp_path)
        path.mkdir()
        with pytest.raises(IndexDamagedError, match="not a regular file"):
            open_snapshot(tmp_path)
        path.rmdir()
        path.write_bytes(data)
    assert verify(tmp_path) == []


def test_any_changed_byte_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    filled(tmp_path)
    expected, rng, noticed = read_everything(tmp_path), random.Random(5), 0
    for path in current_files(tmp_path):
        data = path.read_bytes()
        for _ in range(60):
            changed = bytearray(data)
            for _ in range(rng.choice([1, 1, 4])):
                changed[rng.randrange(len(data))] = rng.randrange(256)
            path.write_bytes(changed)
            try:
                assert read_everything(tmp_path) == expected
            except IndexDamagedError as error:
                noticed += 1
                assert "\n" not in str(error)
                assert verify(tmp_path) != []
        path.write_bytes(data)
    assert noticed > 200


def reforge(path: Path, change: Callable[[str, Any], Any]) -> tuple[int, int]:
    """Write a segment file anew with changed sections and right checksums; its new size and CRC-32."""
    old = FlatFile(str(path))
    sections = {name: old.section(name, "BHIQd") for name in old.names()}
    path.unlink()
    writer = FlatWriter(str(path))
    writer.meta = change("meta", old.meta)
    for name, section in sections.items():
        values = change(name, section.tolist())
        if isinstance(values, list):
            values = array(section.format, values)
        if values is not None:
            writer.put(name, values)
    writer.close()
    return writer.size, writer.crc32


def retable(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the table of contents and give it the right checksum."""
    content = json.loads((folder / "toc.json").read_bytes())
    del content["crc32"]
    changed = change(content)
    rest = b'",' + json.dumps(content if changed is None else changed).encode()[1:]
    (folder / "toc.json").write_bytes(b'{"crc32":"%08x' % zlib.crc32(rest) + rest)


def segment_file(folder: Path, segment: int, extension: str) -> Path:
    return folder / f"{toc.read_toc(str(folder)).segments[segment].segment_id}.{extension}"


def forge(folder: Path, segment: int, extension: str, change: Callable[[str, Any], Any]) -> None:
    """Change the sections of a segment's file so that no checksum tells."""
    size, crc32 = reforge(segment_file(folder, segment, extension), change)
    retable(
        folder, lambda table: table["segments"][segment]["files"].update({extension: {"size": size, "crc32": crc32}})
    )


def only(wanted: str, change: Callable[[Any], Any]) -> Callable[[str, Any], Any]:
    return lambda name, values: change(values) if name == wanted else values


def as_in_a_large_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several blocks of terms, and documents that are not written whole, in a small index."""
    for module in (builder, segment, lexicon):
        monkeypatch.setattr(module, "TERM_BITS", 1)
    monkeypatch.setattr(lexicon, "FEWEST_FILTERED", 1)
    monkeypatch.setattr(lexicon, "FILTER_BITS", 8 * lexicon.FILTER_BYTES)
    monkeypatch.setattr(ways, "doc_width", lambda documents: 2)


def other_codes(packed: Any, change: Callable[[int], int]) -> bytes:
    """Compressed bytes, of one part, compressed anew after each was changed."""
    return zlib.compress(bytes(map(change, zlib.decompress(bytes(packed)))))


FORGERIES: list[tuple[str, str, Callable[[Any], Any]]] = [
    ("inv", "text/docs", lambda docs: [255] * len(docs)),
    ("inv", "text/docs", lambda docs: docs[::-1]),
    ("inv", "text/docs", lambda docs: docs[:-1]),
    ("inv", "text/docs", lambda docs: None),
    ("inv", "text/docs", lambda docs: [0] * len(docs)),
    ("inv", "text/term.sizes", lambda sizes: zlib.compress(zlib.decompress(bytes(sizes))[::-1])),
    ("inv", "text/term.sizes", lambda sizes: other_codes(sizes, lambda size: 255)),
    ("inv", "text/term.sizes", lambda sizes: other_codes(sizes, lambda size: 0)),
    ("inv", "text/term.sizes", lambda sizes: other_codes(sizes, lambda size: size + 1)),
    ("inv", "text/term.sizes", lambda sizes: zlib.compress(zlib.decompress(bytes(sizes)) + bytes([1, 1]))),
    ("inv", "text/term.sizes", lambda sizes: [255] * len(sizes)),
    ("inv", "text/term.sizes", lambda sizes: []),
    ("inv", "text/term.sizes", lambda sizes: [*sizes, 1]),
    ("inv", "text/term.sizes.start", lambda starts: starts[::-1]),
    ("inv", "text/term.sizes.start", lambda starts: []),
    ("inv", "text/term.head", lambda text: text[:-1]),
    ("inv", "text/term.head", lambda text: text[::-1]),
    ("inv", "text/term.head", lambda text: []),
    ("inv", "text/block.byte", lambda starts: [starts[0], *[255] * (len(starts) - 2), starts[-1]]),
    ("inv", "text/block.byte", lambda starts: starts[1:]),
    ("inv", "text/block.row", lambda rows: [rows[0], *[255] * (len(rows) - 2), rows[-1]]),
    ("inv", "text/block.row", lambda rows: [*rows[:-1], rows[-1] + 1]),
    ("inv", "text/block.row", lambda rows: []),
    ("inv", "text/block.doc", lambda docs: [docs[0], *[255] * (len(docs) - 2), docs[-1]]),
    ("inv", "text/block.doc", lambda docs: docs[:-1]),
    ("inv", "text/term.bytes", lambda text: [0xFF] * len(text)),
    ("inv", "text/term.bytes", lambda text: text[::-1]),
    ("inv", "text/term.bytes.start", lambda starts: starts[::-1]),
    ("inv", "text/term.bytes.start", lambda starts: starts[:-1]),
    ("inv", "text/term.filter", lambda bits: [0] * len(bits)),
    ("inv", "text/term.filter", lambda bits: bits[:-1]),
    ("inv", "text/term.filter", lambda bits: None),
    ("inv", "grams/pair.char", lambda chars: chars[::-1]),
    ("inv", "grams/pair.char", lambda chars: [*chars[:-1], chars[0]]),
    ("inv", "grams/pair.char", lambda chars: array("I", [1 << 31] * len(chars))),
    ("inv", "grams/pair.char", lambda chars: []),
    ("inv", "grams/pair.first", lambda numbers: numbers[::-1]),
    ("inv", "grams/pair.first", lambda numbers: [numbers[0], *[255] * (len(numbers) - 2), numbers[-1]]),
    ("inv", "grams/pair.first", lambda numbers: numbers[1:]),
    ("inv", "grams/pair.start", lambda starts: [starts[0], *[255] * (len(starts) - 2), starts[-1]]),
    ("inv", "grams/pair.start", lambda starts: []),
    ("inv", "grams/pair.next", lambda ways: [255] * len(ways)),
    ("inv", "grams/pair.next", lambda ways: [0] * len(ways)),
    ("inv", "grams/pair.next", lambda ways: ways[:-1]),
    ("inv", "grams/pair.next", lambda ways: None),
    ("inv", "text/shape.code", lambda codes: other_codes(codes, lambda code: 255)),
    ("inv", "text/shape.code", lambda codes: other_codes(codes, lambda code: 254)),
    ("inv", "text/shape.code", lambda codes: other_codes(codes, lambda code: 0)),
    ("inv", "text/shape.code", lambda codes: [0] * len(codes)),
    ("inv", "text/shape.code.start", lambda starts: starts[::-1]),
    ("inv", "text/shape.code.start", lambda starts: starts[:-1]),
    ("inv", "text/shape.code", lambda codes: codes[:-1]),
    ("inv", "text/shape.code", lambda codes: None),
    ("inv", "text/shape.weight", lambda weights: [float("nan")] * len(weights)),
    ("inv", "text/shape.weight", lambda weights: [-1.0] * len(weights)),
    ("inv", "text/shape.weight", lambda weights: []),
    ("inv", "venue/shape.weight", lambda weights: []),
    ("inv", "venue/shape.weight", lambda weights: weights * 300),
    ("inv", "text/shape.start", lambda starts: starts[::-1]),
    ("inv", "text/shape.start", lambda starts: [0] * len(starts)),
    ("inv", "text/shape.start", lambda starts: []),
    ("inv", "text/shape.high", lambda highs: highs[1:]),
    ("inv", "text/shape.high", lambda highs: [255 - high for high in highs]),
    ("inv", "text/odd.row", lambda rows: rows[::-1]),
    ("inv", "text/odd.row", lambda rows: rows[1:]),
    ("inv", "text/odd.row", lambda rows: [0] * len(rows)),
    ("inv", "text/odd.row", lambda rows: None),
    ("inv", "text/odd.weight", lambda weights: [-1.0] * len(weights)),
    ("inv", "text/odd.weight", lambda weights: weights[1:]),
    ("inv", "text/odd.start", lambda starts: [0] * len(starts)),
    ("inv", "text/odd.start", lambda starts: starts[1:]),
    ("inv", "text/odd.high", lambda highs: highs[:1]),
    ("inv", "text/more.start", lambda starts: [255] * len(starts)),
    ("inv", "text/more.start", lambda starts: starts[1:]),
    ("inv", "text/more", lambda more: [255] * len(more)),
    ("inv", "text/more", lambda more: more[1:]),
    ("inv", "text/position.low", lambda lows: lows[:3]),
    ("inv", "text/position.low", lambda lows: [*lows, 0]),
    ("inv", "text/position.low", lambda lows: lows[::-1]),
    ("inv", "id/docs", lambda docs: [0] * len(docs)),
    ("inv", "meta", lambda meta: {}),
    ("inv", "meta", lambda meta: meta | {"fields": []}),
    ("inv", "meta", lambda meta: meta | {"fields": {"text": 1}}),
    ("inv", "meta", lambda meta: meta | {"fields": dict.fromkeys(meta["fields"], 1)}),
    ("inv", "meta", lambda meta: meta | {"terms": []}),
    ("inv", "meta", lambda meta: meta | {"terms": meta["terms"] | {"text": -1}}),
    ("inv", "meta", lambda meta: meta | {"terms": meta["terms"] | {"text": 1 << 70}}),
    ("inv", "meta", lambda meta: meta | {"terms": meta["terms"] | {"text": None}}),
    ("inv", "meta", lambda meta: meta | {"terms": meta["terms"] | {"grams": meta["terms"]["grams"] + 1}}),
    ("inv", "meta", lambda meta: meta | {"fields": {"text": False}}),
    ("inv", "meta", lambda meta: meta | {"fields": {"absent": True}}),
    ("inv", "meta", lambda meta: meta | {"segment": "0" * 16}),
    ("inv", "meta", lambda meta: meta | {"documents": 3}),
    ("doc", "meta", lambda meta: meta | {"documents": 3}),
    ("doc", "length/text", lambda lengths: lengths[:-1]),
    ("doc", "length/text", lambda lengths: [200] * len(lengths)),
    ("doc", "stored.start", lambda starts: starts[::-1]),
    ("doc", "stored.start", lambda starts: starts[:-1]),
    ("doc", "stored.start", lambda starts: [255] * len(starts)),
    ("doc", "stored.bytes", lambda stored: [0xFF] * len(stored)),
    ("doc", "stored.bytes", lambda stored: [0] * len(stored)),
    ("doc", "stored.bytes", lambda stored: stored[::-1]),
    ("doc", "stored.size", lambda sizes: [size + 1 for size in sizes]),
    ("doc", "stored.size", lambda sizes: [size - 1 for size in sizes]),
    ("doc", "stored.size", lambda sizes: [0 for size in sizes]),
    ("doc", "stored.size", lambda sizes: sizes[1:]),
    ("doc", "stored.dictionary", lambda dictionary: None),
    ("doc", "stored.bytes", lambda stored: None),
]


@pytest.mark.parametrize("case", range(len(FORGERIES)), ids=lambda case: f"{FORGERIES[case][1]}-{case}")
def test_forged_sections_raise_nothing_else_and_the_full_check_sees_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: int
) -> None:
    extension, section, change = FORGERIES[case]
    monkeypatch.setattr(builder, "MAX_SHAPES", 30)  # so that some rows are odd
    as_in_a_large_one(monkeypatch)
    filled(tmp_path)
    assert section == "meta" or section in FlatFile(str(segment_file(tmp_path, 1, extension))).names()
    forge(tmp_path, 1, extension, only(section, change))
    try:
        read_everything(tmp_path)
    except IndexDamagedError as error:
        assert str(tmp_path) in str(error) and "\n" not in str(error)
    assert verify(tmp_path) != []


@pytest.mark.parametrize("starts", [lambda starts: starts[::-1], lambda starts: [*starts[:-1], 255]])
def test_stored_bytes_out_of_bounds_are_not_handed_out(tmp_path: Path, starts: Callable[[Any], Any]) -> None:
    filled(tmp_path)
    forge(tmp_path, 0, "doc", only("stored.start", starts))
    with open_snapshot(tmp_path) as snapshot:
        last = snapshot.segments()[0][1].documents - 1
        with pytest.raises(IndexDamagedError, match=f"document {last} is out of bounds"):
            snapshot.stored_raw(last)


@pytest.mark.parametrize("text", [b"[1]", b"1", b"{", b"[" * 100_000], ids=repr)
def test_stored_objects_that_are_none(tmp_path: Path, text: bytes) -> None:
    filled(tmp_path)
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(text) + packer.flush()
    starts, sizes = array("I", [0, *[len(packed)] * 12]), array("I", [len(text)] * 12)
    changes = {"stored.bytes": packed, "stored.start": starts, "stored.size": sizes}
    forge(tmp_path, 1, "doc", lambda name, values: changes.get(name, values))
    with open_snapshot(tmp_path) as snapshot, pytest.raises(IndexDamagedError, match="not a JSON object"):
        snapshot.stored(12)
    assert any("document 0 is not a JSON object" in problem for problem in verify(tmp_path))


def test_a_stored_object_is_unpacked_no_further_than_it_should_be(tmp_path: Path) -> None:
    filled(tmp_path)
    packer = zlib.compressobj(9, wbits=-15)
    bomb = packer.compress(bytes(1 << 28)) + packer.flush()
    changes = {"stored.bytes": bomb, "stored.start": array("I", [0, *[len(bomb)] * 12])}
    forge(tmp_path, 1, "doc", lambda name, values: changes.get(name, values))
    tracemalloc.start()
    try:
        with open_snapshot(tmp_path) as snapshot, pytest.raises(IndexDamagedError, match="cannot be unpacked"):
            snapshot.stored(12)
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("count", [1, 40, 400])
def test_stored_objects_of_all_sizes_come_back(tmp_path: Path, count: int) -> None:
    rng = random.Random(count)
    stored = [
        {"title": f"标题 {n}", "text": "".join(rng.choices("abc 论文", k=rng.choice([0, 1, 300, 3000]))), "n": n}
        for n in range(count)
    ]
    with IndexWriter(tmp_path) as writer:
        for number, one in enumerate(stored):
            writer.add(Document(f"p{number}", stored=one))
        writer.commit({})
    with open_snapshot(tmp_path) as snapshot:
        assert [snapshot.stored(doc) for doc in snapshot.docs()] == stored
        if count == 400:
            assert snapshot.segments()[0][1].files["doc"].count("stored.bytes") < len(json.dumps(stored)) / 3


@pytest.mark.parametrize("shapes", [255, 30])
def test_randomly_forged_sections_raise_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shapes: int
) -> None:
    monkeypatch.setattr(builder, "MAX_SHAPES", shapes)
    as_in_a_large_one(monkeypatch)
    filled(tmp_path, 20)
    saved = {path: path.read_bytes() for path in index_files(tmp_path)}
    rng = random.Random(11)

    def garble(name: str, values: Any) -> Any:
        if name == "meta" or not values or rng.random() < 0.8:
            return values
        garbled = list(values)
        top = 256 if isinstance(values[0], int) else 1.0
        for _ in range(rng.randrange(1, 4)):
            garbled[rng.randrange(len(garbled))] = rng.randrange(256) if top == 256 else rng.uniform(-1, 1)
        return garbled if rng.random() < 0.8 else garbled[: rng.randrange(len(garbled) + 1)]

    for _ in range(150):
        forge(tmp_path, rng.randrange(2), rng.choice(["doc", "inv"]), garble)
        with contextlib.suppress(IndexDamagedError):
            read_everything(tmp_path)
        verify(tmp_path)
        for path, data in saved.items():
            path.write_bytes(data)
    assert verify(tmp_path) == []


def set_segment(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda table: table["segments"][0].update(values)


TABLES: list[Callable[[dict[str, Any]], Any]] = [
    lambda table: table.update(format=True),
    lambda table: table.update(format="1"),
    lambda table: table.update(generation=-1),
    lambda table: table.update(generation="7"),
    lambda table: table.update(generation=1.0),
    lambda table: table.update(meta=[]),
    lambda table: table.update(segments={"a": 1}),
    lambda table: table.update(segments=[None]),
    lambda table: table.update(segments=[{}]),
    lambda table: table.pop("segments"),
    lambda table: table.pop("meta"),
    set_segment(id="../../../etc/passwd"),
    set_segment(id="..............12"),
    set_segment(id="ABCDEFGHIJKLMNOP"),
    set_segment(id="a" * 15),
    set_segment(id=["a" * 16]),
    set_segment(id=None),
    set_segment(documents=-1),
    set_segment(documents=1e9),
    set_segment(deleted=[-1]),
    set_segment(deleted=[12]),
    set_segment(deleted=["0"]),
    set_segment(deleted=[True]),
    set_segment(deleted={"0": 1}),
    set_segment(lengths={"text": -5}),
    set_segment(lengths=[]),
    set_segment(files={}),
    set_segment(files={"doc": {"size": 1, "crc32": 1}}),
    set_segment(files={"doc": {"size": 1, "crc32": 1}, "inv": {"size": 1}}),
    set_segment(files={"../x": {"size": 1, "crc32": 1}, "inv": {"size": 1, "crc32": 1}}),
]


@pytest.mark.parametrize("case", range(len(TABLES)))
def test_forged_tables_of_contents_are_refused(tmp_path: Path, case: int) -> None:
    filled(tmp_path)
    retable(tmp_path, TABLES[case])
    with pytest.raises(IndexDamagedError, match=r"toc\.json: .*; run: papersearch index --rebuild"):
        open_snapshot(tmp_path)


@pytest.mark.parametrize("documents", [3, 10**12])
def test_tables_that_contradict_the_files_are_refused(tmp_path: Path, documents: int) -> None:
    filled(tmp_path)
    retable(tmp_path, set_segment(documents=documents, deleted=[]))
    with pytest.raises(IndexDamagedError, match="belongs to another segment"):
        open_snapshot(tmp_path)


@pytest.mark.parametrize("version", [0, 1, 99])
def test_another_version_is_named(tmp_path: Path, version: int) -> None:
    filled(tmp_path)
    retable(tmp_path, lambda table: table.update(format=version))
    with pytest.raises(
        IndexDamagedError, match=f"format version {version}, and this program reads version {toc.FORMAT}"
    ):
        open_snapshot(tmp_path)
    with pytest.raises(IndexDamagedError, match="format version"):
        read_generation(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[]", b"\xff", b"[" * 100_000, b"1" * 5000, b'{"format":2}'])
def test_what_is_no_table_of_contents(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "toc.json").write_bytes(content)
    for use in (open_snapshot, read_generation):
        with pytest.raises(IndexDamagedError, match=r"toc\.json"):
            use(tmp_path)


def test_a_table_that_is_far_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path)
    monkeypatch.setattr(toc, "MAX_TOC_BYTES", 10)
    with pytest.raises(IndexDamagedError, match="far too large"):
        open_snapshot(tmp_path)


def test_the_full_check_reads_what_opening_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path)
    monkeypatch.setattr(flatfile, "CHECK_ON_USE_BYTES", 0)
    path = tmp_path / f"{toc.read_toc(str(tmp_path)).segments[0].segment_id}.doc"
    data = bytearray(path.read_bytes())
    data[FlatFile(str(path))._directory["length/text"][1]] ^= 1
    path.write_bytes(data)
    retable(tmp_path, lambda table: table.update(stamps={}))  # else opening would see that the file was changed
    read_everything(tmp_path)
    assert any("length/text fails its checksum" in problem for problem in verify(tmp_path))


def test_ids_that_are_not_one_to_one_are_found(tmp_path: Path) -> None:
    filled(tmp_path)
    retable(tmp_path, lambda table: table["segments"][0].update(deleted=[]))
    assert any("is also in" in problem for problem in verify(tmp_path))
    filled(tmp_path / "other")
    forge(tmp_path / "other", 2, "inv", only("id/docs", lambda docs: [0] * len(docs)))
    assert any("has 0 ids" in problem for problem in verify(tmp_path / "other"))
