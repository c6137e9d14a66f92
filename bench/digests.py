"""Digests to measure with: synthetic ones of any size, and real titles and abstracts where they are at hand.

    python bench/digests.py 1000 FOLDER       write a synthetic digest of 1,000 papers

A synthetic paper has a heading with venue, year and organisation below a category, and notes in Chinese with English
words, as the shipped digest has: words of the shipped notes and of the glossary, the frequent ones as often as Zipf's
law has it, a tail of rarer ones from jieba's dictionary, and names that only one or two papers have. The same seed
gives the same papers, and a smaller digest is the beginning of a larger one.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
from bisect import bisect
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import accumulate, islice
from pathlib import Path
from typing import NamedTuple

from papersearch import glossary

ROOT = Path(__file__).resolve().parents[1]
CORPUS = ROOT / "corpus"
COLLECTIONS = ROOT.parent / "shared" / "collections" / "scale"
"""Where real titles and abstracts are looked for, unless another folder is named."""

SEED = 20240229
PER_FILE = 100
"""Papers in a file; 0 stands for all of them in one."""
NOTE_CHARACTERS = (5.9, 0.6)
"""Logarithm of the typical length of a paper's notes, and its spread: some 365 characters, rarely beyond 1,500."""

VENUES = "arXiv NeurIPS ICML ICLR KDD SIGIR WWW ACL EMNLP CVPR ICCV ECCV AAAI CIKM WSDM OSDI VLDB SIGMOD".split()  # noqa: SIM905
ORGS = "Google Meta Microsoft Alibaba Tencent Baidu Huawei Tsinghua PKU Stanford CMU MIT Nvidia ByteDance ZJU".split()  # noqa: SIM905
CATEGORIES = (
    "检索",
    "推荐系统",
    "大语言模型",
    "模型压缩",
    "计算机视觉",
    "文字识别",
    "编译器",
    "安全",
    "语音",
    "图学习",
)
SYLLABLES = "ba ce di fo gu ha je ki lo mu na pe qui ro su ta ve wi xo yu zen tor lin dar vex".split()  # noqa: SIM905

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9-]+|[\u4e00-\u9fd5]+")
_HAN = re.compile(r"[\u4e00-\u9fd5]{2,4}\Z")


class Draft(NamedTuple):
    """A paper before it is written down as Markdown."""

    title: str
    venue: str
    year: int
    org: str
    category: str
    notes: tuple[str, ...]

    def markdown(self) -> str:
        """Heading and notes."""
        brackets = f"[{self.venue}'{self.year % 100:02d}]" + (f"[{self.org}]" if self.org else "")
        return "\n".join([f"### {self.title}{brackets}", *(f"- {note}" for note in self.notes), ""])


class Sampler:
    """Draws words by their weights."""

    def __init__(self, words: Sequence[str], weights: Iterable[float]) -> None:
        self._words = words
        self._sums = list(accumulate(weights))

    def __call__(self, draw: random.Random) -> str:
        return self._words[bisect(self._sums, draw.random() * self._sums[-1], hi=len(self._words) - 1)]


def zipf(words: Sequence[str]) -> Sampler:
    """The n-th word has a weight of 1 / (n + 2.7): Zipf's law as Mandelbrot corrected it."""
    return Sampler(words, (1.0 / (n + 2.7) for n in range(1, len(words) + 1)))


class _Vocabulary(NamedTuple):
    english: Sampler
    chinese: Sampler
    rare: Sampler


@cache
def _vocabulary() -> _Vocabulary:
    """The words of the shipped notes, most frequent first, then those of the glossary; the dictionary for the rest."""
    import jieba

    known, _ = jieba.Tokenizer.gen_pfdict(jieba.Tokenizer().get_dict_file())
    cutter = jieba.Tokenizer()
    cutter.FREQ, cutter.total, cutter.initialized = known, sum(known.values()), True
    counts: Counter[str] = Counter()
    for path in sorted(CORPUS.rglob("*.md")):
        for run in _WORD.findall(path.read_text(encoding="utf-8")):
            counts.update([run] if run.isascii() else cutter.cut(run, HMM=False))
    names = [name.text for group in glossary.read_groups(glossary.sources()) for name in group]
    words = [word for word, _ in sorted(counts.items(), key=lambda row: (-row[1], row[0]))]
    words = list(dict.fromkeys(words + names))
    rare = sorted(word for word, count in known.items() if count and _HAN.match(word))
    return _Vocabulary(
        zipf([word for word in words if word.isascii()]),
        zipf([word for word in words if not word.isascii()]),
        Sampler(rare, [known[word] for word in rare]),
    )


