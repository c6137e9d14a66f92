"""Where corpus and index are: order of the sources, papersearch.toml, and what is told when there is nothing."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import pytest

from papersearch.errors import UsageError
from papersearch.settings import Places, find_places


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with nothing in it; no folder above it holds a corpus."""
    monkeypatch.chdir(tmp_path)
    if any((folder / name).exists() for folder in tmp_path.parents for name in ("corpus", "papersearch.toml")):
        pytest.skip("a folder above that of temporary files holds a corpus")
    return Path(os.getcwd())


def found(corpus: tuple[str, ...] = (), index: str | None = None, **environment: str) -> Places:
    return find_places(corpus, index, environment)


def test_the_nearest_folder_upwards_that_holds_a_corpus(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "corpus").mkdir()
    deep = here / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert found() == Places((str(here / "corpus"),), str(here / "index"))
    (here / "a" / "corpus").mkdir()
    assert found() == Places((str(here / "a" / "corpus"),), str(here / "a" / "index"))


def test_a_file_named_corpus_is_no_corpus(here: Path) -> None:
    (here / "corpus").write_text("")
    with pytest.raises(UsageError):
        found()


def test_settings_count_as_a_place_even_without_a_corpus_folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "papersearch.toml").write_text("")
    (here / "sub").mkdir()
    monkeypatch.chdir(here / "sub")
    assert found() == Places((str(here / "corpus"),), str(here / "index"))


def test_nothing_found_says_what_to_do(here: Path) -> None:
    with pytest.raises(UsageError, match=r"--corpus or PAPERSEARCH_CORPUS$"):
        found()
    with pytest.raises(UsageError, match="no corpus found"):
        found(index="elsewhere")


def test_option_beats_environment_beats_settings_beats_default(here: Path) -> None:
    (here / "corpus").mkdir()
    environment = {"PAPERSEARCH_CORPUS": "from-env", "PAPERSEARCH_INDEX": "env-index"}
    assert found() == Places((str(here / "corpus"),), str(here / "index"))
    (here / "papersearch.toml").write_text('corpus = "notes"\nindex = "/var/idx"\n')
    assert found() == Places((str(here / "notes"),), os.path.join(str(here), "/var/idx"))
    assert found(**environment) == Places(("from-env",), "env-index")
    assert found(("one", "two"), "given", **environment) == Places(("one", "two"), "given")
    assert found(("one",), None, PAPERSEARCH_INDEX="env-index") == Places(("one",), "env-index")


def test_an_empty_variable_is_as_good_as_none(here: Path) -> None:
    (here / "corpus").mkdir()
    assert found(PAPERSEARCH_CORPUS="", PAPERSEARCH_INDEX="") == found()


def test_variables_know_the_home_folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here))
    monkeypatch.setenv("USERPROFILE", str(here))
    places = found(PAPERSEARCH_CORPUS="~/notes", PAPERSEARCH_INDEX=os.path.join("~", "idx"))
    assert [Path(p) for p in (*places.corpus, places.index)] == [here / "notes", here / "idx"]


def test_a_named_corpus_away_from_everything_is_indexed_here(here: Path) -> None:
    assert found(("notes",)) == Places(("notes",), str(here / "index"))


def test_settings_may_name_several_corpora_relative_to_themselves(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "papersearch.toml").write_text('corpus = ["a", "b/c.md"]\nindex = "idx"\n', encoding="utf-8-sig")
    (here / "sub").mkdir()
    monkeypatch.chdir(here / "sub")
    assert found() == Places((str(here / "a"), str(here / "b/c.md")), str(here / "idx"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("corpora = 'x'", "unknown key 'corpora'; the keys are corpus and index"),
        ("corpus = 3", "corpus must be a path or a list of paths"),
        ("corpus = []", "corpus must be a path or a list of paths"),
        ("corpus = ['a', 3]", "corpus must be a path or a list of paths"),
        ("corpus = ''", "corpus must be a path or a list of paths"),
        ('index = "a\\u0000b"', "index must be a path"),
        ("index = ['a']", "index must be a path"),
        ("[index]", "index must be a path"),
        ("corpus = ", "is not TOML"),
        ("corpus = " + "[" * 20_000, "is not TOML"),
    ],
)
def test_wrong_settings_are_told_in_one_line_with_their_place(here: Path, text: str, said: str) -> None:
    (here / "papersearch.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        found()
    message = str(caught.value)
    assert said in message
    assert message.startswith(str(here / "papersearch.toml"))
    assert "\n" not in message


def test_settings_in_another_encoding_are_told(here: Path) -> None:
    (here / "papersearch.toml").write_bytes('corpus = "笔记"'.encode("gbk"))
    with pytest.raises(UsageError, match="is not TOML"):
        found()


def test_settings_are_not_read_where_both_places_are_named(here: Path) -> None:
    (here / "papersearch.toml").write_text("broken =")
    assert found(("c",), "i") == Places(("c",), "i")
    assert found((), "i", PAPERSEARCH_CORPUS="c") == Places(("c",), "i")


def test_without_a_toml_reader_one_line_says_so(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "papersearch.toml").write_text("")
    real = importlib.import_module

    def missing(name: str, package: str | None = None) -> object:
        if name in ("tomllib", "tomli"):
            raise ImportError(name)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(UsageError, match="no TOML reader; install tomli"):
        found()


@pytest.mark.parametrize(("corpus", "index"), [(("",), None), (("a", ""), None), ((), "")])
def test_empty_paths_are_refused(here: Path, corpus: tuple[str, ...], index: str | None) -> None:
    (here / "corpus").mkdir()
    with pytest.raises(UsageError, match="an empty path"):
        found(corpus, index)


@pytest.mark.skipif(sys.platform == "win32", reason="the current folder cannot be removed there")
def test_a_current_folder_that_is_gone(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = here / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(UsageError, match="current folder is gone"):
        found()
    assert found(("/c",), "/i") == Places(("/c",), "/i")
