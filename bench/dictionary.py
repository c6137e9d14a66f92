"""Three ways to cut the Chinese of a query, compared: what a whole process costs, and what they find.

    python bench/dictionary.py

    vocabulary   the terms of the index (papersearch.analysis.words.vocabulary_cutter): what the product does
    mapped       jieba's dictionary in one mapped file, grouped by first character; only what a query needs is read
    jieba        jieba itself, which reads its whole dictionary first

The mapped dictionary is not part of the product; it is here to show what not having it costs
(docs/decisions/0003-no-dictionary-at-query-time.md).
"""

from __future__ import annotations

import mmap
import os
import re
import struct
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator
from math import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from papersearch.analysis.words import Cutter
    from papersearch.index.reader import Snapshot

# What a child process imports is above; the rest of this file imports where it needs to, so as not to be timed.

# ---- jieba's dictionary in one file


class MappedDictionary:
    """jieba's words and frequencies, read group by group as the characters of a text ask for them.

        MAGIC | total frequency (8 bytes) | 65,538 offsets (4 bytes each) | groups: word TAB frequency TAB word …

    Every word that a text can hold begins with one of the text's own characters, so the groups of these are enough.
    """

    MAGIC = b"PSWORDS1"
    OTHERS = 0x10000
    """The group of all words that begin beyond the Basic Multilingual Plane."""
    OFFSETS = OTHERS + 2

    def __init__(self, path: str) -> None:
        with open(path, "rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if self._bytes[:8] != self.MAGIC:
            raise ValueError(f"{path} is no mapped dictionary")
        self.total: int = struct.unpack_from("<Q", self._bytes, 8)[0]
        self._offsets = memoryview(self._bytes)[16 : 16 + 4 * self.OFFSETS].cast("I")
        self._read: set[str] = set()
        self.frequencies: dict[str, int] = {}

    def need(self, text: str) -> None:
        """Have all words in `frequencies` that `text` can hold."""
        begin = 16 + 4 * self.OFFSETS
        for char in set(text) - self._read:
            self._read.add(char)
            group = min(ord(char), self.OTHERS)
            start, end = self._offsets[group], self._offsets[group + 1]
            if end > start:
                cells = self._bytes[begin + start : begin + end].decode().split("\t")
                self.frequencies.update(zip(cells[::2], map(int, cells[1::2]), strict=True))

    @classmethod
    def write(cls, path: str) -> int:
        """Write the dictionary of the installed jieba; returns its size in bytes."""
        import jieba

        frequencies, total = jieba.Tokenizer.gen_pfdict(jieba.Tokenizer().get_dict_file())
        groups: dict[int, list[str]] = {}
        for word, frequency in frequencies.items():
            if frequency:
                groups.setdefault(min(ord(word[0]), cls.OTHERS), []).append(f"{word}\t{frequency}")
        blobs = ["\t".join(groups.get(group, [])).encode() for group in range(cls.OTHERS + 1)]
        offsets = array("I", [0])
        for blob in blobs:
            offsets.append(offsets[-1] + len(blob))
        with open(path, "wb") as file:
            file.write(cls.MAGIC + struct.pack("<Q", total) + offsets.tobytes() + b"".join(blobs))
        return os.path.getsize(path)


_PIECES = re.compile("[\u4e00-\u9fd5]+|.", re.DOTALL)
"""Runs that jieba looks up in its dictionary; of other scripts it makes single characters."""
LONGEST_WORD = 16
"""No word of the dictionary is longer."""


def best_cut(run: str, dictionary: MappedDictionary) -> Iterator[tuple[str, int]]:
    """(word, offset): the cut of the greatest probability, as jieba's cut() without its HMM makes it."""
    dictionary.need(run)
    frequencies, base = dictionary.frequencies, log(dictionary.total)
    for piece in _PIECES.finditer(run):
        text, n = piece.group(), len(piece.group())
        best: list[tuple[float, int]] = [(0.0, 0)] * (n + 1)
        for i in range(n - 1, -1, -1):
            ends = [j for j in range(i + 1, min(n, i + LONGEST_WORD) + 1) if text[i:j] in frequencies] or [i + 1]
            best[i] = max((log(frequencies.get(text[i:j]) or 1) - base + best[j][0], j) for j in ends)
        i = 0
        while i < n:
            yield text[i : best[i][1]], piece.start() + i
            i = best[i][1]


def search_mode(run: str, dictionary: MappedDictionary) -> Iterator[tuple[str, int]]:
    """jieba's search mode: before each word, the dictionary words of two and three characters inside it."""
    for word, offset in best_cut(run, dictionary):
        for size in (2, 3):
            for i in range(len(word) - size + 1 if len(word) > size else 0):
                if word[i : i + size] in dictionary.frequencies:
                    yield word[i : i + size], offset + i
        yield word, offset


# ---- a search with another cutter


def cutter_of(way: str, path: str) -> Callable[[Callable[[str], bool]], Cutter]:
    """What stands in for vocabulary_cutter(); `path` is that of the mapped dictionary."""
    if way == "vocabulary":
        from papersearch.analysis.words import vocabulary_cutter

        return vocabulary_cutter
    if way == "mapped":
        dictionary = MappedDictionary(path)
        return lambda knows: lambda run: list(best_cut(run, dictionary))
    import jieba

    jieba.setLogLevel("ERROR")
    return lambda knows: lambda run: [(word, start) for word, start, _ in jieba.tokenize(run, HMM=False)]


def install(way: str, path: str) -> None:
    """Have the queries of this process cut in one of the three ways."""
    import papersearch.ideas

    vars(papersearch.ideas)["vocabulary_cutter"] = cutter_of(way, path)


SEARCH = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); import dictionary; "
    "dictionary.install(sys.argv.pop(1), sys.argv.pop(1)); from papersearch.cli import main; main()"
)
"""What the installed script does, with another cutter put in."""

