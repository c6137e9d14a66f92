"""Where papers stand: what the file of places remembers, and what is noticed when it is damaged."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora import MIXED, index_of, write_notes
from papersearch import IndexDamagedError, open_index
from papersearch.api import build_index
from papersearch.files import FileState
from papersearch.index.flatfile import FlatFile
from papersearch.index.places import NOWHERE, Columns, Places, pack_id, unpack_id
from papersearch.index.reader import open_snapshot
from papersearch.index.toc import PLACES
from papersearch.index.verify import verify
from papersearch.paper import Paper, make_id

PAPERS = [
    Paper(pid, "T", path, line, end, category=cat, venue=venue, orgs=("ACME", "Lab"))
    for pid, path, line, end, cat, venue in [
        ("0123abcd", "a.md", 3, 9, "Vision", "CVPR"),
        ("zzzzzzzz", "b.md", 1, 1, "vision", "CVPR"),
        ("0123abcd-2", "b.md", 4, 70_000, "vision", None),
    ]
]
STATES = [FileState("a.md", 1, 5, -7, "ab" * 16), FileState("b \udcff.md", 2, 6, 8, "")]


def columns() -> Columns:
    made = Columns(STATES)
    for number, paper in enumerate(PAPERS):
        made.add(paper, min(number, 1), number, number + 7)
    made.links = [(0, 1)]
    return made


@given(st.text(), st.integers(0, (1 << 24) - 1))
def test_ids_are_packed_without_loss(key: str, ordinal: int) -> None:
    written = make_id(key) + (f"-{ordinal}" if ordinal > 1 else "")
    assert unpack_id(pack_id(written)) == written
    assert pack_id(written) < 1 << 64


def test_what_is_written_is_read(tmp_path: Path) -> None:
    size, crc32 = columns().write(str(tmp_path / "x"), [2, NOWHERE, 0, 1])
    places = Places(FlatFile(str(tmp_path / "x"), size, crc32), 4)
    assert [places.rank(doc) for doc in (0, 2, 3)] == [2, 0, 1]
    assert [places.place(doc) for doc in (2, 3, 0)] == [
        ("a.md", 3, 9), ("b \udcff.md", 1, 1), ("b \udcff.md", 4, 70_000)
    ]  # fmt: skip
    assert (places.ids(), places.digests(), len(places)) == ([p.id for p in PAPERS], [0, 1, 2], 3)
    assert (places.states(), places.file_count) == (STATES, 2)
    assert places.labels("category") == {"vision": "vision"}
    assert places.labels("org") == {"acme": "ACME", "lab": "Lab"}
    assert places.labels("year") == {}
    assert places.same(columns()) and list(places.problems([0, 2, 3])) == []
    assert (places.links(), list(places.values("keys")), places.of_file(1)) == ([(0, 1)], [7, 8, 9], range(1, 3))
    other = columns()
    other.lines[0] += 1
    assert not places.same(other)
    other = columns()
    other.links = []
    assert not places.same(other)
    with pytest.raises(IndexDamagedError):
        places.place(1)


def test_of_two_spellings_as_frequent_the_first_by_code_points_is_shown(tmp_path: Path) -> None:
    made = Columns(STATES)
    for paper in PAPERS[:2]:
        made.add(paper, 0, 0, 0)
    made.write(str(tmp_path / "x"), [0, 1])
    assert Places(FlatFile(str(tmp_path / "x")), 2).labels("category") == {"vision": "Vision"}


@pytest.mark.parametrize("name", ["ids", "digests", "keys", "files", "lines", "spans"])
def test_columns_of_different_lengths_are_damage(tmp_path: Path, name: str) -> None:
    made = columns()
    getattr(made, name).pop()
    made.write(str(tmp_path / "x"), [0, 1, 2])
    with pytest.raises(IndexDamagedError, match="contradict"):
        Places(FlatFile(str(tmp_path / "x")), 3)


def test_another_number_of_documents_is_damage(tmp_path: Path) -> None:
    columns().write(str(tmp_path / "x"), [0, 1, 2])
    with pytest.raises(IndexDamagedError, match="contradict"):
        Places(FlatFile(str(tmp_path / "x")), 4)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: c.files.__setitem__(0, 9), "file that is not there"),
        (lambda c: c.links.append((0, 2)), "file that is not there"),
        (lambda c: c.files.__setitem__(0, 1) or c.files.__setitem__(1, 0), "order of their files"),
        (lambda c: c.labels.update(venue=3), "labels"),
    ],
)
def test_what_makes_no_sense_is_told(tmp_path: Path, change: object, told: str) -> None:
    made = columns()
    change(made)  # type: ignore[operator]
    made.write(str(tmp_path / "x"), [0, 1, 2])
    places = Places(FlatFile(str(tmp_path / "x")), 3)
    assert any(told in problem for problem in places.problems([0, 1, 2]))


def test_documents_without_a_place_are_told(tmp_path: Path) -> None:
    columns().write(str(tmp_path / "x"), array("I", [0, 1, 1]))
    places = Places(FlatFile(str(tmp_path / "x")), 3)
    assert any("have a place" in problem for problem in places.problems([0, 1, 2]))


def test_the_table_of_contents_does_not_grow_with_the_papers(tmp_path: Path) -> None:
    sizes = []
    for count in (3, 300):
        digest = "".join(f"### Paper {n}[CVPR'22]\n- words\n\n" for n in range(count))
        build_index(write_notes(tmp_path / f"c{count}", {"d.md": digest}), tmp_path / f"i{count}")
        sizes.append((tmp_path / f"i{count}" / "toc.json").stat().st_size)
    assert sizes[1] < sizes[0] + 100


@pytest.mark.parametrize("at", [0.2, 0.5, 0.99])
def test_a_damaged_file_of_places_is_noticed_and_built_anew(tmp_path: Path, at: float) -> None:
    build_index(MIXED, tmp_path)
    (file,) = tmp_path.glob(f"*.{PLACES}")
    data = bytearray(file.read_bytes())
    data[int(len(data) * at)] ^= 0xFF
    file.write_bytes(data)
    assert verify(tmp_path)
    with open_index(MIXED, tmp_path) as mended, open_index(MIXED, index_of(MIXED)) as sound:
        assert mended.papers() == sound.papers()
        assert mended.facets() == sound.facets()
    build_index(MIXED, tmp_path)
    assert verify(tmp_path) == []


def test_one_file_of_places_a_generation_is_kept(tmp_path: Path) -> None:
    for n in range(4):
        corpus = write_notes(tmp_path / "c", {"d.md": f"### One[CVPR'22]\n- words {n}\n"})
        build_index(corpus, tmp_path / "i")
    assert len(list((tmp_path / "i").glob(f"*.{PLACES}"))) == 2
    with open_snapshot(tmp_path / "i") as snapshot:
        assert snapshot.places is not None and len(snapshot.places) == 1
