"""The command line: argv, environment and terminal → library → render → exit code.

Starting up is most of what a query costs, so only click and what it imports itself are imported here; each command
imports what it needs.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from papersearch import __version__

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from papersearch.api import Index
    from papersearch.paper import Paper
    from papersearch.render.screen import Screen
    from papersearch.results import Results

FOUND, NOTHING, WRONG, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: found or done; nothing found; wrong use or an error; Ctrl-C (128 + SIGINT)."""

FORMATS = ("text", "json", "jsonl", "csv", "bibtex", "paths")
EXPORTS = ("bibtex", "csv", "json")
EXPLAINED = ("text", "json", "jsonl")
SHELLS = ("bash", "zsh", "fish")
SORTS = ("score", "year", "-year", "title", "venue")
WATCH_EVERY_S = 1.0
"""Seconds between two looks of `index --watch`; a look asks for the state of each file and reads none."""
DEBUG_VARIABLE = "PAPERSEARCH_DEBUG"
COMPLETE_VARIABLE = "_PAPERSEARCH_COMPLETE"

_Command = TypeVar("_Command", bound=Callable[..., Any])
# Compiled where they are needed: a search may do without.
_NUMBER = r"=?[-+]?\d*"
# A link comes from a note and goes to whatever opens links here, so it has nothing in it that anything could obey.
_WEB_LINK = r"(?i)https?://[^\s\"'<>\\^`{|}\x00-\x1f\x7f-\x9f\ud800-\udfff]+"


class _Helpful:
    """Makes a command's help option without click's translations, which are looked for on disk at every start."""

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """As click.Command.get_help_option()."""
        return click.Option(
            self.get_help_option_names(ctx),  # type: ignore[attr-defined]
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_show_help,
            help="Show this message and exit.",
        )


def _show_help(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        _write(context.get_help() + "\n")
        context.exit()


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        _write(f"papersearch {__version__}\n")
        context.exit()


class _PlainCommand(_Helpful, click.Command):
    """A command without options of its own kind."""


class Program(_Helpful, click.Group):
    """The whole command line. However it is started, it ends with one of four exit codes and never with a traceback."""

    command_class = _PlainCommand

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = False,
        **extra: Any,
    ) -> Any:
        """Run one command. `pre*` and `~` are words of a query, so nothing is expanded, not even on Windows."""
        name = prog_name or "papersearch"
        _speak_utf8()
        if os.environ.get(complete_var or COMPLETE_VARIABLE):
            try:
                return super().main(
                    args, name, complete_var, standalone_mode, windows_expand_args=windows_expand_args, **extra
                )
            except Exception:  # the shell shows what is written in the middle of what the user types
                sys.exit(WRONG)
        code = self._run(name, list(sys.argv[1:] if args is None else args), extra)
        if standalone_mode:
            sys.exit(code)
        return code

    def _run(self, name: str, args: list[str], extra: dict[str, Any]) -> int:
        from papersearch.errors import PapersearchError

        try:
            with self.make_context(name, args, **extra) as context:
                code = self.invoke(context)
                return code if isinstance(code, int) else FOUND
        except click.exceptions.Exit as end:
            return end.exit_code
        except click.UsageError as error:
            help_of = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
            return _fail(error.format_message().rstrip(".") + help_of)
        except click.ClickException as error:
            return _fail(error.format_message())
        except PapersearchError as error:
            return _fail(str(error))
        except BrokenPipeError:  # whoever read the answer has had enough of it
            return FOUND
        except (KeyboardInterrupt, click.Abort):
            return INTERRUPTED
        except Exception as error:
            return _fail_unexpectedly(error)


def _fail(message: str) -> int:
    with contextlib.suppress(OSError):  # where standard error is closed, the exit code has to do
        _say(message)
    return WRONG


def _fail_unexpectedly(error: Exception) -> int:
    if os.environ.get(DEBUG_VARIABLE):
        import traceback

        traceback.print_exc()
        return WRONG
    if isinstance(error, OSError) and error.strerror:
        return _fail(f"{error.filename or 'reading or writing failed'}: {error.strerror}")
    if isinstance(error, MemoryError):
        return _fail("there is not enough memory")
    return _fail(f"internal error: {type(error).__name__}: {error}; please report it")


