"""Other engines as one would use them in a script of one's own: over the papers that we parse, in the configuration
that their documentation recommends, with a tokenizer that knows Chinese.

A Script builds an index from Markdown, answers one query as a fresh process (its `code`), and replaces one paper in an
open index. Everything is imported where it is needed: a child process pays for its own engine only.
"""

from __future__ import annotations

import logging
import re
import sqlite3
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from papersearch.paper import Paper

TITLE_BOOST = 3.0
_WORD = re.compile(r"\w+")


class Text(NamedTuple):
    """What the peers index of a paper."""

    title: str
    category: str
    note: str


FIELDS = Text._fields


def text_of(paper: Paper) -> Text:
    """A paper as three texts."""
    note = "\n".join([*paper.aliases, *paper.context, *(section.text for section in paper.sections)])
    return Text(paper.title, paper.category or "", note)


def read_papers(corpus: Path) -> list[Paper]:
    """The papers of a digest, read with our parser."""
    from papersearch.digest import read_corpus

    return read_corpus([corpus])[0].papers


Edit = Callable[[int, Text], None]
"""edit(number, text): replaces one paper and has the next search see it."""
Numbers = Callable[[str], list[int]]
"""Query → numbers of the papers found, best first."""


class Script(NamedTuple):
    """One engine with its tokenizer."""

    needs: tuple[str, ...]
    """Modules without which it is left out."""
    build: Callable[[Path, Iterable[tuple[Text, int | None]]], None]
    """build(folder, texts with their years)."""
    code: str
    """A script: argv is [folder, query]; prints ten hits with title and excerpt."""
    opened: Callable[[Path], tuple[Edit, Numbers]] | None = None
    """An open index that can be changed."""

    def missing(self) -> str:
        """Which module is missing, empty if none."""
        return ", ".join(name for name in self.needs if find_spec(name) is None)


# ---- tokenizers


@cache
def _jieba() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import jieba
    jieba.setLogLevel(logging.ERROR)
    return jieba


def _with_jieba(text: str) -> str:
    return " ".join(_jieba().cut_for_search(text))


def _with_rjieba(text: str) -> str:
    import rjieba

    return " ".join(rjieba.cut_for_search(text))


# ---- Whoosh


def _whoosh_schema() -> Any:
    _jieba()
    from jieba.analyse import ChineseAnalyzer
    from whoosh.fields import ID, NUMERIC, TEXT, Schema

    analyzer = ChineseAnalyzer()
    return Schema(
        number=ID(unique=True, stored=True),
        title=TEXT(analyzer=analyzer, field_boost=TITLE_BOOST, stored=True),
        category=TEXT(analyzer=analyzer, stored=True),
        note=TEXT(analyzer=analyzer, stored=True),
        year=NUMERIC(int, stored=True),
    )


def build_whoosh(folder: Path, texts: Iterable[tuple[Text, int | None]]) -> None:
    """Whoosh with jieba's analyzer, a field each."""
    from whoosh.index import create_in

    writer = create_in(folder, _whoosh_schema()).writer()
    for number, (text, year) in enumerate(texts):
        writer.add_document(number=str(number), year=year, **text._asdict())
    writer.commit()


def whoosh_numbers(folder: Path, *, any_word: bool) -> Numbers:
    """All papers that match in the open index, by Whoosh's parser over all fields: every word has to match, as its
    parser has it unless told otherwise, or any."""
    from whoosh.index import open_dir
    from whoosh.qparser import AndGroup, MultifieldParser, OrGroup

    found = open_dir(folder)
    searcher = found.searcher()
    parser = MultifieldParser(list(FIELDS), found.schema, group=OrGroup if any_word else AndGroup)

    def search(query: str) -> list[int]:
        return [int(hit["number"]) for hit in searcher.search(parser.parse(query), limit=None)]

    return search


def whoosh_page(folder: Path, *, any_word: bool) -> Callable[[str], int]:
    """As whoosh_numbers(), but what a page of ten hits needs: title and highlights; returns how many there are."""
    from whoosh.index import open_dir
    from whoosh.qparser import AndGroup, MultifieldParser, OrGroup

    _jieba().initialize()
    found = open_dir(folder)
    searcher = found.searcher()
    parser = MultifieldParser(list(FIELDS), found.schema, group=OrGroup if any_word else AndGroup)

    def search(query: str) -> int:
        hits = searcher.search(parser.parse(query), limit=10)
        return len([(hit["title"], hit.highlights("note")) for hit in hits])

    return search


def _open_whoosh(folder: Path) -> tuple[Edit, Numbers]:
    from whoosh.index import open_dir
    from whoosh.qparser import MultifieldParser

    _jieba().initialize()
    index = open_dir(folder)
    parser = MultifieldParser(list(FIELDS), index.schema)
    now = {"searcher": index.searcher()}

    def edit(number: int, text: Text) -> None:
        writer = index.writer()
        writer.update_document(number=str(number), **text._asdict())
        writer.commit()
        now["searcher"].close()
        now["searcher"] = index.searcher()

    def search(query: str) -> list[int]:
        return [int(hit["number"]) for hit in now["searcher"].search(parser.parse(query), limit=10)]

    return edit, search


