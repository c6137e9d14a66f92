"""Index files that were changed, shortened or zeroed: no wrong answer, no traceback, no crash."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from papersearch import IndexDamagedError, PapersearchError, open_index
from papersearch.api import build_index, index_status
from papersearch.errors import IndexFolderError
from papersearch.glossary import related_source
from papersearch.glossary.dictionary import FILE_NAME as DICTIONARY_NAME
from papersearch.index import flatfile
from papersearch.index.toc import DOCUMENTS, INVERTED, LOCK_NAME, PLACES, TEMPORARY_NAME, read_toc
from papersearch.index.verify import verify
from torture.faults import garble, in_child
from torture.scene import GLOSSARY, answers, built, environment, imports_for, program, put, right

Count = Callable[[str, str, int], None]

DAMAGES = ("flipped", "half", "zeroed", "empty", "missing", "swapped", "longer")


def kinds_of(folder: Path) -> dict[str, list[Path]]:
    """Kind of file → the files: segments by their extension, everything else by its name."""
    kinds: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        stem, _, extension = path.name.partition(".")
        kinds.setdefault(extension if len(stem) == 16 else path.name, []).append(path)
    return kinds


def damage(path: Path, how: str, others: list[Path], rng: random.Random) -> None:
    if how == "missing":
        path.unlink()
    elif how == "swapped":
        path.write_bytes(rng.choice(others).read_bytes())
    elif how == "longer":
        path.write_bytes(path.read_bytes() + rng.randbytes(rng.choice((1, 8, 100))))
    else:
        path.write_bytes(garble(path.read_bytes(), how, rng))


def two_generations(place: Path) -> tuple[Path, Path]:
    """An index with every kind of file in it."""
    corpus, folder = built(place / "start")
    with open_index(put(corpus, 1), folder):
        return corpus, folder


@pytest.fixture(params=[False, True], ids=["small", "as if large"])
def sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once as it is, and once as if every file and section were so large that it is read piece by piece, and not checked
    when it is used."""
    if request.param:
        monkeypatch.setattr(flatfile, "READ_WHOLE_BYTES", 0)
        monkeypatch.setattr(flatfile, "CHECK_ON_USE_BYTES", 0)


@pytest.mark.usefixtures("sizes")
def test_no_damage_gives_a_wrong_answer(place: Path, tally: Count) -> None:
    damage_all(place, range(4), tally)


@pytest.mark.slow
@pytest.mark.usefixtures("sizes")
def test_no_damage_gives_a_wrong_answer_many_more(place: Path, rounds: int, tally: Count) -> None:
    damage_all(place, range(4, 100 * rounds), tally)


