"""Query string → query tree. Knows no engine; never raises: what it cannot read as syntax is literal text and a notice.

query  := clause (blank clause)*            a blank means AND of ideas
clause := ["-" | "NOT"] unit ("OR" unit)*
unit   := word | prefix* | word~ | "phrase" | "(" query ")" | field ":" value
"""

from __future__ import annotations

import re
import unicodedata

from papersearch.fields import BY_ANY_NAME, Field
from papersearch.record import Record

MAX_LENGTH = 1000
"""Characters of a query that are read; a longer one is cut, and a notice says so."""
MAX_DEPTH = 16
"""Brackets inside brackets; deeper ones are literal."""
MAX_CLAUSES = 128
MAX_EXPANDED = 8
"""Prefixes and fuzzy words, each of which stands for many words of the index."""

SORTS = ("score", "year", "-year", "title", "venue")


class Words(Record):
    """Free text: its ideas are found by the search, each may be relaxed."""

    text: str


class Phrase(Record):
    """Words or Chinese characters one after the other."""

    text: str


class Prefix(Record):
    """Any word that begins so."""

    text: str


class Fuzzy(Record):
    """Any word at most `edits` insertions, deletions, changes or swaps of neighbours away."""

    text: str
    edits: int


class Within(Record):
    """A scored clause inside one zone: `title:…`. Never relaxed."""

    zone: str
    node: Node


class Exact(Record):
    """Papers one of whose values of an exact field is one of these."""

    field: str
    values: tuple[str, ...]


class Years(Record):
    """Papers of these years, both ends included; None is open."""

    ranges: tuple[tuple[int | None, int | None], ...]


class Not(Record):
    node: Node


class Or(Record):
    nodes: tuple[Node, ...]


class And(Record):
    nodes: tuple[Node, ...]


Node = Words | Phrase | Prefix | Fuzzy | Within | Exact | Years | Not | Or | And


class Query(Record):
    """A parsed query: its clauses, all of which count, and what the user should be told about it."""

    text: str
    clauses: tuple[Node, ...] = ()
    sort: str | None = None
    notices: tuple[str, ...] = ()


_DOUBLE_QUOTES = str.maketrans(dict.fromkeys("“”„‟＂〝〞「」『』«»", '"'))
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—―−－﹣", "-"))
# Compiled for a query that has a colon, or a range of years.
_FIELD = r"([^\W\d_]+)[:：](?=\S)"
_RANGE = r"(?i)\[\s*(\S+)\s+TO\s+(\S+)\s*\]"
_YEAR = r"[12][0-9]{3}"
_YEARS = (rf"(?:(?P<one>{_YEAR})|(?P<low>{_YEAR})?\s*(?:\.\.\.?|-|~|TO)\s*(?P<high>{_YEAR})?"
                    rf"|(?P<sign>>=|<=|>|<)\s*(?P<bound>{_YEAR}))\Z")  # fmt: skip


def half_width(text: str) -> str:
    """Full-width forms, typographic quotes and dashes as the ASCII that the syntax is written in."""
    return unicodedata.normalize("NFKC", text.translate(_DOUBLE_QUOTES).translate(_DASHES)).translate(_DASHES)


def parse_years(value: str) -> tuple[int | None, int | None]:
    """`2022`, `2019..2021`, `2021..`, `..2017`, `>=2020`, `[2019 TO 2021]`. Raises ValueError saying what is wrong."""
    text = half_width(value).strip()
    bracketed = re.fullmatch(_RANGE, text)
    if bracketed:
        text = "..".join("" if end == "*" else end for end in bracketed.groups())
    found = re.match(_YEARS, text, re.IGNORECASE)  # compiled only for a query that has years
    if not found or not any(found[name] for name in ("one", "low", "high", "bound")):
        raise ValueError(f"{value!r} is no year; write 2022, 2019..2021, 2021.. or ..2017")
    if found["one"]:
        return int(found["one"]), int(found["one"])
    if found["sign"]:
        bound, sign = int(found["bound"]), found["sign"]
        if sign[0] == ">":
            return bound + (sign == ">"), None
        return None, bound - (sign == "<")
    low = int(found["low"]) if found["low"] else None
    high = int(found["high"]) if found["high"] else None
    if low is not None and high is not None and low > high:
        raise ValueError(f"the range {value!r} ends before it begins; write {high}..{low}")
    return low, high


