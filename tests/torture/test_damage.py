"""Index files that were changed, shortened or zeroed: no wrong answer, no traceback, no crash."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from papersearch import PapersearchError, open_index
from papersearch.api import build_index
from papersearch.index.toc import LOCK_NAME, PLACES, read_toc
from papersearch.index.verify import verify
from torture.faults import garble
from torture.scene import answers, built, environment, program, put, right

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


def test_no_damage_gives_a_wrong_answer(place: Path, tally: Count) -> None:
    damage_all(place, range(8), tally)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(2))
def test_no_damage_gives_a_wrong_answer_many_more(place: Path, part: int, rounds: int, tally: Count) -> None:
    damage_all(place, range(8 + part, 200 * rounds, 2), tally)


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
    name = f"{read_toc(str(folder)).places[0]}.{PLACES}"  # type: ignore[index]
    sound = (folder / name).read_bytes()
    shutil.copytree(folder, place / "sound")
    for at in range(0, len(sound), every):
        shutil.rmtree(folder)
        shutil.copytree(place / "sound", folder)
        (folder / name).write_bytes(sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
        with open_index(corpus, folder) as index:
            assert answers(index) == right(1), at
            assert len(index.notices) <= 1
    tally("damage", "damaged files", len(range(0, len(sound), every)))


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


MAPPED = """
import os, sys
from papersearch import open_index
with open_index(sys.argv[1], sys.argv[2], refresh=False) as index:
    files = [e.path for e in os.scandir(sys.argv[2]) if len(e.name.partition(".")[0]) == 16]
    index.search("zebra")
    for path in files:
        os.truncate(path, 100)
    print(len(index.search("zebra yak", limit=None)), max(map(int, sys.argv[3:])))
"""


def test_files_that_are_shortened_under_a_reader(place: Path) -> None:
    """A file read whole cannot fault. Larger ones are mapped: nothing of ours ever shortens one (docs/reliability.md)."""
    corpus, folder = built(place / "start")
    code = [sys.executable, "-c", MAPPED.replace("zebra yak", "shared words").replace("zebra", "同"), str(corpus), str(folder), "0"]  # fmt: skip
    done = subprocess.run(code, env=environment(), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[0] != "0"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_no_file_of_ours_is_ever_changed_in_place(place: Path) -> None:
    """A mapped file must not shrink under its reader: builds write new files, and rename or remove old ones."""
    corpus, folder = built(place / "start")
    for state in range(1, 6):
        before = {entry.name: (entry.inode(), entry.stat()) for entry in os.scandir(folder) if entry.name != "lock"}
        with open_index(put(corpus, state), folder):
            pass
        for entry in os.scandir(folder):
            inode, stat = before.get(entry.name, (0, None))
            if stat is not None and inode == entry.inode():
                assert (stat.st_size, stat.st_mtime_ns) == (entry.stat().st_size, entry.stat().st_mtime_ns), entry.name