WAYS = ("vocabulary", "mapped", "jieba")


# ---- agreement


def runs_of(texts: Iterable[str]) -> list[str]:
    """All different runs of Chinese in the texts."""
    from papersearch.analysis.tokens import units

    return list(dict.fromkeys(unit.text for text in texts for unit in units(text)[0] if unit.cjk))


def same_words(runs: list[str], path: str) -> str:
    """Whether the mapped dictionary cuts as jieba does; both in search mode, as papers are cut."""
    from papersearch.analysis.words import jieba_words

    dictionary = MappedDictionary(path)
    same = sum(list(search_mode(run, dictionary)) == list(jieba_words(run)) for run in runs)
    return f"mapped dictionary: the same words as jieba in {same} of {len(runs)} runs of Chinese"


def same_ideas(texts: list[str], path: str, snapshot: Snapshot) -> str:
    """How often the terms of the index make the same ideas of a text as the dictionary does."""
    from papersearch.query import parse_query
    from papersearch.search import IndexSearcher, Request

    searcher = IndexSearcher(snapshot, lambda doc: (doc,))
    requests = [Request(parse_query(text), limit=0, strict=True) for text in texts]
    made = []
    for way in ("vocabulary", "mapped"):
        install(way, path)
        made.append([[matcher.text for matcher in searcher.search(request).matchers] for request in requests])
    same = sum(ours == theirs for ours, theirs in zip(*made, strict=True))
    return f"vocabulary: the same ideas as with the dictionary in {same} of {len(texts)} texts"


def main() -> None:
    import argparse
    import tempfile
    from pathlib import Path

    from papersearch import open_index
    from papersearch.evaluation import evaluate, read_queries
    from papersearch.index.reader import open_snapshot
    from relevance import run_queries
    from timing import interleaved, python, ratios, table

    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--query", default="后门攻击的检测")
    parser.add_argument("--corpus", type=Path, default=here.parent / "corpus")
    parser.add_argument("--queries", type=Path, default=here.parent / "tests" / "eval" / "queries.jsonl")
    options = parser.parse_args()
    queries = read_queries(options.queries)

    with tempfile.TemporaryDirectory() as scratch:
        mapped, folder = os.path.join(scratch, "words"), os.path.join(scratch, "index")
        size = MappedDictionary.write(mapped)
        print(f"Python {sys.version.split()[0]}; mapped dictionary {size / 1e6:.1f} MB")
        rows, runs = [], {}
        with open_index(options.corpus, folder) as index:
            notes = [section.text for paper in index.papers() for section in paper.sections]
            for way in WAYS:
                install(way, mapped)
                runs[way], partial = run_queries(index, queries)
                found = evaluate(queries, runs[way], partial).overall
                rows.append([way, *(f"{x:.3f}" for x in (found.ndcg, found.mrr, found.recall, found.success))])
        print(same_words(runs_of(notes), mapped))
        with open_snapshot(folder) as snapshot:
            for what, texts in (("queries", [query.text for query in queries]), ("runs of the notes", runs_of(notes))):
                print(f"{what}: {same_ideas(texts, mapped, snapshot)}")
        print(table([f"{len(queries)} judged queries", "nDCG@10", "MRR@10", "R@10", "S@1"], rows))
        for way in WAYS[1:]:
            same = sum(runs[way][query.id] == runs["vocabulary"][query.id] for query in queries)
            print(f"{way}: the first ten of vocabulary, in the same order, for {same} of {len(queries)} queries")
        places = ["--corpus", str(options.corpus), "--index", folder]
        commands = {way: python(SEARCH, str(here), way, mapped, "search", options.query, *places) for way in WAYS}
        medians = interleaved(commands, options.rounds)
        header = [f"whole process, {options.rounds} rounds, query {options.query}", "ms", "÷ vocabulary"]
        print(table(header, ratios(medians, "vocabulary")))


if __name__ == "__main__":
    main()
