"""What each mechanism of the search brings: ranking figures with one of them switched off at a time.

python bench/ablation.py                                 over the shipped digest and its judged queries
python bench/ablation.py --also DIGEST QUERIES.jsonl     over a second digest as well
python bench/ablation.py --only glossary --only stems    these rows alone
python bench/ablation.py --plot docs/img/ablation.svg    also a plot (needs matplotlib, in the `bench` extra)
python bench/ablation.py --constants                     other values of the constants instead of mechanisms

For each digest: nDCG@10 over all queries with an answer, its change, and the class of queries that loses most. Of the
topics in foreign_topics.txt: silent is the share that gets no answer, wrong the share that is answered as if the digest
held it; the others are answered by a part of their words, and marked so. Mechanisms of the analysis are switched off in
the index as well as in the query: the index is built anew for them.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from unittest import mock

from papersearch import api, glossary, ideas, occurrences, open_index, scoring, search, spelling
from papersearch.analysis import normalize, tokens
from papersearch.evaluation import Evaluation, JudgedQuery, evaluate, read_queries
from papersearch.fields import FIELDS, TABLE, TEXT
from papersearch.glossary.dictionary import Dictionary
from papersearch.index import documents
from papersearch.judging import run_queries
from plots import bars
from timing import table

ROOT = Path(__file__).resolve().parents[1]
NEVER = 10**9
"""More ideas than any query has."""
SHOWN = 0.0005
"""A smaller change is shown as none."""

Patch = tuple[object, str, object]
"""(module or class, name in it, what stands there instead)."""


class Row(NamedTuple):
    """A variant of the search."""

    name: str
    instead: str
    patches: tuple[Patch, ...]
    rebuild: bool = False
    """Whether the index is another one, too."""


# ---- Mechanisms, switched off


def _at(value: object, name: str, *places: ModuleType | type) -> tuple[Patch, ...]:
    return tuple((place, name, value) for place in places)


def _same(word: str) -> str:
    return word


def _none(*_: object, **__: object) -> list[Any]:
    return []


def _single_words(text: str) -> tuple[list[list[tokens.Unit]], list[str]]:
    """As tokens.chains(), with no two words joined."""
    found, _ = tokens.units(text)
    return [[unit] for unit in found], [unit.text for unit in found]


def _word_form(run: str, offset: int = 0) -> ideas.Form:
    """As ideas.gram_form(), for runs that are found only as words of the dictionary."""
    return ideas.Form(((TEXT, (run,), offset),))


def _no_span(finder: Any, start: int, stop: int, groups: Iterable[ideas.Group], **_: object) -> None:
    """As _Finder.span(): neighbours stay ideas of their own."""


def _loose_span(finder: Any, start: int, stop: int, groups: Iterable[ideas.Group], **_: object) -> None:
    """As _Finder.span(): the words of a name may stand anywhere."""
    finder.found.spans.append(ideas.Span(start, stop, tuple(groups)))


def _boost(name: str, boost: float) -> tuple[Patch, ...]:
    fields = {**FIELDS, name: FIELDS[name].replace(boost=boost)}
    zones = tuple((f.zone[0], f.zone[1], boost if f.name == name else f.boost) for f in TABLE if f.zone[1])
    return (*_at(fields, "FIELDS", documents), *_at(zones, "_ZONES", occurrences))


def _shares(some: float, below: float, full_share_ideas: int) -> tuple[Patch, ...]:
    return (
        *_at(some, "SOME_SHARE", search),
        *_at(below, "BELOW_SHARE", search),
        *_at(full_share_ideas, "FULL_SHARE_IDEAS", search),
    )


MECHANISMS = (
    Row(
        "glossary",
        "no other names, in either language",
        _at(lambda _: glossary.Glossary(()), "shipped_in", api, glossary),
    ),
    Row("dictionary", "Chinese that the glossary lacks is not translated", _at(_none, "meanings", Dictionary)),
    Row(
        "character pairs",
        "Chinese is found by words of the dictionary alone",
        _at(_word_form, "gram_form", ideas, search),
    ),
    Row(
        "traditional characters",
        "they are not folded",
        (*_at(dict, "_read_simplified", normalize), *_at(normalize._Table(), "_table", normalize)),
        rebuild=True,
    ),
    Row("stems", "words match as written", _at(_same, "stem", tokens, ideas, glossary), rebuild=True),
    Row("related ideas", "what lies near a missing idea adds nothing", _at(_none, "related", glossary.Numbered)),
    Row("parts of words", "`LightSeq2` is one word", _at(_none, "parts_of", tokens), rebuild=True),
    Row(
        "joined forms",
        "`pre-training`, `pretraining`, `pre training` are three things",
        (
            *_at(_single_words, "chains", tokens, ideas),
            *_at(lambda *_: None, "join", ideas._Finder),
            *_at(_none, "split", ideas._Finder),
        ),
        rebuild=True,
    ),
    Row("initials", "`DSI` is looked for as written", _at(lambda *_, **__: False, "may_be_initials", ideas._Finder)),
    Row("corrections", "slips are looked for as written", _at(_none, "corrections", spelling.Speller)),
    Row("sounds", "Chinese slips are looked for as written", _at(frozenset, "sounding_like", spelling)),
    Row("stop words", "function and question words count like others", _at(frozenset(), "STOP_WORDS", ideas)),
    Row("spans", "neighbours are never one idea", _at(_no_span, "span", ideas._Finder)),
    Row("concepts", "the words of a name may stand anywhere", _at(_loose_span, "span", ideas._Finder)),
    Row("nearness", "it does not matter how far apart ideas stand", _at(0.0, "NEAR_BONUS", search)),
    Row("title bonus", "long notes may drown a title", _at(0.0, "TITLE_BONUS", search)),
    Row("partial answers", "every idea must match", _shares(1.0, 1.0, NEVER)),
    Row("least share", "whatever matches anything is an answer", _shares(0.0, 0.0, NEVER)),
    Row("length of queries", "a question needs as large a share as two words", _at(NEVER, "FULL_SHARE_IDEAS", search)),
    Row("unknown words", "in a question they count like others", _at(1.0, "VERBOSE_UNKNOWN", search)),
    Row("title boost", "a title word counts like a word of the notes", _boost("title", 1.0), rebuild=True),
)


def _values(name: str, values: Sequence[float], *places: ModuleType, rebuild: bool = False) -> Iterator[Row]:
    for value in values:
        yield Row(name, f"{value:g}", _at(value, name, *places), rebuild)


CONSTANTS = (
    *_values("K1", (0.8, 1.2, 1.6), scoring),
    *_values("B", (0.1, 0.3, 0.5, 0.75), scoring),
    *(Row("title boost", f"{boost:g}", _boost("title", boost), rebuild=True) for boost in (1.0, 2.0, 3.0, 5.0)),
    *(Row("alias boost", f"{boost:g}", _boost("alias", boost), rebuild=True) for boost in (0.25, 0.5, 1.0, 2.0)),
    *(Row("category boost", f"{boost:g}", _boost("category", boost), rebuild=True) for boost in (0.5, 1.0, 2.0)),
    *_values("CONTEXT_BOOST", (0.1, 0.3, 1.0), documents, rebuild=True),
    *_values("PART_FACTOR", (0.25, 0.5, 1.0), tokens, rebuild=True),
    *_values("STEM_FACTOR", (0.8, 0.9, 1.0), ideas),
    *_values("JOIN_FACTOR", (0.7, 0.9, 1.0), ideas),
    *_values("INITIALS_FACTOR", (0.6, 0.8, 1.0), ideas),
    *_values("GRAM_FACTOR", (0.5, 0.7, 0.9), ideas),
    *_values("DICTIONARY_FACTOR", (0.3, 0.45, 0.6, 0.8), ideas),
    *_values("GLOSSARY_FACTOR", (0.6, 0.8, 1.0), ideas),
    *_values("AMBIGUOUS_FACTOR", (0.2, 0.4, 0.8), ideas),
    *_values("CORRECTION_FACTOR", (0.5, 0.7, 1.0), ideas),
    *_values("RELATED_FACTOR", (0.1, 0.2, 0.3, 0.5), ideas),
    *_values("RELATED_LIMIT", (0.25, 0.5, 1.0), search),
    *_values("SINGLE_CHARACTER", (0.25, 0.5, 1.0), ideas),
    *_values("SPAN_BONUS", (0.0, 0.15, 0.3, 0.6), search),
    *_values("NEAR_BONUS", (0.0, 0.25, 0.5, 1.0), search),
    *_values("TITLE_BONUS", (0.0, 0.1, 0.3), search),
    *_values("NEAR_WORDS", (1, 4, 8), search, occurrences),
    *_values("SOME_SHARE", (0.3, 0.35, 0.4, 0.45, 0.6), search),
    *_values("BELOW_SHARE", (0.15, 0.3, 0.45), search),
    *_values("FULL_SHARE_IDEAS", (2, 3, 4), search),
    *_values("VERBOSE_IDEAS", (3, 4, 6), search),
    *_values("VERBOSE_UNKNOWN", (0.1, 0.15, 0.3, 1.0), search),
)


# ---- Runs


class Outcome(NamedTuple):
    """What a variant of the search makes of a digest's queries and of topics that it does not treat."""

    judged: Evaluation
    silent: float
    wrong: float


