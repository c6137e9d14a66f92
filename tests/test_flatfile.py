"""The container of all segment files: what is written is read, and nothing else is taken for it."""

from __future__ import annotations

import json
import os
import zlib
from array import array
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from papersearch.errors import IndexDamagedError
from papersearch.index import flatfile
from papersearch.index.flatfile import MAGIC, TRAILER_MAGIC, FlatFile, FlatWriter, narrow

SECTIONS: dict[str, Any] = {
    "bytes": b"\x00\xff abc",
    "halves": array("H", [0, 1, 65535]),
    "words": array("I", [7, 2**32 - 1]),
    "longs": array("Q", [2**64 - 2]),
    "doubles": array("d", [0.1, 3.0, 1e300]),
    "empty": array("I"),
    "文本/docs": array("B", [1, 2, 3]),
}


def write(path: Path) -> FlatWriter:
    writer = FlatWriter(str(path))
    for name, values in SECTIONS.items():
        writer.put(name, values)
    writer.start_stream("streamed")
    writer.write(b"one")
    writer.write(b"two")
    writer.end_stream()
    writer.meta["documents"] = 3
    writer.close()
    return writer


def read(path: Path) -> dict[str, list[Any]]:
    file = FlatFile(str(path))
    return {name: file.section(name, "BHIQd").tolist() for name in file.names()}


WRITTEN = {name: list(values) for name, values in SECTIONS.items()} | {"streamed": list(b"onetwo")}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write(tmp_path / "file")
    return tmp_path / "file"


def forge(path: Path, directory: object, body: bytes = bytes(64)) -> None:
    """A file whose checksums are all right, whatever it says."""
    data = directory if isinstance(directory, bytes) else json.dumps(directory).encode()
    head = MAGIC + body
    trailer = len(head).to_bytes(8, "little") + len(data).to_bytes(8, "little")
    path.write_bytes(head + data + trailer + zlib.crc32(data).to_bytes(4, "little") + TRAILER_MAGIC)


@pytest.mark.parametrize("read_whole_bytes", [0, 1 << 20], ids=["mapped", "read"])
def test_what_is_written_is_read(path: Path, monkeypatch: pytest.MonkeyPatch, read_whole_bytes: int) -> None:
    monkeypatch.setattr(flatfile, "READ_WHOLE_BYTES", read_whole_bytes)
    assert read(path) == WRITTEN
    file = FlatFile(str(path))
    assert file.meta == {"documents": 3}
    assert "words" in file and "word" not in file
    assert (file.count("words"), file.count("word")) == (2, -1)
    assert file.failed_checksums() == []


def test_size_and_checksum_are_those_of_the_file(tmp_path: Path) -> None:
    writer = write(tmp_path / "file")
    assert writer.size == (tmp_path / "file").stat().st_size
    assert FlatFile(str(tmp_path / "file"), writer.size, writer.crc32).count("longs") == 1
    with pytest.raises(IndexDamagedError, match="bytes where"):
        FlatFile(str(tmp_path / "file"), writer.size + 1, writer.crc32)
    with pytest.raises(IndexDamagedError, match="not the file"):
        FlatFile(str(tmp_path / "file"), writer.size, writer.crc32 ^ 1)


def test_a_file_is_never_overwritten_and_can_be_discarded(path: Path) -> None:
    with pytest.raises(FileExistsError):
        FlatWriter(str(path))
    other = FlatWriter(str(path) + "2")
    other.put("x", b"1")
    with pytest.raises(ValueError, match="section"):
        other.put("x", b"2")
    other.discard()
    assert not os.path.exists(str(path) + "2")


def test_every_truncation_is_noticed(path: Path) -> None:
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(IndexDamagedError, match="run: papersearch index --rebuild"):
            FlatFile(str(path))
    path.write_bytes(data + b"\0")
    with pytest.raises(IndexDamagedError):
        FlatFile(str(path))


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_every_changed_byte_is_noticed_or_harmless(path: Path, flip: int) -> None:
    data = path.read_bytes()
    noticed = 0
    for offset in range(len(data)):
        changed = bytearray(data)
        changed[offset] ^= flip
        path.write_bytes(changed)
        try:
            assert read(path) == WRITTEN, f"byte {offset} gave other values"
        except IndexDamagedError:
            noticed += 1
    assert noticed > len(data) - 8 * (len(WRITTEN) + 1), "only padding between sections may change unnoticed"


