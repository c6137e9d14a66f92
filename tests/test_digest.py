"""Files → Papers: places, companions, ids, odd Markdown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from corpora import LINKS, MIXED, SHIPPED, papers_in, read, write_notes
from papersearch.digest import parse_note, read_corpus
from papersearch.errors import CorpusError
from papersearch.paper import Paper

DIGEST = """# Digest

## Vision

### One: First[CVPR'22][Acme]
- first note
- second note

### Two[ICML'20]

## Systems

### Three[OSDI'18][UW]
- third note
"""


def titles(papers: list[Paper]) -> list[str]:
    return [paper.title for paper in papers]


def raw_line(path: Path, number: int) -> str:
    return re.split(r"\r\n?|\n", path.read_bytes().decode("utf-8-sig"))[number - 1]


def only(papers: list[Paper]) -> Paper:
    (paper,) = papers
    return paper


# ---- what is a paper


def test_papers_with_all_that_their_headings_and_notes_say(tmp_path: Path) -> None:
    one, two, three = papers_in(tmp_path, {"d.md": DIGEST})
    assert (one.title, one.category, one.venue, one.year, one.orgs) == ("One: First", "Vision", "CVPR", 2022, ("Acme",))
    assert (one.aliases, one.bullets, one.line, one.end_line, one.kind) == (("One",), 2, 5, 7, "paper")
    assert [s.text for s in one.sections] == ["- first note\n- second note"]
    assert (two.title, two.bullets, two.sections, two.line, two.end_line) == ("Two", 0, (), 9, 9)
    assert (three.category, three.line, three.end_line) == ("Systems", 13, 14)


def test_a_bare_heading_among_papers_is_a_paper(tmp_path: Path) -> None:
    papers = papers_in(tmp_path, {"d.md": DIGEST + "\n### Four without a group\n- x\n"})
    assert (papers[-1].title, papers[-1].kind, papers[-1].category) == ("Four without a group", "paper", "Systems")


def test_categories_are_no_papers_even_with_a_year(tmp_path: Path) -> None:
    text = "# Read in\n\n## Spring [2022]\n\n### A[CVPR'22]\n- a\n\n### B[ICML'22]\n- b\n"
    papers = papers_in(tmp_path, {"d.md": text})
    assert titles(papers) == ["A", "B"]
    assert {p.category for p in papers} == {"Spring [2022]"}


def test_headings_below_a_paper_belong_to_it(tmp_path: Path) -> None:
    text = (
        "# D\n\n## C\n\n### A[CVPR'22]\n\n#### Method[ICML'19]\n- inner\n\n#### Results\nmore\n\n### B[ICML'20]\n- b\n"
    )
    a, b = papers_in(tmp_path, {"d.md": text})
    assert (a.title, b.title) == ("A", "B")
    assert "inner" in a.sections[0].text and "more" in a.sections[0].text
    assert (a.line, a.end_line, b.line) == (5, 11, 13)


@pytest.mark.parametrize("shift", [1, 2, 3])
def test_any_level_may_hold_the_papers(tmp_path: Path, shift: int) -> None:
    text = re.sub(r"^(#+)", lambda m: "#" * max(1, len(m.group(1)) - 3 + shift + 1), DIGEST, flags=re.MULTILINE)
    assert titles(papers_in(tmp_path, {"d.md": text}))[-3:] == ["One: First", "Two", "Three"]


def test_several_digests_in_one_folder(tmp_path: Path) -> None:
    papers = papers_in(tmp_path, {"b.md": DIGEST.replace("One", "Uno"), "a/a.md": DIGEST})
    assert [(p.path, p.title) for p in papers[:2]] == [("a/a.md", "One: First"), ("a/a.md", "Two")]
    assert len(papers) == 6


def test_text_outside_of_papers_becomes_notes(tmp_path: Path) -> None:
    text = "Before it all.\n\n# Digest\n\nBelow the title.\n\n## Vision\n\nBelow the category.\n\n### A[CVPR'22]\n- a\n\n## Empty hands\n\nAfter.\n"
    papers = papers_in(tmp_path, {"d.md": text})
    assert [(p.title, p.kind) for p in papers] == [
        ("d", "note"), ("Digest", "note"), ("Vision", "note"), ("A", "paper"), ("Empty hands", "note"),
    ]  # fmt: skip
    held = "\n".join(s.text for p in papers for s in p.sections)
    assert all(words in held for words in ("Before it all", "Below the title", "Below the category", "After"))


def test_a_file_that_nobody_links_is_one_paper_or_note(tmp_path: Path) -> None:
    files = {
        "d.md": DIGEST,
        "loose.md": "# Some thoughts\n\nbody\n\n## More\n\nbody\n",
        "named.md": "# A Paper Somewhere[Acme]\n\nbody\n",
        "bare.md": "no heading at all\n",
    }
    by_path = {p.path: p for p in papers_in(tmp_path, files)}
    assert [(by_path[p].title, by_path[p].kind) for p in ("loose.md", "named.md", "bare.md")] == [
        ("Some thoughts", "note"), ("A Paper Somewhere", "paper"), ("bare", "note"),
    ]  # fmt: skip
    assert "More" in by_path["loose.md"].sections[0].text
    assert by_path["named.md"].orgs == ("Acme",)


@pytest.mark.parametrize("text", ["", "\n\n", "---\n", "***\n\n***\n", "\ufeff"])
def test_a_file_without_words_holds_nothing(tmp_path: Path, text: str) -> None:
    assert titles(papers_in(tmp_path, {"d.md": DIGEST, "x.md": text})) == ["One: First", "Two", "Three"]


def test_a_missing_corpus_is_told(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="nowhere"):
        read_corpus([tmp_path / "nowhere"])


def test_a_single_file_is_a_corpus(tmp_path: Path) -> None:
    write_notes(
        tmp_path, {"d.md": DIGEST + "\n### Four[ICML'20]\n- see [x](other.md)\n", "other.md": "# Other\n\nbody\n"}
    )
    papers = read(tmp_path / "d.md").papers
    assert {p.path for p in papers} == {"d.md"}
    assert len(papers) == 4


def test_several_roots_prefix_their_paths(tmp_path: Path) -> None:
    write_notes(tmp_path, {"one/d.md": DIGEST, "two/d.md": DIGEST})
    papers = read(tmp_path / "one", tmp_path / "two").papers
    assert [p.path for p in papers] == ["one/d.md"] * 3 + ["two/d.md"] * 3
    assert len({p.id for p in papers}) == 6


# ---- places in the raw file


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["lf", "crlf", "cr"])
@pytest.mark.parametrize("start", ["", "\ufeff"], ids=["plain", "bom"])
@pytest.mark.parametrize("front", ["", "---\ntitle: x\ntags: [a, b]\n---\n"], ids=["bare", "front"])
def test_line_numbers_point_at_the_heading_in_the_raw_file(tmp_path: Path, end: str, start: str, front: str) -> None:
    text = start + (front + DIGEST).replace("\n", end)
    papers = [p for p in papers_in(tmp_path, {"d.md": text}) if p.kind == "paper"]
    assert titles(papers) == ["One: First", "Two", "Three"]
    for paper in papers:
        assert raw_line(tmp_path / "d.md", paper.line).startswith(f"### {paper.title}[")
        for section in paper.sections:
            assert raw_line(tmp_path / "d.md", section.line) == section.text.split("\n")[0]
            assert raw_line(tmp_path / "d.md", section.end_line) == section.text.split("\n")[-1]


def test_line_numbers_of_setext_headings(tmp_path: Path) -> None:
    text = "Digest\n======\n\nOne Paper[CVPR'22]\n------------------\n- a\n\nOther Paper[ICML'20]\n---\n- b\n"
    one, other = papers_in(tmp_path, {"d.md": text})
    assert (one.line, one.end_line, one.category, other.line) == (4, 6, "Digest", 8)
    assert one.sections[0].text == "- a"


def test_front_matter_is_neither_heading_nor_lost(tmp_path: Path) -> None:
    papers = papers_in(tmp_path, {"d.md": "---\ntitle: Zebrafish\n---\n\n" + DIGEST})
    assert [p.title for p in papers if p.kind == "paper"] == ["One: First", "Two", "Three"]
    assert any("Zebrafish" in s.text for p in papers for s in p.sections)


def test_unusual_separators_do_not_shift_lines(tmp_path: Path) -> None:
    """Form feeds and Unicode line separators end no line in an editor."""
    text = DIGEST.replace("first note", "first\u2028note\x0bwith\x0codd\x85breaks")
    papers = papers_in(tmp_path, {"d.md": text})
    assert [p.line for p in papers] == [5, 9, 13]


def test_spans_of_papers_are_in_order_and_disjoint() -> None:
    for corpus in (SHIPPED, MIXED):
        reached: dict[str, int] = {}
        for paper in read(corpus).papers:
            assert reached.get(paper.path, 0) < paper.line <= paper.end_line
            reached[paper.path] = paper.end_line


# ---- companions


def test_companions_are_attached_and_never_split(tmp_path: Path) -> None:
    by_title = {p.title: p for p in read(MIXED).papers}
    hunters = by_title["Patch Hunters: Finding Adversarial Stickers(PatchHunt)"]
    assert [(s.path, s.companion) for s in hunters.sections] == [("digest.md", False), ("notes/patch.md", True)]
    assert "## 2. Results[CVPR'99]" in hunters.sections[1].text
    assert hunters.sections[1].line == 1
    assert not any("Results" in title for title in by_title)
    assert {p.path for p in by_title.values()} == {"digest.md"}


def test_one_line_may_name_several_companions(tmp_path: Path) -> None:
    notes = {"d.md": "## C\n\n### A[CVPR'22]\n- [x](x.md), [y](y.md)\n", "x.md": "about x\n", "y.md": "about y\n"}
    (paper,) = papers_in(tmp_path, notes)
    assert [section.path for section in paper.sections] == ["d.md", "x.md", "y.md"]


def test_a_companion_of_two_papers_is_found_with_both(tmp_path: Path) -> None:
    text = "# D\n\n## C\n\n### A[CVPR'22]\n- [x](c.md)\n\n### B[ICML'20]\n- [x](c.md) and [again](./c.md#part)\n"
    a, b = papers_in(tmp_path, {"d.md": text, "c.md": "# C\n\nbody\n"})
    assert [[s.path for s in p.sections] for p in (a, b)] == [["d.md", "c.md"]] * 2


@pytest.mark.parametrize(
    "link",
    ["[x](%20deep%20dir/%E7%AC%94%E8%AE%B0.md)", "[x](<%20deep dir/笔记.md>)", "[x](./%20deep%20dir/../%20deep%20dir/笔记.md)",
     "[x](%20deep%20dir/笔记.md#section)", "[x](%20deep%20dir/笔记.md 'title')", "[x][ref]\n\n[ref]: %20deep%20dir/笔记.md",
     "[x]( deep dir/笔记.md)", "[x](\\%20deep%20dir/笔记.md)", "[x](/%20deep%20dir/笔记.md)", "[x](%20deep%20dir\\笔记.md)"],
)  # fmt: skip
def test_spellings_of_a_link(tmp_path: Path, link: str) -> None:
    text = f"# D\n\n## C\n\n### A[CVPR'22]\n- see {link}\n\n### B[ICML'20]\n- b\n"
    a, _ = papers_in(tmp_path, {"d.md": text, " deep dir/笔记.md": "# 笔记\n\nbody\n"})
    assert [s.path for s in a.sections if s.companion] == [" deep dir/笔记.md"]


def test_links_from_a_digest_in_a_folder_are_relative_to_it(tmp_path: Path) -> None:
    text = "# D\n\n## C\n\n### A[CVPR'22]\n- [x](../notes/n.md)\n\n### B[ICML'20]\n- [y](notes/n.md)\n"
    files = {"sub/d.md": text, "notes/n.md": "# N\n\nouter\n", "sub/notes/n.md": "# N\n\ninner\n"}
    a, b = papers_in(tmp_path, files)
    assert [s.path for s in (*a.sections, *b.sections) if s.companion] == ["notes/n.md", "sub/notes/n.md"]


def test_links_to_the_wrong_folder_and_to_nowhere() -> None:
    corpus = read(LINKS)
    companions = {p.title: [s.path for s in p.sections if s.companion] for p in corpus.papers if p.kind == "paper"}
    assert companions == {
        "Encoded Folder and Name": [" deep dir/笔记.md"],
        "Blank Before the Folder": [" deep dir/plain.md"],
        "Wrong Folder but Only One of that Name": ["right/only.md"],
        "Two Notes of that Name": [],
        "Nothing behind the Link": [],
    }
    assert {p.path for p in corpus.papers if p.kind == "note"} == {"a/same.md", "b/same.md"}
    told = [(n.line, n.message) for n in corpus.notices]
    assert any(line == 12 and "right/only.md" in message for line, message in told)
    assert any(line == 15 and "c/same.md" in message and "2" in message for line, message in told)
    assert [line for line, message in told if "gone" in message] == [18, 18]
    assert not any(line == 6 or "example.org" in message for line, message in told)


@pytest.mark.parametrize("link", ["../../etc/passwd.md", "/etc/motd.md", "..\\..\\x.md", "file:///etc/motd.md", "%2e%2e/%2e%2e/x.md", "\0.md", "a" * 5000 + ".md"])  # fmt: skip
def test_links_do_not_lead_out_of_the_corpus(tmp_path: Path, link: str) -> None:
    write_notes(tmp_path, {"x.md": "# Outside\n\nsecret\n", "etc/passwd.md": "# Outside\n\nsecret\n"})
    text = f"# D\n\n## C\n\n### A[CVPR'22]\n- see [x]({link})\n\n### B[ICML'20]\n- b\n"
    papers = papers_in(tmp_path / "in/corpus", {"d.md": text})
    assert not any("secret" in s.text for p in papers for s in p.sections)


def test_a_note_that_links_to_itself_or_back(tmp_path: Path) -> None:
    text = DIGEST.replace("- third note", "- [self](d.md) and [notes](n.md)")
    papers = papers_in(tmp_path, {"d.md": text, "n.md": "# N\n\nback to the [digest](d.md)\n"})
    assert titles(papers) == ["One: First", "Two", "Three"]
    assert [s.path for s in papers[2].sections] == ["d.md", "n.md"]


def test_two_digests_that_link_to_each_other_both_stay(tmp_path: Path) -> None:
    def digest(names: list[str], other: str) -> str:
        return "## C\n\n" + "".join(f"### {name}[ICML'20]\n- see [more]({other})\n\n" for name in names)

    files = {"a.md": digest(["A", "B", "C"], "b.md"), "b.md": digest(["D", "E", "F"], "a.md")}
    assert titles(papers_in(tmp_path, files)) == ["A", "B", "C", "D", "E", "F"]


def test_small_notes_that_link_to_each_other_do_not_vanish(tmp_path: Path) -> None:
    files = {
        "a.md": "# A[CVPR'22]\n\nalpha, see [b](b.md)\n",
        "b.md": "# B[ICML'20]\n\nbeta, see [a](a.md)\n",
        "c.md": "# C[ICML'20]\n\ngamma, see [d](d.md)\n",
        "d.md": "# D[ICML'20]\n\ndelta, see [e](e.md)\n",
        "e.md": "# E[ICML'20]\n\nepsilon, see [c](c.md)\n",
    }
    held = "\n".join(s.text for p in papers_in(tmp_path, files) for s in p.sections)
    assert all(words in held for words in ("alpha", "beta", "gamma", "delta", "epsilon"))


# ---- ids


def test_papers_of_one_heading_get_ids_of_their_own(tmp_path: Path) -> None:
    papers = papers_in(tmp_path, {"d.md": DIGEST + "\n## More\n\n### Two[ICML'20]\n- again\n\n### two[icml 2020]\n"})
    ids = [p.id for p in papers]
    assert len(set(ids)) == len(ids)
    assert [p.id.split("-")[0] for p in papers[3:]] == [papers[1].id] * 2


EDITS = {
    "added before": lambda text: text.replace("## Vision\n", "## Vision\n\n### Zero[KDD'19]\n- z\n"),
    "added after": lambda text: text + "\n### Last[KDD'19]\n- z\n",
    "notes edited": lambda text: text.replace("- first note", "- quite another note\n- and more"),
    "category renamed": lambda text: text.replace("## Vision", "## Seeing"),
    "category moved": lambda text: text[: text.index("## Vision")] + text[text.index("## Systems") :] + "\n" + text[text.index("## Vision") : text.index("## Systems")],
    "other line ends": lambda text: text.replace("\n", "\r\n"),
    "byte order mark": lambda text: "\ufeff" + text,
    "full-width": lambda text: text.replace("[CVPR'22][Acme]", "［CVPR＇22］［Acme］"),
    "org added": lambda text: text.replace("[ICML'20]", "[ICML'20][Somewhere]"),
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_ids_outlive_edits_elsewhere(tmp_path: Path, edit) -> None:  # type: ignore[no-untyped-def]
    before = {p.title: p.id for p in papers_in(tmp_path / "before", {"d.md": DIGEST})}
    after = {p.title: p.id for p in papers_in(tmp_path / "after", {"d.md": edit(DIGEST)})}
    assert {title: after[title] for title in before} == before


def test_ids_outlive_a_move_to_another_file(tmp_path: Path) -> None:
    before = {p.title: p.id for p in papers_in(tmp_path / "before", {"d.md": DIGEST})}
    at = DIGEST.index("### Three")
    files = {"new/place.md": "# P\n\n## X\n\n" + DIGEST[at:], "d.md": DIGEST[:at].replace("## Systems\n\n", "")}
    after = {p.title: p.id for p in papers_in(tmp_path / "after", files)}
    assert after == before


# ---- odd Markdown

FENCED = "```\n### Not a Paper[CVPR'22]\n```\n"


@pytest.mark.parametrize(
    "block",
    [
        FENCED, FENCED.replace("```", "~~~~"), FENCED.replace("```", "```markdown", 1),
        "<!--\n### Not a Paper[CVPR'22]\n-->\n", "<pre>\n### Not a Paper[CVPR'22]\n</pre>\n",
        "    ### Not a Paper[CVPR'22]\n", "- item\n\n  ### Not a Paper[CVPR'22]\n", "> ### Not a Paper[CVPR'22]\n",
        "\\### Not a Paper[CVPR'22]\n", "###Not a Paper[CVPR'22]\n", "| ### Not a Paper[CVPR'22] |\n| --- |\n",
        "`### Not a Paper[CVPR'22]`\n",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_heading_is_text(tmp_path: Path, block: str) -> None:
    text = DIGEST.replace("- second note\n", "- second note\n\n" + block)
    papers = papers_in(tmp_path, {"d.md": text})
    assert titles(papers) == ["One: First", "Two", "Three"]
    assert "Not a Paper[CVPR'22]" in papers[0].sections[0].text
    assert papers[1].line == DIGEST.count("\n", 0, DIGEST.index("### Two")) + 2 + block.count("\n")


@pytest.mark.parametrize("opening", ["```", "~~~", "<!--", "<pre>", "<script>"])
def test_what_is_never_closed_swallows_no_text(tmp_path: Path, opening: str) -> None:
    papers = papers_in(tmp_path, {"d.md": DIGEST + f"\n{opening}\ninside it\n\n### Four[KDD'20]\n- fourth note\n"})
    assert titles(papers)[:3] == ["One: First", "Two", "Three"]
    assert "fourth note" in "\n".join(s.text for p in papers for s in p.sections)


@pytest.mark.parametrize("levels", [20, 100, 300])
@pytest.mark.parametrize("mark", ["- ", "> ", "1. "])
def test_deep_nesting_keeps_its_text(tmp_path: Path, levels: int, mark: str) -> None:
    if mark == "> ":
        nested = mark * levels + "the deepest words\n"
    else:
        nested = "".join(" " * (len(mark) * i) + f"{mark}level {i}\n" for i in range(levels - 1))
        nested += " " * (len(mark) * (levels - 1)) + mark + "the deepest words\n"
    papers = papers_in(tmp_path, {"d.md": DIGEST.replace("- first note\n", nested)})
    assert titles(papers) == ["One: First", "Two", "Three"]
    assert "the deepest words" in papers[0].sections[0].text


def test_bullets_are_those_of_the_top_level(tmp_path: Path) -> None:
    text = "### A[CVPR'22]\n- one\n  - inner\n    1. innermost\n* two\n\n  more of two\n1. three\n2) four\n\n```\n- none\n```\n"
    assert only(papers_in(tmp_path, {"d.md": text})).bullets == 4


def test_tables_formulas_and_code_stay_as_written(tmp_path: Path) -> None:
    body = (
        "| a | b |\n| - | - |\n| `x_i` | 256*1*768 |\n\n$x_i/\\|x_i\\|^2$\n\n```python\n# a comment\nx = [4,4,c]\n```"
    )
    paper = only(papers_in(tmp_path, {"d.md": f"### A[CVPR'22]\n{body}\n"}))
    assert paper.sections[0].text == body


@pytest.mark.parametrize("encoding", ["gbk", "gb18030", "utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_other_encodings(tmp_path: Path, encoding: str) -> None:
    text = "# 论文\n\n## 图像\n\n### 小网络：很快的检测[CVPR'22][北大]\n- 一条笔记，写得足够长\n"
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    corpus = read(write_notes(tmp_path, {"d.md": mark + text.encode(encoding)}))
    paper = only(corpus.papers)
    assert (paper.title, paper.category, paper.orgs, paper.line) == ("小网络：很快的检测", "图像", ("北大",), 5)
    assert [n.kind for n in corpus.notices] == ([] if encoding == "utf-8-sig" else ["encoding"])


@pytest.mark.parametrize("junk", ["\0", "\x01\x02", "\x1b[31m", "\u202e", "\ufffd", "\U0010ffff"])
def test_control_characters_do_no_harm(tmp_path: Path, junk: str) -> None:
    text = DIGEST.replace("One", f"On{junk}e").replace("second", f"sec{junk}ond").replace("\n\n", f"\n{junk}\n", 1)
    papers = [p for p in papers_in(tmp_path, {"d.md": text}) if p.kind == "paper"]
    assert [p.line for p in papers] == [5, 9, 13]


def test_links_are_listed_as_written_once_each(tmp_path: Path) -> None:
    text = (
        "### A[CVPR'22][code](https://example.org/code)\n- see https://example.org/a_(b)，and <https://example.org/auto>\n"
        "- [x](https://example.org/code), ![image](no.png), `https://example.org/in-code`, [r][ref]\n\n[ref]: https://example.org/ref\n"
    )
    paper = only(papers_in(tmp_path, {"d.md": text}))
    assert paper.links == (
        "https://example.org/code", "https://example.org/a_(b)", "https://example.org/auto", "https://example.org/ref",
    )  # fmt: skip


def test_notes_with_many_headings_are_read_in_reasonable_time() -> None:
    import time

    text = "# D\n\n" + "".join(f"## C{i}\n\n### Paper {i}[ICML'20]\n- see [x](n{i}.md)\n\n" for i in range(1500))
    started = time.perf_counter()
    note = parse_note("d.md", text)
    assert len(note.heads) == 3001
    assert time.perf_counter() - started < 10


def test_brackets_after_a_link_are_taken_off_in_one_pass() -> None:
    """Taking them off one by one, each time counting all, would take hours here."""
    note = parse_note("a.md", "see http://example.com/(a)" + ")." * 500_000)
    assert [url for _, url in note.links] == ["http://example.com/(a)"]
