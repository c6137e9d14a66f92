"""The coverage-guided fuzzer, where atheris is installed (`pip install atheris`); see fuzz.py."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from torture.scene import environment


@pytest.mark.slow
@pytest.mark.parametrize("target", ["queries", "notes"])
def test_no_input_is_a_find(target: str, tmp_path: Path, rounds: int, tally: Callable[[str, str, int], None]) -> None:
    pytest.importorskip("atheris")
    fuzzer = Path(__file__).with_name("fuzz.py")
    done = subprocess.run(
        [sys.executable, str(fuzzer), target, f"-max_total_time={20 * rounds}", f"-artifact_prefix={tmp_path}/"],
        capture_output=True, text=True, env=environment(), cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    runs = re.search(r"Done (\d+) runs", done.stderr)
    assert runs and int(runs[1]) > 500, done.stderr[-2000:]
    tally(target, "inputs of a coverage-guided fuzzer", int(runs[1]))