@cache
def foreign_topics() -> list[str]:
    """Topics of the file beside this one."""
    lines = Path(__file__).with_name("foreign_topics.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


class Digest(NamedTuple):
    """A digest with judged queries, and the index of it with everything switched on."""

    corpus: Path
    queries: list[JudgedQuery]
    folder: Path

    def judge(self, rebuild: bool = False) -> Outcome:
        """Run all queries as the search is now."""
        with tempfile.TemporaryDirectory() as fresh:
            folder = Path(fresh) if rebuild else self.folder
            with open_index(self.corpus, folder, refresh=rebuild) as index:
                run, partial = run_queries(index, self.queries)
                stages = [index.search(topic, limit=1).stage for topic in foreign_topics()]
        silent, wrong = (sum(stage == s for stage in stages) / len(stages) for s in ("none", "all"))
        return Outcome(evaluate(self.queries, run, partial), silent, wrong)


@contextmanager
def patched(*rows: Row) -> Iterator[None]:
    """The search as the rows have it. A name that is not there any more is an error."""
    with ExitStack() as stack:
        for remembered in (tokens._forms, glossary.key_of):  # what the analysis made of a word, of a name
            stack.callback(remembered.cache_clear)
            remembered.cache_clear()
        for place, name, value in (patch for row in rows for patch in row.patches):
            stack.enter_context(mock.patch.object(place, name, value))
        yield


@contextmanager
def opened(pairs: Sequence[tuple[Path, Path]]) -> Iterator[list[Digest]]:
    """Digests with their indexes built, from (corpus, queries)."""
    with tempfile.TemporaryDirectory() as folder:
        digests = [
            Digest(corpus, read_queries(queries), Path(folder, str(n))) for n, (corpus, queries) in enumerate(pairs)
        ]
        for digest in digests:
            open_index(digest.corpus, digest.folder).close()
        yield digests


def change(figure: float, base: float) -> str:
    """A difference with its sign, a dot for none."""
    return f"{figure - base:+.3f}" if abs(figure - base) >= SHOWN else "·"


def cells(found: Outcome, base: Outcome) -> list[str]:
    """Figures of a variant beside those of the search as it is."""
    ndcg, before = found.judged.overall.ndcg, base.judged.overall.ndcg
    losses = {name: found.judged.classes[name].ndcg - means.ndcg for name, means in base.judged.classes.items()}
    worst = min(losses, key=lambda name: losses[name])
    falls = f"{worst} {losses[worst]:+.2f}" if losses[worst] <= -SHOWN else "·"
    return [f"{ndcg:.3f}", change(ndcg, before), falls, f"{found.silent:.2f}", f"{found.wrong:.2f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--also", nargs=2, type=Path, metavar=("DIGEST", "QUERIES"), help="a second digest")
    parser.add_argument("--only", action="append", metavar="NAME", help="a row by its name")
    parser.add_argument("--constants", action="store_true", help="other values of the constants")
    parser.add_argument("--plot", type=Path, help="draw what is lost without each mechanism (.svg or .png)")
    options = parser.parse_args()
    pairs = [
        (ROOT / "corpus", ROOT / "tests" / "eval" / "queries.jsonl"),
        *([tuple(options.also)] if options.also else []),
    ]
    rows = [
        row for row in (CONSTANTS if options.constants else MECHANISMS) if not options.only or row.name in options.only
    ]
    if not rows:
        parser.error(
            f"no such row; there are {', '.join(dict.fromkeys(row.name for row in (*MECHANISMS, *CONSTANTS)))}"
        )
    losses: list[tuple[str, list[float]]] = []
    with opened(pairs) as digests:
        bases = [digest.judge() for digest in digests]
        lines = [["as it is", "", *(c for base in bases for c in cells(base, base))]]
        for row in rows:
            with patched(row):
                found = [digest.judge(row.rebuild) for digest in digests]
            lines.append([row.name, row.instead, *(c for f, b in zip(found, bases, strict=True) for c in cells(f, b))])
            losses.append(
                (row.name, [b.judged.overall.ndcg - f.judged.overall.ndcg for f, b in zip(found, bases, strict=True)])
            )
    print(table(["without", "then", *["nDCG@10", "change", "most in", "silent", "wrong"] * len(digests)], lines))
    if options.plot:
        losses.sort(key=lambda row: -max(row[1]))
        names = ["shipped digest", "another digest"][: len(digests)]
        series = {name: [values[n] for _, values in losses] for n, name in enumerate(names)}
        bars(options.plot, [name for name, _ in losses], series, "nDCG@10 lost without it")


if __name__ == "__main__":
    main()
