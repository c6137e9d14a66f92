"""What tests of several modules share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No deadline: a first example loads jieba's dictionary. The same examples everywhere: a failure here is one there.
settings.register_profile(
    "suite", deadline=None, max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")

pytest_plugins = ["torture.tally"]

GOLDEN = Path(__file__).parent / "golden"
ESCAPE, SHOWN_ESCAPE = "\x1b", "␛"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the files of tests/golden anew, to be reviewed as a diff"
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """golden(name, text): the text is what tests/golden/name holds. Escape characters are kept there as ␛."""

    def compare(name: str, text: str) -> None:
        assert SHOWN_ESCAPE not in text
        data = text.replace(ESCAPE, SHOWN_ESCAPE).encode()
        file = GOLDEN / name
        if request.config.getoption("--update-golden"):
            GOLDEN.mkdir(exist_ok=True)
            file.write_bytes(data)
        assert file.is_file(), f"{file} is missing; write it with --update-golden"
        assert data.decode() == file.read_bytes().decode()

    return compare
