"""Speed, size and memory of papersearch and its peers, side by side in one run.

python bench/speed.py                                     digests of 1,000 and 10,000 papers, some ten minutes
python bench/speed.py --sizes 1000,10000,100000           an hour more
python bench/speed.py --only cold,edit --sizes 1000       some measures only
python bench/speed.py --text zh-en --only build,size      real titles and abstracts, where they are at hand
python bench/speed.py --peers tantivy,"FTS5 + jieba"      some engines only
python bench/speed.py --cache DIR                         keep digests and indexes for the next run
python bench/speed.py --plot docs/img                     also draw cost against size (needs matplotlib)
python bench/speed.py --save FILE; --load FILE            keep the figures; show those of runs that were kept

    cold    a fresh process that opens an index, answers one query and prints ten hits; its time and its peak memory
    warm    an open engine finds ten papers for a bag of tokens, the same tokens for all engines (bench/bags.py): each
            query is asked several times in a row, others before it. The median of these counts, and the median over
            rounds, for each of which all is opened anew; how long the first of them takes stands in tables of its own
    typed   all that an open library does for a query as people type it, excerpts of ten hits included; asked in the
            same way
    build   papers a second from Markdown to an index that can be searched, as a whole process
    edit    one paper of an open index changes: until a search finds what is new
    size    bytes of the index over bytes of the notes

Engines take turns, so that a slow minute of the machine falls on all of them alike. What counts is the ratio of two
figures of one run. A peer that is not installed is left out, with a line that says so (`bench` extra in
pyproject.toml; Xapian: xapian-bindings-binary, or python3-xapian of Debian).
"""

from __future__ import annotations

import argparse
import gc
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import bags
import bars
import digests
import stock
from bars import AND, CLICK, ONE_FILE, OR, OURS, PYTHON, SHIPPED, Figures
from papersearch import open_index
from papersearch.paper import Paper
from timing import SEARCH, WARM_UP_ROUNDS, child_environment, in_turns, python, run_once, size_of
from typed import plain_queries, slips, type_queries

MEASURES = ("build", "size", "cold", "warm", "typed", "edit")
SIZES = "1000,10000"
SEED = 11
SLIP = "papersearch, a slip"
FIRST_TIME = ", first time"
BUDGET_S = 60.0
"""No further round of a measure begins after so long."""
WARM_ROUNDS = 3
EDIT_ROUNDS = 3
"""Fewest rounds of edits, whatever they take; the first does not count."""
BUILDS = 3
"""Most rounds of builds."""
PATIENCE = 10_000
"""Up to so many papers are indexed with the slow ones."""
SLOW = (stock.WHOOSH_NAME, "Xapian n-grams")
COLD_QUERIES = 4
WARM_QUERIES, TYPED_QUERIES = 60, 12
"""Queries of each kind."""
ASKED, ENOUGH_US = 7, 200_000.0
"""How often a query is asked in a row; one that has taken so long already is not asked again."""
UNCOUNTED = 30
"""Queries that are asked first, for pages of the index and compiled code to be there."""
SAMPLE_FILES = 3
PEERS = [*stock.SCRIPTS, *(name for name in bags.NEEDS if name not in (*stock.SCRIPTS, bags.OURS))]


def say(line: str) -> None:
    """Progress, apart from the results."""
    print(line, file=sys.stderr, flush=True)


class Digest(NamedTuple):
    """Notes on disk, with a folder for indexes of them, and what they were written from."""

    name: str
    corpus: Path
    folder: Path
    peers: Sequence[str]
    """Names of the engines beside ours."""
    drafts: Callable[[], Iterator[digests.Draft]] = lambda: iter(())

    @property
    def papers(self) -> int:
        """How many there are, 0 for the shipped digest."""
        return bars.size_of(self.name)

    def sample(self) -> list[Paper]:
        """The papers of its first files; of the shipped digest all of them."""
        if not self.papers:
            return stock.read_papers(self.corpus)
        files = sorted(self.corpus.iterdir())[:SAMPLE_FILES]
        return [paper for file in files for paper in stock.read_papers(file)]

    def index(self, name: str) -> Path:
        """Where an engine has its index."""
        return self.folder / "index" / name.replace(" ", "")


def make_digest(
    cache: Path, text: str, count: int, collections: Path, peers: Sequence[str], *, written: bool
) -> Digest:
    """Write a digest, if that is asked for and it is not there. Raises FileNotFoundError if its text is not at hand."""
    name = str(count) if text == "synthetic" else f"{text} {count}"
    folder = cache / name.replace(" ", "-")
    digest = Digest(name, folder / "corpus", folder, peers, lambda: digests.drafts(text, count, collections))
    if written and not digest.corpus.is_dir():
        say(f"writing a digest of {count} papers, {text}")
        unfinished = digest.corpus.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        digests.write_digest(digest.drafts(), unfinished)
        unfinished.rename(digest.corpus)
    return digest


