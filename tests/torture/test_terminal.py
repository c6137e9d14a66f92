"""Control characters of notes, names and errors: none reaches a terminal or a pipe, in any command."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from corpora import write_notes
from papersearch.cli import program

Count = Callable[[str, str, int], None]

EVIL = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\u2066\x08\x0e\x7f"
STEERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
NOTES: dict[str, str | bytes] = {
    f"a{EVIL}.md": f"## Kind{EVIL}\n### Evil{EVIL} net[KDD{EVIL}'18][Org{EVIL}]\n- zebra {EVIL} [x](gone{EVIL}.md) https://e.org/{EVIL}\n",
    f"b{EVIL}.md": b"### \xff\xfe[ICML'20]\n- zebra \x1b[31m\n",
    f"c{EVIL}\n.md": "### C[ICML'20]\n- zebra\n",
    "terms.txt": f"{EVIL} = | {EVIL}\n{EVIL}\n",
}
COMMANDS = [
    ["index"], ["search", "zebra"], ["search", f"zebra{EVIL}"], ["search", "zebra", "--explain"], ["search", "--facets"],
    ["search", "zebra", "--format", "paths"], ["list"], ["facets"], ["check"], ["status"], ["doctor"],
    ["show", f"x{EVIL}"], ["search", "x", "--year", f"20{EVIL}"], ["facets", f"x{EVIL}"], [f"x{EVIL}"], ["search", "x", f"--{EVIL}"],
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: ascii(" ".join(command))[:40])
def test_nothing_steers_the_terminal(place: Path, command: list[str], tally: Count) -> None:
    try:
        corpus = write_notes(place / f"corpus{EVIL}", NOTES)
    except OSError:
        pytest.skip("this file system refuses such names")
    where = ["--corpus", str(corpus), "--index", str(place / f"index{EVIL}")]
    runner = CliRunner()
    assert runner.invoke(program, ["index", *where]).exit_code == 0
    done = runner.invoke(
        program, [*command, *(where if command[0] in program.list_commands(click.Context(program)) else [])]
    )
    assert done.exit_code in (0, 1, 2)
    assert not STEERS.search(done.stdout), ascii(done.stdout)
    assert not STEERS.search(done.stderr), ascii(done.stderr)
    tally("terminal", "commands", 1)
