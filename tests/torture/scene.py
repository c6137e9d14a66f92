"""A small corpus in numbered states, and what every search over it must answer in each of them."""

from __future__ import annotations

import contextlib
import os
import random
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from corpora import _temporary_folder, write_notes
from papersearch import Index, open_index
from papersearch.api import build_index
from papersearch.errors import IndexMissingError
from papersearch.glossary.compiled import FILE_NAME as GLOSSARY_NAME
from papersearch.glossary.dictionary import FILE_NAME as DICTIONARY_NAME
from papersearch.index.origin import ORIGIN_NAME
from papersearch.index.toc import LOCK_NAME, PREVIOUS_NAME, TOC_NAME, read_toc

GLOSSARY = "知识蒸馏|knowledge distillation\n后门|backdoor\n检测|detection\n"
PAPERS = 6
QUERIES = (
    "",
    "shared words",
    "检测",
    "后门 backdoor",
    '"same words"',
    "year:2021..",
    "state*",
    "知识蒸馏",
    "tranformer",
)


class CcCedict:
    """A general dictionary of one word, as the package gives it."""

    WORD = "蜂鸟"

    def get_entries(self) -> list[dict[str, Any]]:
        return [{"simplified": self.WORD, "pinyin": "feng1 niao3", "definitions": ["transformer"]}]


Answers = dict[str, list[tuple[str, str, str, str]]]
"""Query → (id, title, snippet, stage) of each hit, in order."""


def notes(state: int) -> dict[str, str]:
    """The corpus in one of its states: every paper says which, and some come and go."""
    files: dict[str, str] = {}
    for number in range(PAPERS):
        if (number + state) % PAPERS == 0 and state:
            continue
        files[f"n{number % 2}.md"] = files.get(f"n{number % 2}.md", "## Kind\n") + (
            f"### Paper {number}: transformer[ICML'2{number % 4}][Acme]\n- the same words state{state}\n"
            f"- shared words 后门攻击 检测 {'knowledge distillation' if number % 2 else '知识蒸馏'} w{number}\n"
        )
    return files


def put(corpus: Path, state: int) -> Path:
    """Bring the corpus into a state."""
    for name in ("n0.md", "n1.md"):
        (corpus / name).unlink(missing_ok=True)
    return write_notes(corpus, notes(state))


def many_papers(folder: Path, count: int) -> Path:
    """A corpus of made-up words: as many different ones as real abstracts of that number have."""
    rng = random.Random(7)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [f"w{n}" for n in range(50)] + ["".join(rng.choices(letters, k=rng.randint(3, 9))) for _ in range(20_000)]
    weights = [1 / (rank + 5) for rank in range(len(words))]
    per_file = 500
    for start in range(0, count, per_file):
        papers = [
            f"### Paper {n}: {' '.join(rng.choices(words, weights, k=7))}[{rng.choice(['CVPR', 'ICML', 'KDD'])}'{rng.randint(10, 24)}]\n"
            f"- {' '.join(rng.choices(words, weights, k=60))} 检测 后门\n"
            for n in range(start, min(count, start + per_file))
        ]
        write_notes(folder, {f"d{start}.md": "## Kind\n" + "\n".join(papers)})
    return folder


def answers(index: Index, queries: Sequence[str] = QUERIES) -> Answers:
    return {
        query: [(h.paper.id, h.paper.title, h.snippet, str(h.stage)) for h in index.search(query, limit=None)]
        for query in queries
    }


@cache
def right(state: int, queries: Sequence[str] = QUERIES) -> Answers:
    """What an index built from nothing answers."""
    folder = _temporary_folder()
    put(folder / "corpus", state)
    with open_index(folder / "corpus", folder / "index") as index:
        return answers(index, queries)


def built(place: Path, state: int = 0) -> tuple[Path, Path]:
    """(corpus, index) in a state, in a new folder."""
    corpus, folder = put(place / "corpus", state), place / "index"
    build_index(corpus, folder)
    return corpus, folder


def debris(folder: Path) -> set[str]:
    """Files of an index folder that are there though nobody needs them: half-written ones and those without a table."""
    known = {ORIGIN_NAME, LOCK_NAME, TOC_NAME, PREVIOUS_NAME, GLOSSARY_NAME, DICTIONARY_NAME}
    for name in (TOC_NAME, PREVIOUS_NAME):
        with contextlib.suppress(IndexMissingError):
            known |= read_toc(str(folder), name).file_names()
    return set(os.listdir(folder)) - known


def imports_for(glossary: Path) -> str:
    """Python that makes of `papersearch` what the tests have: a small glossary, and no general dictionary."""
    return (
        "from papersearch import api, cli, glossary; from papersearch.glossary import cedict; "
        f"glossary.sources = lambda: [{str(glossary)!r}]; cedict.installed = lambda: ''"
    )


def program(glossary: Path, setting: str = "pass") -> list[str]:
    """The command line of a process that is `papersearch` but for its small glossary, which takes no time to compile."""
    code = f"{imports_for(glossary)}; {setting}; cli.main()"
    return [sys.executable, "-c", code]


def environment(**more: str) -> dict[str, Any]:
    """An environment for `python -m papersearch` in which nothing of the user's settings counts."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PAPERSEARCH_")}
    source = str(Path(__file__).resolve().parents[2] / "src")
    return {**kept, "PYTHONPATH": os.pathsep.join((source, kept.get("PYTHONPATH", ""))), "NO_COLOR": "1", **more}
