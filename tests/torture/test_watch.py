"""`papersearch index --watch`: one line per refresh, never two builds at once, a quiet end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, Queue

import pytest

from papersearch import open_index
from papersearch.index.lock import WriteLock
from torture.scene import answers, environment, program, put, right

Count = Callable[[str, str, int], None]

EAGER = "from papersearch.cli import commands; commands.WATCH_EVERY_S = 0.02; api.BUILD_LOCK_S = 0.1"


class Watcher:
    """A running `index --watch`; lines of both streams as they come."""

    def __init__(self, glossary: Path, corpus: Path, folder: Path) -> None:
        self.process = subprocess.Popen(
            [*program(glossary, EAGER), "index", str(corpus), "--index", str(folder), "--watch"],
            env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.out: Queue[str] = Queue()
        self.err: Queue[str] = Queue()
        for stream, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err)):
            threading.Thread(target=lambda s, q: [q.put(line) for line in s], args=(stream, lines), daemon=True).start()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(20)


@pytest.fixture
def watcher(place: Path, small_glossary: Path) -> Iterator[Watcher]:
    started = Watcher(small_glossary, put(place / "corpus", 0), place / "index")
    yield started
    started.process.kill()
    started.process.wait()


@pytest.mark.skipif(os.name == "nt", reason="needs SIGINT")
def test_watching(place: Path, watcher: Watcher, tally: Count) -> None:
    corpus, folder = place / "corpus", place / "index"
    assert "6" in watcher.out.get(timeout=60)
    for state in (1, 2, 3):
        put(corpus, state)
        line = watcher.out.get(timeout=30)
        while True:  # the notes were written one by one, so a look may have come in between
            with open_index(corpus, folder, refresh=False) as index:
                if answers(index) == right(state):
                    break
            time.sleep(0.02)
        assert line.count("\n") == 1 and "changed" in line
    time.sleep(0.3)
    while not watcher.out.empty():
        watcher.out.get()
    time.sleep(0.3)
    assert watcher.out.empty(), "nothing changed, nothing said"

    held = WriteLock(str(folder), 1)
    put(corpus, 4)
    assert f"process {os.getpid()}" in watcher.err.get(timeout=30)
    time.sleep(0.3)
    held.release()
    assert "changed" in watcher.out.get(timeout=30)

    shutil.move(corpus, place / "away")
    assert "no corpus" in watcher.err.get(timeout=30)
    with pytest.raises(Empty):
        watcher.err.get(timeout=0.3)
    assert watcher.stop() == 0
    assert watcher.err.empty()
    tally("watch", "refreshes", 4)


def test_watching_has_no_dry_run(place: Path, small_glossary: Path) -> None:
    command = [*program(small_glossary), "index", str(place), "--watch", "--dry-run"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "--dry-run" in done.stderr
