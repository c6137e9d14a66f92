"""docs/reliability.md says what is tested: every promise stands there, beside tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from torture.tally import BEGIN, END, PAGE, PROMISES

ROOT = Path(__file__).resolve().parents[2]


def rows() -> dict[str, tuple[list[str], str]]:
    """Promise → (the files that hold it, the counts)."""
    table = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    found = re.findall(r"^\| (.+?) \| (`.+?) \| (.+?) \|$", table, re.MULTILINE)
    return {promise: (re.findall(r"`(.+?)`", modules), counts) for promise, modules, counts in found}


def test_every_promise_is_in_the_table(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-golden"):
        pytest.skip("the table is being written")
    assert set(rows()) == set(PROMISES.values())
    for promise, (modules, counts) in rows().items():
        assert all((ROOT / module).is_file() for module in modules), promise
        assert re.fullmatch(r"—|[\d,]+ [^,]+(, [\d,]+ [^,]+)*", counts.replace("10,000 papers", "many papers")), promise


@pytest.mark.parametrize("name", PROMISES)
def test_a_test_holds_each_promise(name: str) -> None:
    sources = [*Path(__file__).parent.glob("test_*.py"), ROOT / "tests/test_supply_chain.py"]
    assert any(f'tally("{name}"' in source.read_text(encoding="utf-8") for source in sources)
