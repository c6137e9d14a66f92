"""The container of all segment files: what is written is read, and nothing else is taken for it."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import zlib
from array import array
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from papersearch.errors import IndexDamagedError
from papersearch.index import flatfile
from papersearch.index.flatfile import MAGIC, TRAILER_MAGIC, FlatFile, FlatWriter, narrow, unpack

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


@pytest.mark.parametrize("read_whole_bytes", [0, 1 << 20], ids=["piece by piece", "whole"])
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


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every section as if it were too large to be read whole; pages of 16 bytes."""
    monkeypatch.setattr(flatfile, "READ_WHOLE_BYTES", 0)
    monkeypatch.setattr(flatfile, "CHECK_ON_USE_BYTES", 0)
    monkeypatch.setattr(flatfile, "PAGE_BITS", 4)
    monkeypatch.setattr(flatfile, "PAGES_KEPT", 3)


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("typecode", "BHIQd")
def test_a_large_section_reads_as_if_it_were_in_memory(tmp_path: Path, typecode: str) -> None:
    values = array(typecode, [n * 7 % 251 for n in range(100)])
    writer = FlatWriter(str(tmp_path / "file"))
    writer.put("a", values)
    writer.close()
    section = FlatFile(str(tmp_path / "file")).section("a", typecode)
    assert isinstance(section, flatfile.Window) and section.format == typecode
    assert section.itemsize == values.itemsize and section.tobytes() == values.tobytes()
    cuts = [slice(a, b) for a in (None, 0, 1, 15, 16, 98, -3, 200) for b in (None, 0, 1, 2, 17, 100, -1, 300)]
    for _ in range(2):
        assert len(section) == 100 and [section[n] for n in range(-100, 100)] == 2 * list(values)
        assert [section[cut].tolist() for cut in cuts] == [list(values[cut]) for cut in cuts]
        assert list(section) == section.tolist() == list(values) and array(typecode, section) == values
        assert bytes(section) == values.tobytes() == section.cast("B").tobytes()
        for out in (100, -101):
            with pytest.raises(IndexError):
                section[out]
        assert section.whole().tolist() == list(values)


@pytest.mark.usefixtures("pieces")
def test_numpy_takes_a_large_section_for_an_array(path: Path) -> None:
    np = pytest.importorskip("numpy")
    file = FlatFile(str(path))
    for name, values in WRITTEN.items():
        found = np.asarray(file.section(name, "BHIQd"))
        assert found.tolist() == values and found.itemsize == getattr(SECTIONS.get(name), "itemsize", 1)


@pytest.mark.usefixtures("pieces")
def test_a_large_section_that_is_wanted_whole_is_checked(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(b"onetwo")] ^= 1
    path.write_bytes(data)
    section = FlatFile(str(path)).section("streamed")
    assert isinstance(section, flatfile.Window)
    with pytest.raises(IndexDamagedError, match="checksum"):
        section.whole()


CUT = """
import os, sys
from papersearch.errors import IndexDamagedError
from papersearch.index import flatfile

flatfile.READ_WHOLE_BYTES = flatfile.CHECK_ON_USE_BYTES = 0
file = flatfile.FlatFile(sys.argv[1])
sections = [file.section(name, "BHIQd") for name in file.names() if file.count(name)]
os.truncate(sys.argv[1], 0)
for section in sections:
    for read in (lambda: section[0], lambda: bytes(section), lambda: section[:1], file.check, file.recheck):
        try:
            read()
        except IndexDamagedError:
            continue
        sys.exit("something was read")
"""


def test_a_file_that_is_cut_under_a_reader_is_an_error(path: Path) -> None:
    """In a process of its own: a mapped file would end it."""
    done = subprocess.run([sys.executable, "-c", CUT, str(path)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_read_that_fails_is_damage(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = FlatFile(str(path))

    def fail(*_: int) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    for limit in (1 << 20, 0):
        monkeypatch.setattr(flatfile, "READ_WHOLE_BYTES", limit)
        monkeypatch.setattr(flatfile, "pread", os.pread)
        monkeypatch.setattr(flatfile, "CHECK_ON_USE_BYTES", limit)
        file = FlatFile(str(path))
        monkeypatch.setattr(flatfile, "pread", fail)
        with pytest.raises(IndexDamagedError, match=os.strerror(errno.EIO)):
            FlatFile(str(path))
    with pytest.raises(IndexDamagedError, match=os.strerror(errno.EIO)):
        file.section("words")[0]


@pytest.mark.usefixtures("pieces")
def test_a_read_that_returns_less_is_gone_on_with(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a signal or a network file system may have it."""
    real = os.pread
    monkeypatch.setattr(flatfile, "pread", lambda descriptor, size, start: real(descriptor, min(size, 3), start))
    assert read(path) == WRITTEN


@pytest.mark.usefixtures("pieces")
def test_where_there_is_no_pread(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flatfile, "_seeking", threading.Lock(), raising=False)
    monkeypatch.setattr(flatfile, "pread", flatfile._pread_by_seeking)
    assert read(path) == WRITTEN


@pytest.mark.usefixtures("pieces")
def test_two_changes_at_one_time_of_the_clock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system gives both the same time: what was sound after the first may not be after the second."""
    file = FlatFile(str(path))
    os.utime(path)
    file.recheck()
    state = path.stat()
    data = bytearray(path.read_bytes())
    data[data.index(b"onetwo")] ^= 1
    path.write_bytes(data)
    monkeypatch.setattr(os, "fstat", lambda descriptor: state)
    with pytest.raises(IndexDamagedError, match="streamed fails"):
        file.recheck()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
@pytest.mark.usefixtures("pieces")
def test_descriptors_are_closed_with_the_last_reader(path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    file = FlatFile(str(path))
    section = file.section("words")
    del file
    assert len(os.listdir("/proc/self/fd")) == before + 1 and section[0] == 7
    del section
    for _ in range(3):
        with pytest.raises(IndexDamagedError):
            FlatFile(str(path), size=1)
    assert len(os.listdir("/proc/self/fd")) == before


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


@given(st.binary(max_size=300), st.integers(0, 303))
def test_nothing_is_unpacked_further_than_it_may_be(data: bytes, limit: int) -> None:
    assert unpack(zlib.compress(data), limit) == (data if len(data) <= limit else None)


def test_what_was_not_compressed_is_not_unpacked() -> None:
    data = b"words " * 40
    packed = zlib.compress(data)
    for at in range(len(packed)):
        assert unpack(packed[:at], 1000) is None
        assert unpack(packed[:at] + bytes([packed[at] ^ 16]) + packed[at + 1 :], 1000) in (None, data)
