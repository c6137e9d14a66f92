"""All commands but the search, loaded when one of them is asked for."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from papersearch.cli import (
    COMPLETE_VARIABLE,
    FOUND,
    NOTHING,
    Located,
    SearchCommand,
    clean,
    clean_id,
    code_of,
    color_option,
    corpus_and_index,
    filter_options,
    format_of,
    format_option,
    is_terminal,
    json_format_option,
    json_option,
    limit_option,
    no_refresh_option,
    offered_files,
    offset_option,
    paper_id_argument,
    print_answer,
    program,
    say,
    say_all,
    screen_of,
    sort_option,
    strict_option,
    words_of,
    write,
)

if TYPE_CHECKING:
    from papersearch.paper import Paper

EXPORTS = ("bibtex", "csv", "json")
SHELLS = ("bash", "zsh", "fish")
WATCH_EVERY_S = 1.0
"""Seconds between two looks of `index --watch`; a look asks for the state of each file and reads none."""
# A link comes from a note and goes to whatever opens links here, so it has nothing in it that anything could obey.
_WEB_LINK = r"(?i)https?://[^\s\"'<>\\^`{|}\x00-\x1f\x7f-\x9f\ud800-\udfff]+"


@program.command("index", short_help="Index what changed in the notes.")
@click.argument("folders", nargs=-1, metavar="[CORPUS]...", shell_complete=offered_files)
@corpus_and_index
@click.option("--rebuild", is_flag=True, help="Analyse every paper again.")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--watch", is_flag=True, help="Go on indexing what changes, until Ctrl-C.")
@json_option
def index_command(
    folders: tuple[str, ...],
    corpus: tuple[str, ...],
    index: str | None,
    rebuild: bool,
    dry_run: bool,
    watch: bool,
    as_json: bool,
) -> int:
    """Index what changed in the notes, and say what that was.

    \b
    papersearch index
    papersearch index notes reading-list.md --index /data/index
    papersearch index --dry-run
    papersearch index --watch
    """
    if watch and dry_run:
        raise click.UsageError("--watch has no place beside --dry-run; give one of them")
    places = Located((*folders, *corpus), index)
    from papersearch.api import build_index

    progress = _Progress()
    try:
        done = build_index(places.corpus, places.index, rebuild=rebuild, dry_run=dry_run, progress=progress)
    finally:
        progress.close()
    if as_json:
        from papersearch.render.as_json import changes as changes_as_json

        write(changes_as_json(done))
    else:
        from papersearch.render.text import changes

        write(changes(done))
        say_all(done.warnings)
    return _watch(places, as_json) if watch else FOUND


def _watch(places: Located, as_json: bool) -> int:
    """Look at the notes again and again and index what changed, a line each, until Ctrl-C."""
    from papersearch.api import build_index
    from papersearch.errors import PapersearchError
    from papersearch.render.as_json import changes as changes_as_json
    from papersearch.render.text import changes

    said = ""
    with contextlib.suppress(KeyboardInterrupt), _interruption() as interrupted:
        while not interrupted:
            time.sleep(WATCH_EVERY_S)
            try:
                if not _is_stale(places):
                    continue
                done = build_index(places.corpus, places.index)
            except PapersearchError as error:  # another process writes, or the notes are gone for a moment
                if str(error) != said:
                    said = str(error)
                    say(said)
                continue
            said = ""
            if done.any:
                write(changes_as_json(done) if as_json else changes(done).partition("\n")[0] + "\n")
                say_all(done.warnings)
    return FOUND


@contextlib.contextmanager
def _interruption() -> Iterator[list[int]]:
    """A list that Ctrl-C puts something into, besides what it does anyway: Python drops the exception where it comes
    while an object is being disposed of."""
    import signal

    interrupted: list[int] = []
    before = signal.getsignal(signal.SIGINT)

    def interrupt(number: int, frame: Any) -> None:
        interrupted.append(number)
        if callable(before):
            before(number, frame)

    with contextlib.suppress(ValueError):  # only the main thread may
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield interrupted
    finally:
        with contextlib.suppress(ValueError):
            signal.signal(signal.SIGINT, before)


def _is_stale(places: Located) -> bool:
    from papersearch.api import index_status
    from papersearch.errors import IndexDamagedError

    try:
        return index_status(places.corpus, places.index).stale
    except IndexDamagedError:
        return True


class _Progress:
    """A progress bar with rate and time left, on standard error if that is a terminal; from the first report on."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._wanted = is_terminal(sys.stderr)
        self._began = 0.0

    def __call__(self, done: int, total: int) -> None:
        if not self._wanted or not total:
            return
        if self._bar is None:
            self._began = time.monotonic()
            bar = click.progressbar(
                length=total, label="indexing", show_pos=True, item_show_func=self._rate, file=sys.stderr
            )
            self._bar = bar.__enter__()
        if done == total or done - self._bar.pos >= total / 100:
            self._bar.update(done - self._bar.pos, done)

    def _rate(self, done: int | None) -> str:
        """Papers a second since the first report."""
        passed_s = time.monotonic() - self._began
        return f"{done / passed_s:.0f} papers/s" if done and passed_s > 0 else ""

    def close(self) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)


