"""A disk that is full, fails or may not be written, at every file operation of a build: the old index stays."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from papersearch import open_index
from papersearch.api import build_index
from papersearch.errors import IndexFolderError
from papersearch.index.verify import verify
from torture.faults import Fault, steps_of, struck
from torture.scene import answers, built, debris, put, right

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")

Count = Callable[[str, str, int], None]


CODES = (errno.ENOSPC, errno.EIO, errno.EACCES)


@pytest.mark.parametrize("stays", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)
def test_an_operation_that_fails_leaves_the_old_index(place: Path, code: int, stays: bool, tally: Count) -> None:
    """Every sixth of them, each time another sixth."""
    fail_operations(place, code, stays, 6, 2 * CODES.index(code) + stays, tally)


@pytest.mark.slow
@pytest.mark.parametrize("stays", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)
def test_any_operation_that_fails_leaves_the_old_index(place: Path, code: int, stays: bool, tally: Count) -> None:
    fail_operations(place, code, stays, 1, 0, tally)


def fail_operations(place: Path, code: int, stays: bool, every: int, first: int, tally: Count) -> None:
    corpus, folder = built(place / "start")
    put(corpus, 1)
    shutil.copytree(folder, place / "probe")

    def work() -> None:
        try:
            build_index(corpus, folder)
        except IndexFolderError as error:
            assert os.strerror(code) in str(error) and "\n" not in str(error)

    steps = steps_of(folder, work, place / "report")
    failing = range(first, len(steps), every)
    for at in failing:
        shutil.rmtree(folder)
        shutil.copytree(place / "probe", folder)
        assert struck(folder, Fault(at, code, stays=stays), work) == 0, steps[at]
        with open_index(corpus, folder, refresh=False) as index:
            assert answers(index) in (right(0), right(1)), steps[at]
        if not steps[at].startswith("unlink"):
            assert not debris(folder), (steps[at], debris(folder))
        with open_index(corpus, folder) as index:
            assert answers(index) == right(1) and not index.notices, steps[at]
        assert verify(folder) == [] and not debris(folder)
    tally("disk", "failing operations", len(failing))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only the superuser may mount")
def test_a_disk_that_is_really_full(place: Path, tally: Count) -> None:
    """A file system of 256 KiB of which ever less is free."""
    mounted = place / "small"
    mounted.mkdir()
    corpus = put(place / "corpus", 0)
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(mounted)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        folder = mounted / "index"
        build_index(corpus, folder)
        refused = 0
        for free in range(0, 64, 4):
            (mounted / "filler").unlink(missing_ok=True)
            space = os.statvfs(mounted)
            (mounted / "filler").write_bytes(bytes(max(0, space.f_bavail * space.f_frsize - free * 1024)))
            with open_index(corpus, folder, refresh=False) as index:
                before = answers(index)
            put(corpus, 1 + free // 4 % 4)
            try:
                build_index(corpus, folder)
            except IndexFolderError as error:
                assert os.strerror(errno.ENOSPC) in str(error)
                refused += 1
                with open_index(corpus, folder, refresh=False) as index:
                    assert answers(index) == before
                with open_index(corpus, folder) as index:
                    assert answers(index) == before
                    assert os.strerror(errno.ENOSPC) in index.notices[0] and "last finished build" in index.notices[0]
            assert not debris(folder)
        (mounted / "filler").unlink()
        with open_index(corpus, folder) as index:
            assert answers(index) == right(4)
        assert refused > 1 and verify(folder) == []
    finally:
        subprocess.run(["umount", str(mounted)], check=True)
    tally("disk", "builds on a full disk", refused)