# ---- indexes built from Markdown


def scripts(digest: Digest) -> dict[str, stock.Script]:
    """The peers that are asked for, installed and not too slow for so many papers."""
    return {
        name: script
        for name, script in stock.SCRIPTS.items()
        if name in digest.peers and not script.missing() and (name not in SLOW or digest.papers <= PATIENCE)
    }


def build_command(name: str, digest: Digest, folder: Path) -> list[str]:
    """A process that reads the notes and builds an index."""
    if name == OURS:
        return python(SEARCH, "index", str(digest.corpus), "--index", str(folder))
    return [sys.executable, stock.__file__, name, str(digest.corpus), str(folder)]


def build(name: str, digest: Digest) -> float:
    """Build an engine's index anew; milliseconds."""
    folder = digest.index(name)
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    say(f"{digest.name}: building {name}")
    took_ms = run_once(build_command(name, digest, unfinished), child_environment()).ms
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)
    return took_ms


def built(name: str, digest: Digest) -> Path:
    """The index of an engine, built unless it is there; ours is brought up to date."""
    folder = digest.index(name)
    if not folder.is_dir():
        build(name, digest)
    if name == OURS:
        open_index(digest.corpus, folder).close()
    return folder


def rounds_within(most: int, least: int = 1) -> Iterator[int]:
    """Numbers of rounds: so many, or as many as the time allows."""
    end = time.monotonic() + BUDGET_S
    for number in range(most):
        if number >= least and time.monotonic() > end:
            return
        yield number


# ---- measures


def measure_cold(digest: Digest, rounds: int, figures: Figures) -> None:
    """Whole processes, the query changing from round to round."""
    sample = digest.sample()
    queries = plain_queries(sample, COLD_QUERIES, SEED)
    mistyped = slips(sample, COLD_QUERIES, SEED)
    ours = [str(digest.corpus), "--index", str(built(OURS, digest))]
    folders = {name: built(name, digest) for name in scripts(digest)}

    def commands(turn: int) -> dict[str, list[str]]:
        query, slip = queries[turn % len(queries)], mistyped[turn % len(mistyped)]
        return {
            PYTHON: python("pass"),
            CLICK: python("import click"),
            OURS: python(SEARCH, "search", query, "--corpus", *ours),
            SLIP: python(SEARCH, "search", slip, "--corpus", *ours),
            **{name: python(stock.SCRIPTS[name].code, str(folder), query) for name, folder in folders.items()},
        }

    say(f"{digest.name}: cold")
    usages = in_turns([commands(turn) for turn in range(WARM_UP_ROUNDS + rounds)])
    figures.setdefault("cold", {})[digest.name] = {n: statistics.median(u.ms for u in us) for n, us in usages.items()}
    figures.setdefault("memory", {})[digest.name] = {n: max(u.peak_mb for u in us) for n, us in usages.items()}


def measure_build(digest: Digest, figures: Figures) -> None:
    """Papers a second. The last index of each engine stays for other measures."""
    times: dict[str, list[float]] = {name: [] for name in (OURS, *scripts(digest))}
    end = time.monotonic() + BUDGET_S
    while len(times[OURS]) < BUILDS and (not times[OURS] or time.monotonic() < end):
        for name, taken in times.items():
            taken.append(build(name, digest))
    rates = {name: digest.papers / statistics.median(taken) * 1000 for name, taken in times.items()}
    figures.setdefault("build", {})[digest.name] = rates


def measure_size(digest: Digest, figures: Figures) -> None:
    """Index over notes."""
    notes = size_of(digest.corpus)
    names = (OURS, *scripts(digest))
    figures.setdefault("size", {})[digest.name] = {name: size_of(built(name, digest)) / notes for name in names}


def engines_of(digest: Digest) -> dict[str, bags.Engine]:
    """The engines that are asked for and installed, ours among them."""
    return {name: engine for name, engine in bags.engines().items() if name == bags.OURS or name in digest.peers}


