"""Query string → query tree."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from papersearch.fields import BY_ANY_NAME, TABLE
from papersearch.query import (
    MAX_CLAUSES,
    MAX_DEPTH,
    MAX_LENGTH,
    SORTS,
    And,
    Exact,
    Fuzzy,
    Node,
    Not,
    Or,
    Phrase,
    Prefix,
    Within,
    Words,
    Years,
    half_width,
    parse_query,
    parse_years,
)


def years(*ranges: tuple[int | None, int | None]) -> Years:
    return Years(ranges)


W, P = Words, Phrase

CASES: list[tuple[str, tuple[Node, ...]]] = [
    # words and phrases
    ("", ()),
    ("   ", ()),
    ("graph", (W("graph"),)),
    ("graph  search\t检索", (W("graph search 检索"),)),
    ('"inner product"', (P("inner product"),)),
    ("“内积 搜索”", (P("内积 搜索"),)),
    ("「内积」", (P("内积"),)),
    ('a "b c" d', (W("a"), P("b c"), W("d"))),
    ('a"b c"', (W("a"), P("b c"))),
    ('""', ()),
    ('"!?"', ()),
    ("end-to-end", (W("end-to-end"),)),
    ("256*1*768", (W("256*1*768"),)),
    ("x_i/‖x_i‖^2", (W("x_i/‖x_i‖^2"),)),
    ("C++", (W("C++"),)),
    ("[4,4,c]", (W("[4,4,c]"),)),
    ("f(x)", (W("f(x)"),)),
    ("－", ()),
    ("!!! ???", ()),
    # negation
    ("a -b", (W("a"), Not(W("b")))),
    ("a －b", (W("a"), Not(W("b")))),
    ("a —b", (W("a"), Not(W("b")))),
    ("a NOT b", (W("a"), Not(W("b")))),
    ("a not b", (W("a not b"),)),
    ('a -"b c"', (W("a"), Not(P("b c")))),
    ("a -(b c)", (W("a"), Not(W("b c")))),
    ("-a", (Not(W("a")),)),
    ("a - b", (W("a b"),)),
    ("a NOT NOT b", (W("a b"),)),
    ("a -venue:kdd", (W("a"), Not(Exact("venue", ("kdd",))))),
    ("NOT", (W("NOT"),)),
    # alternatives and brackets
    ("a OR b", (Or((W("a"), W("b"))),)),
    ("a OR b OR c", (Or((W("a"), W("b"), W("c"))),)),
    ("x a OR b", (W("x"), Or((W("a"), W("b"))))),
    ("a or b", (W("a or b"),)),
    ("(a OR b) c", (Or((W("a"), W("b"))), W("c"))),
    ("（a OR b） c", (Or((W("a"), W("b"))), W("c"))),
    ('(a "b c") OR d', (Or((And((W("a"), P("b c"))), W("d"))),)),
    ("a AND b", (W("a b"),)),
    ("((a))", (W("a"),)),
    ("()", ()),
    # prefixes and slips
    ("att*", (Prefix("att"),)),
    ("检*", (Prefix("检"),)),
    ("*", ()),
    ("word~", (Fuzzy("word", 0),)),
    ("word~1", (Fuzzy("word", 1),)),
    ("word~2", (Fuzzy("word", 2),)),
    ("~word", (W("~word"),)),
    # fields
    ("title:graph", (Within("title", W("graph")),)),
    ("标题：图", (Within("title", W("图")),)),
    ("title:graph rest", (Within("title", W("graph")), W("rest"))),
    ('title:"inner product"', (Within("title", P("inner product")),)),
    ("note:(a OR b)", (Within("note", Or((W("a"), W("b")))),)),
    ("alias:tvm", (Within("alias", W("tvm")),)),
    ("venue:nips", (Exact("venue", ("nips",)),)),
    ("VENUE:nips", (Exact("venue", ("nips",)),)),
    ("venue:nips,kdd", (Exact("venue", ("nips", "kdd")),)),
    ("venue:(nips OR kdd)", (Exact("venue", ("nips", "kdd")),)),
    ('category:"目标 检测"', (Exact("category", ("目标 检测",)),)),
    ("org:(google OR \"South Korea\")", (Exact("org", ("google", "South Korea")),)),
    ("机构：百度", (Exact("org", ("百度",)),)),
    ("has:notes", (Exact("has", ("notes",)),)),
    ("year:2022", (years((2022, 2022)),)),
    ("年份：２０２２", (years((2022, 2022)),)),
    ("year:2020..2022", (years((2020, 2022)),)),
    ("year:2020..", (years((2020, None)),)),
    ("year:..2019", (years((None, 2019)),)),
    ("year:>=2020", (years((2020, None)),)),
    ("year:<2020", (years((None, 2019)),)),
    ("year:[2020 TO 2022]", (years((2020, 2022)),)),
    ("year:2019,2021..2022", (years((2019, 2019), (2021, 2022)),)),
    ("year:(2019 OR 2021)", (years((2019, 2019), (2021, 2021)),)),
    ("title: graph", (W("title: graph"),)),
]  # fmt: skip


@pytest.mark.parametrize(("text", "clauses"), CASES, ids=[text for text, _ in CASES])
def test_queries(text: str, clauses: tuple[Node, ...]) -> None:
    query = parse_query(text)
    assert query.clauses == clauses
    assert query.text == text


TOLD = [
    ('graph "open', (W("graph open"),), "quotation mark"),
    ("(graph", (W("graph"),), "bracket"),
    ("graph)", (W("graph"),), "bracket"),
    ("venue:(nips OR kdd", (Exact("venue", ("nips", "kdd")),), "bracket"),
    ("foo:bar", (W("foo:bar"),), "foo"),
    ("YOLOv7: trainable", (W("YOLOv7: trainable"),), "YOLOv7"),
    ("year:soon graph", (W("graph"),), "year"),
    ("year:2022..2019 graph", (W("graph"),), "2019..2022"),
    ("sort:size graph", (W("graph"),), "sort"),
    ("word~9", (Fuzzy("word", 2),), "2 edits"),
]


@pytest.mark.parametrize(("text", "clauses", "told"), TOLD, ids=[text for text, _, _ in TOLD])
def test_what_cannot_be_read_is_text_and_a_notice(text: str, clauses: tuple[Node, ...], told: str) -> None:
    query = parse_query(text)
    assert query.clauses == clauses
    assert len(query.notices) == 1
    assert told in query.notices[0]


@pytest.mark.parametrize(
    "text", [text for text, _ in CASES if text != "title: graph"] + ["https://example.org/x", "a OR", "OR b"]
)
def test_what_can_be_read_gives_no_notice(text: str) -> None:
    assert parse_query(text).notices == ()


@pytest.mark.parametrize("order", SORTS)
@pytest.mark.parametrize("name", ["sort", "排序", "SORT"])
def test_an_order_is_taken_out_of_the_query(order: str, name: str) -> None:
    query = parse_query(f"graph {name}:{order} search")
    assert (query.sort, query.clauses) == (order, (W("graph search"),))


@pytest.mark.parametrize("field", TABLE, ids=lambda field: field.name)
def test_every_field_is_known_by_both_names_and_both_colons(field) -> None:  # type: ignore[no-untyped-def]
    value = "2022" if field.kind == "year" else "x"
    spellings = [f"{name}{colon}{value}" for name in (field.name, field.zh, field.name.upper()) for colon in ":："]
    (clauses,) = {parse_query(text).clauses for text in spellings}
    assert len(clauses) == 1
    assert not isinstance(clauses[0], Words)
    assert {BY_ANY_NAME[field.name], BY_ANY_NAME[field.zh]} == {field}


@pytest.mark.parametrize(
    ("full", "half"),
    [("年份：２０２２", "年份:2022"), ("（ａ　ＯＲ　ｂ）", "(a OR b)"), ("“ａ　ｂ”", '"a b"'), ("a －b", "a -b"), ("year:２０２０．．２０２２", "year:2020..2022")],
)  # fmt: skip
def test_full_width_input_means_the_same(full: str, half: str) -> None:
    assert parse_query(full).clauses == parse_query(half).clauses
    assert half_width(full) == half


# ---- years


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2022", (2022, 2022)), (" 2022 ", (2022, 2022)), ("2019..2021", (2019, 2021)), ("2019...2021", (2019, 2021)),
        ("2019-2021", (2019, 2021)), ("2019~2021", (2019, 2021)), ("2021..", (2021, None)), ("..2017", (None, 2017)),
        (">=2020", (2020, None)), (">2020", (2021, None)), ("<=2020", (None, 2020)), ("<2020", (None, 2019)),
        ("[2019 TO 2021]", (2019, 2021)), ("[2019 TO *]", (2019, None)), ("[* to 2021]", (None, 2021)), ("2019..2019", (2019, 2019)),
        ("２０１９．．２０２１", (2019, 2021)), ("2019–2021", (2019, 2021)),
    ],
)  # fmt: skip
def test_years(text: str, wanted: tuple[int | None, int | None]) -> None:
    assert parse_years(text) == wanted


@pytest.mark.parametrize("text", ["", " ", "..", "-", "22", "'22", "20222", "soon", "2022x", "3022", "0999", ">=", "=2020", "2020..x", "[2020]", "[2020 TO x]", "2020 2021", "-2020-", "٢٠٢٢", "²⁰²²x"])  # fmt: skip
def test_what_is_no_year_says_so(text: str) -> None:
    with pytest.raises(ValueError, match="no year"):
        parse_years(text)


@pytest.mark.parametrize("text", ["2022..2019", "2022-2019", "[2022 TO 2019]"])
def test_a_reversed_range_says_how_to_write_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"2019\.\.2022"):
        parse_years(text)


# ---- limits


def test_a_long_query_is_cut_and_says_so() -> None:
    query = parse_query("a" * (2 * MAX_LENGTH))
    assert query.clauses == (W("a" * MAX_LENGTH),)
    assert any(str(MAX_LENGTH) in notice for notice in query.notices)


def test_a_query_of_many_parts_is_cut_and_says_so() -> None:
    query = parse_query(" ".join(f'"{i}"' for i in range(2 * MAX_CLAUSES)))
    assert len(query.clauses) == MAX_CLAUSES
    assert any(str(MAX_CLAUSES) in notice for notice in query.notices)


def depth(node: Node) -> int:
    match node:
        case And(nodes) | Or(nodes):
            inner: tuple[Node, ...] = nodes
        case Not(one) | Within(_, one):
            inner = (one,)
        case _:
            inner = ()
    return 1 + max(map(depth, inner), default=0)


def test_brackets_nest_only_so_deep() -> None:
    nested = [
        "(" * 400 + "a" + ")" * 400,
        "(a OR " * 100,
        "-(" * 300 + "a",
        "title:" * 150 + "a",
        "标题：" * 300 + "a",
        "NOT " * 200,
    ]
    for text in nested:
        assert all(depth(clause) <= 4 * MAX_DEPTH for clause in parse_query(text).clauses)
    assert parse_query("(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH).clauses == (W("a"),)


@pytest.mark.parametrize(
    "text", ["(" * 100000, '"' * 99999, "-" * 100000, "a OR " * 50000, "a:" * 50000, "*~" * 50000, "venue:(" * 20000, "－" * 100000,
             "ﷺ" * 100000, "a " * 100000, "\u0301" * 100000, "[1 TO " * 20000]
)  # fmt: skip
def test_hostile_queries_take_no_time(text: str) -> None:
    started = time.perf_counter()
    parse_query(text)
    assert time.perf_counter() - started < 1


query_text = st.lists(
    st.one_of(
        st.sampled_from(['"', "(", ")", "-", "－", "OR", "AND", "NOT", "*", "~", "~2", ":", "：", "year:", "2020..", "[1 TO 2]", "title:",
                         "venue:(", "sort:", "has:", ",", " ", "  ", "\t", "“", "”", "（", "）", "检索", "word", "\ud800", "\x00", ">="]),
        st.text(max_size=4),
    ),
    max_size=30,
).map("".join)  # fmt: skip


@given(query_text)
def test_no_query_raises(text: str) -> None:
    started = time.perf_counter()
    query = parse_query(text)
    assert time.perf_counter() - started < 1
    assert query.text == text
    assert query.sort is None or query.sort in SORTS
    assert all(notice and "\n" not in notice for notice in query.notices)


@given(query_text)
def test_no_word_of_a_query_is_lost_in_silence(text: str) -> None:
    """Every letter or digit is in a clause, is syntax, or a notice tells of it."""
    query = parse_query(text)
    if query.notices or any(name in half_width(text) for name in ("OR", "AND", "NOT", ":", "TO")):
        return
    held = repr(query.clauses)
    assert all(c in held for c in half_width(text) if c.isalnum() and c.isprintable())


@given(st.text())
def test_parsing_years_raises_nothing_else(text: str) -> None:
    try:
        low, high = parse_years(text)
    except ValueError as error:
        assert str(error)
    else:
        assert low is not None or high is not None
        assert low is None or high is None or low <= high
