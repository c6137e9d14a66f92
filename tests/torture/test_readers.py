"""Processes and threads that search while a writer commits, and writers that meet."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from papersearch.api import build_index
from papersearch.index.lock import WriteLock
from torture.scene import built, environment, program, put

Count = Callable[[str, str, int], None]

READER = """
import re, sys, threading, time
from papersearch import glossary, open_index
from papersearch.glossary import cedict

corpus, folder, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
glossary.sources, cedict.installed = lambda: sys.argv[4:], lambda: ""
end, wrong, counts, shared = time.monotonic() + seconds, [], [], open_index(corpus, folder, refresh=False)

def look(index):
    hits = index.search("same words", limit=None).hits
    states = {state for hit in hits for section in hit.paper.sections for state in re.findall(r"state(\\d+)", section.text)}
    if len(states) != 1 or len(hits) < 5:
        wrong.append(f"{len(hits)} hits of the states {sorted(states)}")

def search(number):
    done = 0
    try:
        while time.monotonic() < end:
            if number % 2:
                look(shared)
            else:
                with open_index(corpus, folder, refresh=False) as index:
                    look(index)
            done += 1
    except Exception as error:
        wrong.append(repr(error))
    counts.append(done)

threads = [threading.Thread(target=search, args=(n,)) for n in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(sum(counts), *wrong[:3])
"""


def test_readers_beside_a_writer(place: Path, small_glossary: Path, tally: Count) -> None:
    read_beside_a_writer(place, small_glossary, 3, tally)


@pytest.mark.slow
def test_readers_beside_a_writer_for_longer(place: Path, small_glossary: Path, rounds: int, tally: Count) -> None:
    read_beside_a_writer(place, small_glossary, min(60, 8 * rounds), tally)


def read_beside_a_writer(place: Path, small_glossary: Path, seconds: int, tally: Count) -> None:
    """4 processes of 8 threads; every paper says in which state it is, and every answer must show one state only."""
    corpus, folder = built(place / "start")
    command = [sys.executable, "-c", READER, str(corpus), str(folder), str(seconds), str(small_glossary)]
    readers = [
        subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    commits = 0
    while any(reader.poll() is None for reader in readers):
        commits += 1
        build_index(put(corpus, 6 * commits + 1), folder, rebuild=commits % 5 == 0)
    searches = 0
    for reader in readers:
        out, err = reader.communicate()
        assert (reader.returncode, err) == (0, "")
        done, *wrong = out.split(maxsplit=1)
        assert not wrong
        searches += int(done)
    assert commits > seconds // 2 and searches > 10 * seconds  # however much else the machine has to do
    tally("readers", "searches", searches)
    tally("readers", "commits beside them", commits)


def test_a_second_writer_waits_for_the_first(place: Path, tally: Count) -> None:
    corpus, folder = built(place / "start")
    put(corpus, 1)
    held = WriteLock(str(folder), 0)
    timer = threading.Timer(0.6, held.release)
    timer.start()
    started = time.monotonic()
    assert build_index(corpus, folder).any
    assert time.monotonic() - started > 0.5
    timer.join()
    tally("writers", "waits", 1)


def test_a_second_writer_says_for_whom_it_waited(place: Path, small_glossary: Path, tally: Count) -> None:
    corpus, folder = built(place / "start")
    put(corpus, 1)
    held = WriteLock(str(folder), 0)
    try:
        where = [str(corpus), "--index", str(folder)]
        command = [*program(small_glossary, "api.BUILD_LOCK_S = 0.3"), "index", *where]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True)
        assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
        assert re.search(rf"process {os.getpid()} since \d{{4}}-", done.stderr)
        search = [*program(small_glossary), "search", "shared", "--corpus", *where]
        done = subprocess.run(search, env=environment(), capture_output=True, text=True)
        assert done.returncode == 0 and "answered from the last finished build" in done.stderr
    finally:
        held.release()
    tally("writers", "refusals", 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_the_lock_of_a_killed_writer_is_free(place: Path, tally: Count) -> None:
    corpus, folder = built(place / "start")
    for state in range(1, 6):
        pid = os.fork()
        if not pid:
            WriteLock(str(folder), 0)
            os._exit(9)
        os.waitpid(pid, 0)
        assert build_index(put(corpus, state), folder).any
    tally("writers", "dead holders", 5)