def token_indexes(digest: Digest) -> tuple[list[bags.Bag], dict[str, Path]]:
    """The bags of a digest's papers, and an index of them for each engine."""
    path = digest.folder / "bags"
    digest.folder.mkdir(exist_ok=True)
    if not path.is_file():
        say(f"{digest.name}: drawing tokens")
        unfinished = path.with_suffix(".unfinished")
        bags.write_bags(unfinished, bags.draw_bags(digest.papers))
        unfinished.rename(path)
    papers = list(bags.read_bags(path))
    folders: dict[str, Path] = {}
    for name, engine in engines_of(digest).items():
        folder = folders[name] = digest.folder / "bags-of" / name.replace(" ", "")
        if not folder.is_dir():
            say(f"{digest.name}: indexing tokens with {name}")
            unfinished = folder.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            engine.build(unfinished, papers)
            unfinished.rename(folder)
    return papers, folders


def timed_us(call: Callable[[], object]) -> float:
    """Microseconds of one call, with the collector of cycles kept out of it."""
    gc.disable()
    started = time.perf_counter_ns()
    call()
    took = time.perf_counter_ns() - started
    gc.enable()
    return took / 1000


def asked_us(call: Callable[[], object]) -> tuple[float, float]:
    """Microseconds of the first of several calls, and the median of all."""
    times: list[float] = []
    while len(times) < ASKED and sum(times) < ENOUGH_US:
        times.append(timed_us(call))
    return times[0], statistics.median(times)


def spread(times: Iterable[float]) -> dict[str, float]:
    """Mean, median and 99th percentile."""
    values = sorted(times)
    return {
        "mean": statistics.fmean(values),
        "p50": statistics.median(values),
        "p99": statistics.quantiles(values, n=100, method="inclusive")[98],
    }


def per_query(taken: Sequence[Sequence[tuple[float, float]]]) -> tuple[list[float], list[float]]:
    """Rounds of the same queries → of each query the median of what was first, and of the medians."""
    first, median = ([[row[at] for row in times] for times in zip(*taken, strict=True)] for at in (0, 1))
    return [statistics.median(times) for times in first], [statistics.median(times) for times in median]


