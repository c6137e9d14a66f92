"""What one query costs as a whole process, from the shell to the prompt: ours, what no program in Python can be
without, and the same search with stock parts (Whoosh with jieba's ChineseAnalyzer).

    python bench/startup.py
    python bench/startup.py --rounds 41 --query 量化

All indexes are warm: built before, and read by the rounds that do not count. The last line is the bar this project
holds itself to: a search takes at most one and a half times as long as `import click`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from papersearch.glossary.compiled import FILE_NAME as COMPILED_GLOSSARY
from timing import interleaved, python, ratios, table

CORPUS = Path(__file__).resolve().parents[1] / "corpus"
BAR = 1.5
OURS, CLICK, STOCK = "papersearch search", "import click", "Whoosh + jieba, stock"

SEARCH = "from papersearch.__main__ import main; main()"
"""What the installed script does."""

PEER = """
import sys
from whoosh.index import open_dir
from whoosh.qparser import MultifieldParser
from jieba.analyse import ChineseAnalyzer
index = open_dir(sys.argv[1])
with index.searcher() as searcher:
    hits = searcher.search(MultifieldParser(["title", "notes"], index.schema).parse(sys.argv[2]), limit=10)
    assert len(hits), "the peer found nothing"
    for hit in hits:
        print(hit["path"], hit["title"], hit.highlights("notes"))
"""


THROUGH_WHOOSH = """
import sys
from whoosh.query import Term
from papersearch.index.codec import whoosh_index
with whoosh_index(sys.argv[1]).searcher() as searcher:
    for hit in searcher.search(Term("grams", sys.argv[2]), limit=10):
        print(hit["stored"]["title"])
"""
"""One term, looked up by Whoosh in our own files: what reading them without Whoosh saves."""


def build_peer(folder: Path) -> None:
    """The same papers in an index as the documentation of Whoosh and jieba would have it."""
    import jieba
    from jieba.analyse import ChineseAnalyzer
    from whoosh.fields import ID, TEXT, Schema
    from whoosh.index import create_in

    from papersearch.digest import read_corpus

    jieba.setLogLevel("ERROR")
    analyzer = ChineseAnalyzer()
    schema = Schema(path=ID(stored=True), title=TEXT(analyzer, stored=True), notes=TEXT(analyzer, stored=True))
    folder.mkdir()
    writer = create_in(str(folder), schema).writer()
    corpus, _ = read_corpus([CORPUS])
    for paper in corpus.papers:
        notes = "\n".join(section.text for section in paper.sections)
        writer.add_document(path=f"{paper.path}:{paper.line}", title=paper.title, notes=notes)
    writer.commit()


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--query", default="后门攻击")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        ours, peer = Path(scratch, "ours"), Path(scratch, "peer")
        build_peer(peer)
        places = ["--corpus", str(CORPUS), "--index", str(ours)]
        medians = interleaved(
            {
                "python -c pass": python("pass"),
                CLICK: python("import click"),
                OURS: python(SEARCH, "search", options.query, *places),
                "import whoosh.index": python("import whoosh.index"),
                "one term of our index, through Whoosh": python(THROUGH_WHOOSH, str(ours), options.query[:2]),
                STOCK: python(PEER, str(peer), options.query),
            },
            options.rounds,
        )
        glossary = (ours / COMPILED_GLOSSARY).stat().st_size
        sizes = {"ours": size_of(ours) - glossary, "the compiled glossary beside it": glossary, "stock": size_of(peer)}
    print(f"median of {options.rounds} rounds, Python {sys.version.split()[0]}, query {options.query}")
    print(table(["whole process", "ms", f"÷ {CLICK}"], ratios(medians, CLICK)))
    ratio = medians[OURS] / medians[CLICK]
    print(f"{OURS} ÷ {CLICK} = {ratio:.2f} (bar: at most {BAR:g}: {'held' if ratio <= BAR else 'missed'})")
    print(f"{STOCK} ÷ {OURS} = {medians[STOCK] / medians[OURS]:.1f}")
    shown = ", ".join(f"{name} {size / 1e3:.0f} KB" for name, size in sizes.items())
    print(f"index: {shown}, of {size_of(CORPUS) / 1e3:.0f} KB of notes")


if __name__ == "__main__":
    main()