@program.command("similar", short_help="Show the papers nearest to one.")
@paper_id_argument
@limit_option
@format_option
@json_format_option
@no_refresh_option
@corpus_and_index
@color_option
@click.pass_context
def similar_command(
    context: click.Context,
    paper_id: str,
    limit: int,
    output: str | None,
    as_json: bool,
    no_refresh: bool,
    corpus: tuple[str, ...],
    index: str | None,
    color: str,
) -> int:
    """Show the papers nearest to one: those that share most of its telling words.

    ID is the id of a hit, or the beginning of one if no other id begins so.

    \b
    papersearch similar 3f9k2m1q
    papersearch similar 3f9 -n 3 --json | jq -r '.hits[].title'
    """
    output = format_of(context, as_json, output, "text")
    places = Located(corpus, index)
    with places.open(refresh=not no_refresh) as opened:
        found = opened.similar(clean_id(paper_id), limit=limit)
        print_answer(found, opened.notices, output, color, places, by_words=False)
    return code_of(found, limit)


@program.command("export", cls=SearchCommand, short_help="Write papers as BibTeX, CSV or JSON.")
@click.argument("query", nargs=-1)
@click.option("--format", "output", type=click.Choice(EXPORTS), help=f"What to write; {EXPORTS[0]} if not given.")
@json_format_option
@filter_options
@sort_option
@click.option("-n", "--limit", type=click.IntRange(min=0), help="How many papers to write; all if not given.")
@offset_option
@strict_option
@no_refresh_option
@corpus_and_index
@click.pass_context
def export_command(
    context: click.Context,
    query: tuple[str, ...],
    output: str | None,
    as_json: bool,
    category: tuple[str, ...],
    venue: tuple[str, ...],
    org: tuple[str, ...],
    year: tuple[str, ...],
    sort: str,
    limit: int | None,
    offset: int,
    strict: bool,
    no_refresh: bool,
    corpus: tuple[str, ...],
    index: str | None,
) -> int:
    """Write all papers that a query and the filters admit; without a query and filters, all there are.

    \b
    papersearch export > papers.bib
    papersearch export 后门 --year 2018.. --format csv > backdoor.csv
    papersearch export --venue NeurIPS --format json

    Query and filters are those of papersearch search.
    """
    output = format_of(context, as_json, output, EXPORTS[0])
    places = Located(corpus, index)
    with places.open(refresh=not no_refresh) as opened:
        found = opened.search(
            words_of(query),
            category=clean(category),
            venue=clean(venue),
            org=clean(org),
            year=clean(year),
            sort=sort,
            limit=limit,
            offset=offset,
            strict=strict,
        )
        print_answer(found, opened.notices, output, "never", places)
    return code_of(found, limit)


