"""Text → Tokens: folding, units, words, stems, Chinese."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from papersearch.analysis import tokens as tokens_module
from papersearch.analysis import words as words_module
from papersearch.analysis.normalize import exact_value, fold, is_cjk, normalize, shadow, source_end
from papersearch.analysis.stem import fingerprint, stem
from papersearch.analysis.tokens import (
    LONGEST_PIECE,
    MAX_TERM,
    STEM_MARK,
    Token,
    parts_of,
    pieces,
    terms_of,
    tokens,
    units,
)
from papersearch.analysis.words import SEAM, jieba_words, jieba_words_with, vocabulary_cutter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from papersearch.analysis.words import Cutter

# Characters at which folding, cutting and joining are decided.
ODD = "aZ09é\u0301ßİıœﬁ²½㎡Ⅷ，。、（）“”’-‐—＿_*+#./\\^~`'\"@&|=%:· \t\n\r\u00a0\u3000\u00ad\u200b\ufeff\u202e\x00中文國国龍々がｶﾞ한я̈\ud800𠀀😀"
odd_text = st.text(st.one_of(st.sampled_from(ODD), st.characters()), max_size=80)


def terms(text: str) -> list[str]:
    return [token.term for token in tokens(text, jieba_words)[0]]


def grams(text: str) -> list[str]:
    return [token.term for token in tokens(text, jieba_words)[1]]


# ---- folding


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Möbius", "mobius"), ("Mo\u0308bius", "mobius"), ("ＧＰＵ", "gpu"), ("２０２２", "2022"), ("ﬁne", "fine"),
        ("naïve café", "naive cafe"), ("Ångström", "angstrom"), ("straße", "strasse"), ("Йод", "иод"),
        ("４＊４", "4*4"), ("4\\*4", "4*4"), ("a\\_b", "a_b"), ("C:\\dir", "c:\\dir"), ("\\\\", "\\"),
        ("end‐to–end", "end-to-end"), ("it’s", "it's"), ("so\u00adft", "soft"), ("ze\u200bro", "zero"),
        ("機器學習", "机器学习"), ("资讯檢索", "资讯检索"), ("‖x‖^2", "‖x‖^2"), ("㎡", "m2"), ("x²", "x2"), ("", ""),
    ],
)  # fmt: skip
def test_spellings_that_are_folded(text: str, folded: str) -> None:
    assert fold(normalize(text)[0]) == folded


@pytest.mark.parametrize("text", ["が", "パ", "ё한글", "ไทย", "हिन्दी", "ö"])
def test_marks_that_make_another_letter_are_kept_outside_of_latin_greek_and_cyrillic(text: str) -> None:
    kept = fold(normalize(text)[0])
    wanted = {"ö": "o", "ё한글": "е한글"}.get(text, text)
    assert unicodedata.normalize("NFC", kept) == wanted


@given(odd_text)
def test_origins_tell_where_every_character_comes_from(text: str) -> None:
    normalized, origins = normalize(text)
    assert len(normalized) == len(origins)
    assert list(origins) == sorted(origins)
    for char, origin in zip(normalized, origins, strict=True):
        assert char in normalize(text[origin])[0]
        assert origin < source_end(text, origin) <= len(text)


@given(odd_text)
def test_folding_twice_changes_nothing_but_escapes(text: str) -> None:
    once = fold(normalize(text)[0])
    if "\\" not in once:
        again = fold(normalize(once)[0])
        assert fold(normalize(again)[0]) == again


@given(odd_text)
def test_no_letter_is_folded_away(text: str) -> None:
    for char in text:
        if unicodedata.category(char)[0] in "LN":
            assert any(c.isalnum() for c in normalize(char)[0])


@pytest.mark.parametrize("value", ["  NeurIPS ", "ｎｅｕｒｉｐｓ", "neurips\u200b", "NEURIPS\n"])
def test_values_of_exact_fields_are_compared_folded(value: str) -> None:
    assert exact_value(value) == "neurips"


@given(odd_text)
def test_the_shadow_tells_chinese_from_the_rest(text: str) -> None:
    assert len(shadow(text)) == len(text)
    assert [c == "一" for c in shadow(text)] == [is_cjk(c) for c in text]


# ---- tokens


@pytest.mark.parametrize(
    ("text", "some", "none"),
    [
        ("LightSeq2", ["lightseq2", "lightseq", "light", "seq", "2"], []),
        ("YOLOv7", ["yolov7", "yolov", "yolo", "v7", "7"], []),
        ("MobileNetV2", ["mobilenetv2", "mobile", "net"], []),
        ("end-to-end", ["end", "to", "endtoend"], []),
        ("OCR-2.0", ["ocr", "2", "0", "ocr20", "ocr-2.0"], []),
        ("256*1*768", ["256", "1", "768", "256*1*768"], []),
        ("3\\*3", ["3*3", "3"], []),
        ("[4,4,c]", ["4,4,c", "4", "c"], []),
        ("one,two", ["one", "two"], ["onetwo", "one,two"]),
        ("x_i/‖x_i‖^2", ["x", "i", "xi"], []),
        ("C++ and C# and F#", ["c++", "c#", "f#"], []),
        ("abc++", ["abc"], ["c++"]),
        ("generation", ["generation", "~generat"], []),
        ("detectors", ["detectors", "~detector"], []),
        ("resnet50s", ["resnet50s"], ["~resnet50"]),
        ("Möbius", ["mobius"], ["möbius"]),
        ("a_b c", ["a", "b", "ab", "c"], []),
        ("<query, docid>", ["query", "docid"], []),
        ("$y_t$", ["y", "t", "yt"], []),
        ("**bold**text", ["bold", "text"], []),
        ("https://example.org/a.md", ["https", "example", "org", "example.org/a.md"], []),
    ],
)  # fmt: skip
def test_terms_of_words(text: str, some: list[str], none: list[str]) -> None:
    found = terms(text)
    assert set(some) <= set(found)
    assert not set(none) & set(found)


def test_words_of_chinese_are_those_of_search_mode() -> None:
    assert terms("深度学习编译器") == ["深度", "学习", "编译", "编译器"]
    assert grams("深度学习编译器") == ["深度", "度学", "学习", "习编", "编译", "译器"]
    assert grams("学 and 学习") == ["学", "学习"]


def test_a_run_goes_on_over_a_line_end() -> None:
    assert "学习" in terms("深度学\n习方法")
    assert "学习" in grams("深度学\n  习方法")


def test_a_mixed_text_keeps_its_order() -> None:
    words, _, taken = tokens("用GPU训练YOLO", jieba_words, 100)
    first = {word.term: word.position for word in words}
    assert [first[t] for t in ("用", "gpu", "训练", "yolo")] == [100, 101, 102, 104]
    assert taken == 5


def test_a_long_word_is_cut_and_keeps_its_place() -> None:
    words, _, taken = tokens("a" * 500 + " next", jieba_words)
    assert words[0].term == "a" * MAX_TERM
    assert (words[-1].term, words[-1].position, taken) == ("next", 1, 2)


def test_parts_count_less_than_the_whole() -> None:
    by_term = {token.term: token.factor for token in tokens("LightSeq", jieba_words)[0]}
    assert by_term["lightseq"] == 1.0
    assert 0 < by_term["seq"] < 1


@pytest.mark.parametrize("word", ["word", "WORD", "Word", "a", "42", "中文"])
def test_plain_words_have_no_parts(word: str) -> None:
    assert parts_of(word) == []


def letters(text: str) -> str:
    return "".join(c for c in fold(normalize(text)[0]) if c.isalnum())


@given(odd_text, st.integers(0, 5000))
def test_offsets_lead_back_to_the_word_in_the_text(text: str, start: int) -> None:
    words, pairs, taken = tokens(text, jieba_words, start)
    for token in (*words, *pairs):
        assert 0 <= token.start < token.end <= len(text)
        assert start <= token.position < start + taken
        source = text[token.start : token.end]
        if token.factor == 1.0 and not token.term.startswith(STEM_MARK):
            # A joined form and one with its symbols stand for the same stretch; a character such as ¼ for two words.
            whole = letters(source)
            assert "".join(c for c in token.term if c.isalnum()) in whole
            if fold(normalize(source)[0]) == whole and len(whole) <= MAX_TERM and len(source) > 1:
                assert token.term == whole


SEAMS = st.sampled_from(["a", "b2", "C++", "检", "测试", " ", " ", "，", "。", "：", "\n", "\n\n", "\n- ", "\n1. ", "-", ",", "\\", "\u0301", "\u200b", "é"])  # fmt: skip


@settings(max_examples=300)
@given(st.lists(SEAMS | odd_text, max_size=20).map("".join), st.integers(1, 9))
def test_the_tokens_of_a_text_are_those_of_its_pieces(text: str, longest: int) -> None:
    position = offset = 0
    words: list[Token] = []
    pairs: list[Token] = []
    for piece in pieces(text, longest):
        assert piece or not text
        more_words, more_pairs, taken = tokens(piece, jieba_words, position)
        words += [t._replace(start=t.start + offset, end=t.end + offset) for t in more_words]
        pairs += [t._replace(start=t.start + offset, end=t.end + offset) for t in more_pairs]
        position, offset = position + taken, offset + len(piece)
    assert (words, pairs, position) == tokens(text, jieba_words)
    assert offset == len(text)


@pytest.mark.parametrize("text", ["some words of a text " * 9000, "中文检索，" * 40000, "- one\n- 一个，两个\n" * 9000])
def test_long_texts_are_cut_into_pieces(text: str) -> None:
    assert max(map(len, pieces(text))) < LONGEST_PIECE + 100


@given(odd_text)
def test_units_do_not_overlap_and_stay_in_order(text: str) -> None:
    words, pairs, _ = tokens(text, jieba_words)
    for found in (words, pairs):
        plain = [t for t in found if t.factor == 1.0]
        places: dict[int, Token] = {}
        for token in plain:
            places.setdefault(token.position, token)
        starts = [places[position].start for position in sorted(places)]
        assert starts == sorted(starts)


@given(odd_text)
def test_every_letter_and_digit_is_in_a_term(text: str) -> None:
    words, pairs, _ = tokens(text, jieba_words)
    held = set("".join(token.term for token in (*words, *pairs)))
    assert {c for c in fold(normalize(text)[0]) if c.isalnum()} <= held


PIECES = [
    *"-_./*+&^:@'×·|=,%#>$~()[]! \n\t\r", "a", "B", "7", "12", "Abc", "c", "C++", "f#", "词", "模型", "攻击", "\n\n", "\n- ", "\n1. ",
    "é", "Ⅷ", "²", "½", "℀", "…", "＋", "＃", "：", "，", "\\", "\\_", "\\-", "\u200b", "\u0301", "end-to-end", "x_i", "4,4,c", "a:b:c",
    "yolov7", "LightSeq2", "\x0b", "\u2028", "ー", "カ",
]  # fmt: skip


@settings(max_examples=1000)
@given(st.lists(st.sampled_from(PIECES), max_size=15).map("".join), st.sampled_from([0, 2048]))
def test_terms_are_those_of_tokens(text: str, start: int) -> None:
    _compare_terms(text, start)


@settings(max_examples=300)
@given(st.lists(SEAMS | st.sampled_from(PIECES), max_size=30).map("".join), st.integers(0, 9))
def test_terms_of_an_odd_text_are_those_of_tokens_wherever_it_is_cut(text: str, longest: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens_module, "ODD_PIECE", longest)
        _compare_terms(text, 7)


def _compare_terms(text: str, start: int) -> None:
    words, pairs, taken = tokens(text, jieba_words, start)
    found_words, found_pairs, found_taken = terms_of(text, jieba_words, start, 3.0)
    assert sorted(found_words) == sorted((word.term, word.position, word.factor * 3.0) for word in words)
    said = {(word.term, word.position) for word in words}
    own = [(pair.term, pair.position, 1.0) for pair in pairs if (pair.term, pair.position) not in said]
    assert sorted(found_pairs) == sorted(own)
    assert (len(found_words), len(found_pairs), found_taken) == (len(words), len(pairs), taken)


def _every_part(run: str) -> list[tuple[str, int]]:
    """Whatever is within one of the runs, each once."""
    parts = {(run[i:j], i) for i in range(len(run)) for j in range(i + 1, min(i + 5, len(run) + 1))}
    return [(part, at) for part, at in parts if SEAM not in part]


CUTTERS: dict[str, Cutter] = {
    "jieba": jieba_words,
    "a user's words": jieba_words_with(["学习模", "型检", "索图像"]),
    "characters": lambda run: [(char, i) for i, char in enumerate(run) if char != SEAM],
    "every part": _every_part,
    "every second pair": lambda run: [part for part in _every_part(run) if len(part[0]) == 2 and part[1] % 2],
    "nothing": lambda run: [],
}
MIXED = st.lists(SEAMS | st.sampled_from(PIECES) | st.text("中文检索图像学习模型", max_size=9), max_size=12).map(
    "".join
)


@settings(max_examples=500)
@given(MIXED, st.sampled_from([*CUTTERS]), st.sampled_from([0, 2048]), st.sampled_from([1, 100]))
def test_each_pair_is_a_word_or_is_kept_and_never_both(text: str, cutter: str, start: int, longest: int) -> None:
    there = set()
    for unit in units(text)[0]:
        if unit.cjk:
            run, at = unit.text, start + unit.position
            there |= {(run[i : i + 2], at + i) for i in range(len(run) - 1 or 1)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens_module, "ODD_PIECE", longest)
        words, pairs, _ = terms_of(text, CUTTERS[cutter], start, 1.0)
    said = {(term, position) for term, position, _ in words}
    own = [(term, position) for term, position, _ in pairs]
    assert len(set(own)) == len(own)
    assert said.isdisjoint(own)
    assert (said | {*own}) & there == there
    assert there.issuperset(own)
    assert len(pairs) == len(there)


@given(st.lists(st.text("中文检索图像学习模型", min_size=1, max_size=12), min_size=1, max_size=4))
def test_neighbouring_characters_are_a_pair_wherever_words_end(runs: list[str]) -> None:
    found = set(grams(" ".join(runs)))
    for run in runs:
        assert {run[i : i + 2] for i in range(len(run) - 1)} <= found
        assert len(run) > 1 or run in found


@pytest.mark.parametrize(
    "text",
    [
        "a-" * 20000,
        "字" * 20000,
        "a\u0301" * 20000,
        "\\*" * 20000,
        "a\n\n" * 20000,
        "aB" * 20000,
        "\n" * 50000,
        "[4,4" * 10000,
    ],
)
def test_hostile_text_takes_time_in_proportion(text: str) -> None:
    started = time.perf_counter()
    tokens(text, jieba_words)
    assert time.perf_counter() - started < 5


# ---- stems


@pytest.mark.parametrize(
    ("word", "root"),
    [
        ("generation", "generat"),
        ("studies", "studi"),
        ("gpu", "gpu"),
        ("ab", "ab"),
        ("yolov7", "yolov7"),
        ("检测", "检测"),
    ],
)
def test_stems(word: str, root: str) -> None:
    assert stem(word) == root


def test_the_two_stemmers_agree() -> None:
    """An index may be built on a machine with PyStemmer and read on one without."""
    pytest.importorskip("Stemmer")
    snowball = pytest.importorskip("snowballstemmer").stemmer("english")
    words = [
        *fingerprint().split(),
        "attention",
        "networks",
        "defending",
        "poisoned",
        "convolutions",
        "happily",
        "ponies",
    ]
    for word in words:
        assert stem(word) == snowball.stemWord(word)


# ---- cutting by the terms of an index


def cut(run: str, *known: str) -> list[str]:
    return [word for word, _ in vocabulary_cutter(set(known).__contains__)(run)]


@pytest.mark.parametrize(
    ("run", "known", "words"),
    [
        ("深度学习", ["深度", "学习"], ["深度", "学习"]),
        ("深度学习", ["深度", "学习", "深度学习"], ["深度学习"]),
        ("后门攻击检测", ["后门", "攻击", "检测"], ["后门", "攻击", "检测"]),
        ("研究生命起源", ["研究", "研究生", "生命", "命", "起源"], ["研究", "生命", "起源"]),
        ("量子检测", ["检测"], ["检测"]),
        ("量子", [], []),
        ("的检测", ["的", "检测"], ["的", "检测"]),
    ],
)
def test_a_run_is_cut_by_what_is_known(run: str, known: list[str], words: list[str]) -> None:
    assert cut(run, *known) == words


@given(st.text("深度学习编译器", max_size=30), st.sets(st.text("深度学习编译器", min_size=1, max_size=4)))
def test_the_cut_covers_as_much_as_can_be(run: str, known: set[str]) -> None:
    found = list(vocabulary_cutter(known.__contains__)(run))
    reached = 0
    for word, offset in found:
        assert offset >= reached
        assert run[offset : offset + len(word)] == word and word in known
        reached = offset + len(word)
    best = [0] * (len(run) + 1)
    for i in range(len(run) - 1, -1, -1):
        ends = [j for j in range(i + 2, len(run) + 1) if run[i:j] in known]
        best[i] = max([best[i + 1], *(best[j] + j - i for j in ends)])
    assert sum(len(word) for word, _ in found if len(word) > 1) == best[0]


@pytest.mark.parametrize("before", ["", "import sys; sys.modules['rjieba'] = None; "])
def test_jieba_reads_and_writes_no_cache_and_prints_nothing(before: str, tmp_path: Path) -> None:
    code = f"{before}from papersearch.analysis.words import jieba_words; print([w for w, _ in jieba_words('深度学习')])"
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, encoding="utf-8"
    )
    assert (done.stdout.strip(), done.stderr, done.returncode) == ("['深度', '学习']", "", 0)
    assert os.listdir(tmp_path) == []


# ---- jieba's words


@cache
def jieba_tokenizer() -> Any:
    return words_module._tokenizer()


def jieba_itself(run: str, words: Sequence[str] = ()) -> list[tuple[str, int]]:
    tokenizer = jieba_tokenizer()
    if words:
        tokenizer = words_module._tokenizer()
        for word in words:
            tokenizer.add_word(word)
    return [(word, start) for word, start, _ in tokenizer.tokenize(run, mode="search", HMM=False)]


needs_rjieba = pytest.mark.skipif(
    not words_module._is_rjieba_the_same(), reason="rjieba, or the jieba it is compared with, is not installed"
)


@cache
def cutters() -> list[Cutter]:
    """Ours, and that over rjieba where it is installed."""
    ours = words_module._JiebaCutter(*words_module._read_dictionary())
    return [ours, words_module._RjiebaCutter()] if words_module._is_rjieba_the_same() else [ours]


def check_cutters(run: str) -> None:
    for cutter in cutters():
        assert list(cutter(run)) == jieba_itself(run), cutter


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ("后门攻击与对抗样本的防御", []),
        ("中华人民共和国国务院总理", []),
        ("南京市长江大桥", []),
        ("研究生命起源", []),
        ("㐀㐁的𠀀字鿖〇", []),
        ("的" * 300, []),
        ("大语言模型的推理加速", ["大语言模型", "推理加速"]),
        ("字", []),
        ("", []),
    ],
)
def test_words_are_those_of_jieba(run: str, words: list[str]) -> None:
    assert list(jieba_words_with(words)(run)) == jieba_itself(run, words)
    if not words:
        check_cutters(run)


def test_the_dictionary_is_that_of_jieba() -> None:
    words, total = words_module._read_dictionary()
    tokenizer = jieba_tokenizer()
    assert words == {word: frequency for word, frequency in tokenizer.FREQ.items() if frequency}
    assert total == tokenizer.total


@cache
def chinese_words() -> dict[str, int]:
    words, _ = words_module._read_dictionary()
    return {word: frequency for word, frequency in sorted(words.items()) if all(map(is_cjk, word))}


@cache
def rare_words() -> list[str]:
    """Of one frequency, many of which overlap: so that many cuts are as good as one another."""
    rare = [word for word, frequency in chinese_words().items() if frequency == 3 and len(word) < 4]
    return [word for word in rare if not {word[0], word[-1]}.isdisjoint("不人大一中生")]


@cache
def swaying_words() -> list[str]:
    """`上划上`: cut after one character or after two, the words have the same frequencies in another order, and the
    rounding of their sum decides."""
    words = chinese_words()
    return [word + word[0] for word in words if len(word) == 2 and words.get(word[::-1]) == words[word]]


# Characters that jieba looks up, some of which no word has; those that only rjieba looks up; others.
CHARACTERS = st.characters(min_codepoint=0x4E00, max_codepoint=0x9FD5) | st.sampled_from(
    "\u9fd6\u9fff㐀䶿豈𠀀𪜀𰀀\U0002f800〇々カーㄅ\ud800"
)
RUNS = st.lists(
    st.sampled_from([*chinese_words()][::97])
    | st.sampled_from(rare_words())
    | st.sampled_from(swaying_words())
    | st.text(CHARACTERS, max_size=3),
    min_size=1,
    max_size=8,
).map("".join)


@settings(max_examples=1000)
@given(RUNS)
def test_words_are_those_of_jieba_whatever_the_run(run: str) -> None:
    check_cutters(run)


@given(st.lists(RUNS.filter(bool), max_size=5))
def test_several_runs_are_cut_like_each_alone(runs: list[str]) -> None:
    vocabulary = vocabulary_cutter(frozenset([*chinese_words()][::7]).__contains__)
    for cutter in (*cutters(), vocabulary):
        alone = []
        at = 0
        for run in runs:
            alone += [(word, at + offset) for word, offset in cutter(run)]
            at += len(run) + len(SEAM)
        assert list(cutter(SEAM.join(runs))) == alone


def test_words_do_not_depend_on_what_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words_module, "REMEMBERED_WORDS", 1)
    for run in ("中华人民共和国国务院总理", "研究生命起源", "结婚的和尚未结婚的", "的" * 300):
        check_cutters(run)


@needs_rjieba
def test_rjieba_cuts_long_runs_and_equal_weights_as_we_do() -> None:
    ours, theirs = cutters()
    tails = [word for word in chinese_words() if len(word) < 3][::101]
    for number, word in enumerate(swaying_words()):
        for run in (word + tail + word for tail in tails[number % 7 :: 7]):
            assert ours(run) == theirs(run)
    words = rare_words() + swaying_words()
    long = "".join(words[i * i % len(words)] for i in range(60_000))
    assert ours(long) == theirs(long)


@needs_rjieba
def test_words_that_others_add_to_rjieba_change_nothing() -> None:
    import rjieba

    before = jieba_words("后门攻击")
    rjieba.add_word("门攻", 10**9, None)
    try:
        assert rjieba.cut("后门攻击", False) != ["后门", "攻击"]
        assert words_module._RjiebaCutter()("后门攻击") == jieba_words("后门攻击") == before
    finally:
        rjieba.add_word("门攻", 0, None)


@needs_rjieba
@pytest.mark.parametrize("other", ["version", "dictionary", "binary"])
def test_where_rjieba_may_differ_we_cut_ourselves(other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(words_module._new_cutter(), words_module._RjiebaCutter)
    if other == "version":
        monkeypatch.setattr("importlib.metadata.version", lambda name: "0.2.3")
    elif other == "dictionary":
        (tmp_path / "dict.txt").write_text("后门 3 n\n", encoding="utf-8")
        monkeypatch.setattr(words_module, "dictionary_path", lambda: str(tmp_path / "dict.txt"))
    else:
        monkeypatch.setitem(sys.modules, "rjieba", None)
    cutter = words_module._new_cutter()
    assert isinstance(cutter, words_module._JiebaCutter)
    assert next(iter(cutter("后门攻击"))) == ("后门", 0)
