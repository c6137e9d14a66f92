"""Killed builds, power failures, disks that are full or fail: at every file operation of a build and of an update."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest

from papersearch import open_index
from papersearch.api import build_index
from papersearch.errors import IndexMissingError, PapersearchError
from papersearch.index.verify import verify
from torture import scene
from torture.faults import KILLED, KINDS, Fault, lose_power, steps_of, struck, unsynced
from torture.scene import answers, built, debris, put, right

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")

Count = Callable[[str, str, int], None]

BUILDS = ("first", "update", "rebuild")


def start(place: Path, build: str) -> tuple[Path, Path, Callable[[], object], int | None]:
    """(corpus in its new state, index in its old one, the build to be struck, number of the old state)."""
    if build == "first":
        corpus, folder, old = put(place / "corpus", 1), place / "index", None
    else:
        corpus, folder = built(place)
        build_index(put(corpus, 2), folder)  # two generations, so that the third removes files
        old = 2
        put(corpus, 1)
    return corpus, folder, lambda: build_index(corpus, folder, rebuild=build == "rebuild"), old


def answered_as_it_is(folder: Path, corpus: Path) -> scene.Answers | None:
    """What the last finished build answers; None where there is none."""
    try:
        with open_index(corpus, folder, refresh=False) as index:
            return answers(index)
    except IndexMissingError:
        return None


def assert_old_or_new(corpus: Path, folder: Path, old: int | None) -> None:
    """The folder holds one whole generation; the next search has the new one, and the next build leaves no debris."""
    found = answered_as_it_is(folder, corpus)
    assert found in (None if old is None else right(old), right(1))
    assert found is None or verify(folder) == []
    with open_index(corpus, folder) as index:
        assert answers(index) == right(1)
        assert not index.notices
    if debris(folder):  # a build that had nothing to do may leave it to the next one that has
        build_index(corpus, folder, rebuild=True)
    assert not debris(folder) and verify(folder) == []


@pytest.mark.parametrize("torn", [False, True], ids=["before", "torn"])
@pytest.mark.parametrize("build", BUILDS)
def test_a_build_killed_at_a_file_operation(place: Path, build: str, torn: bool, tally: Count) -> None:
    """At every sixth of them, each time another sixth."""
    kill_at_operations(place, build, torn, 6, 2 * BUILDS.index(build) + torn, tally)


@pytest.mark.slow
@pytest.mark.parametrize("torn", [False, True], ids=["before", "torn"])
@pytest.mark.parametrize("build", BUILDS)
def test_a_build_killed_at_any_file_operation(place: Path, build: str, torn: bool, tally: Count) -> None:
    kill_at_operations(place, build, torn, 1, 0, tally)


def kill_at_operations(place: Path, build: str, torn: bool, every: int, first: int, tally: Count) -> None:
    corpus, folder, work, old = start(place / "start", build)
    shutil.copytree(folder, place / "probe") if folder.exists() else None
    steps = steps_of(folder, work, place / "report")
    shutil.rmtree(folder, ignore_errors=True)
    assert len(steps) > 15 and {step.split()[0] for step in steps} >= {"open", "write", "replace", "fsync"}
    kills = range(first, len(steps), every)
    for at in kills:
        if (place / "probe").exists():
            shutil.copytree(place / "probe", folder)
        assert struck(folder, Fault(at, torn=torn), work) == KILLED, steps[at]
        assert_old_or_new(corpus, folder, old)
        shutil.rmtree(folder)
    tally("kill", "kills", len(kills))


def test_kill_9_at_random_moments(place: Path, tally: Count) -> None:
    kill_at_random(place, 40, random.Random(1), tally)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(2))
def test_kill_9_at_many_more_random_moments(place: Path, part: int, rounds: int, tally: Count) -> None:
    kill_at_random(place, 85 * rounds, random.Random(2 + part), tally)


def kill_at_random(place: Path, wanted: int, rng: random.Random, tally: Count) -> None:
    """By a signal, from outside, wherever the process happens to be; each build begins where the killed one ended."""
    corpus, folder = built(place)
    kills = tries = last = 0
    longest_s = 0.05  # that a build took: they are killed at any time up to it, however fast the machine is now
    while kills < wanted:
        tries += 1
        assert tries < 5 * wanted, "most builds were over before they were killed"
        before, last = last, rng.randrange(1, 6)
        put(corpus, last)
        started = time.monotonic()
        pid = os.fork()
        if not pid:
            try:
                build_index(corpus, folder, rebuild=rng.random() < 0.5)
            finally:
                os._exit(0)
        time.sleep(rng.uniform(0.0, longest_s))
        if os.waitpid(pid, os.WNOHANG)[0]:
            longest_s *= 0.8
        else:
            os.kill(pid, signal.SIGKILL)
            killed = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
            kills += killed
            longest_s = max(longest_s, 1.2 * (time.monotonic() - started))
        assert answered_as_it_is(folder, corpus) in (right(before), right(last))
        with open_index(corpus, folder) as index:
            assert answers(index) == right(last)
            assert not index.notices
    assert verify(folder) == []
    tally("kill", "kills", kills)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("build", BUILDS)
def test_a_power_failure_at_a_file_operation(place: Path, build: str, kind: str, tally: Count) -> None:
    lose_power_at_random(place, build, kind, range(5), tally)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("build", BUILDS)
def test_many_more_power_failures(place: Path, build: str, kind: str, rounds: int, tally: Count) -> None:
    lose_power_at_random(place, build, kind, range(5, 100 * rounds // len(BUILDS) + 1), tally)


def lose_power_at_random(place: Path, build: str, kind: str, seeds: range, tally: Count) -> None:
    """What was not synced is damaged; then a search answers right, saying so where it had to build anew."""
    corpus, folder, work, old = start(place / "start", build)
    folder.mkdir(exist_ok=True)
    shutil.copytree(folder, place / "probe")
    steps = steps_of(folder, work, place / "log")
    failures = 0
    for seed in seeds:
        rng = random.Random(f"{build} {kind} {seed}")
        at = rng.randrange(len(steps) + 1)
        shutil.rmtree(folder)
        shutil.copytree(place / "probe", folder)
        report = place / "report"
        assert struck(folder, Fault(at), work, report) == KILLED
        failures += bool(lose_power(unsynced(report), kind, rng))
        try:
            found = answered_as_it_is(folder, corpus)
            assert found in (None if old is None else right(old), right(1)), (at, steps[at : at + 1])
        except PapersearchError as error:
            assert "\n" not in str(error)
        with open_index(corpus, folder) as index:
            assert answers(index) == right(1), (at, steps[at : at + 1])
            assert len(index.notices) <= 1
        assert verify(folder) == []
    tally("power", "power failures", len(seeds))
    tally("power", "that damaged something", failures)


@pytest.mark.parametrize("build", ["first", "rebuild"])
def test_a_dictionary_survives_as_the_index_does(place: Path, dictionary: str, build: str, tally: Count) -> None:
    crash_with_dictionary(place, dictionary, build, 4, tally)


@pytest.mark.slow
@pytest.mark.parametrize("build", BUILDS)
def test_a_dictionary_survives_any_crash(place: Path, dictionary: str, build: str, tally: Count) -> None:
    crash_with_dictionary(place, dictionary, build, 1, tally)


def crash_with_dictionary(place: Path, word: str, build: str, every: int, tally: Count) -> None:
    """Kills and power failures at file operations of builds in whose index folder a dictionary is compiled, which no
    table names: whenever the index answers, it answers with its dictionary."""
    corpus, folder, work, _ = start(place / "start", build)
    folder.mkdir(exist_ok=True)
    shutil.copytree(folder, place / "probe")
    steps = steps_of(folder, work, place / "log")
    dictionary = [number for number, step in enumerate(steps) if "dictionary.bin" in step]
    assert build == "update" or {"write", "fsync", "replace"} <= {steps[number].split()[0] for number in dictionary}
    queries = ("same words", word)
    right_now = right(1, queries)
    assert right_now[word]
    near = {number + after for number in dictionary for after in (0, 1)}
    struck_at = sorted({*range(0, len(steps), every), *near} & set(range(len(steps))))
    for number, at in enumerate(struck_at):
        kind = (*KINDS, None)[number % (len(KINDS) + 1)]
        shutil.rmtree(folder)
        shutil.copytree(place / "probe", folder)
        assert struck(folder, Fault(at), work, place / "report") == KILLED
        if kind is not None:
            lose_power(unsynced(place / "report"), kind, random.Random(at))
        with open_index(corpus, folder) as index:
            assert answers(index, queries) == right_now, (kind, steps[at])
            assert len(index.notices) <= 1
        assert verify(folder) == []
    tally("power", "crashes with a dictionary", len(struck_at))


@needs_proc
def test_kill_9_while_several_processes_build(place: Path, tally: Count) -> None:
    kill_parallel(place, 1, tally)


@needs_proc
@pytest.mark.slow
def test_kill_9_at_many_more_moments_while_several_processes_build(place: Path, rounds: int, tally: Count) -> None:
    kill_parallel(place, 6 * rounds, tally)


def kill_parallel(place: Path, wanted: int, tally: Count) -> None:
    """The process that leads a build is killed: those that help it end by themselves, and nothing of theirs is kept."""
    corpus, folder = built(place)
    rng = random.Random(4)
    kills = tries = last = 0
    longest_s = 1.0
    while kills < wanted:
        tries += 1
        assert tries < 5 * wanted, "most builds were over before they were killed"
        before, last = last, rng.randrange(1, 6)
        put(corpus, last)
        started = time.monotonic()
        pid = os.fork()
        if not pid:
            os.setsid()  # so that its helpers are found again
            try:
                with mock.patch("papersearch.index.workers.workers_for", lambda papers: 2):
                    build_index(corpus, folder, rebuild=True)
            finally:
                os._exit(0)
        time.sleep(longest_s * (kills + rng.random()) / wanted)
        if os.waitpid(pid, os.WNOHANG)[0]:
            longest_s *= 0.8
        else:
            os.kill(pid, signal.SIGKILL)
            kills += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
            longest_s = max(longest_s, 1.2 * (time.monotonic() - started))
        wait_until_gone(pid)
        assert answered_as_it_is(folder, corpus) in (right(before), right(last))
        with open_index(corpus, folder) as index:
            assert answers(index) == right(last)
            assert not index.notices
        build_index(corpus, folder, rebuild=True)
        assert not debris(folder) and verify(folder) == []
    tally("kill", "kills of builds by several processes", kills)


def wait_until_gone(group: int) -> None:
    """Until no process of the group lives; they have half a minute. Where nobody buries them their entries stay."""
    deadline = time.monotonic() + 30
    while living := _living(group):
        if time.monotonic() > deadline:
            os.killpg(group, signal.SIGKILL)
            raise AssertionError(f"helpers of a build that was killed are still there: {living}")
        time.sleep(0.02)


def _living(group: int) -> list[int]:
    """Ids of the group's processes that are no zombies."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it ended meanwhile
            state, _, its_group = Path("/proc", name, "stat").read_text(errors="replace").rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                found.append(int(name))
    return found