def _speak_utf8() -> None:
    """Notes are in any script and names of files in any bytes: no locale may keep them from being written."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")


def _say(message: str) -> None:
    """One line on standard error."""
    from papersearch.render.screen import line

    click.echo(f"papersearch: {line(' '.join(message.split()))}", err=True)


def _say_all(notices: Sequence[str]) -> None:
    for notice in notices:
        _say(notice)


def _write(text: str) -> None:
    """Data on standard output. Colours are in the text only where they were asked for, so none is taken out."""
    click.echo(text, nl=False, color=True)


def _is_terminal(stream: Any) -> bool:
    return stream is not None and bool(stream.isatty())


def _columns() -> int:
    with contextlib.suppress(KeyError, ValueError):
        return int(os.environ["COLUMNS"]) or 80
    with contextlib.suppress(OSError, ValueError):
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    return 80


def _screen(color: str = "auto") -> Screen:
    """What standard output can show."""
    from papersearch.render.screen import Screen

    columns = _columns() if _is_terminal(sys.stdout) else None
    plain = columns is None or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return Screen(columns, color == "always" or (color == "auto" and not plain))


# ---- what a shell completes


def _offered(name: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Completes values of a field, or ids, from the index as it is."""

    def complete(context: click.Context, _: click.Parameter, begin: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        from papersearch.completions import offers, quoted

        shell = os.environ.get(COMPLETE_VARIABLE, "").partition("_")[0]
        found = offers(name, begin, context.params.get("corpus") or (), context.params.get("index"))
        return [CompletionItem(quoted(value, shell), help=about or None) for value, about in found]

    return complete


def _offered_files(context: click.Context, _: click.Parameter, begin: str) -> list[CompletionItem]:
    """Leaves it to the shell to complete a path."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(begin, type="file")]


# ---- where corpus and index are


class _Located:
    """The corpus and the index of one command, and how the paths of that corpus are spelled for the user."""

    def __init__(self, corpus: Sequence[str], index: str | None) -> None:
        from papersearch.settings import find_places

        found = find_places(corpus, index)
        self.corpus, self.index = found.corpus, found.index
        self._folders: dict[str, str] = {}
        self._spelled: dict[str, str] = {}

    def open(self, refresh: bool = True) -> Index:
        from papersearch.api import open_index

        return open_index(self.corpus, self.index, refresh=refresh)

    def __call__(self, path: str) -> str:
        """A path of the corpus as it opens from the current folder: relative if that is shorter, else absolute."""
        if path not in self._spelled:
            self._spelled[path] = self._spell(path)
        return self._spelled[path]

    def _spell(self, path: str) -> str:
        folders = self._folders = self._folders or self._folders_of_roots()
        name, slash, rest = path.partition("/")
        if len(folders) > 1 and name + slash in folders:
            full = os.path.join(folders[name + slash], rest)
        else:
            full = os.path.join(next(iter(folders.values())), path)
        full = os.path.abspath(full)
        try:
            return min(os.path.relpath(full), full, key=len)
        except (ValueError, OSError):  # on another drive, or the current folder is gone
            return full

    def _folders_of_roots(self) -> dict[str, str]:
        """What the paths of each root begin with → the folder they are relative to."""
        from papersearch.files import root_names

        names = root_names(self.corpus)
        folders = (os.path.dirname(root) if os.path.isfile(root) else root for root in self.corpus)
        return dict(zip(names, folders, strict=True))


def _corpus_and_index(command: _Command) -> _Command:
    corpus = click.option(
        "--corpus",
        multiple=True,
        metavar="DIR",
        help="Folder of Markdown notes, or one file. May be repeated.",
        shell_complete=_offered_files,
    )
    index = click.option("--index", metavar="DIR", help="Folder of the index.", shell_complete=_offered_files)
    return corpus(index(command))


_json = click.option("--json", "as_json", is_flag=True, help="Answer in JSON (schema 1).")
_json_format = click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
_format = click.option("--format", "output", type=click.Choice(FORMATS), help="What to print; text if not given.")
_ten = click.option(
    "-n", "--limit", type=click.IntRange(min=0), default=10, show_default=True, help="How many hits to show."
)
_offset = click.option("--offset", type=click.IntRange(min=0), default=0, help="How many hits to leave out first.")
_sort = click.option(
    "--sort", type=click.Choice(SORTS), default="score", help="Order of the hits; -year: newest first."
)
_strict = click.option("--strict", is_flag=True, help="Only what matches every word; never relax.")
_no_refresh = click.option(
    "--no-refresh", is_flag=True, help="Answer from the last finished build; do not look whether the notes changed."
)
_color = click.option(
    "--color", type=click.Choice(("auto", "always", "never")), default="auto", help="Colours (auto: on a terminal)."
)
_paper_id = click.argument("paper_id", metavar="ID", shell_complete=_offered("id"))


def _filters(command: _Command) -> _Command:
    for name, metavar, text in (
        ("year", "Y", "2022, 2019..2021, 2021.. or ..2017. May be repeated."),
        ("org", "O", "Only this organisation, whole or a part. May be repeated."),
        ("venue", "V", "Only this venue, in any known spelling. May be repeated."),
        ("category", "C", "Only this category, whole or a part. May be repeated."),
    ):
        option = click.option(f"--{name}", multiple=True, metavar=metavar, help=text, shell_complete=_offered(name))
        command = option(command)
    return command


# ---- commands


@click.group(
    cls=Program,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
@click.pass_context
def program(context: click.Context) -> None:
    """Ranked search over a Markdown digest of papers, in Chinese and English.

    \b
    papersearch index                          read the notes under corpus/
    papersearch search 后门 defense --year 2019..
    papersearch show 3f9k2m1q                  one paper whole

    Corpus and index are corpus/ and index/ in the nearest folder upwards that has a corpus/ or a papersearch.toml.
    Other places: --corpus and --index, PAPERSEARCH_CORPUS and PAPERSEARCH_INDEX, or the keys corpus and index of
    papersearch.toml, in this order.

    Exit codes: 0 found or done, 1 nothing found, 2 wrong use or an error.
    """
    if context.invoked_subcommand is None:
        _write(context.get_help() + "\n")


@program.command("index", short_help="Index what changed in the notes.")
@click.argument("folders", nargs=-1, metavar="[CORPUS]...", shell_complete=_offered_files)
@_corpus_and_index
@click.option("--rebuild", is_flag=True, help="Analyse every paper again.")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--watch", is_flag=True, help="Go on indexing what changes, until Ctrl-C.")
@_json
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
    places = _Located((*folders, *corpus), index)
    from papersearch.api import build_index

    progress = _Progress()
    try:
        done = build_index(places.corpus, places.index, rebuild=rebuild, dry_run=dry_run, progress=progress)
    finally:
        progress.close()
    if as_json:
        from papersearch.render.as_json import changes as changes_as_json

        _write(changes_as_json(done))
    else:
        from papersearch.render.text import changes

        _write(changes(done))
        _say_all(done.warnings)
    return _watch(places, as_json) if watch else FOUND


def _watch(places: _Located, as_json: bool) -> int:
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
                    _say(said)
                continue
            said = ""
            if done.any:
                _write(changes_as_json(done) if as_json else changes(done).partition("\n")[0] + "\n")
                _say_all(done.warnings)
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


def _is_stale(places: _Located) -> bool:
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
        self._wanted = _is_terminal(sys.stderr)
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


class SearchCommand(_PlainCommand):
    """Takes `-word` for a word of the query that is not wanted, where no option is spelled so."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options, words = self._divided(ctx, args)
        return super().parse_args(ctx, [*options, "--", *words])

    def _divided(self, ctx: click.Context, args: Sequence[str]) -> tuple[list[str], list[str]]:
        """(options with their values, words), both in order."""
        with_value: dict[str, bool] = {}
        for param in self.get_params(ctx):
            if isinstance(param, click.Option):
                with_value.update(dict.fromkeys([*param.opts, *param.secondary_opts], not param.is_flag))
        options: list[str] = []
        words: list[str] = []
        rest = iter(args)
        for arg in rest:
            if arg == "--":
                words += rest
            elif arg in with_value:
                value = next(rest, None) if with_value[arg] else None
                if value is not None:
                    options += (arg, value)
                elif not with_value[arg]:
                    options.append(arg)
                elif not ctx.resilient_parsing:  # a shell that completes the value asks without one
                    raise click.BadOptionUsage(arg, f"Option {arg!r} needs a value.", ctx)
            elif arg.startswith("--") or (with_value.get(arg[:2]) and re.fullmatch(_NUMBER, arg[2:])):
                options.append(arg)
            else:
                words.append(arg)
        return options, words


@program.command("search", cls=SearchCommand, short_help="Search the papers.")
@click.argument("query", nargs=-1)
@_filters
@_sort
@_ten
@_offset
@_format
@_json_format
@click.option("--facets", is_flag=True, help="Count categories, venues, years and organisations of all that matches.")
@click.option("--explain", is_flag=True, help="Show what the score of each hit is the sum of.")
@_strict
@_no_refresh
@_corpus_and_index
@_color
@click.pass_context
def search_command(
    context: click.Context,
    query: tuple[str, ...],
    category: tuple[str, ...],
    venue: tuple[str, ...],
    org: tuple[str, ...],
    year: tuple[str, ...],
    sort: str,
    limit: int,
    offset: int,
    output: str | None,
    as_json: bool,
    facets: bool,
    explain: bool,
    strict: bool,
    no_refresh: bool,
    corpus: tuple[str, ...],
    index: str | None,
    color: str,
) -> int:
    """Search the papers; without a query, list all that the filters admit.

    \b
    papersearch search 后门 defense --year 2019..2021
    papersearch search '"max pooling" OR 池化' --venue CVPR --venue ICCV
    papersearch search 后门 -检测
    papersearch search transformer --json | jq -r '.hits[].title'
    papersearch search 后门 检测 --explain -n 3
    vim -q <(papersearch search 量化)

    Words are joined by a blank. A word that begins with "-" is not wanted; after "--" there are only words. Filters:
    values of one field are alternatives, different fields must all hold.

    \b
    In a query:  "a phrase"   a OR b   (a b) OR c   -word   pre*   word~
                 field:value  with title, alias, category, note, venue, year, org, has
    """
    output = _format_of(context, as_json, output, "text")
    if facets and output not in ("text", "json"):
        raise click.UsageError(f"--facets has no place in --format {output}; use text or json", context)
    if explain and output not in EXPLAINED:
        raise click.UsageError(
            f"--explain has no place in --format {output}; use one of {', '.join(EXPLAINED)}", context
        )
    places = _Located(corpus, index)
    with places.open(refresh=not no_refresh) as opened:
        found = opened.search(
            _words(query),
            category=_clean(category),
            venue=_clean(venue),
            org=_clean(org),
            year=_clean(year),
            sort=sort,
            limit=limit,
            offset=offset,
            strict=strict,
            facets=facets,
            explain=explain,
        )
        _answer(found, opened.notices, output, color, places)
    return _code(found, limit)


def _format_of(context: click.Context, as_json: bool, output: str | None, default: str) -> str:
    if as_json and output not in (None, "json"):
        raise click.UsageError(f"--json and --format {output} are two formats; give one of them", context)
    return "json" if as_json else output or default


def _code(found: Results, limit: int | None) -> int:
    return FOUND if found.hits or (limit == 0 and found.total) else NOTHING


def _words(query: Sequence[str]) -> str:
    return " ".join(_clean(query))


def _clean(values: Sequence[str]) -> list[str]:
    """Bytes of argv that are no UTF-8 come as lone surrogates, which no note holds and nothing can encode."""
    return ["".join(["\ufffd" if "\ud800" <= char <= "\udfff" else char for char in value]) for value in values]


def _clean_id(paper_id: str) -> str:
    return _clean([paper_id])[0]


def _answer(
    found: Results, notices: Sequence[str], output: str, color: str, places: _Located, by_words: bool = True
) -> None:
    """Write the results in the format asked for. Notices go into JSON, else to standard error."""
    if output == "json":
        from papersearch.render import as_json

        _write(as_json.results(found, notices))
        return
    if output == "text":
        from papersearch.render import text

        screen = _screen(color)
        _write(text.results(found, screen, places))
        if screen.columns is not None and _is_terminal(sys.stderr):
            click.echo(screen.paint("dim", text.summary(found, by_words)), err=True, color=True)
        elif found.stage != "all" or not found.total:
            _say(text.summary(found, by_words))
    elif output == "jsonl":
        from papersearch.render import as_json

        _write(as_json.lines(found))
    elif output == "csv":
        from papersearch.render import tabular

        _write(tabular.csv(found))
    elif output == "bibtex":
        from papersearch.render import bibtex

        _write(bibtex.bibtex(found))
    else:
        from papersearch.render import tabular

        _write(tabular.paths(found, places))
    _say_all((*notices, *found.notices))


@program.command("similar", short_help="Show the papers nearest to one.")
@_paper_id
@_ten
@_format
@_json_format
@_no_refresh
@_corpus_and_index
@_color
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
    output = _format_of(context, as_json, output, "text")
    places = _Located(corpus, index)
    with places.open(refresh=not no_refresh) as opened:
        found = opened.similar(_clean_id(paper_id), limit=limit)
        _answer(found, opened.notices, output, color, places, by_words=False)
    return _code(found, limit)


@program.command("export", cls=SearchCommand, short_help="Write papers as BibTeX, CSV or JSON.")
@click.argument("query", nargs=-1)
@click.option("--format", "output", type=click.Choice(EXPORTS), help=f"What to write; {EXPORTS[0]} if not given.")
@_json_format
@_filters
@_sort
@click.option("-n", "--limit", type=click.IntRange(min=0), help="How many papers to write; all if not given.")
@_offset
@_strict
@_no_refresh
@_corpus_and_index
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
    output = _format_of(context, as_json, output, EXPORTS[0])
    places = _Located(corpus, index)
    with places.open(refresh=not no_refresh) as opened:
        found = opened.search(
            _words(query),
            category=_clean(category),
            venue=_clean(venue),
            org=_clean(org),
            year=_clean(year),
            sort=sort,
            limit=limit,
            offset=offset,
            strict=strict,
        )
        _answer(found, opened.notices, output, "never", places)
    return _code(found, limit)


@program.command("show", short_help="Show one paper whole.")
@_paper_id
@_json
@_no_refresh
@_corpus_and_index
@_color
def show_command(
    paper_id: str, as_json: bool, no_refresh: bool, corpus: tuple[str, ...], index: str | None, color: str
) -> int:
    """Show one paper whole: its heading, its notes and its companion notes.

    ID is the id of a hit, or the beginning of one if no other id begins so.

    \b
    papersearch show 3f9k2m1q
    papersearch show 3f9 --json | jq -r '.paper.links[]'
    """
    places = _Located(corpus, index)
    with places.open(refresh=not no_refresh) as opened:
        paper = opened.get(_clean_id(paper_id))
        if as_json:
            from papersearch.render import as_json as json_of

            _write(json_of.paper(paper))
        else:
            from papersearch.render import text

            _write(text.paper(paper, _screen(color), places))
        _say_all(opened.notices)
    return FOUND


@program.command("open", short_help="Open one paper in your editor, or its link.")
@_paper_id
@click.option("--link", is_flag=True, help="Open its first web link instead.")
@click.option("--print", "only_print", is_flag=True, help="Print path:line (the link with --link); open nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print place and link in JSON (schema 1); open nothing.")
@_no_refresh
@_corpus_and_index
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
    places = _Located(corpus, index)
    with places.open(refresh=not no_refresh) as opened:
        paper = opened.get(_clean_id(paper_id))
        _say_all(opened.notices)
    file = os.path.abspath(places(paper.path))
    url = next((target for target in paper.links if re.fullmatch(_WEB_LINK, target)), None)
    if as_json:
        from papersearch.render import as_json as json_of

        _write(json_of.place(paper, file, url))
    elif link:
        if url is None:
            _say(f"paper {paper.id} has no web link")
        elif only_print:
            _write(f"{url}\n")
        elif click.launch(url):
            raise click.ClickException(
                f"nothing here opens links; print it with: papersearch open {paper.id} --link --print"
            )
    elif only_print:
        from papersearch.render.text import place

        _write(f"{place(paper.path, paper.line, places)}\n")
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
@_json
@_no_refresh
@_corpus_and_index
@_color
def list_command(
    limit: int | None, as_json: bool, no_refresh: bool, corpus: tuple[str, ...], index: str | None, color: str
) -> int:
    """List all papers in the order of the notes.

    \b
    papersearch list
    papersearch list | fzf
    papersearch list --json | jq '.hits[] | select(.venue == null) | .title'
    """
    places = _Located(corpus, index)
    with places.open(refresh=not no_refresh) as opened:
        papers = opened.papers()
        shown = papers[:limit]
        if as_json:
            from papersearch.render import as_json as json_of
            from papersearch.results import Hit, Results

            hits = tuple(Hit(rank, 0.0, paper) for rank, paper in enumerate(shown, 1))
            found = Results("", {}, "all" if papers else "none", len(papers), hits)
            _write(json_of.results(found, opened.notices))
        else:
            from papersearch.render import text

            _write(text.listing(shown, _screen(color), places))
            _say_all(opened.notices)
    return FOUND if papers else NOTHING


@program.command("facets", short_help="Show categories, venues, years and organisations with their counts.")
@click.argument("fields", nargs=-1, metavar="[FIELD]...")
@_json
@_no_refresh
@_corpus_and_index
@_color
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
    places = _Located(corpus, index)
    with places.open(refresh=not no_refresh) as opened:
        counts = opened.facets(dict.fromkeys(known[field.lower()] for field in fields))
        if as_json:
            from papersearch.render import as_json as json_of

            _write(json_of.facets(counts))
        else:
            from papersearch.render import text

            _write(text.facets(counts, _screen(color)))
        _say_all(opened.notices)
    return FOUND if any(counts.values()) else NOTHING


@program.command("status", short_help="Show what is indexed and whether it is up to date.")
@_json
@_corpus_and_index
@_color
def status_command(as_json: bool, corpus: tuple[str, ...], index: str | None, color: str) -> int:
    """Show what is indexed and whether it is what lies on disk now; nothing is built or refreshed.

    The exit code is 1 if there is no index yet.

    \b
    papersearch status
    papersearch status --json | jq .stale
    """
    places = _Located(corpus, index)
    from papersearch.api import index_status

    state = index_status(places.corpus, places.index)
    if as_json:
        from papersearch.render import as_json as json_of

        _write(json_of.status(state))
    else:
        from papersearch.render import text

        _write(text.status(state, _screen(color)))
    return FOUND if state.built else NOTHING


@program.command("check", short_help="Check the notes for broken links and the like.")
@_json
@_corpus_and_index
def check_command(as_json: bool, corpus: tuple[str, ...], index: str | None) -> int:
    """Check the notes: broken links, headings without venue or year, duplicate papers, suspicious venues.

    The exit code is 1 if there is anything to tell.

    \b
    papersearch check
    vim -q <(papersearch check)
    """
    places = _Located(corpus, index)
    from papersearch.api import check_corpus

    notices = check_corpus(places.corpus)
    if as_json:
        from papersearch.render import as_json as json_of

        _write(json_of.notices(notices))
    else:
        from papersearch.render import text

        _write(text.notices(notices, places))
    return NOTHING if notices else FOUND


@program.command("doctor", short_help="Check the index, and repair it.")
@click.option("--repair", is_flag=True, help="Build the index anew if anything is wrong with it.")
@_json
@_corpus_and_index
def doctor_command(repair: bool, as_json: bool, corpus: tuple[str, ...], index: str | None) -> int:
    """Check every byte of the index against its checksums and every structure against its rules.

    The exit code is 1 if anything is wrong and was not repaired.

    \b
    papersearch doctor
    papersearch doctor --repair
    """
    places = _Located(corpus, index)
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

        _write(json_of.problems(places.index, problems, repaired))
    else:
        from papersearch.render import text

        _write(text.problems(problems))
        if repaired:
            _say("the index was built anew and is sound now")
        elif problems and not repair:
            _say("build the index anew with: papersearch doctor --repair")
        elif not problems and _is_terminal(sys.stderr):
            _say("the index is sound")
    return NOTHING if problems and not repaired else FOUND


@program.command("eval", short_help="Measure the ranking with judged queries.")
@click.argument("queries", metavar="QUERIES.jsonl", shell_complete=_offered_files)
@click.option(
    "--run",
    "run_file",
    metavar="RUN.jsonl",
    help="Write what each query found to this file.",
    shell_complete=_offered_files,
)
@_json
@_no_refresh
@_corpus_and_index
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
    places = _Located(corpus, index)
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
        _write(json_of.evaluation(result, DEPTH, notices))
    else:
        from papersearch.render.screen import block

        _write(block(table(result)) + "\n")
        _say_all(notices)
    return FOUND


@program.command("completion", short_help="Print the script by which a shell completes commands.")
@click.argument("shell", type=click.Choice(SHELLS), metavar="SHELL")
@_corpus_and_index
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
    _write(ShellComplete.source(found(program, {}, "papersearch", COMPLETE_VARIABLE)))
    return FOUND


def main() -> NoReturn:
    """Run the command of argv; ends with SystemExit and its exit code."""
    sys.exit(program.main(standalone_mode=False))
