"""JSON of an index is read as the json module reads it, also where that is not loaded."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from papersearch.index.objects import loads

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(values)
def test_a_value_comes_back(value: object) -> None:
    for ascii_only in (True, False):
        assert loads(json.dumps(value, ensure_ascii=ascii_only)) == value


BROKEN = [
    "",
    "{",
    '{"a":',
    '{"a" 1}',
    "[1,",
    "[1 2]",
    '"a',
    '"\n"',
    '"\\x"',
    '"\\ud8"',
    "nul",
    "-",
    "1 2",
    "{} {}",
    "[]x",
]


@pytest.mark.parametrize("text", BROKEN, ids=repr)
def test_what_is_no_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        loads(text)


@given(st.text(alphabet='{}[]":,\\ 0123456789-.eEtrufalsn\n') | st.text())
def test_any_text_is_json_or_a_value_error(text: str) -> None:
    try:
        found = loads(text)
    except ValueError:
        return
    assert json.dumps(found) == json.dumps(json.loads(text))


def test_errors_are_told_where_the_json_module_is_not_loaded() -> None:
    code = (
        "import sys; from papersearch.index.objects import loads; assert 'json' not in sys.modules\n"
        f"for text in {BROKEN!r}:\n    try:\n        loads(text)\n    except ValueError:\n        continue\n"
        "    raise SystemExit(repr(text))"
    )
    for text in BROKEN:  # each is the first that meets the scanner without the module
        done = subprocess.run([sys.executable, "-c", code.replace(repr(BROKEN), repr([text]))], capture_output=True)
        assert (done.returncode, done.stderr) == (0, b""), text


def test_nesting_has_an_end() -> None:
    with pytest.raises(RecursionError):
        loads("[" * 100_000)