@program.command("show", short_help="Show one paper whole.")
@paper_id_argument
@json_option
@no_refresh_option
@corpus_and_index
@color_option
def show_command(
    paper_id: str, as_json: bool, no_refresh: bool, corpus: tuple[str, ...], index: str | None, color: str
) -> int:
    """Show one paper whole: its heading, its notes and its companion notes.

    ID is the id of a hit, or the beginning of one if no other id begins so.

    \b
    papersearch show 3f9k2m1q
    papersearch show 3f9 --json | jq -r '.paper.links[]'
    """
    places = Located(corpus, index)
    with places.open(refresh=not no_refresh) as opened:
        paper = opened.get(clean_id(paper_id))
        if as_json:
            from papersearch.render import as_json as json_of

            write(json_of.paper(paper))
        else:
            from papersearch.render import text

            write(text.paper(paper, screen_of(color), places))
        say_all(opened.notices)
    return FOUND


@program.command("open", short_help="Open one paper in your editor, or its link.")
@paper_id_argument
@click.option("--link", is_flag=True, help="Open its first web link instead.")
@click.option("--print", "only_print", is_flag=True, help="Print path:line (the link with --link); open nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print place and link in JSON (schema 1); open nothing.")
@no_refresh_option
@corpus_and_index
def open_command(
    paper_id: str,
    link: bool,
    only_print: bool,
    as_json: bool,
    no_refresh: bool,
    corpus: tuple[str, ...],
    index: str | None,
) -> int:
    """Open one paper in your editor at its line, or its first web link.

    The editor is the command in EDITOR, else in VISUAL. ID is the id of a hit, or the beginning of one if no other id
    begins so. The exit code is 1 if there is no link to open.

    \b
    papersearch open 3f9k2m1q
    EDITOR='code --wait' papersearch open 3f9
    papersearch open 3f9 --link
    papersearch open 3f9 --print
    """
    places = Located(corpus, index)
    with places.open(refresh=not no_refresh) as opened:
        paper = opened.get(clean_id(paper_id))
        say_all(opened.notices)
    file = os.path.abspath(places(paper.path))
    url = next((target for target in paper.links if re.fullmatch(_WEB_LINK, target)), None)
    if as_json:
        from papersearch.render import as_json as json_of

        write(json_of.place(paper, file, url))
    elif link:
        if url is None:
            say(f"paper {paper.id} has no web link")
        elif only_print:
            write(f"{url}\n")
        elif click.launch(url):
            raise click.ClickException(
                f"nothing here opens links; print it with: papersearch open {paper.id} --link --print"
            )
    elif only_print:
        from papersearch.render.text import place

        write(f"{place(paper.path, paper.line, places)}\n")
    else:
        _edit(paper, file)
    return NOTHING if link and url is None else FOUND


def _edit(paper: Paper, file: str) -> None:
    from papersearch.editors import edit

    if not os.path.isfile(file):
        raise click.ClickException(f"{file} is gone; bring the index up to date with: papersearch index")
    edit(os.environ.get("EDITOR") or os.environ.get("VISUAL") or "", file, paper.line)


@program.command("list", short_help="List all papers.")
@click.option("-n", "--limit", type=click.IntRange(min=0), help="How many papers to list; all if not given.")
@json_option
@no_refresh_option
@corpus_and_index
@color_option
def list_command(
    limit: int | None, as_json: bool, no_refresh: bool, corpus: tuple[str, ...], index: str | None, color: str
) -> int:
    """List all papers in the order of the notes.

    \b
    papersearch list
    papersearch list | fzf
    papersearch list --json | jq '.hits[] | select(.venue == null) | .title'
    """
    places = Located(corpus, index)
    with places.open(refresh=not no_refresh) as opened:
        papers = opened.papers()
        shown = papers[:limit]
        if as_json:
            from papersearch.render import as_json as json_of
            from papersearch.results import Hit, Results

            hits = tuple(Hit(rank, 0.0, paper) for rank, paper in enumerate(shown, 1))
            found = Results("", {}, "all" if papers else "none", len(papers), hits)
            write(json_of.results(found, opened.notices))
        else:
            from papersearch.render import text

            write(text.listing(shown, screen_of(color), places))
            say_all(opened.notices)
    return FOUND if papers else NOTHING


