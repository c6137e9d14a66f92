"""Where papers stand: what the file of places remembers, and what is noticed when it is damaged."""

from __future__ import annotations

import tempfile
from array import array
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora import MIXED, index_of, write_notes
from papersearch import IndexDamagedError, open_index
from papersearch.api import build_index
from papersearch.files import FileState
from papersearch.index.flatfile import FlatFile, FlatWriter
from papersearch.index.places import NOWHERE, Columns, Edit, Places, pack_id, unpack_id
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


def replaced(path: Path, /, **sections: array[int] | bytes) -> FlatFile:
    """A file whose checksums are right, with other sections: "_" stands for the point in their names."""
    whole = FlatFile(str(path))
    writer = FlatWriter(str(path.with_suffix(".new")))
    writer.meta = whole.meta
    for name in whole.names():
        old = whole.section(name)
        writer.put(name, sections.pop(name.replace(".", "_"), array(old.format, bytes(old))))
    assert not sections
    writer.close()
    path.with_suffix(".new").replace(path)
    return FlatFile(str(path))


@given(st.text(), st.integers(0, (1 << 24) - 1))
def test_ids_are_packed_without_loss(key: str, ordinal: int) -> None:
    written = make_id(key) + (f"-{ordinal}" if ordinal > 1 else "")
    assert unpack_id(pack_id(written)) == written
    assert pack_id(written) < 1 << 64


def test_what_is_written_is_read(tmp_path: Path) -> None:
    size, crc32 = columns().write(str(tmp_path / "x"), array("I", [2, NOWHERE, 0, 1]), [("s", 1), ("t", 3)])
    places = Places([FlatFile(str(tmp_path / "x"), size, crc32)], [("s", 1), ("t", 3)])
    assert [places.rank(doc) for doc in (0, 2, 3)] == [2, 0, 1]
    assert [places.place(doc) for doc in (2, 3, 0)] == [
        ("a.md", 3, 9), ("b \udcff.md", 1, 1), ("b \udcff.md", 4, 70_000)
    ]  # fmt: skip
    assert (places.ids(), list(places.values("digests")), len(places)) == ([p.id for p in PAPERS], [0, 1, 2], 3)
    assert (places.states().states(), places.file_count) == (STATES, 2)
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
    made.write(str(tmp_path / "x"), array("I", [0, 1]), [("s", 2)])
    assert Places([FlatFile(str(tmp_path / "x"))], [("s", 2)]).labels("category") == {"vision": "Vision"}


@pytest.mark.parametrize("name", ["ids", "digests", "keys", "files", "lines", "spans"])
def test_columns_of_different_lengths_are_damage(tmp_path: Path, name: str) -> None:
    made = columns()
    getattr(made, name).pop()
    made.write(str(tmp_path / "x"), array("I", [0, 1, 2]), [("s", 3)])
    with pytest.raises(IndexDamagedError, match="contradict"):
        Places([FlatFile(str(tmp_path / "x"))], [("s", 3)])


def test_another_number_of_documents_is_damage(tmp_path: Path) -> None:
    columns().write(str(tmp_path / "x"), array("I", [0, 1, 2]), [("s", 3)])
    for segments in ([("s", 4)], [("s", 3), ("t", 1)], [("t", 3)]):
        with pytest.raises(IndexDamagedError, match="a row for each document"):
            Places([FlatFile(str(tmp_path / "x"))], segments)


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
    made.write(str(tmp_path / "x"), array("I", [0, 1, 2]), [("s", 3)])
    places = Places([FlatFile(str(tmp_path / "x"))], [("s", 3)])
    assert any(told in problem for problem in places.problems([0, 1, 2]))


def test_documents_without_a_place_are_told(tmp_path: Path) -> None:
    columns().write(str(tmp_path / "x"), array("I", [0, 1, 1]), [("s", 3)])
    places = Places([FlatFile(str(tmp_path / "x"))], [("s", 3)])
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


def test_of_each_generation_two_files_are_kept(tmp_path: Path) -> None:
    """That of all papers, which several have in common, and that of what was edited since."""
    for n in range(4):
        corpus = write_notes(tmp_path / "c", {"d.md": f"### One[CVPR'22]\n- words {n}\n"})
        build_index(corpus, tmp_path / "i")
    assert len(list((tmp_path / "i").glob(f"*.{PLACES}"))) == 3
    with open_snapshot(tmp_path / "i") as snapshot:
        assert snapshot.places is not None and len(snapshot.places) == 1


def test_rows_in_order_take_no_bytes(tmp_path: Path) -> None:
    for rows, size in (([0, 1, 2], 0), ([0, 2, 1], 3), ([0, 1, NOWHERE], 3), ([1, 2, 0], 3)):
        columns().write(str(tmp_path / "x"), array("I", rows), [("s", 2), ("t", 1)])
        file = FlatFile(str(tmp_path / "x"))
        assert file.count("row") == size
        places = Places([file], [("s", 2), ("t", 1)])
        assert [places.row(doc) for doc in range(3)] == rows
        assert [*places.rows_of("s"), *places.rows_of("t")] == rows
        (tmp_path / "x").unlink()