def damage_all(place: Path, numbers: Sequence[int], tally: Count) -> None:
    """Damage each kind of file once per number, then ask."""
    corpus, folder = two_generations(place)
    shutil.copytree(folder, place / "sound")
    files = sorted((place / "sound").iterdir())
    damages = found = 0
    for kind, paths in kinds_of(place / "sound").items():
        for seed in numbers:
            rng = random.Random(f"{kind} {seed}")
            path = folder / rng.choice(paths).name
            shutil.rmtree(folder)
            shutil.copytree(place / "sound", folder)
            how = DAMAGES[seed // 2 % len(DAMAGES)] if seed % 3 else "flipped"
            damage(path, how, files, rng)
            damages += 1
            try:
                with open_index(corpus, folder, refresh=False) as index:  # the table before may stand for the last one
                    assert answers(index) in (right(1), right(0) if how == "swapped" else None), (kind, seed)
            except PapersearchError as error:
                assert "\n" not in str(error)
                found += 1
            problems = verify(folder)
            assert all("\n" not in problem for problem in problems)
            if seed % 2 and path.name != LOCK_NAME:  # what stands there may be a file of the user's
                build_index(put(corpus, 1), folder)
            with open_index(corpus, folder) as index:
                assert answers(index) == right(1), (kind, seed)
                assert len(index.notices) <= 1
    assert found > damages // 20
    tally("damage", "damaged files", damages)


def test_parts_of_what_a_search_reads_first_may_be_damaged(place: Path, tally: Count) -> None:
    damage_places(place, 64, tally)


@pytest.mark.slow
def test_every_part_of_what_a_search_reads_first_may_be_damaged(place: Path, tally: Count) -> None:
    damage_places(place, 8, tally)  # each section begins at such a byte


def damage_places(place: Path, every: int, tally: Count) -> None:
    """Where papers and notes stand is read before there is anything to answer."""
    corpus, folder = two_generations(place)
    names = [f"{name}.{PLACES}" for name, _, _ in read_toc(str(folder)).places]
    assert len(names) == 2  # of all papers, and of those that changed
    shutil.copytree(folder, place / "sound")
    for name in names:
        sound = (folder / name).read_bytes()
        for at in range(0, len(sound), every):
            shutil.rmtree(folder)
            shutil.copytree(place / "sound", folder)
            (folder / name).write_bytes(sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
            with open_index(corpus, folder) as index:
                assert answers(index) == right(1), at
                assert len(index.notices) <= 1
        tally("damage", "damaged files", len(range(0, len(sound), every)))


def folder_of_somebody(path: Path, elsewhere: Path) -> None:
    path.mkdir()
    (path / "kept.txt").write_text("kept")


OBSTACLES: dict[str, Callable[[Path, Path], object]] = {
    "an empty folder": lambda path, elsewhere: path.mkdir(),
    "a folder": folder_of_somebody,
    "a link": lambda path, elsewhere: path.symlink_to(elsewhere),
    "a link to a folder": lambda path, elsewhere: path.symlink_to(elsewhere.parent, target_is_directory=True),
    "a link to nowhere": lambda path, elsewhere: path.symlink_to("nowhere"),
    "a link to itself": lambda path, elsewhere: path.symlink_to(path.name),
    "a pipe": lambda path, elsewhere: os.mkfifo(path),
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_something_else_in_the_place_of_a_file(place: Path, obstacle: str, tally: Count) -> None:
    """Each file of an index, and each that a build writes: the next search is right, nothing is followed or lost."""
    elsewhere = place / "elsewhere" / "notes.txt"
    elsewhere.parent.mkdir()
    elsewhere.write_text("kept")
    corpus, folder = two_generations(place)
    shutil.copytree(folder, place / "sound")
    kinds = kinds_of(place / "sound")
    names = [paths[0].name for paths in kinds.values()] + [DICTIONARY_NAME, TEMPORARY_NAME]
    for name in names:
        shutil.rmtree(folder)
        shutil.copytree(place / "sound", folder)
        path = folder / name
        path.unlink(missing_ok=True)
        OBSTACLES[obstacle](path, elsewhere)
        with contextlib.suppress(IndexDamagedError):
            index_status(corpus, folder)
        with contextlib.suppress(IndexFolderError), open_index(corpus, folder, refresh=False) as index:
            assert answers(index) in (right(0), right(1)), name
        assert all("\n" not in problem for problem in verify(folder))
        with open_index(corpus, folder) as index:
            assert answers(index) == right(1) and len(index.notices) <= 1, name
        with open_index(put(corpus, 2), folder) as index:
            assert answers(index) == right(2) and not index.notices, name
        put(corpus, 1)
        assert elsewhere.read_text() == "kept" and os.listdir(elsewhere.parent) == ["notes.txt"]
        if obstacle == "a folder":
            assert [kept.read_text() for kept in folder.glob("*/kept.txt")] == ["kept"], name
    tally("damage", "things that are no files in the place of one", len(names))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_files_without_any_rights(place: Path, monkeypatch: pytest.MonkeyPatch, tally: Count) -> None:
    """Where the tests run as the superuser, who may read everything, somebody else is asked."""
    nobody = 65534
    corpus, folder = put(place / "corpus", 1), place / "index"
    (place / "small.tsv").write_text(GLOSSARY, encoding="utf-8")
    monkeypatch.setattr("papersearch.glossary.sources", lambda: [str(place / "small.tsv")])
    build_index(corpus, folder)

    with open_index(put(corpus, 2), folder):
        kinds = sorted(kinds_of(folder))

    def as_user() -> None:
        if not os.geteuid():
            os.setgid(nobody)
            os.setuid(nobody)
        Path(related_source()).read_bytes()

    def work() -> None:
        as_user()
        build_index(put(corpus, 1), folder, rebuild=True)
        with open_index(put(corpus, 2), folder):
            assert set(kinds) == set(kinds_of(folder))
        for kind in kinds:
            for state in (1, 2):
                for path in kinds_of(folder).get(kind, []):
                    path.chmod(0)
                assert all("\n" not in problem for problem in verify(folder))
                with open_index(put(corpus, state), folder) as index:
                    assert answers(index) == right(state) and len(index.notices) <= 1, kind

    right(1), right(2)  # before the child, which may not write elsewhere
    for path in (place, *place.rglob("*")):
        if not os.geteuid():
            os.chown(path, nobody, nobody)
    if in_child(as_user):
        pytest.skip("only the superuser may read these tests")
    assert in_child(work) == 0
    tally("damage", "kinds of files without rights", len(kinds))


def test_a_folder_that_is_no_index_is_left_as_it_is(place: Path) -> None:
    corpus, folder = put(place / "corpus", 0), place / "project"
    for name in ("lock", "origin", "toc.json"):
        (folder / name).mkdir(parents=True)
        (folder / name / "kept.txt").write_text("kept")
        with pytest.raises(IndexFolderError):
            build_index(corpus, folder)
        assert (folder / name / "kept.txt").read_text() == "kept"
        shutil.rmtree(folder)


@pytest.mark.parametrize("kind", ["toc.json", "segment"])
def test_the_command_line_mends_damage_and_says_so_in_one_line(place: Path, small_glossary: Path, kind: str) -> None:
    corpus, folder = two_generations(place)
    where = ["--corpus", str(corpus), "--index", str(folder)]
    for path in folder.iterdir():
        if path.name == kind or (kind == "segment" and len(path.stem) == 16):
            path.write_bytes(path.read_bytes()[:-40])
    doctor = [*program(small_glossary), "doctor", *where]
    done = subprocess.run(doctor, env=environment(), capture_output=True, text=True)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False) and str(folder) in done.stdout
    search = [*program(small_glossary), "search", "shared", *where]
    done = subprocess.run(search, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count("\n") > 1
    assert done.stderr.count("\n") == 1 and "built anew" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", [DOCUMENTS, INVERTED])
def test_no_damage_to_a_large_file_gives_a_wrong_answer(
    place: Path, ten_thousand: tuple[Path, Path], kind: str, rounds: int, tally: Count
) -> None:
    """Files of an index of 10,000 papers that are read piece by piece and changed in place, anywhere."""
    corpus, folder = ten_thousand[0], place / "index"
    shutil.copytree(ten_thousand[1], folder)
    queries = ("w1 w2", "检测 w30", '"w1 w2"', "paper 77", "year:2015 w9", "w4*", "venue:CVPR")

    def ask() -> list[tuple[int, list[tuple[str, float, str]]]]:
        with open_index(corpus, folder, refresh=False) as index:
            found = [index.search(query) for query in queries]
            return [(r.total, [(hit.paper.title, hit.score, hit.snippet) for hit in r]) for r in found]

    wanted = ask()
    assert all(total for total, _ in wanted)
    paths = sorted(folder.glob(f"*.{kind}"))
    assert all(path.stat().st_size > flatfile.READ_WHOLE_BYTES for path in paths)
    found = 0
    for seed in range(200 * rounds):
        rng = random.Random(f"{kind} {seed}")
        path = rng.choice(paths)
        data = path.read_bytes()
        change_in_place(path, data, ("flipped", "zeroed", "half")[seed % 3], rng)
        try:
            assert ask() == wanted, (path.name, seed)
        except PapersearchError as error:
            assert "\n" not in str(error)
            found += 1
        path.write_bytes(data)
    assert ask() == wanted
    assert found > 180 * rounds  # what is not found lies between sections
    tally("damage", "places in files of 10,000 papers", 200 * rounds)


def change_in_place(path: Path, data: bytes, how: str, rng: random.Random) -> None:
    """The file keeps its inode, which a reader may have open."""
    at = rng.randrange(len(data))
    if how in ("half", "empty"):
        os.truncate(path, at if how == "half" else 0)
        return
    with path.open("r+b") as file:
        file.seek(at)
        file.write(bytes(min(4096, len(data) - at)) if how == "zeroed" else bytes([data[at] ^ 1 << rng.randrange(8)]))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("how", ["flipped", "zeroed", "half"])
@pytest.mark.parametrize("mends", [True, False], ids=["mending", "reading only"])
def test_files_that_change_under_a_reader_who_has_them_open(
    place: Path, monkeypatch: pytest.MonkeyPatch, how: str, mends: bool, tally: Count
) -> None:
    """The next search notices: it is right, builds anew, or says so. Nothing crashes."""
    monkeypatch.setattr(flatfile, "READ_WHOLE_BYTES", 0)
    monkeypatch.setattr(flatfile, "CHECK_ON_USE_BYTES", 0)
    corpus, folder = built(place / "start")
    shutil.copytree(folder, place / "sound")
    names = sorted(path.name for path in folder.iterdir() if len(path.stem) == 16)

    def read(name: str, rng: random.Random) -> None:
        with open_index(corpus, folder, refresh=mends) as index:
            if rng.random() < 0.8:
                assert answers(index) == right(0)
            path = folder / name
            change_in_place(path, path.read_bytes(), how, rng)
            try:
                assert answers(index) == right(0)
            except IndexDamagedError:
                assert not mends
            assert len(index.notices) <= 1

    for seed, name in enumerate(names):
        shutil.rmtree(folder)
        shutil.copytree(place / "sound", folder)
        assert in_child(partial(read, name, random.Random(f"{how} {seed}"))) == 0, (name, seed)
    tally("damage", "files changed under a reader", len(names))


@pytest.mark.parametrize("how", ["flipped", "zeroed", "half"])
def test_files_that_change_in_the_middle_of_a_search(
    place: Path, monkeypatch: pytest.MonkeyPatch, how: str, tally: Count
) -> None:
    """One file or the other, changed before every third read of opening and searching: the answer is right, and one line
    says if it took a build."""
    monkeypatch.setattr(flatfile, "READ_WHOLE_BYTES", 0)
    monkeypatch.setattr(flatfile, "CHECK_ON_USE_BYTES", 0)
    corpus, folder = built(place / "start")
    shutil.copytree(folder, place / "sound")
    names = sorted(path.name for path in folder.iterdir() if len(path.stem) == 16)
    left, name = 0, ""

    def read(descriptor: int, size: int, start: int) -> bytes:
        nonlocal left
        left -= 1
        if not left:
            path = folder / name
            change_in_place(path, path.read_bytes(), how, rng)
        return os.pread(descriptor, size, start)

    struck = mended = 0
    monkeypatch.setattr(flatfile, "pread", read)
    for seed in range(42):
        rng = random.Random(f"{how} {seed}")
        shutil.rmtree(folder)
        shutil.copytree(place / "sound", folder)
        name, left = names[seed % len(names)], 1 + 3 * seed
        with open_index(corpus, folder) as index:
            assert answers(index) == right(0), (name, seed)
            assert len(index.notices) <= 1, (name, seed)
            struck += left <= 0
            mended += len(index.notices)
    assert struck > 30 and mended > struck // 2
    tally("damage", "files changed in the middle of a search", struck)


READER = """
import sys, threading, time
from papersearch.errors import PapersearchError

corpus, folder, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
end, wrong, searches = time.monotonic() + seconds, [], []
while True:
    try:
        shared = api.open_index(corpus, folder)
        wanted = [[(hit.paper.id, hit.snippet) for hit in shared.search(query)] for query in sys.argv[4:]]
        break
    except PapersearchError:  # cut after it was built and before it was searched
        pass

def search(number):
    done = 0
    while time.monotonic() < end:
        try:
            index = shared if number % 2 else api.open_index(corpus, folder)
            for query, hits in zip(sys.argv[4:], wanted):
                done += 1
                if [(hit.paper.id, hit.snippet) for hit in index.search(query)] != hits:
                    wrong.append(f"another answer to {query}")
        except PapersearchError as error:
            if "\\n" in str(error):
                wrong.append(str(error))
        except Exception as error:
            wrong.append(repr(error))
    searches.append(done)

threads = [threading.Thread(target=search, args=(n,)) for n in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(sum(searches), *wrong[:3])
"""


def test_files_that_are_cut_under_processes_that_search(place: Path, small_glossary: Path, tally: Count) -> None:
    cut_under_readers(place, small_glossary, 2, tally)


@pytest.mark.slow
def test_files_that_are_cut_under_processes_that_search_for_longer(
    place: Path, small_glossary: Path, rounds: int, tally: Count
) -> None:
    cut_under_readers(place, small_glossary, 6 * rounds, tally)


def cut_under_readers(place: Path, small_glossary: Path, seconds: int, tally: Count) -> None:
    """Two processes of four threads; somebody cuts, zeroes and flips one file after the other, whenever it likes. A file
    that is mapped ends the process that touches what is gone."""
    corpus, folder = built(place / "start")
    limits = "from papersearch.index import flatfile; flatfile.READ_WHOLE_BYTES = flatfile.CHECK_ON_USE_BYTES = 0"
    code = f"{imports_for(small_glossary)}; {limits}\n{READER}"
    command = [sys.executable, "-c", code, str(corpus), str(folder), str(seconds), "检测", "shared words"]
    readers = [
        subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    rng = random.Random(3)
    cuts = 0
    while any(reader.poll() is None for reader in readers):
        paths = sorted(path for path in folder.iterdir() if len(path.stem) == 16)
        with contextlib.suppress(OSError, ValueError):  # a build was faster
            path = rng.choice(paths)
            change_in_place(path, path.read_bytes(), rng.choice(("empty", "half", "zeroed", "flipped")), rng)
            cuts += 1
        time.sleep(rng.random() / 4)
    for reader in readers:
        out, err = reader.communicate()
        assert (reader.returncode, err) == (0, "")
        assert out.split()[1:] == [], out
    tally("damage", "files changed under processes that search", cuts)
    with open_index(corpus, folder) as index:
        assert answers(index) == right(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_no_file_of_ours_is_ever_changed_in_place(place: Path) -> None:
    """A reader has files open: builds write new ones, and rename or remove old ones."""
    corpus, folder = built(place / "start")
    for state in range(1, 6):
        before = {entry.name: (entry.inode(), entry.stat()) for entry in os.scandir(folder) if entry.name != "lock"}
        with open_index(put(corpus, state), folder):
            pass
        for entry in os.scandir(folder):
            inode, stat = before.get(entry.name, (0, None))
            if stat is not None and inode == entry.inode():
                assert (stat.st_size, stat.st_mtime_ns) == (entry.stat().st_size, entry.stat().st_mtime_ns), entry.name