@program.command("facets", short_help="Show categories, venues, years and organisations with their counts.")
@click.argument("fields", nargs=-1, metavar="[FIELD]...")
@json_option
@no_refresh_option
@corpus_and_index
@color_option
@click.pass_context
def facets_command(
    context: click.Context,
    fields: tuple[str, ...],
    as_json: bool,
    no_refresh: bool,
    corpus: tuple[str, ...],
    index: str | None,
    color: str,
) -> int:
    """Show the values of fields (category, venue, year, org) with their numbers of papers.

    \b
    papersearch facets
    papersearch facets venue year
    papersearch facets 类别 --json | jq -r '.facets.category[].value'
    """
    from papersearch.fields import FACETS, FIELDS

    known = {spelling: name for name in FACETS for spelling in (name, FIELDS[name].plural, FIELDS[name].zh)}
    for field in fields:
        if field.lower() not in known:
            raise click.UsageError(f"no facet field {field!r}; use one of {', '.join(FACETS)}", context)
    places = Located(corpus, index)
    with places.open(refresh=not no_refresh) as opened:
        counts = opened.facets(dict.fromkeys(known[field.lower()] for field in fields))
        if as_json:
            from papersearch.render import as_json as json_of

            write(json_of.facets(counts))
        else:
            from papersearch.render import text

            write(text.facets(counts, screen_of(color)))
        say_all(opened.notices)
    return FOUND if any(counts.values()) else NOTHING


@program.command("status", short_help="Show what is indexed and whether it is up to date.")
@json_option
@corpus_and_index
@color_option
def status_command(as_json: bool, corpus: tuple[str, ...], index: str | None, color: str) -> int:
    """Show what is indexed and whether it is what lies on disk now; nothing is built or refreshed.

    The exit code is 1 if there is no index yet.

    \b
    papersearch status
    papersearch status --json | jq .stale
    """
    places = Located(corpus, index)
    from papersearch.api import index_status

    state = index_status(places.corpus, places.index)
    if as_json:
        from papersearch.render import as_json as json_of

        write(json_of.status(state))
    else:
        from papersearch.render import text

        write(text.status(state, screen_of(color)))
    return FOUND if state.built else NOTHING


@program.command("check", short_help="Check the notes for broken links and the like.")
@json_option
@corpus_and_index
def check_command(as_json: bool, corpus: tuple[str, ...], index: str | None) -> int:
    """Check the notes: broken links, headings without venue or year, duplicate papers, suspicious venues.

    The exit code is 1 if there is anything to tell.

    \b
    papersearch check
    vim -q <(papersearch check)
    """
    places = Located(corpus, index)
    from papersearch.api import check_corpus

    notices = check_corpus(places.corpus)
    if as_json:
        from papersearch.render import as_json as json_of

        write(json_of.notices(notices))
    else:
        from papersearch.render import text

        write(text.notices(notices, places))
    return NOTHING if notices else FOUND