@pytest.mark.parametrize("few", [1, 256])
@pytest.mark.parametrize("count", [253, 254, 255, 256, 257])
def test_a_deleted_document_has_no_place_whatever_is_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, few: int
) -> None:
    """Also where rows just fit into a byte, and where ranks are worked out for all documents."""
    monkeypatch.setattr("papersearch.index.places.ASKED_ONE_BY_ONE", few)
    monkeypatch.setattr("papersearch.index.places.FEW", few)
    made = Columns([FileState("a.md", 1, 2, 3, "")])
    for n in range(count):
        made.add(paper(n, n + 1), 0, n, n)
    segments = [("s", count + 1)]
    made.write(str(tmp_path / "0"), array("I", [NOWHERE, *range(count)]), segments)
    places = Places([FlatFile(str(tmp_path / "0"))], segments)
    for number in range(1, 4):
        edit = Edit(places)
        edit.add(paper(1000 + number, 1), 0, 7, 7, None)
        edit.replace(range(1))
        edit.keep(range(1))
        edit.finish()
        row = edit.rows_of[pack_id(make_id(str(1000 + number)))]
        segments = [*segments, (f"t{number}", 2)]
        path = str(tmp_path / str(number))
        is_part, _ = edit.write(path, segments, lambda _, row=row: array("I", [row, NOWHERE]))
        assert is_part or few == 1
        places = Places([*(places.files()[:1] if is_part else ()), FlatFile(path)], segments)
        live = [*range(1, count + 1), *(count + 1 + 2 * n for n in range(number))]
        for doc in {*range(count + 1 + 2 * number)} - {*live}:
            assert places.rank(doc) == NOWHERE
        assert sorted(map(places.rank, live)) == list(range(count + number)) == list(range(len(places)))
        assert list(places.problems(live)) == []


def test_outlines_are_read_as_they_were(tmp_path: Path) -> None:
    made = columns()
    made.outlines = {1: b"[" + b"1," * 1000 + b"1]"}
    made.write(str(tmp_path / "x"), array("I", [0, 1, 2]), [("s", 3)])
    file = FlatFile(str(tmp_path / "x"))
    places = Places([file], [("s", 3)])
    assert [places.outline(0), places.outline(1)] == [b"", made.outlines[1]]
    assert file.count("outline") < 100
    for wrong in ({"outline": bytes(file.count("outline"))}, {"outline_size": array("H", [0, 2001])}):
        found = Places([replaced(tmp_path / "x", **wrong)], [("s", 3)])  # type: ignore[arg-type]
        assert found.outline(0) == b""
        with pytest.raises(IndexDamagedError, match="cannot be unpacked"):
            found.outline(1)
        assert any("cannot be unpacked" in problem for problem in found.problems([0, 1, 2]))


LARGE = array("Q", [1 << 40] * 3)


@pytest.mark.parametrize("name", ["id", "id_high", "file", "line", "span", "row"])
def test_values_that_no_column_has_room_for_are_damage(tmp_path: Path, name: str) -> None:
    columns().write(str(tmp_path / "x"), array("I", [0, 2, 1]), [("s", 3)])
    with pytest.raises(IndexDamagedError, match="another type"):
        Places([replaced(tmp_path / "x", **{name: LARGE})], [("s", 3)])


def test_any_numbers_in_the_place_of_rows_and_times_end_in_no_traceback(tmp_path: Path) -> None:
    columns().write(str(tmp_path / "x"), array("I", [0, 2, 1]), [("s", 3)])
    most = array("I", [0xFFFFFFFF] * 3)
    places = Places([replaced(tmp_path / "x", row=most, file=most, line=most, span=most)], [("s", 3)])
    for doc in range(3):
        with pytest.raises(IndexDamagedError):
            places.place(doc)
    assert list(places.problems([0, 1, 2]))
    replaced(tmp_path / "x", file_size=LARGE[:2])
    assert Places([replaced(tmp_path / "x", file_mtime=array("H", [1, 2]))], [("s", 3)]).file_count == 2
    assert any("another type" in p for p in Places([FlatFile(str(tmp_path / "x"))], [("s", 3)]).problems([0]))


@pytest.mark.parametrize("documents", [-3, 1 << 70, 3.0, "3", None])
def test_rows_of_documents_that_no_segment_has_are_damage(tmp_path: Path, documents: object) -> None:
    columns().write(str(tmp_path / "x"), array("I", [0, 1, 2]), [("s", documents)])  # type: ignore[list-item]
    with pytest.raises(IndexDamagedError):
        Places([FlatFile(str(tmp_path / "x"))], [("s", 3)])


# ---- what was edited, beside all papers


def paper(number: int, line: int) -> Paper:
    return Paper(make_id(str(number)), f"T{number}", "a.md", line, line + number % 3, category=f"c{number % 2}")


