"""A coverage-guided fuzzer (atheris, not among the dependencies) over queries, headings and notes.

python tests/torture/fuzz.py queries|notes [options of libFuzzer: -runs=100000, a folder of finds, a file to repeat]

Anything but an answer or a PapersearchError is a find, and so is an input that takes ten seconds.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["papersearch"]):
    from papersearch import PapersearchError, digest, files, open_index, query, search, snippets  # noqa: F401

DIGEST = """## Vision

### DBNet: Real-time Scene Text Detection[AAAI'20][HUST]
- 可微的二值化，文本检测 with differentiable binarization, [4,4,c] C++ x_i

### YOLOv7[CVPR'23]
- detector, E-ELAN, conv1x1, 後門攻擊
"""


def fuzz_queries(data: bytes) -> None:
    """One query over a small index; what it finds is shown with its excerpts."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        found = INDEX.search(text, explain=True, facets=True)
    except PapersearchError as error:
        assert "\n" not in str(error)
        return
    assert all("\n" not in notice for notice in found.notices)
    assert len(found.hits) <= found.total


def fuzz_notes(data: bytes) -> None:
    """One file of notes, in parts and together with a companion; every paper can be stored and read again."""
    text, _ = files.decode(data)
    note, companion = digest.parse_note("a.md", text), digest.parse_note("b.md", "about yaks\n")
    rows = digest.read_together([note, companion]).rows
    for paper in [row.paper for path in ("a.md", "b.md") for row in rows[path] if row.paper]:
        assert 1 <= paper.line <= paper.end_line
        digest.Paper.from_stored(paper.stored(), paper.path, paper.line, paper.end_line)


if __name__ == "__main__":
    target = {"queries": fuzz_queries, "notes": fuzz_notes}[sys.argv.pop(1)]
    with tempfile.TemporaryDirectory() as name:
        Path(name, "d.md").write_text(DIGEST, encoding="utf-8")
        INDEX = open_index(Path(name, "d.md"), Path(name, "index"))
        atheris.Setup([sys.argv[0], "-timeout=10", *sys.argv[1:]], target)
        atheris.Fuzz()
