"""The command line: argv, environment and terminal → library → render → exit code.

Starting up is most of what a query costs, so only click and what it imports itself are imported here; each command
imports what it needs. The search is here; the others are in papersearch.cli.commands.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from papersearch import __version__

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from papersearch.api import Index
    from papersearch.render.screen import Screen
    from papersearch.results import Results

FOUND, NOTHING, WRONG, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: found or done; nothing found; wrong use or an error; Ctrl-C (128 + SIGINT)."""

FORMATS = ("text", "json", "jsonl", "csv", "bibtex", "paths")
EXPLAINED = ("text", "json", "jsonl")
SORTS = ("score", "year", "-year", "title", "venue")
DEBUG_VARIABLE = "PAPERSEARCH_DEBUG"
COMPLETE_VARIABLE = "_PAPERSEARCH_COMPLETE"

_Command = TypeVar("_Command", bound=Callable[..., Any])
# Compiled where they are needed: a search may do without.
_NUMBER = r"=?[-+]?\d*"


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


def _load_commands() -> None:
    """Have the commands that a search does without: to make them takes as long as all of this module."""
    import papersearch.cli.commands  # noqa: F401


def _show_help(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        write(context.get_help() + "\n")
        context.exit()


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        write(f"papersearch {__version__}\n")
        context.exit()


class _PlainCommand(_Helpful, click.Command):
    """A command without options of its own kind."""


class Program(_Helpful, click.Group):
    """The whole command line. However it is started, it ends with one of four exit codes and never with a traceback."""

    command_class = _PlainCommand

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """As click.Group.get_command()."""
        if cmd_name not in self.commands:
            _load_commands()
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """As click.Group.list_commands()."""
        _load_commands()
        return super().list_commands(ctx)

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
        say(message)
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


def say(message: str) -> None:
    """One line on standard error."""
    from papersearch.render.screen import line

    click.echo(f"papersearch: {line(' '.join(message.split()))}", err=True)


def say_all(notices: Sequence[str]) -> None:
    for notice in notices:
        say(notice)


def write(text: str) -> None:
    """Data on standard output. Colours are in the text only where they were asked for, so none is taken out."""
    click.echo(text, nl=False, color=True)


def is_terminal(stream: Any) -> bool:
    return stream is not None and bool(stream.isatty())


def _columns() -> int:
    with contextlib.suppress(KeyError, ValueError):
        return int(os.environ["COLUMNS"]) or 80
    with contextlib.suppress(OSError, ValueError):
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    return 80


def screen_of(color: str = "auto") -> Screen:
    """What standard output can show."""
    from papersearch.render.screen import Screen

    columns = _columns() if is_terminal(sys.stdout) else None
    plain = columns is None or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return Screen(columns, color == "always" or (color == "auto" and not plain))


# ---- what a shell completes


def offered(name: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Completes values of a field, or ids, from the index as it is."""

    def complete(context: click.Context, _: click.Parameter, begin: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        from papersearch.completions import offers, quoted

        shell = os.environ.get(COMPLETE_VARIABLE, "").partition("_")[0]
        found = offers(name, begin, context.params.get("corpus") or (), context.params.get("index"))
        return [CompletionItem(quoted(value, shell), help=about or None) for value, about in found]

    return complete


def offered_files(context: click.Context, _: click.Parameter, begin: str) -> list[CompletionItem]:
    """Leaves it to the shell to complete a path."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(begin, type="file")]


# ---- where corpus and index are


class Located:
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


def corpus_and_index(command: _Command) -> _Command:
    corpus = click.option(
        "--corpus",
        multiple=True,
        metavar="DIR",
        help="Folder of Markdown notes, or one file. May be repeated.",
        shell_complete=offered_files,
    )
    index = click.option("--index", metavar="DIR", help="Folder of the index.", shell_complete=offered_files)
    return corpus(index(command))


json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON (schema 1).")
json_format_option = click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
format_option = click.option("--format", "output", type=click.Choice(FORMATS), help="What to print; text if not given.")
limit_option = click.option(
    "-n", "--limit", type=click.IntRange(min=0), default=10, show_default=True, help="How many hits to show."
)
offset_option = click.option(
    "--offset", type=click.IntRange(min=0), default=0, help="How many hits to leave out first."
)
sort_option = click.option(
    "--sort", type=click.Choice(SORTS), default="score", help="Order of the hits; -year: newest first."
)
strict_option = click.option("--strict", is_flag=True, help="Only what matches every word; never relax.")
no_refresh_option = click.option(
    "--no-refresh", is_flag=True, help="Answer from the last finished build; do not look whether the notes changed."
)
color_option = click.option(
    "--color", type=click.Choice(("auto", "always", "never")), default="auto", help="Colours (auto: on a terminal)."
)
paper_id_argument = click.argument("paper_id", metavar="ID", shell_complete=offered("id"))


def filter_options(command: _Command) -> _Command:
    for name, metavar, text in (
        ("year", "Y", "2022, 2019..2021, 2021.. or ..2017. May be repeated."),
        ("org", "O", "Only this organisation, whole or a part. May be repeated."),
        ("venue", "V", "Only this venue, in any known spelling. May be repeated."),
        ("category", "C", "Only this category, whole or a part. May be repeated."),
    ):
        option = click.option(f"--{name}", multiple=True, metavar=metavar, help=text, shell_complete=offered(name))
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
        write(context.get_help() + "\n")


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
@filter_options
@sort_option
@limit_option
@offset_option
@format_option
@json_format_option
@click.option("--facets", is_flag=True, help="Count categories, venues, years and organisations of all that matches.")
@click.option("--explain", is_flag=True, help="Show what the score of each hit is the sum of.")
@strict_option
@no_refresh_option
@corpus_and_index
@color_option
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
    output = format_of(context, as_json, output, "text")
    if facets and output not in ("text", "json"):
        raise click.UsageError(f"--facets has no place in --format {output}; use text or json", context)
    if explain and output not in EXPLAINED:
        raise click.UsageError(
            f"--explain has no place in --format {output}; use one of {', '.join(EXPLAINED)}", context
        )
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
            facets=facets,
            explain=explain,
        )
        print_answer(found, opened.notices, output, color, places)
    return code_of(found, limit)


def format_of(context: click.Context, as_json: bool, output: str | None, default: str) -> str:
    if as_json and output not in (None, "json"):
        raise click.UsageError(f"--json and --format {output} are two formats; give one of them", context)
    return "json" if as_json else output or default


def code_of(found: Results, limit: int | None) -> int:
    return FOUND if found.hits or (limit == 0 and found.total) else NOTHING


def words_of(query: Sequence[str]) -> str:
    return " ".join(clean(query))


def clean(values: Sequence[str]) -> list[str]:
    """Bytes of argv that are no UTF-8 come as lone surrogates, which no note holds and nothing can encode."""
    return ["".join(["\ufffd" if "\ud800" <= char <= "\udfff" else char for char in value]) for value in values]


def clean_id(paper_id: str) -> str:
    return clean([paper_id])[0]


def print_answer(
    found: Results, notices: Sequence[str], output: str, color: str, places: Located, by_words: bool = True
) -> None:
    """Write the results in the format asked for. Notices go into JSON, else to standard error."""
    if output == "json":
        from papersearch.render import as_json

        write(as_json.results(found, notices))
        return
    if output == "text":
        from papersearch.render import text

        screen = screen_of(color)
        write(text.results(found, screen, places))
        if screen.columns is not None and is_terminal(sys.stderr):
            click.echo(screen.paint("dim", text.summary(found, by_words)), err=True, color=True)
        elif found.stage != "all" or not found.total:
            say(text.summary(found, by_words))
    elif output == "jsonl":
        from papersearch.render import as_json

        write(as_json.lines(found))
    elif output == "csv":
        from papersearch.render import tabular

        write(tabular.csv(found))
    elif output == "bibtex":
        from papersearch.render import bibtex

        write(bibtex.bibtex(found))
    else:
        from papersearch.render import tabular

        write(tabular.paths(found, places))
    say_all((*notices, *found.notices))


def main() -> NoReturn:
    """Run the command of argv; ends with SystemExit and its exit code."""
    sys.exit(program.main(standalone_mode=False))