steps = st.lists(
    st.tuples(st.sampled_from(["keep", "change", "same", "remove", "insert", "move"]), st.integers(0, 30), st.integers(0, 5)),
    min_size=1, max_size=8,
)  # fmt: skip


@settings(max_examples=60)
@given(st.integers(1, 12), st.lists(steps, min_size=1, max_size=5), st.sampled_from([0, 4, 1000]))
def test_edits_upon_edits_are_what_is_written_whole(
    count: int, rounds: list[list[tuple[str, int, int]]], few: int
) -> None:
    """Documents and papers as an index has them: segment `s`, and one more for each edit."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("papersearch.index.places.FEW", few)
        made = Columns([FileState("a.md", 1, 2, 3, "ab" * 16), FileState("b.md", 1, 2, 3, "")])
        wanted = [(paper(n, 5 * n + 1), n, n + 100) for n in range(count)]
        for one, digest, key in wanted:
            made.add(one, 0, digest, key)
        segments = [("s", count)]
        document = {one.id: n for n, (one, _, _) in enumerate(wanted)}
        size, crc32 = made.write(f"{folder}/0", array("I", range(count)), segments)
        files = [FlatFile(f"{folder}/0", size, crc32)]
        fresh = 1000
        for number, changes in enumerate(rounds, 1):
            places = Places(files, segments)
            edit = Edit(places)
            edit.states[1] = FileState("b.md", number, 2, 3, "cd" * 16)
            at = {one.id: rank for rank, (one, _, _) in enumerate(wanted)}
            now, added = [*wanted], []
            for kind, position, by in changes:
                rank = position % len(now) if now else 0
                if kind == "insert" or not now:
                    now.insert(rank, (paper(fresh := fresh + 1, 1), fresh, fresh))
                    continue
                one, digest, key = now[rank]
                down = one.replace(line=one.line + by, end_line=one.end_line + by)
                match kind:
                    case "keep":
                        now[rank] = down, digest, key
                    case "change":
                        now[rank] = down, digest + 1000, key + 1
                    case "same":
                        now[rank] = down, digest, key + 1
                    case "remove" if len(now) > 1:
                        del now[rank]
                    case "move":
                        now.insert(by % len(now), now.pop(rank))
            edit.replace(range(len(wanted)))
            before = {one.id: (one, digest, key) for one, digest, key in wanted}
            for one, digest, key in now:
                old = before.get(one.id)
                if old is not None and (old[1], old[2]) == (digest, key):
                    rank = at[one.id]
                    edit.keep(range(rank, rank + 1), one.line - old[0].line)
                    continue
                same = old is not None and old[1] == digest
                edit.add(one, 0, digest, key, at[one.id] if same else None)
                if not same:
                    added.append(one.id)
            edit.finish()
            segments = [*segments, (f"e{number}", len(added))]
            document |= {paper_id: sum(n for _, n in segments[:-1]) + n for n, paper_id in enumerate(added)}
            path, rows = f"{folder}/{number}", array("I", [edit.rows_of[pack_id(i)] for i in added])
            is_part, (size, crc32) = edit.write(path, segments, lambda _, rows=rows: rows)
            files = [*(files[:1] if is_part else ()), FlatFile(path, size, crc32)]
            wanted = now
            found = Places(files, segments)
            assert found.ids() == [one.id for one, _, _ in wanted] and len(found) == len(wanted)
            assert list(found.values("digests")) == [digest for _, digest, _ in wanted]
            assert list(found.values("lines", range(len(wanted) // 2, len(wanted)))) == [
                one.line for one, _, _ in wanted[len(wanted) // 2 :]
            ]
            docs = [document[one.id] for one, _, _ in wanted]
            assert list(map(found.rank, docs)) == list(range(len(wanted)))
            assert [found.place(doc) for doc in docs] == [("a.md", one.line, one.end_line) for one, _, _ in wanted]
            assert found.of_file(0) == range(len(wanted)) and not found.of_file(1)
            assert found.states().state(1) == edit.states[1]
            assert list(found.problems(docs)) == []
            found.check()


def test_an_edit_writes_no_more_where_there_are_more_papers(tmp_path: Path) -> None:
    sizes = []
    for count in (3000, 30_000):
        made = Columns([FileState("a.md", 1, 2, 3, "")])
        for n in range(count):
            made.add(paper(n, n + 1), 0, n, n)
        made.labels = {}
        made.write(str(tmp_path / f"{count}"), array("I", range(count)), [("s", count)])
        edit = Edit(Places([FlatFile(str(tmp_path / f"{count}"))], [("s", count)]))
        edit.replace(range(2000, 2001))
        edit.add(paper(2000, 2001), 0, 7, 7, None)
        edit.replace(range(2001, count))
        edit.keep(range(2001, count), 3)
        edit.finish()
        row = array("I", [count])
        is_part, (size, _) = edit.write(str(tmp_path / f"{count}e"), [("s", count), ("t", 1)], lambda _, row=row: row)
        assert is_part
        sizes.append(size)
    assert sizes[1] < sizes[0] + 100