def test_large_sections_are_left_to_the_full_check(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(b"onetwo")] ^= 1
    path.write_bytes(data)
    with pytest.raises(IndexDamagedError, match="streamed fails its checksum"):
        FlatFile(str(path)).section("streamed")
    monkeypatch.setattr(flatfile, "CHECK_ON_USE_BYTES", 0)
    assert FlatFile(str(path)).section("streamed").tolist() != WRITTEN["streamed"]
    assert FlatFile(str(path)).failed_checksums() == ["streamed"]


def test_a_section_of_another_type_is_refused(path: Path) -> None:
    file = FlatFile(str(path))
    for name, kinds in (("doubles", "BHIQ"), ("words", "d"), ("absent", "BHIQ")):
        with pytest.raises(IndexDamagedError, match="missing or of another type"):
            file.section(name, kinds)


@pytest.mark.parametrize(
    "directory",
    [
        [],
        {},
        {"sections": {}},
        {"sections": [], "meta": {}},
        {"sections": {}, "meta": []},
        {"sections": {"a": 1}, "meta": {}},
        {"sections": {"a": ["B", 8, 1]}, "meta": {}},
        {"sections": {"a": ["B", 0, 1, 0]}, "meta": {}},
        {"sections": {"a": ["B", 9, 1, 0]}, "meta": {}},
        {"sections": {"a": ["B", -8, 1, 0]}, "meta": {}},
        {"sections": {"a": ["B", 8, -1, 0]}, "meta": {}},
        {"sections": {"a": ["Q", 8, 9, 0]}, "meta": {}},
        {"sections": {"a": ["B", 8, 2**70, 0]}, "meta": {}},
        {"sections": {"a": ["B", 8.0, 1, 0]}, "meta": {}},
        {"sections": {"a": ["B", 8, True, 0]}, "meta": {}},
        {"sections": {"a": ["f", 8, 1, 0]}, "meta": {}},
        {"sections": {"a": [["B"], 8, 1, 0]}, "meta": {}},
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"sections":{"a":["B",8,' + b"9" * 5000 + b',0]},"meta":{}}',
    ],
    ids=repr,
)
def test_a_forged_directory_is_refused(tmp_path: Path, directory: object) -> None:
    forge(tmp_path / "file", directory)
    with pytest.raises(IndexDamagedError, match="makes no sense"):
        FlatFile(str(tmp_path / "file"))


def test_a_forged_directory_that_makes_sense_is_read(tmp_path: Path) -> None:
    forge(
        tmp_path / "file", {"sections": {"a": ["H", 8, 2, zlib.crc32(b"\1\0\2\0")]}, "meta": {}}, b"\1\0\2\0" + bytes(4)
    )
    assert FlatFile(str(tmp_path / "file")).section("a").tolist() == [1, 2]


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FlatFile(str(tmp_path / "absent"))
    with pytest.raises(IndexDamagedError, match="not a regular file"):
        FlatFile(str(tmp_path))
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "fifo")
        with pytest.raises(IndexDamagedError, match="not a regular file"):
            FlatFile(str(tmp_path / "fifo"))


def test_big_endian_machines_read_and_write_the_same_bytes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    little = path.read_bytes()
    monkeypatch.setattr(flatfile, "_SWAP", True)
    swapped = path.with_name("swapped")
    write(swapped)
    assert read(swapped) == WRITTEN
    for name in ("halves", "words", "longs", "doubles"):
        raw = array(SECTIONS[name].typecode, SECTIONS[name])
        raw.byteswap()
        assert raw.tobytes() in swapped.read_bytes() and raw.tobytes() not in little


@given(st.lists(st.integers(0, 2**64 - 1)))
@settings(deadline=None)
def test_narrow_keeps_values_in_the_smallest_type(values: list[int]) -> None:
    narrowed = narrow(values)
    assert list(narrowed) == values
    bits = max(values, default=0).bit_length()
    assert narrowed.itemsize * 8 == next(width for width in (8, 16, 32, 64) if bits <= width)
    assert narrow(narrowed) is narrowed
    assert list(narrow(iter(values))) == values
