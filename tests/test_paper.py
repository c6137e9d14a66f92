"""The grammar of a heading, ids, and what is stored of a paper."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from papersearch.heading import Heading, four_digits, parse_heading, plain
from papersearch.paper import ID_LENGTH, Paper, Section, identity, make_id

CASES: list[tuple[str, Heading]] = [
    # one group, two groups, several orgs
    ("A Title[CVPR'22]", Heading("A Title", (), "CVPR", "CVPR", 2022, (), ("CVPR'22",))),
    ("A Title[NIPS'19][Baidu]", Heading("A Title", (), "NeurIPS", "NIPS", 2019, ("Baidu",), ("NIPS'19", "Baidu"))),
    ("A Title[IJCAI'22][X,Y]", Heading("A Title", (), "IJCAI", "IJCAI", 2022, ("X", "Y"), ("IJCAI'22", "X,Y"))),
    ("A Title[KDD'20][X、Y；Z/W]", Heading("A Title", (), "KDD", "KDD", 2020, ("X", "Y", "Z", "W"), ("KDD'20", "X、Y；Z/W"))),
    ("A Title[X][KDD'20][Y]", Heading("A Title", (), "KDD", "KDD", 2020, ("X", "Y"), ("X", "KDD'20", "Y"))),
    ("A Title[Lab@City]", Heading("A Title", orgs=("Lab@City",), groups=("Lab@City",))),
    ("A Title[South Korea]", Heading("A Title", orgs=("South Korea",), groups=("South Korea",))),
    ("A Title", Heading("A Title")),
    # several things in one group
    ("A Title[Google, NIPS'17]", Heading("A Title", (), "NeurIPS", "NIPS", 2017, ("Google",), ("Google, NIPS'17",))),
    # blanks inside, between and after groups
    ("A Title [ CVPR'22 ] [ X ]  ", Heading("A Title", (), "CVPR", "CVPR", 2022, ("X",), ("CVPR'22", "X"))),
    ("  A  Title[CVPR 2022]", Heading("A  Title", (), "CVPR", "CVPR", 2022, (), ("CVPR 2022",))),
    # full-width brackets, letters, digits, apostrophes
    ("题目［ＣＶＰＲ＇２２］［北大］", Heading("题目", (), "CVPR", "CVPR", 2022, ("北大",), ("ＣＶＰＲ＇２２", "北大"))),
    ("题目【CVPR’22】", Heading("题目", (), "CVPR", "CVPR", 2022, (), ("CVPR’22",))),
    ("题目[CVPR`22]", Heading("题目", (), "CVPR", "CVPR", 2022, (), ("CVPR`22",))),
    ("题目[CVPR´22]", Heading("题目", (), "CVPR", "CVPR", 2022, (), ("CVPR´22",))),
    # only groups at the very end are groups
    ("A [Bracketed] Title", Heading("A [Bracketed] Title")),
    ("[CVPR'22] A Title", Heading("[CVPR'22] A Title")),
    ("[CVPR'22] A Title[ICML'20]", Heading("[CVPR'22] A Title", (), "ICML", "ICML", 2020, (), ("ICML'20",))),
    ("[CVPR'22]", Heading("[CVPR'22]")),
    ("A Title\\[CVPR'22]", Heading("A Title[CVPR'22]")),
    ("Look Here![CVPR'22]", Heading("Look Here!", (), "CVPR", "CVPR", 2022, (), ("CVPR'22",))),
    ("A Title[]", Heading("A Title[]")),
    ("A Title ![alt](a.png)", Heading("A Title alt")),
    # years
    ("T[ICML2020]", Heading("T", (), "ICML", "ICML", 2020, (), ("ICML2020",))),
    ("T[ICML-20]", Heading("T", (), "ICML", "ICML", 2020, (), ("ICML-20",))),
    ("T[ICML, 2020]", Heading("T", (), "ICML", "ICML", 2020, (), ("ICML, 2020",))),
    ("T[SIGMOD'98]", Heading("T", (), "SIGMOD", "SIGMOD", 1998, (), ("SIGMOD'98",))),
    ("T[2019]", Heading("T", year=2019, groups=("2019",))),
    ("T[ICML][2019]", Heading("T", (), "ICML", "ICML", 2019, (), ("ICML", "2019"))),
    ("T[CVPR'22 Oral]", Heading("T", (), "CVPR", "CVPR", 2022, (), ("CVPR'22 Oral",))),
    ("T[ICCV'21(oral)]", Heading("T", (), "ICCV", "ICCV", 2021, (), ("ICCV'21(oral)",))),
    ("T[arXiv 2301.01234]", Heading("T", (), "arXiv", "arXiv", 2023, (), ("arXiv 2301.01234",))),
    ("T[arXiv:2301.01234v2]", Heading("T", (), "arXiv", "arXiv", 2023, (), ("arXiv:2301.01234v2",))),
    ("T[arXiv]", Heading("T", (), "arXiv", "arXiv", None, (), ("arXiv",))),
    ("T[Studio 54]", Heading("T", orgs=("Studio 54",), groups=("Studio 54",))),
    # slips, other spellings, unknown venues
    ("T[Arixv'23]", Heading("T", (), "arXiv", "Arixv", 2023, (), ("Arixv'23",))),
    ("T[Arivx'21][AWS]", Heading("T", (), "arXiv", "Arivx", 2021, ("AWS",), ("Arivx'21", "AWS"))),
    ("T[ISP'19]", Heading("T", (), "IEEE S&P", "ISP", 2019, (), ("ISP'19",))),
    ("T[PAMI'17]", Heading("T", (), "TPAMI", "PAMI", 2017, (), ("PAMI'17",))),
    ("T[MM'22]", Heading("T", (), "ACM MM", "MM", 2022, (), ("MM'22",))),
    ("T[Zorgcon'22]", Heading("T", (), "Zorgcon", "Zorgcon", 2022, (), ("Zorgcon'22",))),
    # aliases
    ("LightNet: A Fast One[SC'22]", Heading("LightNet: A Fast One", ("LightNet",), "SC", "SC", 2022, (), ("SC'22",))),
    ("轻网：很快的网络", Heading("轻网：很快的网络", ("轻网",))),
    ("Deep Things(DT)", Heading("Deep Things(DT)", ("DT",))),
    ("Deep Things（DT）", Heading("Deep Things（DT）", ("DT",))),
    ("Net: Things(DT2)", Heading("Net: Things(DT2)", ("Net", "DT2"))),
    ("Deep Things(CVPR)", Heading("Deep Things(CVPR)")),
    ("Deep Things(as told)", Heading("Deep Things(as told)")),
    ("A Title of Far Too Many Words: More", Heading("A Title of Far Too Many Words: More")),
    ("Attacks in Vision: A Survey", Heading("Attacks in Vision: A Survey")),
    ("Ends with a colon:", Heading("Ends with a colon:")),
    # inline Markdown
    ("[A Title](https://example.org/x)[CVPR'22]", Heading("A Title", (), "CVPR", "CVPR", 2022, (), ("CVPR'22",))),
    ("A Title[CVPR'22](https://example.org)", Heading("A Title", (), "CVPR", "CVPR", 2022, (), ("CVPR'22",))),
    ("A Title[CVPR'22][PDF](https://example.org)[Code](x)",
     Heading("A Title", (), "CVPR", "CVPR", 2022, (), ("CVPR'22", "PDF", "Code"))),
    ("**A Title**[CVPR'22]", Heading("A Title", (), "CVPR", "CVPR", 2022, (), ("CVPR'22",))),
    ("`code_name`: things", Heading("code_name: things", ("code_name",))),
    ("Sizes 256*1*768 and a_b_c", Heading("Sizes 256*1*768 and a_b_c")),
    ("The 4\\*4 Tile", Heading("The 4*4 Tile")),
    ("A Title [CVPR'22] ##", Heading("A Title", (), "CVPR", "CVPR", 2022, (), ("CVPR'22",))),
    ("A Title[CVPR'22]##", Heading("A Title[CVPR'22]##")),
    ("C#", Heading("C#")),
    ("#", Heading("#")),
]  # fmt: skip


@pytest.mark.parametrize(("source", "wanted"), CASES, ids=[source for source, _ in CASES])
def test_headings(source: str, wanted: Heading) -> None:
    assert parse_heading(source) == wanted


heading_text = st.text(
    st.one_of(
        st.sampled_from(list("[]［］【】()（）'’`*_~\\:：,，、!#&<> 019aZéß文库\u0301\u200b\x00\ud800")),
        st.characters(),
    ),
    max_size=60,
)
grouped = st.builds(
    lambda title, groups: title + "".join(f"[{g}]" for g in groups),
    heading_text,
    st.lists(st.sampled_from(["CVPR'22", "arXiv", "X,Y", "2020", "Arixv'23", "", "[]", "a](b"]), max_size=4),
)


@given(st.one_of(heading_text, grouped))
def test_any_heading_is_read(source: str) -> None:
    heading = parse_heading(source)
    assert heading.title or not source.strip()
    assert heading.year is None or 1900 <= heading.year <= 2099
    assert all(name.strip() for name in (*heading.aliases, *heading.orgs, *heading.groups))
    assert heading.dated == (heading.venue is not None or heading.year is not None)
    assert (heading.venue is None) == (heading.venue_raw is None)


@given(heading_text)
def test_no_letter_or_digit_of_a_heading_is_lost(source: str) -> None:
    """Titles and groups hold all of it; link targets are kept with the paper's context."""
    heading = parse_heading(source)
    if "](" not in source and "］(" not in source and "】(" not in source:
        held = "".join((heading.title, *heading.groups))
        assert sorted(c for c in held if c.isalnum()) == sorted(c for c in source if c.isalnum())


