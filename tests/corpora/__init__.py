"""Small digests of our own, and what tests need to make more of them."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from papersearch.digest import Corpus, read_corpus
from papersearch.paper import Paper

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
SHIPPED = REPOSITORY / "corpus"
MIXED = HERE / "mixed"
"""A digest with two companions: Chinese and English, filters of every kind, one paper without a bracket group."""
LINKS = HERE / "links"
"""Companions behind odd paths, and links that lead nowhere."""


def write_notes(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Put files into a folder; text is written as UTF-8 with its line ends as they are."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    return folder


def read(*roots: Path) -> Corpus:
    return read_corpus(list(roots))[0]


def papers_in(folder: Path, files: Mapping[str, str | bytes]) -> list[Paper]:
    """The papers of a corpus of these files."""
    return read(write_notes(folder, files)).papers


@cache
def index_of(corpus: Path) -> Path:
    """The index folder of a corpus that no test changes, built once per process."""
    from papersearch.api import build_index

    folder = Path(tempfile.mkdtemp(prefix="papersearch-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    build_index(corpus, folder)
    return folder