@program.command("doctor", short_help="Check the index, and repair it.")
@click.option("--repair", is_flag=True, help="Build the index anew if anything is wrong with it.")
@json_option
@corpus_and_index
def doctor_command(repair: bool, as_json: bool, corpus: tuple[str, ...], index: str | None) -> int:
    """Check every byte of the index against its checksums and every structure against its rules.

    The exit code is 1 if anything is wrong and was not repaired.

    \b
    papersearch doctor
    papersearch doctor --repair
    """
    places = Located(corpus, index)
    from papersearch.index.verify import verify

    problems = verify(places.index)
    repaired = False
    if problems and repair:
        from papersearch.api import build_index

        progress = _Progress()
        try:
            build_index(places.corpus, places.index, rebuild=True, progress=progress)
        finally:
            progress.close()
        left = verify(places.index)
        repaired, problems = not left, left or problems
    if as_json:
        from papersearch.render import as_json as json_of

        write(json_of.problems(places.index, problems, repaired))
    else:
        from papersearch.render import text

        write(text.problems(problems))
        if repaired:
            say("the index was built anew and is sound now")
        elif problems and not repair:
            say("build the index anew with: papersearch doctor --repair")
        elif not problems and is_terminal(sys.stderr):
            say("the index is sound")
    return NOTHING if problems and not repaired else FOUND


@program.command("eval", short_help="Measure the ranking with judged queries.")
@click.argument("queries", metavar="QUERIES.jsonl", shell_complete=offered_files)
@click.option(
    "--run",
    "run_file",
    metavar="RUN.jsonl",
    help="Write what each query found to this file.",
    shell_complete=offered_files,
)
@json_option
@no_refresh_option
@corpus_and_index
def eval_command(
    queries: str, run_file: str | None, as_json: bool, no_refresh: bool, corpus: tuple[str, ...], index: str | None
) -> int:
    """Measure the ranking with judged queries: nDCG@10, MRR@10, recall@10 and success@1 of each class of queries.

    \b
    papersearch eval queries.jsonl
    papersearch eval queries.jsonl --run run.jsonl --json | jq .overall.ndcg

    QUERIES.jsonl has one JSON object a line:

    \b
    {"id": "q1", "q": "后门 检测", "rel": {"Title of a paper": 2, "Another title": 1},
     "class": "topics", "filters": {"venue": "KDD,WWW", "year": "2018.."}}

    rel grades titles as papersearch list shows them: 2 is what you want to find, 1 is related; an empty rel asks for
    no answer at all. class and filters (category, venue, org, year; a comma between alternatives) may be left out.

    \b
    RUN.jsonl gets a line for each query:
    {"id": "q1", "ranked": ["Title of a paper", "Yet another title"]}
    """
    from pathlib import Path

    from papersearch.evaluation import DEPTH, evaluate, table
    from papersearch.judging import load_queries, run_queries, unknown_titles

    judged = load_queries(Path(queries))
    places = Located(corpus, index)
    with places.open(refresh=not no_refresh) as opened:
        run, partial = run_queries(opened, judged)
        notices = [*opened.notices, *(f"no paper has the judged title {t!r}" for t in unknown_titles(opened, judged))]
    result = evaluate(judged, run, partial)
    from papersearch.render import as_json as json_of

    if run_file is not None:
        try:
            Path(run_file).write_text(json_of.run(run), encoding="utf-8", newline="\n")
        except OSError as error:
            raise click.ClickException(f"{run_file}: cannot be written ({error.strerror}); name another file") from None
    if as_json:
        write(json_of.evaluation(result, DEPTH, notices))
    else:
        from papersearch.render.screen import block

        write(block(table(result)) + "\n")
        say_all(notices)
    return FOUND


@program.command("completion", short_help="Print the script by which a shell completes commands.")
@click.argument("shell", type=click.Choice(SHELLS), metavar="SHELL")
@corpus_and_index
def completion_command(shell: str, **_: object) -> int:
    """Print the script by which bash, zsh or fish completes commands, options, filter values and ids.

    Values and ids are those of the index of the current folder, or of the one named on the line that is completed.

    \b
    papersearch completion bash >> ~/.bashrc
    papersearch completion zsh >> ~/.zshrc
    papersearch completion fish > ~/.config/fish/completions/papersearch.fish
    """
    from click.shell_completion import ShellComplete, get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    # The script is the same for every version of a shell; that of bash would ask the bash of this machine for its own.
    write(ShellComplete.source(found(program, {}, "papersearch", COMPLETE_VARIABLE)))
    return FOUND