def parse_query(text: str) -> Query:
    """Read a query. Never raises."""
    notices: list[str] = []
    source = half_width(text[: 2 * MAX_LENGTH].encode("utf-8", "replace").decode("utf-8"))
    if len(source) > MAX_LENGTH or len(text) > 2 * MAX_LENGTH:
        notices.append(f"the query is longer than {MAX_LENGTH} characters; only its beginning was searched")
        source = source[:MAX_LENGTH]
    parser = _Parser(source, notices)
    clauses = parser.clauses(0)
    return Query(text, tuple(_merge_words(clauses)), parser.sort, tuple(dict.fromkeys(notices)))


def _merge_words(nodes: list[Node]) -> list[Node]:
    """Neighbouring words as one text, so that ideas of several words are seen whole."""
    merged: list[Node] = []
    for node in nodes:
        if node in merged and not isinstance(node, Words):
            continue
        if isinstance(node, Words) and merged and isinstance(merged[-1], Words):
            merged[-1] = Words(f"{merged[-1].text} {node.text}")
        else:
            merged.append(node)
    return merged


class _Parser:
    def __init__(self, source: str, notices: list[str]) -> None:
        self.source = source
        self.at = 0
        self.notices = notices
        self.sort: str | None = None
        self.count = 0
        self.expansions = 0

    def clauses(self, depth: int) -> list[Node]:
        """Clauses up to the closing bracket (depth > 0) or the end."""
        nodes: list[Node] = []
        while True:
            self.skip_blanks()
            if self.at >= len(self.source):
                if depth:
                    self.notices.append("an opening bracket is never closed; read as if it were at the end")
                return nodes
            if self.source[self.at] == ")":
                self.at += 1
                if depth:
                    return nodes
                self.notices.append("a closing bracket has no opening one; ignored")
                continue
            if self.operator("OR") and nodes and not isinstance(nodes[-1], Not | Years | Exact):
                mark = self.at
                self.at += 2
                node = self.clause(depth)
                if node is None or isinstance(node, Not):
                    self.at = mark + 2
                    nodes.append(Words("OR"))
                    continue
                left = nodes.pop()
                alternatives = left.nodes if isinstance(left, Or) else (left,)
                nodes.append(Or((*alternatives, node)))
                continue
            if self.operator("AND") and nodes:
                self.at += 3
                continue
            node = self.clause(depth)
            self.count += 1
            if self.count > MAX_CLAUSES:
                self.notices.append(f"the query has more than {MAX_CLAUSES} parts; the rest was not searched")
                self.at = len(self.source)
                return nodes
            if node is not None:
                nodes.append(node)

    def clause(self, depth: int) -> Node | None:
        """One clause, or None where there is nothing (a lone dash, a sort order, the end)."""
        self.skip_blanks()
        source = self.source
        if self.at >= len(source) or source[self.at] == ")":
            return None
        if self.operator("NOT") and self.at + 3 < len(source):
            self.at += 3
            return self.negated(depth)
        if source[self.at] == "-":
            self.at += 1
            if self.at >= len(source) or source[self.at].isspace() or source[self.at] in "-)":
                return None
            return self.negated(depth)
        return self.unit(depth)

    def negated(self, depth: int) -> Node | None:
        if depth >= MAX_DEPTH:
            return self.word()
        node = self.clause(depth + 1)
        return node.node if isinstance(node, Not) else Not(node) if node else None

    def unit(self, depth: int) -> Node | None:
        source = self.source
        if source[self.at] == "(":
            self.at += 1
            if depth >= MAX_DEPTH:
                self.notices.append(f"brackets nest deeper than {MAX_DEPTH}; the inner ones were ignored")
                return None
            nodes = _merge_words(self.clauses(depth + 1))
            return nodes[0] if len(nodes) == 1 else And(tuple(nodes)) if nodes else None
        if source[self.at] == '"':
            return self.phrase()
        known = re.compile(_FIELD).match(source, self.at) if ":" in source or "：" in source else None
        if known and source[known.end()] not in ")":
            named = BY_ANY_NAME.get(known.group(1).lower())
            if named:
                self.at = known.end()
                return self.field_value(named, depth)
            if known.group(1).lower() in ("sort", "排序"):
                self.at = known.end()
                self.sort_order()
                return None
        return self.word()

    def phrase(self) -> Node | None:
        end = self.source.find('"', self.at + 1)
        if end < 0:
            self.notices.append("a quotation mark is never closed; read as a blank")
            self.at += 1
            return None
        text = self.source[self.at + 1 : end]
        self.at = end + 1
        return Phrase(text) if any(c.isalnum() for c in text) else None

    def word(self) -> Node | None:
        start = self.at
        text = self.raw_word()
        if (colon := text.find(":")) > 0 or (text and self.source[start + len(text) : start + len(text) + 1] == ":"):
            name = text[:colon] if colon > 0 else text
            if name.isalnum() and not text[colon + 1 :].startswith("//"):
                self.notices.append(f"{name}: is no field; searched as words")
        if not any(c.isalnum() for c in text):
            return Words(text) if text.strip("-*~\"'()[]{}.,;:!?/\\|&+<>=^%$#@_`") else None
        if text[-1] == "*" and (found := re.fullmatch(r"(.*[^\W_].*?)\*", text)):
            if "*" not in found.group(1):
                return self.expanded(Prefix(found.group(1)))
        elif "~" in text[-2:] and (found := re.fullmatch(r"([^\W_][^~]*)~([0-9]?)", text)) and found.group(1):
            edits = int(found.group(2)) if found.group(2) else 0
            if edits > 2:
                self.notices.append(f"{text}: at most 2 edits are searched")
            return self.expanded(Fuzzy(found.group(1), min(edits, 2)))
        return Words(text)

    def expanded(self, node: Prefix | Fuzzy) -> Node:
        """The node, or its text as a word where the query has too many of them."""
        self.expansions += 1
        if self.expansions <= MAX_EXPANDED:
            return node
        self.notices.append(f"only the first {MAX_EXPANDED} words with * or ~ were expanded")
        return Words(node.text)

    def field_value(self, named: Field, depth: int) -> Node | None:
        """What follows `field:`."""
        if named.kind == "scored":
            node = self.unit(depth + 1) if depth < MAX_DEPTH else self.word()
            return Within(named.name, node) if node else None
        if named.kind == "year":
            values = self.years_text()
            ranges = []
            for value in values:
                try:
                    ranges.append(parse_years(value))
                except ValueError as error:
                    self.notices.append(f"{named.name}: {error}; not filtered by year")
                    return None
            return Years(tuple(ranges)) if ranges else None
        exact = tuple(v for v in self.values() if v.strip())
        return Exact(named.name, exact) if exact else None

    def years_text(self) -> list[str]:
        if found := re.compile(_RANGE).match(self.source, self.at):
            self.at = found.end()
            return [found.group()]
        return self.values()

    def values(self) -> list[str]:
        """`a`, `a,b`, `"a b"`, `(a OR "b c")` as a list of values."""
        source = self.source
        if source[self.at] == '"':
            node = self.phrase()
            return [node.text] if isinstance(node, Phrase) else []
        if source[self.at] == "(":
            end = source.find(")", self.at)
            if end < 0:
                self.notices.append("an opening bracket is never closed; read as if it were at the end")
                end = len(source)
            inside = source[self.at + 1 : end]
            self.at = min(end + 1, len(source))
            return [
                v.strip().strip('"').strip() for v in re.split(r"\s+OR\s+|,", inside) if v.strip().strip('"').strip()
            ]
        return [v for v in self.raw_word().split(",") if v]

    def sort_order(self) -> None:
        order = self.raw_word().lower()
        if order in SORTS:
            self.sort = order
        else:
            self.notices.append(f"sort:{order} is no order; use one of {', '.join(SORTS)}")

    def raw_word(self) -> str:
        """Characters up to a blank, a quotation mark or a bracket that closes one opened outside the word."""
        start, opened = self.at, 0
        while self.at < len(self.source):
            char = self.source[self.at]
            if char.isspace() or char == '"':
                break
            if char == "(":
                opened += 1
            elif char == ")":
                if not opened:
                    break
                opened -= 1
            self.at += 1
        return self.source[start : self.at]

    def skip_blanks(self) -> None:
        while self.at < len(self.source) and self.source[self.at].isspace():
            self.at += 1

    def operator(self, name: str) -> bool:
        """Whether the operator stands here as a word of its own, with something after it."""
        end = self.at + len(name)
        return (
            self.source.startswith(name, self.at)
            and self.source[end : end + 1].isspace()
            and bool(self.source[end:].strip())
        )