@pytest.mark.parametrize(
    "source",
    ["[" * 5000, "[a]" * 3000, "T" + "[a] " * 3000, "*" * 5000 + "a", "a(" * 3000, "[a](" * 2000, "`a" * 3000, "\\" * 5000,
     "a" * 20000 + "'22", "T[" + "x " * 5000 + "'22]", "_a" * 4000, "**a" * 3000, "**a **" * 300, "[" + "1" * 9000 + "]",
     "T[" + "comprehensive " * 200 + "]", "T[" + "best paper " * 200 + "]", "T[" + "a'" * 3000 + "]"],
    ids=lambda source: source[:8],
)  # fmt: skip
def test_hostile_headings_take_no_time(source: str) -> None:
    started = time.perf_counter()
    parse_heading(source)
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(("written", "year"), [("22", 2022), ("00", 2000), ("59", 2059), ("60", 1960), ("98", 1998), ("2031", 2031)])  # fmt: skip
def test_two_digits_name_the_nearest_century(written: str, year: int) -> None:
    assert four_digits(written) == year


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("*a* **b** ***c*** ~~d~~ `e`", "a b c d e"),
        ("snake_case_name 2*3*4", "snake_case_name 2*3*4"),
        ("[text](target) ![alt](image)", "text alt"),
        ("[a [nested] one](target)", "a [nested] one"),
        ("\\*not emphasis\\*", "*not emphasis*"),
        ("**[bold link](x)**", "bold link"),
        ("".join(map(chr, range(0xE000, 0xE100))), "".join(map(chr, range(0xE000, 0xE100)))),
    ],
)
def test_plain_text_of_inline_markdown(source: str, shown: str) -> None:
    assert plain(source) == shown


