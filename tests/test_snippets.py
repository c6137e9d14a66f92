"""Excerpts that show why a paper was found."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from papersearch.analysis.normalize import fold, normalize
from papersearch.analysis.tokens import tokens
from papersearch.analysis.words import jieba_words
from papersearch.paper import Paper, Section
from papersearch.snippets import WIDTH, Excerpt, Notes, highlights


def paper(*notes: str | Section) -> Paper:
    line, sections = 2, []
    for note in notes:
        section = note if isinstance(note, Section) else Section("d.md", line, note)
        sections.append(section)
        line = section.end_line + 1
    return Paper("x", "Title", "d.md", 1, line, sections=tuple(sections))


def marked(cut: Excerpt) -> list[str]:
    return [cut.text[start:end] for start, end in cut.highlights]


@pytest.mark.parametrize(
    ("text", "terms", "wanted"),
    [
        ("the zebra and the yak", ["zebra", "yak"], ["zebra", "yak"]),
        ("Zebras walk", ["~zebra"], ["Zebras"]),
        ("ZEBRA", ["zebra"], ["ZEBRA"]),
        ("LightSeq2 is", ["seq"], ["LightSeq2"]),
        ("an end-to-end one", ["endtoend"], ["end-to-end"]),
        ("后门攻击检测", ["攻击"], ["攻击"]),
        ("后门攻击检测", ["后门", "攻击"], ["后门攻击"]),
        ("機器學習", ["机器"], ["機器"]),
        ("Möbius 变换", ["mobius"], ["Möbius"]),
        ("Mo\u0308bius", ["mobius"], ["Mo\u0308bius"]),
        ("a cafe\u0301 here", ["cafe"], ["cafe\u0301"]),
        ("4\\*4 的分块", ["4*4"], ["4\\*4"]),
        ("ＧＰＵ 上", ["gpu"], ["ＧＰＵ"]),
        ("zebrafish", ["zebra"], []),
        ("", ["zebra"], []),
        ("zebra", [], []),
    ],
)
def test_places_of_terms_in_a_text(text: str, terms: list[str], wanted: list[str]) -> None:
    assert [text[start:end] for start, end in highlights(text, terms)] == wanted


def test_the_line_with_most_of_the_words_is_shown_with_its_place() -> None:
    cut = Notes(paper("- a zebra alone\n- a yak and a zebra\n- a yak alone")).excerpt(["zebra", "yak"])
    assert (cut.text, cut.path, cut.line) == ("a yak and a zebra", "d.md", 3)
    assert marked(cut) == ["yak", "zebra"]


def test_many_terms_in_many_lines_take_little_longer_than_few() -> None:
    notes = Notes(paper("\n".join(f"| a{n} |" for n in range(20_000))))

    def seconds(terms: list[str]) -> float:
        started = time.process_time()
        assert marked(notes.excerpt(terms))
        return time.process_time() - started

    seconds(["a1"])
    few = min(seconds([f"a{n}" for n in range(k, k + 5)]) for k in range(2, 5))  # none is asked for again
    assert seconds([f"a{n}" for n in range(1000)]) < 20 * few


def test_the_same_terms_get_the_same_excerpt_and_others_another() -> None:
    notes = Notes(paper("- a zebra alone\n- a yak alone"))
    zebra = notes.excerpt(["zebra"])
    assert notes.excerpt(("zebra",)) is zebra
    assert [notes.excerpt([word]).line for word in ("yak", "zebra")] == [3, 2]


def test_notes_are_asked_again_and_in_another_form() -> None:
    notes = Notes(paper("- 後門攻擊 of a zebra\n- a yak"))
    for _ in range(2):
        assert notes.excerpt(["后门"]).highlights == ((0, 2),)
        assert notes.excerpt(["yak"]).text == "a yak"
        assert notes.excerpt(["gnu"]).text == "後門攻擊 of a zebra"


def test_own_notes_come_before_companions() -> None:
    companion = Section("c.md", 10, "# Long\n\nzebra and yak\n", companion=True)
    cut = Notes(paper("- only the zebra", companion)).excerpt(["zebra", "yak"])
    assert (cut.path, cut.line) == ("d.md", 2)
    cut = Notes(paper("- nothing of it", companion)).excerpt(["zebra", "yak"])
    assert (cut.path, cut.line, cut.text) == ("c.md", 12, "zebra and yak")


def test_without_a_match_the_first_words_are_shown() -> None:
    assert Notes(paper("\n### Heading\n\n```\n- the first words\n- more")).excerpt(["zebra"]).text == "the first words"
    assert Notes(paper("- the first words")).excerpt([]) == Excerpt("the first words", (), "d.md", 2)
    assert Notes(paper()).excerpt(["zebra"]) == Excerpt("")
    assert Notes(paper("```\n---\n")).excerpt([]) == Excerpt("")


@pytest.mark.parametrize(("line", "text"), [("- zebra", "zebra"), ("  * zebra ", "zebra"), ("1. zebra", "zebra"), ("> zebra", "zebra"), ("### zebra", "zebra"), ("- > 2) zebra", "zebra"), ("zebra - x", "zebra - x")])  # fmt: skip
def test_list_marks_are_left_out(line: str, text: str) -> None:
    cut = Notes(paper(line)).excerpt(["zebra"])
    assert (cut.text, marked(cut)) == (text, ["zebra"])


def cells(text: str) -> int:
    return sum(2 if ord(c) > 0x2E7F else 1 for c in text)


@pytest.mark.parametrize("filler", ["word ", "检测，", "a", "字"])
@pytest.mark.parametrize("before", [0, 30, 2000])
def test_a_long_line_is_cut_around_the_words(filler: str, before: int) -> None:
    line = filler * before + " zebra " + filler * 2000
    cut = Notes(paper(line)).excerpt(["zebra"])
    assert marked(cut) == ["zebra"]
    assert cells(cut.text) <= WIDTH + 2 * 24 + 4
    assert cut.text.endswith("…")
    assert cut.text.startswith("…") == (before == 2000 or (before == 30 and cells(filler) * 30 > WIDTH // 4))


def test_a_window_ends_on_whole_words() -> None:
    line = "identifier " * 40 + "zebra " + "identifier " * 40
    words = Notes(paper(line)).excerpt(["zebra"]).text.strip("…").split()
    assert set(words) == {"identifier", "zebra"}


def test_the_window_holds_as_many_words_as_it_can() -> None:
    line = "zebra " + "x " * 200 + "zebra yak gnu " + "x " * 200 + "gnu"
    assert marked(Notes(paper(line)).excerpt(["zebra", "yak", "gnu"])) == ["zebra", "yak", "gnu"]


note_text = st.text(
    st.one_of(st.sampled_from("zebra yak 后门攻击检测\n-*\\ \u0301ＧÖ[](),`"), st.characters()), max_size=200
)


@given(note_text, st.lists(st.sampled_from(["zebra", "yak", "后门", "攻击", "~zebra", "g", "门", "z"]), max_size=4))
def test_offsets_are_inside_the_text_and_the_text_is_of_the_note(text: str, terms: list[str]) -> None:
    source = paper(text)
    cut = Notes(source).excerpt(terms)
    assert cut.text.strip("…") in text
    reached = 0
    for start, end in cut.highlights:
        assert reached <= start < end <= len(cut.text)
        reached = end
    if cut.text:
        assert "\n" not in cut.text
        assert cut.text.strip("…") in text.split("\n")[cut.line - 2]


@given(note_text)
def test_what_is_marked_is_what_was_asked_for(text: str) -> None:
    words, _, _ = tokens(text, jieba_words)
    whole = {t.term for t in words if t.factor == 1.0 and not t.term.startswith("~")}
    for term in sorted(whole)[:5]:
        places = highlights(text, [term])
        assert places, term
        for start, end in places:
            letters = [c for c in fold(normalize(text[start:end])[0]) if c.isalnum()]
            assert "".join(c for c in term if c.isalnum())[:10] in "".join(letters)
