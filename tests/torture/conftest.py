"""What the tests of durability share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from papersearch.analysis.words import jieba_words
from torture import scene


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
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill does not undo what was written, synced or not; power failures are played by faults.Disk."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(autouse=True, scope="session")
def _dictionary() -> None:
    """Loaded before anything forks."""
    list(jieba_words("检测"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A folder that is removed at once: pytest would keep thousands of copies of an index for three runs."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture
def real_origin() -> None:
    """Asked for by tests in which a copy of an index is foreign."""


@pytest.fixture(autouse=True)
def _copies_count_as_built_here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests begin again and again with a copy of the same index, which is not what an index may be."""
    if "real_origin" not in request.fixturenames:
        monkeypatch.setattr("papersearch.index.origin.is_foreign", lambda folder, stamped: False)