WHOOSH = """
import sys
from whoosh.index import open_dir
from whoosh.qparser import MultifieldParser
from jieba.analyse import ChineseAnalyzer
index = open_dir(sys.argv[1])
with index.searcher() as searcher:
    parser = MultifieldParser(["title", "category", "note"], index.schema)
    for hit in searcher.search(parser.parse(sys.argv[2]), limit=10):
        print(hit["number"], hit["title"], hit.highlights("note"))
"""


# ---- SQLite


def _fts5(folder: Path, rows: Iterable[Sequence[object]], tokenize: str) -> sqlite3.Connection:
    database = sqlite3.connect(folder / "papers.db")
    database.execute(f"CREATE VIRTUAL TABLE papers USING fts5({', '.join(FIELDS)}, tokenize='{tokenize}')")
    database.executemany("INSERT INTO papers(rowid, title, category, note) VALUES (?, ?, ?, ?)", rows)
    database.commit()
    return database


def build_fts5_trigram(folder: Path, texts: Iterable[tuple[Text, int | None]]) -> None:
    """SQLite's full-text search over all triples of characters."""
    _fts5(folder, ((n, *text) for n, (text, _) in enumerate(texts)), "trigram").close()


def build_fts5_jieba(folder: Path, texts: Iterable[tuple[Text, int | None]]) -> None:
    """SQLite's full-text search over jieba's words."""
    rows = ((n, *map(_with_jieba, text)) for n, (text, _) in enumerate(texts))
    _fts5(folder, rows, "unicode61 remove_diacritics 0").close()


def _match(words: Iterable[str], operator: str = " OR ") -> str:
    """A query of FTS5 for words, whatever is in them."""
    return operator.join('"' + word.replace('"', '""') + '"' for word in words)


def fts5_trigram_numbers(folder: Path) -> Numbers:
    """Words of the query as phrases, any of which may match; words of one or two characters by LIKE, below them."""
    database = sqlite3.connect(folder / "papers.db")

    def search(query: str) -> list[int]:
        words = query.split()
        ranked: list[int] = []
        if long := [word for word in words if len(word) >= 3]:
            rows = database.execute(
                f"SELECT rowid FROM papers WHERE papers MATCH ? ORDER BY bm25(papers, {TITLE_BOOST}, 1, 1)",
                (_match(long),),
            )
            ranked += [number for (number,) in rows]
        for word in words:
            if len(word) < 3:
                rows = database.execute(
                    "SELECT rowid FROM papers WHERE title LIKE ?1 OR category LIKE ?1 OR note LIKE ?1", (f"%{word}%",)
                )
                ranked += [number for (number,) in rows]
        return list(dict.fromkeys(ranked))

    return search


def _open_fts5_jieba(folder: Path) -> tuple[Edit, Numbers]:
    _jieba().initialize()
    database = sqlite3.connect(folder / "papers.db")

    def edit(number: int, text: Text) -> None:
        with database:
            database.execute("DELETE FROM papers WHERE rowid = ?", (number,))
            database.execute(
                "INSERT INTO papers(rowid, title, category, note) VALUES (?, ?, ?, ?)",
                (number, *map(_with_jieba, text)),
            )

    def search(query: str) -> list[int]:
        rows = database.execute("SELECT rowid FROM papers WHERE papers MATCH ? ORDER BY rank LIMIT 10", (query,))
        return [number for (number,) in rows]

    return edit, search


_FTS5 = """
import sqlite3, sys
%s
words = " OR ".join('"' + word + '"' for word in %s)
rows = sqlite3.connect(sys.argv[1] + "/papers.db").execute(
    "SELECT rowid, title, snippet(papers, 2, '[', ']', '…', 30) FROM papers WHERE papers MATCH ? "
    "ORDER BY bm25(papers, 3.0, 1, 1) LIMIT 10", (words,))
for row in rows:
    print(*row)
"""
FTS5_TRIGRAM = _FTS5 % ("", "sys.argv[2].split() if len(word) >= 3")
FTS5_JIEBA = _FTS5 % ("import jieba", "jieba.cut_for_search(sys.argv[2]) if word.strip()")


# ---- tantivy


def build_tantivy(folder: Path, texts: Iterable[tuple[Text, int | None]]) -> None:
    """tantivy over the words of rjieba; what a hit shows is stored."""
    import tantivy

    schema = tantivy.SchemaBuilder()
    schema.add_integer_field("number", stored=True, indexed=True, fast=True)
    for name in FIELDS:
        schema.add_text_field(name, stored=name != "category")
    writer = tantivy.Index(schema.build(), path=str(folder)).writer(heap_size=256_000_000)
    for number, (text, _) in enumerate(texts):
        writer.add_document(_tantivy_document(number, text))
    writer.commit()
    writer.wait_merging_threads()


def _tantivy_document(number: int, text: Text) -> Any:
    import tantivy

    return tantivy.Document(number=number, **{name: _with_rjieba(value) for name, value in text._asdict().items()})


