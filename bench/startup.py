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

import stock
from papersearch.glossary.compiled import FILE_NAME as COMPILED_GLOSSARY
from timing import SEARCH, interleaved, python, ratios, size_of, table

CORPUS = Path(__file__).resolve().parents[1] / "corpus"
BAR = 1.5
OURS, CLICK, STOCK = "papersearch search", "import click", "Whoosh + jieba, stock"

THROUGH_WHOOSH = """
import sys
from whoosh.query import Or, Term
from papersearch.index.codec import whoosh_index
with whoosh_index(sys.argv[1]).searcher() as searcher:
    for hit in searcher.search(Or([Term("text", sys.argv[2]), Term("grams", sys.argv[2])]), limit=10):
        print(hit["stored"]["title"])
"""
"""One pair of characters, looked up by Whoosh in our own files: what reading them without Whoosh saves."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--query", default="后门攻击")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        ours, peer = Path(scratch, "ours"), Path(scratch, "peer")
        stock.build(stock.WHOOSH_NAME, CORPUS, peer)
        places = ["--corpus", str(CORPUS), "--index", str(ours)]
        medians = interleaved(
            {
                "python -c pass": python("pass"),
                CLICK: python("import click"),
                OURS: python(SEARCH, "search", options.query, *places),
                "import whoosh.index": python("import whoosh.index"),
                "one term of our index, through Whoosh": python(THROUGH_WHOOSH, str(ours), options.query[:2]),
                STOCK: python(stock.SCRIPTS[stock.WHOOSH_NAME].code, str(peer), options.query),
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