# ---- ids


def test_an_id_is_short_lower_case_and_easy_to_read_out() -> None:
    made = make_id("some key")
    assert len(made) == ID_LENGTH
    assert set(made) <= set("0123456789abcdefghjkmnpqrstvwxyz")
    assert made == make_id("some key") != make_id("some key ")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("A Title: of Things", "CVPR", 2022), ("a title of things", "cvpr", 2022)),
        (("ＡＢＣ", None, None), ("abc", None, None)),
        (("题目，一", None, 2020), ("题目 一", None, 2020)),
    ],
)
def test_spelling_does_not_change_what_a_heading_names(one: tuple, other: tuple) -> None:  # type: ignore[type-arg]
    assert identity(*one) == identity(*other)


@pytest.mark.parametrize("other", [("Title!", "ICML", 2020), ("Title", "CVPR", 2020), ("Title", "ICML", 2021), ("Titles", "ICML", 2020)])  # fmt: skip
def test_identity_is_title_venue_and_year(other: tuple[str, str, int]) -> None:
    same = identity("Title", "ICML", 2020) == identity(*other)
    assert same == (other[0] == "Title!")


# ---- storing

texts = st.text(st.characters(exclude_categories=()), max_size=30)
sections = st.builds(Section, path=st.just("d.md"), line=st.integers(1, 999), text=texts)
papers = st.builds(
    Paper,
    id=st.just("abcdefgh"), title=texts, path=st.just("d.md"), line=st.integers(1, 99), end_line=st.integers(99, 9999),
    kind=st.sampled_from(["paper", "note"]), aliases=st.lists(texts).map(tuple), category=st.none() | texts,
    venue=st.none() | texts, venue_raw=st.none() | texts, year=st.none() | st.integers(1900, 2099),
    orgs=st.lists(texts).map(tuple), bullets=st.integers(0, 99), links=st.lists(texts).map(tuple),
    context=st.lists(texts).map(tuple), sections=st.lists(sections, max_size=3).map(tuple),
)  # fmt: skip


@given(papers, st.integers(-50, 5000))
def test_a_paper_is_stored_whole_and_found_at_its_new_place(paper: Paper, shift: int) -> None:
    stored = json.loads(json.dumps(paper.stored()))
    back = Paper.from_stored(stored, "other.md", paper.line + shift, paper.end_line + shift)
    assert back.stored() == paper.stored()
    assert [s.line - back.line for s in back.sections] == [s.line - paper.line for s in paper.sections]
    assert all(section.path == "other.md" for section in back.sections)


def test_companions_keep_their_place_when_the_paper_moves() -> None:
    paper = Paper("x", "T", "d.md", 10, 12, sections=(Section("d.md", 11, "own"), Section("c.md", 3, "long", True)))
    moved = Paper.from_stored(paper.stored(), "d.md", 110, 112)
    assert [(s.path, s.line) for s in moved.sections] == [("d.md", 111), ("c.md", 3)]


def test_flags_name_what_a_paper_has() -> None:
    bare = Paper("x", "T", "d.md", 1, 1)
    assert bare.flags == ()
    blank = Paper("x", "T", "d.md", 1, 1, sections=(Section("d.md", 2, " \n"), Section("c.md", 1, "long", True)))
    assert blank.flags == ("companion",)
    full = Paper("x", "T", "d.md", 1, 2, aliases=("A",), venue="V", year=2020, orgs=("O",), links=("u",),
                 sections=(Section("d.md", 2, "own"),))  # fmt: skip
    assert set(full.flags) == {"notes", "links", "alias", "venue", "year", "org"}


def test_a_section_ends_where_its_text_does() -> None:
    assert Section("d.md", 5, "a\nb\nc").end_line == 7