def drawn(count: int, seed: int = SEED) -> Iterator[tuple[Draft, list[str]]]:
    """So many papers with the words that their titles and notes were put together from; the same ones for the same
    seed, whatever comes after them."""
    draw = random.Random(seed)
    words = _vocabulary()
    venue, org, category = zipf(VENUES), zipf(ORGS), zipf(CATEGORIES)
    for _ in range(count):
        title = [words.english(draw).capitalize() for _ in range(4 + int(draw.random() * 5))]
        if draw.random() < 0.6:
            title = [_name(draw) + ":", *title]
        left = min(2000.0, max(60.0, draw.lognormvariate(*NOTE_CHARACTERS)))
        notes: list[str] = []
        parts = list(title)
        while left > 0:
            sentence = _sentence(draw, words, min(left, 25 + draw.random() * 110))
            notes.append("".join(sentence))
            parts += sentence
            left -= len(notes[-1])
        year = 2012 + int(14 * draw.random() ** 0.6)
        yield Draft(" ".join(title), venue(draw), year, org(draw), category(draw), tuple(notes)), parts


def synthetic(count: int, seed: int = SEED) -> Iterator[Draft]:
    """The papers of drawn()."""
    return (draft for draft, _ in drawn(count, seed))


def _name(draw: random.Random) -> str:
    """A name as papers give their methods."""
    name = "".join(SYLLABLES[int(draw.random() * len(SYLLABLES))] for _ in range(2 + int(draw.random() * 3)))
    ending = ("Net", "Former", "BERT", "Rec", "-2", "", "", "", "")[int(draw.random() * 9)]
    return name.capitalize() + ending


def _sentence(draw: random.Random, words: _Vocabulary, length: float) -> list[str]:
    """Words, with the blanks that they need before them."""
    parts: list[str] = []
    taken = 0
    while taken < length:
        kind = draw.random()
        if kind < 0.38:
            word = words.chinese(draw)
        elif kind < 0.74:
            word = words.rare(draw)
        elif kind < 0.92:
            word = words.english(draw)
        elif kind < 0.95:
            word = _name(draw)
        elif kind < 0.98:
            word = f"{draw.random() * 100:.1f}%"
        else:
            word = "，"
        if parts and word[0].isascii() and parts[-1][-1].isascii():
            word = " " + word
        parts.append(word)
        taken += len(word)
    return parts


# ---- real text


def abstracts(path: Path, count: int) -> Iterator[Draft]:
    """The first papers of a file of titles and abstracts: a JSON object a line, gzipped; with Chinese summaries where
    it has them."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for paper in map(json.loads, islice(lines, count)):
            texts = (paper.get("abstract") or paper.get("text") or "", paper.get("tldr_zh") or "")
            category = (paper.get("categories") or (paper.get("keywords") or "").split(";"))[0].strip() or "others"
            year = int(paper.get("year") or str(paper.get("date"))[:4])
            orgs = paper.get("org") or [""]
            yield Draft(
                " ".join(str(paper["title"]).split()),
                paper.get("venue") or "arXiv",
                year,
                str(orgs[0]).translate({ord("["): "(", ord("]"): ")"}),
                category,
                tuple(" ".join(text.split()) for text in texts if text.strip()),
            )


TEXTS = {"synthetic": "", "zh-en": "dayday_zh_en.jsonl.gz", "en": "paperlists_en.jsonl.gz"}
"""Kind of text → the file of real text that it is made of."""


def drafts(text: str, count: int, collections: Path = COLLECTIONS) -> Iterator[Draft]:
    """So many papers of a kind of text. Raises FileNotFoundError if it is real and not at hand."""
    if not TEXTS[text]:
        return synthetic(count)
    path = collections / TEXTS[text]
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there")
    return abstracts(path, count)


# ---- on disk


def write_digest(papers: Iterable[Draft], folder: Path, per_file: int = PER_FILE) -> int:
    """Write papers as notes, so many in a file, each category of it below a heading; returns how many bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    rest = iter(papers)
    written = number = 0
    while part := list(islice(rest, per_file or None)):
        by_category: dict[str, list[Draft]] = {}
        for paper in part:
            by_category.setdefault(paper.category, []).append(paper)
        lines = [f"# 论文笔记 {number}", ""]
        for category, group in by_category.items():
            lines += [f"## {category}", "", *(paper.markdown() for paper in group)]
        written += (folder / f"notes-{number:04d}.md").write_bytes("\n".join(lines).encode())
        number += 1
    return written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("papers", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--one-file", action="store_true", help="all papers in one file")
    options = parser.parse_args()
    written = write_digest(synthetic(options.papers), options.folder, 0 if options.one_file else PER_FILE)
    print(f"{options.papers} papers, {written / 1e6:.1f} MB in {options.folder}")


if __name__ == "__main__":
    main()