def _open_tantivy(folder: Path) -> tuple[Edit, Numbers]:
    import tantivy

    _with_rjieba("")
    index = tantivy.Index.open(str(folder))
    writer = index.writer(heap_size=64_000_000, num_threads=1)

    def edit(number: int, text: Text) -> None:
        writer.delete_documents_by_term("number", number)
        writer.add_document(_tantivy_document(number, text))
        writer.commit()
        index.reload()

    def search(query: str) -> list[int]:
        searcher = index.searcher()
        parsed = index.parse_query(query, list(FIELDS))
        return [searcher.doc(address)["number"][0] for _, address in searcher.search(parsed, 10).hits]

    return edit, search


TANTIVY = """
import sys, rjieba, tantivy
index = tantivy.Index.open(sys.argv[1])
searcher = index.searcher()
words = " ".join('"' + word + '"' for word in rjieba.cut_for_search(sys.argv[2]) if word.strip())
query = index.parse_query(words, ["title", "category", "note"], field_boosts={"title": 3.0})
snippets = tantivy.SnippetGenerator.create(searcher, query, index.schema, "note")
for score, address in searcher.search(query, 10).hits:
    document = searcher.doc(address)
    print(document["number"][0], document["title"][0], snippets.snippet_from_doc(document).to_html())
"""


# ---- Xapian


def build_xapian(folder: Path, texts: Iterable[tuple[Text, int | None]]) -> None:
    """Xapian with its own pairs of Chinese characters and English stems."""
    import json

    import xapian

    database = xapian.WritableDatabase(str(folder), xapian.DB_CREATE_OR_OPEN)
    generator = xapian.TermGenerator()
    generator.set_stemmer(xapian.Stem("en"))
    generator.set_flags(xapian.TermGenerator.FLAG_CJK_NGRAM)
    for text, _ in texts:
        document = xapian.Document()
        generator.set_document(document)
        generator.index_text(text.title, int(TITLE_BOOST))
        for value in text[1:]:
            generator.increase_termpos()
            generator.index_text(value)
        document.set_data(json.dumps(text))
        database.add_document(document)
    database.commit()
    database.close()


XAPIAN = """
import json, sys, xapian
database = xapian.Database(sys.argv[1])
parser = xapian.QueryParser()
parser.set_stemmer(xapian.Stem("en"))
parser.set_stemming_strategy(parser.STEM_SOME)
parser.set_database(database)
enquire = xapian.Enquire(database)
enquire.set_query(parser.parse_query(sys.argv[2], parser.FLAG_DEFAULT | parser.FLAG_CJK_NGRAM))
hits = enquire.get_mset(0, 10)
for hit in hits:
    title, category, note = json.loads(hit.document.get_data())
    print(hit.docid, title, hits.snippet(note.encode(), 200).decode())
"""


# ---- bm25s


def build_bm25s(folder: Path, texts: Iterable[tuple[Text, int | None]]) -> None:
    """bm25s over the words of rjieba, with the titles for what a hit shows; a title's words count by its boost."""
    import bm25s

    rows = list(texts)
    joined = ("\n".join([text.title] * int(TITLE_BOOST) + [text.note]) for text, _ in rows)
    words = [_WORD.findall(_with_rjieba(text.lower())) for text in joined]
    engine = bm25s.BM25()
    engine.index(words, show_progress=False)
    engine.save(folder, corpus=[text._asdict() for text, _ in rows])


BM25S = """
import re, sys, bm25s, rjieba
engine = bm25s.BM25.load(sys.argv[1], mmap=True, load_corpus=True)
words = re.findall(r"\\w+", " ".join(rjieba.cut_for_search(sys.argv[2].lower())))
found, scores = engine.retrieve([words], k=10, show_progress=False)
for text in found[0]:
    print(text["title"], text["note"][:200])
"""


WHOOSH_NAME, FTS5_NAME, TANTIVY_NAME = "Whoosh + jieba", "FTS5 + jieba", "tantivy + rjieba"

SCRIPTS = {
    WHOOSH_NAME: Script(("whoosh", "jieba"), build_whoosh, WHOOSH, _open_whoosh),
    FTS5_NAME: Script(("jieba",), build_fts5_jieba, FTS5_JIEBA, _open_fts5_jieba),
    "FTS5 trigram": Script((), build_fts5_trigram, FTS5_TRIGRAM),
    TANTIVY_NAME: Script(("tantivy", "rjieba"), build_tantivy, TANTIVY, _open_tantivy),
    "bm25s + rjieba": Script(("bm25s", "rjieba"), build_bm25s, BM25S),
    "Xapian n-grams": Script(("xapian",), build_xapian, XAPIAN),
}


def texts_of(papers: Iterable[Paper]) -> Iterator[tuple[Text, int | None]]:
    """What a Script builds from."""
    return ((text_of(paper), paper.year) for paper in papers)


def build(name: str, corpus: Path, folder: Path) -> None:
    """Markdown → an index that can be searched."""
    folder.mkdir(parents=True)
    SCRIPTS[name].build(folder, texts_of(read_papers(corpus)))


if __name__ == "__main__":  # in a process of its own, to be measured: NAME CORPUS FOLDER
    build(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