def measure_warm(digest: Digest, rounds: int, figures: Figures) -> None:
    """Microseconds by class of queries."""
    papers, folders = token_indexes(digest)
    queries = bags.draw_queries(papers, WARM_QUERIES, SEED)
    others = bags.draw_queries(papers, UNCOUNTED // len(bags.CLASSES), SEED + 1)
    del papers
    taken: dict[tuple[str, str], list[list[tuple[float, float]]]] = {}
    for number in rounds_within(rounds):
        engines = engines_of(digest)
        for name, engine in engines.items():
            engine.open(folders[name])
        say(f"{digest.name}: warm, round {number + 1}")
        for part, counts in ((others, False), (queries, True)):
            for name in engines:
                for kind in bags.CLASSES:
                    taken.setdefault((name, kind), []).extend([[]] if counts else [])
            for wanted in part:
                for name, engine in engines.items():
                    if wanted.kind in engine.knows:
                        took = asked_us(lambda e=engine, w=wanted: e.search(w))  # type: ignore[misc]
                        if counts:
                            taken[name, wanted.kind][-1].append(took)
    for (name, kind), times in taken.items():
        if times[0]:
            for measure, of_queries in zip((FIRST_TIME, ""), per_query(times), strict=True):
                found = figures.setdefault(f"warm{measure}: {kind}", {}).setdefault(digest.name, {})
                found |= {f"{name} {what}": us for what, us in spread(of_queries).items()}


def measure_typed(digest: Digest, rounds: int, figures: Figures) -> None:
    """Milliseconds of whole queries in an open library: parsing, ranking, and excerpts of ten hits."""
    sample = digest.sample()
    queries, others = type_queries(sample, TYPED_QUERIES, SEED), type_queries(sample, UNCOUNTED // 10, SEED + 1)
    ours = built(OURS, digest)
    folder = built(stock.WHOOSH_NAME, digest) if stock.WHOOSH_NAME in scripts(digest) else None
    taken: dict[str, list[list[tuple[float, float]]]] = {}
    for number in rounds_within(rounds):
        say(f"{digest.name}: typed, round {number + 1}")
        with open_index(digest.corpus, ours, refresh=False) as index:
            asked: dict[str, Callable[[str], object]] = {OURS: index.search}
            if folder:
                asked[AND] = stock.whoosh_page(folder, any_word=False)
                asked[OR] = stock.whoosh_page(folder, any_word=True)
            for query in others:
                for search in asked.values():
                    search(query)
            for name in asked:
                taken.setdefault(name, []).append([])
            for query in queries:
                for name, search in asked.items():
                    taken[name][-1].append(asked_us(lambda s=search, q=query: s(q)))  # type: ignore[misc]
    for measure, at in (("typed", 1), (f"typed{FIRST_TIME}", 0)):
        found = figures.setdefault(measure, {})[digest.name] = {}
        for name, times in taken.items():
            found |= {f"{name} {what}": us / 1000 for what, us in spread(per_query(times)[at]).items()}


def edit_notes(file: Path, number: int, word: str) -> None:
    """Add a word to the notes of a paper of a file."""
    lines = file.read_text(encoding="utf-8").split("\n")
    headings = [at for at, line in enumerate(lines) if line.startswith("### ")]
    lines[headings[number % len(headings)] + 1] += f" {word}"
    file.write_text("\n".join(lines), encoding="utf-8")


def measure_edit(digest: Digest, rounds: int, figures: Figures) -> None:
    """Milliseconds until a search finds the new word of a paper; each engine works on a copy."""
    sample = [stock.text_of(paper) for paper in digest.sample()]
    taken: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(dir=digest.folder, ignore_cleanup_errors=True) as name:
        scratch = Path(name)
        many, one = scratch / "many", scratch / "one"
        shutil.copytree(digest.corpus, many)
        digests.write_digest(digest.drafts(), one, per_file=0)
        peers = {}
        for peer, script in scripts(digest).items():
            if script.opened:
                shutil.copytree(built(peer, digest), scratch / peer)
                peers[peer] = script.opened(scratch / peer)
        shutil.copytree(built(OURS, digest), scratch / "of-many")
        with (
            open_index(many, scratch / "of-many") as of_many,
            open_index(one, scratch / "of-one") as of_one,
        ):
            ours = {OURS: (many, of_many), ONE_FILE: (one, of_one)}
            for turn in rounds_within(1 + rounds, EDIT_ROUNDS):
                say(f"{digest.name}: edit, round {turn + 1}")
                word, number = f"zzedit{'abcdefghijklmnopqrstuvwxyz'[turn % 26] * 3}", turn * 7919 % digest.papers
                text = sample[number % len(sample)]
                text = text._replace(note=f"{text.note} {word}")
                for name, (corpus, index) in ours.items():
                    files = sorted(corpus.iterdir())
                    edit_notes(files[number % len(files)], number, word)

                    def refreshed(index=index, word=word) -> None:  # type: ignore[no-untyped-def]
                        index.refresh()
                        assert index.search(word, strict=True).total == 1, word

                    taken.setdefault(name, []).append(timed_us(refreshed) / 1000)
                for name, (edit, numbers) in peers.items():

                    def changed(edit=edit, numbers=numbers, word=word, number=number, text=text) -> None:  # type: ignore[no-untyped-def]
                        edit(number, text)
                        assert numbers(word) == [number], word

                    taken.setdefault(name, []).append(timed_us(changed) / 1000)
    # The first round does not count: it loads dictionaries and code.
    figures.setdefault("edit", {})[digest.name] = {n: statistics.median(times[1:]) for n, times in taken.items()}


# ---- what is shown

UNITS = {
    "cold": ("whole process", f"÷ {CLICK}", "(ms)"),
    "memory": ("peak memory", f"÷ {CLICK}", "(MB)"),
    "typed": ("typed query", "÷ ours, mean", "(ms)"),
    f"typed{FIRST_TIME}": ("typed query, asked for the first time", "÷ ours, mean", "(ms)"),
    "build": ("papers a second", "÷ ours", "(1/s)"),
    "edit": ("one edit", "÷ ours", "(ms)"),
    "size": ("index ÷ notes", "÷ ours", "(ratio)"),
}
BASES = {"cold": CLICK, "memory": CLICK, "typed": f"{OURS} mean", f"typed{FIRST_TIME}": f"{OURS} mean"}


def tables(figures: Figures, *, markdown: bool) -> Iterator[str]:
    """Each measure as a table with a column for each digest; the bars last."""
    for measure, by_digest in figures.items():
        what, against, unit = UNITS.get(measure, (f"{measure}", "÷ ours, mean", "(µs)"))
        base = BASES.get(measure, OURS if measure in UNITS else f"{OURS} mean")
        names = list(dict.fromkeys(name for found in by_digest.values() for name in found))
        rows = []
        for name in names:
            cells = [
                f"{bars.short(found[name] / found[base])} ({bars.short(found[name])})" if name in found else "–"
                for found in by_digest.values()
            ]
            rows.append([name, *cells])
        yield bars.show([f"{what}, {against} {unit}", *by_digest], rows, markdown=markdown)
    yield bars.show(bars.HEADER, bars.bar_rows(figures), markdown=markdown)


def draw(folder: Path, figures: Figures) -> None:
    """Cost against size: cold processes, edits, and any-of queries of open engines."""
    from plots import lines

    def points(measure: str, names: Mapping[str, str]) -> dict[str, list[tuple[int, float]]]:
        return {
            label: [
                (bars.size_of(d), found[name])
                for d, found in figures.get(measure, {}).items()
                if d.isdigit() and name in found
            ]
            for name, label in names.items()
        }

    engines = [name for name in bags.NEEDS if not bags.missing(name)]
    panels = {
        "a fresh process answers one query, ms": points("cold", {n: n for n in (OURS, CLICK, *stock.SCRIPTS)}),
        "one paper changes, ms": points("edit", {n: n for n in (OURS, ONE_FILE, *stock.SCRIPTS)}),
        "best ten papers for 2 to 6 tokens, any of which, µs": points(
            f"warm: {bags.ANY}", {f"{name} mean": name for name in engines}
        ),
    }
    # What was measured at one size alone is no curve.
    curves = {title: panel for title, panel in panels.items() if any(len(found) > 1 for found in panel.values())}
    lines(folder / "speed.svg", curves, "papers")


def merged(paths: Sequence[Path]) -> Figures:
    """Figures of several runs; a later one's digest takes the place of an earlier one's."""
    figures: Figures = {}
    for path in paths:
        for measure, by_digest in json.loads(path.read_text(encoding="utf-8")).items():
            figures.setdefault(measure, {}).update(by_digest)
    return figures


def measure(options: argparse.Namespace, cache: Path, figures: Figures) -> Iterator[None]:
    """Everything that was asked for, a measure at a time. Left out is what is not at hand, with a line each."""
    for name in options.peers:
        lacking = stock.SCRIPTS[name].missing() if name in stock.SCRIPTS else bags.missing(name)
        if lacking:
            say(f"{name}: left out, {lacking} is not installed")
    if "cold" in options.only:
        yield measure_cold(Digest(SHIPPED, digests.CORPUS, cache / SHIPPED, options.peers), options.rounds, figures)
    for text in options.text:
        for count in options.sizes:
            try:
                written = options.only != ["warm"]
                digest = make_digest(cache, text, count, options.collections, options.peers, written=written)
            except FileNotFoundError as error:
                say(f"{text}: left out, {error}")
                continue
            if digest.papers > PATIENCE and options.only != ["warm"]:
                say(f"{digest.name}: {', '.join(SLOW)} left out, too slow to build for so many papers")
            if "build" in options.only:
                yield measure_build(digest, figures)
            if "size" in options.only:
                yield measure_size(digest, figures)
            if "cold" in options.only:
                yield measure_cold(digest, options.rounds, figures)
            if "warm" in options.only and text == "synthetic":
                yield measure_warm(digest, WARM_ROUNDS, figures)
            if "typed" in options.only:
                yield measure_typed(digest, WARM_ROUNDS, figures)
            if "edit" in options.only:
                yield measure_edit(digest, options.rounds, figures)


def _listed(known: Sequence[str]) -> Callable[[str], list[str]]:
    def listed(value: str) -> list[str]:
        names = value.split(",")
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}; use some of {', '.join(known)}")
        return names

    return listed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=lambda value: [int(n) for n in value.split(",")], default=SIZES)
    parser.add_argument("--text", type=_listed(list(digests.TEXTS)), default="synthetic", help="kinds of text")
    parser.add_argument("--only", type=_listed(MEASURES), default=",".join(MEASURES), help="measures")
    parser.add_argument("--peers", type=_listed(PEERS), default=",".join(PEERS), help="engines beside ours")
    parser.add_argument("--rounds", type=int, default=11, help="of cold processes and edits")
    parser.add_argument("--cache", type=Path, help="where digests and indexes are kept")
    parser.add_argument("--collections", type=Path, default=digests.COLLECTIONS, help="folder of real texts")
    parser.add_argument("--plot", type=Path, metavar="FOLDER", help="draw speed.svg there")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the figures, JSON")
    parser.add_argument("--load", type=Path, action="append", metavar="FILE", help="measure nothing, show these")
    parser.add_argument("--markdown", action="store_true", help="tables for a page")
    options = parser.parse_args()
    figures = merged(options.load or ())
    if not options.load:
        with tempfile.TemporaryDirectory() as scratch:
            for _ in chain([None], measure(options, options.cache or Path(scratch), figures)):
                if options.save:  # after each measure, and also where there was nothing to measure
                    options.save.write_text(json.dumps(figures, ensure_ascii=False, indent=1), encoding="utf-8")
    print("\n\n".join(tables(figures, markdown=options.markdown)))
    if options.plot:
        draw(options.plot, figures)


if __name__ == "__main__":
    main()
