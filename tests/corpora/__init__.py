"""Small digests of our own, and what tests need to make more of them."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from papersearch.digest import Corpus, read_corpus
from papersearch.glossary.compiled import compile_glossary
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
    return read_corpus(list(roots), check_links=True)[0]


def papers_in(folder: Path, files: Mapping[str, str | bytes]) -> list[Paper]:
    """The papers of a corpus of these files."""
    return read(write_notes(folder, files)).papers


def _temporary_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="papersearch-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def index_of(corpus: Path) -> Path:
    """The index folder of a corpus that no test changes, built once per process."""
    from papersearch.api import build_index

    folder = _temporary_folder()
    build_index(corpus, folder)
    return folder


_compiled: dict[str, Path] = {}


def copy_glossary(path: str, groups: Iterable[Any], related: Iterable[Any], signature: str) -> None:
    """In the place of compile_glossary(), for tests that fill many index folders: compiles once, then copies."""
    if signature not in _compiled:
        compiled = _temporary_folder() / "glossary"
        compile_glossary(str(compiled), groups, related, signature)
        _compiled[signature] = compiled
    shutil.copyfile(_compiled[signature], path)
