"""What must hold for any corpus: nothing is lost, nothing counted twice, an updated index is the same as a new one."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from corpora import LINKS, MIXED, SHIPPED, copy_glossary, read, write_notes
from papersearch import Index, open_index
from papersearch.analysis.normalize import fold, normalize
from papersearch.analysis.tokens import MAX_TERM
from papersearch.analysis.words import jieba_words
from papersearch.api import build_index
from papersearch.digest import (
    Corpus,
    Resolver,
    Row,
    _outline,
    _outline_of_list,
    _Part,
    _parts,
    lines_of_pieces,
    parse_note,
    read_edited,
    read_together,
)
from papersearch.fields import GRAMS, TEXT
from papersearch.files import cut, decode, digest_of, read_bytes
from papersearch.index.documents import to_document
from papersearch.paper import Paper


@pytest.fixture(autouse=True, scope="module")
def _one_glossary() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("papersearch.glossary.compiled.compile_glossary", copy_glossary)
        yield


# ---- corpora out of pieces that matter: headings of every kind, lists, fences, links, odd characters

WORDS = ["zebra", "YOLOv7", "end-to-end", "检测", "后门攻击", "大语言模型", "Möbius", "ＧＰＵ", "x_i", "3\\*3", "C++", "機器學習", "²", "é\u0301", "\u200b", "ß", "[4,4,c]", "`code`", "<b>", "&amp;", "*em*", "_", "#", "|", "\x00", "\ud800"]  # fmt: skip
words = st.lists(st.sampled_from(WORDS) | st.text(max_size=6), min_size=1, max_size=6).map(" ".join).map(lambda s: re.sub(r"[\r\n]", " ", s))  # fmt: skip
groups = st.lists(st.sampled_from(["[CVPR'22]", "[arXiv'23]", "[NIPS'19]", "[X,Y]", "[2020]", "［ICML'20］", "[]", "[a](n0.md)"]), max_size=3).map("".join)  # fmt: skip
blocks = st.one_of(
    st.builds(lambda level, text, group: f"{'#' * level} {text}{group}", st.integers(1, 4), words, groups),
    st.builds(lambda text, group, mark: f"{text}{group}\n{mark}", words, groups, st.sampled_from(["===", "---"])),
    words.map(lambda text: f"- {text}"),
    words.map(lambda text: f"  - {text}\n    1. {text}"),
    words,
    words.map(lambda text: f"```\n### {text}[CVPR'22]\n```"),
    words.map(lambda text: f"<!-- {text}\n### {text}[CVPR'22]\n-->"),
    words.map(lambda text: f"> {text}"),
    words.map(lambda text: f"| {text} | b |\n| - | - |"),
    st.sampled_from(["", "```", "---", "***", "<!--", "$$", "[r]: n1.md"]),
    st.sampled_from(["n0.md", "n1.md", "sub/n2.md", "gone.md", "../n0.md", "%20x.md", "https://example.org/x"]).map(lambda url: f"- see [note]({url}) there"),
)  # fmt: skip
notes = st.builds(
    lambda front, parts, end: (front + "\n".join(parts)).replace("\n", end),
    st.sampled_from(["", "", "\ufeff", "---\ntitle: front matter\n---\n"]),
    st.lists(blocks, max_size=14),
    st.sampled_from(["\n", "\n", "\n\n", "\r\n", "\r"]),
)
NAMES = ["n0.md", "n1.md", "sub/n2.md", "sub/deep/n3.md", " x.md"]
corpora = st.dictionaries(st.sampled_from(NAMES), notes, min_size=1, max_size=4)


@contextmanager
def folder() -> Iterator[Path]:
    """A new folder for each example: a fixture would be shared by all of them."""
    path = Path(tempfile.mkdtemp(prefix="papersearch-tests-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


# ---- a file in parts is what the whole is


def whole_part(lines: Sequence[str]) -> _Part:
    text = "\n".join(lines)
    return _Part(text, 0, len(lines), _outline(text))


def same_in_parts(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        in_parts = parse_note("n0.md", text)
        patch.setattr("papersearch.digest._parts", lambda lines: [whole_part(lines)])
        whole = parse_note("n0.md", text)
    assert in_parts.heads == whole.heads
    assert in_parts.links == whole.links and in_parts.bullets == whole.bullets
    assert (
        set(whole.links_to_notes())
        >= set(in_parts.links_to_notes())
        >= {(line, url) for line, url in whole.links if unquote(url).lower().endswith((".md", ".markdown"))}
    )


@settings(max_examples=300)
@given(notes)
def test_a_note_parsed_in_parts_is_the_one_parsed_whole(text: str) -> None:
    same_in_parts(text)


@pytest.mark.parametrize(
    "text",
    [
        "- ```\n  code\n# A[CVPR'22]\n- b\n",
        "> ```\n> code\n# A\n> <div>\n# B\n",
        "- <div>\n# A\n\n[a]\n\n# B\n[a]: n1.md\n",
        "---\n# no heading\n---\n# A\n\n    # code\n# B\ntext\n===\n# C #\n#no\n####### no\n#\n",
        "[r]: n1.md 'title\n# A\n'\n# B [r]\n",
        "\\`\n# A\n   ```\n# no\n   ```\n# B\n<!--\n# no\n-->\n# C\n",
        "1. a\n\n   ~~~\n# A\n\t```\n# B\n* * *\n# C",
        "", "\n", "#", "# A", "text\n# A\n" * 50,
    ],
)  # fmt: skip
def test_cuts_that_could_go_wrong(text: str) -> None:
    same_in_parts(text)


LIST_PIECES = (
    "- ", "- ", "\n- a", "  - ", "* ", "a", "词", " ", "  ", "    ", "\n", "\n\n", "\n  ", "#", "1. ", "3.5", "\t", "> ", "[", "](",
    "][", "]", "://", "http://x.y", "<a:b>", "<b>", "```", "---", "- -", "--", "===", "_", "***", "\\", "`", "|", "\u3000", "\x0b",
    "\u2028", "\x00",
)  # fmt: skip


@settings(max_examples=500)
@given(st.booleans(), st.lists(st.sampled_from(LIST_PIECES), max_size=14).map("".join))
def test_a_plain_list_is_read_without_the_parser_as_with_it(under_a_heading: bool, text: str) -> None:
    text = f"### T[a][b] #\n- k{text}" if under_a_heading else text
    parts = _parts(text.split("\n"))
    assume(len(parts) == 1 and not parts[0].is_parsed)
    found = _outline_of_list(text)
    assert found is None or found == _outline(text)


@pytest.mark.parametrize("text", ["# A", "# A\n", "# A\n- 1. b\n  - c\n\n  d\n- # e\n", "- a\n- b", "\n\n- *a\n"])
def test_such_lists_are_plain(text: str) -> None:
    assert _outline_of_list(text) == _outline(text)


# ---- an edited file that is read in part is what the whole is

edited_items = st.one_of(
    st.builds(lambda n, group, body: f"### Paper {n}{group}\n{body}", st.integers(0, 99), groups, st.lists(blocks, max_size=2).map("\n".join)),
    st.builds(lambda n, body: f"### Paper {n}[CVPR'22]\n- {' '.join(body)}", st.integers(0, 99), st.lists(st.sampled_from(WORDS[:8]), max_size=9)),
    st.builds(lambda level, name: f"{'#' * level} {name}", st.integers(1, 4), st.sampled_from(["Vision", "系统", "Vision #", "#"])),
    blocks,
)  # fmt: skip
plain_items = st.one_of(
    st.builds(lambda n, body: f"### Paper {n}[ICML'20]\n- {' '.join(body)}\n", st.integers(0, 99), st.lists(st.sampled_from(WORDS[:8]), max_size=9)),
    st.sampled_from(["## Vision\n", "## 系统\n\nwords\n", "# Top", "#### Part\n- of it", "- more\n"]),
)  # fmt: skip
edits = st.lists(
    st.tuples(st.sampled_from(["insert", "put", "remove", "append", "move", "cut"]), st.integers(0, 99), edited_items | plain_items),
    min_size=1, max_size=3,
)  # fmt: skip


def edit_items(items: list[str], steps: list[tuple[str, int, str]]) -> list[str]:
    items = [*items]
    for kind, number, item in steps:
        at = number % (len(items) or 1)
        match kind:
            case "insert":
                items.insert(at, item)
            case "put":
                items[at : at + 1] = [item]
            case "remove":
                items[at : at + 1] = []
            case "append" if items:
                items[at] += f" {item.partition(chr(10))[0]}"
            case "move" if items:
                items.insert(number // 2 % len(items), items.pop(at))
            case "cut" if items:
                items[at] = items[at][: number // 2]
    return items


RESOLVER = Resolver(["n0.md", "n1.md"])


def read_alone(data: bytes) -> tuple[list[Row], bytes]:
    """Papers of a note that stands alone, and its outline."""
    text, remark = decode(data)
    starts, digests = cut(data)
    lines = [] if remark else lines_of_pieces(data, starts)
    found = read_together([parse_note("n0.md", text)], RESOLVER, cuts={"n0.md": (lines, digests)} if lines else {})
    return found.rows["n0.md"], found.outlines.get("n0.md", b"")


def same_in_part(before: bytes, after: bytes) -> bool:
    """Whether it was enough to read what is not the same; then it has to be what reading all of it finds."""
    old, outline = read_alone(before)
    if not outline:
        return False
    found = read_edited(
        "n0.md",
        after,
        outline,
        lambda first, end: frozenset(row.key for row in old[first:end]),
        lambda url: RESOLVER.resolve("n0.md", url)[0] not in (None, "n0.md"),
    )
    if found is None:
        return False
    known = {row.key: row for row in old[found.first : found.end]}
    between = [row if row.paper else known[row.key].down(row.line - known[row.key].line) for row in found.rows]
    got = [*old[: found.first], *between, *(row.down(found.shift) for row in old[found.end :])]
    new, outline = read_alone(after)
    assert [(row.key, row.line, row.paper) for row in got] == [(row.key, row.line, row.paper) for row in new]
    assert (found.outline, found.digest) == (outline, digest_of(after))
    return True


@settings(max_examples=400)
@given(
    st.sampled_from(["", "", "\ufeff", "---\ntitle: front matter\n# a comment\n---\n", "words\n"]),
    st.lists(plain_items, min_size=2, max_size=40) | st.lists(edited_items, min_size=2, max_size=30),
    edits,
    st.sampled_from(["\n", "\n", "\n", "\n\n", "\r\n", "\r"]),
)
def test_an_edited_note_read_in_part_is_the_one_read_whole(
    front: str, items: list[str], steps: list[tuple[str, int, str]], end: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("papersearch.files.PIECE_BYTES", 60)
        patch.setattr("papersearch.files.CUT_ONE_OF", 2)
        texts = [front + "\n".join(some) for some in (items, edit_items(items, steps))]
        same_in_part(*(text.replace("\n", end).encode("utf-8", "replace") for text in texts))


PAPERS = [f"### Paper {n}[ICML'20]\n- {n} zebras{' and yaks' * (n * n % 7)}\n\n" for n in range(40)]
TEXT_OF_PAPERS = f"# D\n\n## Vision\n\n{''.join(PAPERS[:20])}## Systems\n\n{''.join(PAPERS[20:])}"


@pytest.mark.parametrize(
    ("old", "new", "in_part"),
    [
        ("9 zebras", "9 yaks", True),
        ("- 0 zebras", "- 0 zebras\n- and more\n\n\n", True),
        (PAPERS[39], "", True),
        (PAPERS[39], PAPERS[39].rstrip(), True),
        (PAPERS[39], PAPERS[39] + "### Last[KDD'19]\n- new\n", True),
        (PAPERS[0], "### First[KDD'19]\n" + PAPERS[0], True),
        ("# D\n\n", "", False),
        ("# D\n\n", "# E\n\n", False),
        (PAPERS[7], "", True),
        (PAPERS[7] + PAPERS[8], PAPERS[8] + PAPERS[7], True),
        (PAPERS[7], PAPERS[31], True),
        (PAPERS[7], PAPERS[7].replace("[ICML'20]", ""), True),
        (PAPERS[7], PAPERS[7] + "#### Part of it\n- deep\n", True),
        (PAPERS[7], PAPERS[7] + "#### Part of it[KDD'19]\n- deep\n", False),
        ("## Systems", "## Networks", False),
        (PAPERS[7], PAPERS[7] + "```\n### Fenced[CVPR'22]\n```\n", None),
        (PAPERS[7], PAPERS[7] + "```\n### Open[CVPR'22]\n", False),
        (PAPERS[7], PAPERS[7] + "<!--\n", False),
        (PAPERS[7], PAPERS[7] + "[r]: n1.md\n", False),
        (PAPERS[7], PAPERS[7] + "- see [more](n1.md)\n", False),
        (PAPERS[7], PAPERS[7] + "- see [more](https://example.org/n1.md?a&b)\n", True),
        (PAPERS[7], PAPERS[7] + "a\rb\n", False),
        (PAPERS[7], PAPERS[7] + "\ud800\n", False),
    ],
)  # fmt: skip
def test_what_can_be_read_in_part(monkeypatch: pytest.MonkeyPatch, old: str, new: str, in_part: bool | None) -> None:
    monkeypatch.setattr("papersearch.files.PIECE_BYTES", 60)
    monkeypatch.setattr("papersearch.files.CUT_ONE_OF", 2)
    for end in ("\n", "\r\n"):
        texts = (TEXT_OF_PAPERS, TEXT_OF_PAPERS.replace(old, new))
        before, after = (text.replace("\n", end).encode("utf-8", "surrogatepass") for text in texts)
        assert same_in_part(before, after) == in_part or in_part is None
        assert same_in_part(before, before)
        same_in_part(after, before)


# ---- nothing is lost


def letters(text: str) -> str:
    return "".join(c for c in fold(normalize(text)[0]) if c.isalnum())


def held_by_file(papers: list[Paper]) -> dict[str, tuple[set[str], set[str]]]:
    """File → (characters of all terms of the documents it goes into, the terms)."""
    held: dict[str, tuple[set[str], set[str]]] = {}
    for paper in papers:
        document = to_document(paper, jieba_words)
        terms = {term for name in (TEXT, GRAMS) for term, _, _ in document.tokens.get(name, [])}
        for path in {paper.path, *(s.path for s in paper.sections)}:
            characters, known = held.setdefault(path, (set(), set()))
            characters.update(*terms)
            known.update(terms)
    return held


def assert_nothing_lost(root: Path, corpus: Corpus) -> None:
    held = held_by_file(corpus.papers)
    for path in corpus.files:
        text = decode(read_bytes(root / path))[0]
        characters, terms = held.get(path, (set(), set()))
        assert set(letters(text)) <= characters, path
        for word in re.findall(r"[a-z0-9]+", fold(normalize(text)[0])):
            assert len(word) > MAX_TERM or any(word in term for term in terms), (path, word)
        for line in re.split(r"[\r\n]", text):
            for run in re.findall(r"[\u4e00-\u9fff]{2,}", normalize(line)[0]):
                assert {run[i : i + 2] for i in range(len(run) - 1)} <= terms, (path, run)


def assert_nothing_twice(corpus: Corpus) -> None:
    ids = [paper.id for paper in corpus.papers]
    assert len(set(ids)) == len(ids)
    places = [(paper.path, paper.line) for paper in corpus.papers]
    assert len(set(places)) == len(places)
    own: set[tuple[str, int]] = set()
    for paper in corpus.papers:
        lines = [(s.path, n) for s in paper.sections if not s.companion for n in range(s.line, s.end_line + 1)]
        assert own.isdisjoint(lines)
        own.update(lines)
    assert not {s.path for p in corpus.papers for s in p.sections if s.companion} & {p.path for p in corpus.papers}


@given(corpora)
def test_no_letter_or_digit_of_a_note_is_missing_from_the_index(files: dict[str, str]) -> None:
    with folder() as root:
        assert_nothing_lost(root, read(write_notes(root, files)))


@given(corpora)
def test_no_paper_is_counted_twice(files: dict[str, str]) -> None:
    with folder() as root:
        assert_nothing_twice(read(write_notes(root, files)))


@given(corpora)
def test_every_paper_points_at_its_place_in_the_raw_file(files: dict[str, str]) -> None:
    with folder() as root:
        for paper in read(write_notes(root, files)).papers:
            text = decode(read_bytes(root / paper.path))[0]
            lines = re.split(r"\r\n?|\n", text)
            assert 1 <= paper.line <= paper.end_line <= len(lines)
            if paper.kind == "paper":
                # Link targets may stand between the letters of the title.
                heading = iter(letters(" ".join(lines[paper.line - 1 : paper.end_line])))
                assert all(c in heading for c in letters(paper.title))
            for section in paper.sections:
                if not section.companion:
                    assert section.text.split("\n") == lines[section.line - 1 : section.end_line]


@pytest.mark.parametrize("corpus", [SHIPPED, MIXED, LINKS], ids=lambda path: path.name)
def test_named_corpora_lose_nothing_and_count_nothing_twice(corpus: Path) -> None:
    assert_nothing_lost(corpus, read(corpus))
    assert_nothing_twice(read(corpus))


@pytest.mark.slow
@settings(max_examples=400)
@given(corpora)
def test_many_more_corpora(files: dict[str, str]) -> None:
    with folder() as root:
        corpus = read(write_notes(root, files))
        assert_nothing_lost(root, corpus)
        assert_nothing_twice(corpus)


# ---- an index that was updated is the same as one built anew

VOCABULARY = ["zebra", "yak", "gnu", "LightSeq2", "检测", "后门攻击", "图", "end-to-end", "机器学习", "量化"]
TITLES = ["One", "Two Things", "Three: of a Kind", "四", "Five(FV)", "Six"]
small_papers = st.builds(
    lambda title, group, body: f"### {title}{group}\n- {' '.join(body)}\n",
    st.sampled_from(TITLES),
    st.sampled_from(["[CVPR'22][Acme]", "[ICML'20]", "[arXiv'23][Acme,Lab]", ""]),
    st.lists(st.sampled_from(VOCABULARY), max_size=6),
)
small_notes = st.builds(
    lambda category, papers: f"## {category}\n\n" + "\n".join(papers), st.sampled_from(["Vision", "系统"]), st.lists(small_papers, min_size=1, max_size=4)
)  # fmt: skip
steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from(NAMES), small_notes),
        st.tuples(st.just("remove"), st.sampled_from(NAMES), st.just("")),
        st.tuples(st.just("move"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
        st.tuples(st.just("append"), st.sampled_from(NAMES), small_papers),
        st.tuples(st.just("swap"), st.sampled_from(VOCABULARY), st.sampled_from(VOCABULARY)),
        st.tuples(st.just("link"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
        st.tuples(st.just("touch"), st.sampled_from(NAMES), st.just("")),
    ),
    min_size=1,
    max_size=5,
)
queries = st.lists(st.sampled_from([*VOCABULARY, "-图", '"检测"', "title:one", "year:2022..", "org:acme", "ze*", "zebr", "zebra yak", "图 OR gnu", "lightseq 2"]), max_size=2).map(" ".join)  # fmt: skip


def carry_out(step: tuple[str, str, str], files: dict[str, str]) -> None:
    kind, name, value = step
    match kind:
        case "write":
            files[name] = value
        case "remove":
            files.pop(name, None)
        case "move" if name in files and name != value:
            files[value] = files.pop(name)
        case "append":
            files[name] = files.get(name, "") + "\n" + value
        case "swap":
            files.update({path: text.replace(name, value) for path, text in files.items()})
        case "link" if name in files:
            files[name] += f"- [see](/{value})\n"


def assert_same(updated: Index, anew: Index, texts: list[str]) -> None:
    assert updated.papers() == anew.papers()
    assert updated.facets() == anew.facets()
    for text in texts:
        one, other = updated.search(text, limit=None), anew.search(text, limit=None)
        assert [(h.paper.id, pytest.approx(h.score, abs=2e-6), h.stage, h.snippet) for h in one] == [
            (h.paper.id, h.score, h.stage, h.snippet) for h in other
        ], text
        assert (one.stage, one.total, one.notices) == (other.stage, other.total, other.notices)


def run_steps(first: str, sequence: list[tuple[str, str, str]], texts: list[str]) -> None:
    """With pieces of notes so small, and so few papers beside all others, that all ways of an edit are taken."""
    with folder() as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr("papersearch.files.PIECE_BYTES", 50)
        patch.setattr("papersearch.files.CUT_ONE_OF", 1)
        patch.setattr("papersearch.index.places.FEW", 3)
        files = {"n0.md": first}
        corpus = write_notes(place / "corpus", files)
        build_index(corpus, place / "updated")
        for step in sequence:
            carry_out(step, files)
            if not any(letters(text) for text in files.values()):
                files["n0.md"] = first
            shutil.rmtree(corpus)
            write_notes(corpus, files)
            build_index(corpus, place / "updated")
        build_index(corpus, place / "anew")
        with open_index(corpus, place / "updated") as updated, open_index(corpus, place / "anew") as anew:
            assert_same(updated, anew, [*texts, "", "检测", "zebra"])


@settings(max_examples=25)
@given(small_notes, steps, st.lists(queries, max_size=5))
def test_an_updated_index_is_the_same_as_a_new_one(
    first: str, sequence: list[tuple[str, str, str]], texts: list[str]
) -> None:
    run_steps(first, sequence, texts)


@pytest.mark.slow
@settings(max_examples=120)
@given(small_notes, steps, st.lists(queries, max_size=5))
def test_many_more_sequences(first: str, sequence: list[tuple[str, str, str]], texts: list[str]) -> None:
    run_steps(first, sequence, texts)


@settings(max_examples=15)
@given(corpora, corpora)
def test_any_corpus_is_built_updated_and_searched(before: dict[str, str], after: dict[str, str]) -> None:
    with folder() as place:
        good = "### Good[ICML'20]\n- zebra\n"
        for name, files in (("a", {}), ("b", before), ("c", after)):
            corpus = write_notes(place / name, {**files, "good.md": good})
            build_index(corpus, place / "index")
        build_index(corpus, place / "anew")
        with open_index(corpus, place / "index") as updated, open_index(corpus, place / "anew") as anew:
            assert_same(updated, anew, ["zebra", "检测", "code", '"后门"', "year:2022"])
