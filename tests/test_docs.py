"""The docs say what is: examples run, output shown is output got, everything public is named, links lead somewhere."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import papersearch
from papersearch import Index, open_index
from papersearch.cli import DEBUG_VARIABLE, FORMATS, program
from papersearch.digest import parse_note, read_together
from papersearch.fields import FACETS, FIELDS
from papersearch.glossary.terms import parse_terms
from papersearch.query import SORTS, parse_query
from papersearch.settings import CORPUS_VARIABLE, FILE, INDEX_VARIABLE, find_places

ROOT = Path(__file__).resolve().parents[1]
READMES = ("README.md", "README.zh-CN.md")
PAGES = sorted(
    str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "index/README.md")
)
DECISIONS = sorted(path.name for path in ROOT.glob("docs/decisions/*.md"))
COLUMNS = 100
"""Width of the terminal that the READMEs show."""

CUT = "⋮"
"""Stands in the output that a README shows for the rest of it."""

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"(?:^|\s+)#\s.*$", re.MULTILINE)
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str | None = None) -> list[str]:
    """The fenced blocks of a page, in order."""
    return [body for name, body in _FENCED.findall(read(page)) if language in (None, name)]


def prose(page: str) -> str:
    """A page without its fenced blocks and code spans."""
    return re.sub(r"`[^`\n]*`", "", _FENCED.sub("", read(page)))


def environment() -> dict[str, str]:
    """An environment in which the package is found and nothing of the user's settings counts."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PAPERSEARCH_")}
    return {**kept, "PYTHONPATH": str(ROOT / "src"), "PYTHONIOENCODING": "utf-8"}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the shipped digest and its index."""
    folder = tmp_path_factory.mktemp("clone")
    shutil.copytree(ROOT / "corpus", folder / "corpus")
    open_index(folder / "corpus", folder / "index").close()
    return folder


@pytest.fixture
def here(clone: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same as the current folder."""
    for name in (CORPUS_VARIABLE, INDEX_VARIABLE, DEBUG_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(clone)
    return clone


# ---- examples


def test_python_example_runs(clone: Path) -> None:
    (code,) = blocks("README.md", "python")
    done = subprocess.run([sys.executable, "-c", code], cwd=clone, env=environment(), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "45 papers" in done.stdout and len(done.stdout.splitlines()) == 7


def commands_of(page: str) -> Iterator[tuple[list[str], int]]:
    """Arguments and exit code of every papersearch command in the examples of a page that show no output."""
    examples = "\n".join(blocks(page, "sh"))
    examples += "\n".join(re.findall(r"^ {4}(papersearch .*)$", _FENCED.sub("", read(page)), re.MULTILINE))
    for line in examples.splitlines():
        stated = re.search(r"#.*\bexit code (\d)", line)
        for arguments in re.findall(r"papersearch((?: +(?:'[^']*'|[^\s'|<>()#]+))+)", _COMMENT.sub("", line)):
            yield shlex.split(arguments), int(stated.group(1)) if stated else 0


EXAMPLES = [(page, arguments, code) for page in PAGES for arguments, code in commands_of(page)]


def test_there_are_examples() -> None:
    assert {page for page, _, _ in EXAMPLES} >= {*READMES, "docs/json.md"}
    assert len(EXAMPLES) > 20


@pytest.mark.parametrize(("page", "arguments", "code"), EXAMPLES, ids=[" ".join(a) for _, a, _ in EXAMPLES])
def test_shell_examples_run(here: Path, page: str, arguments: list[str], code: int) -> None:
    done = CliRunner().invoke(program, arguments)
    assert (done.exit_code, done.stderr) == (code, "papersearch: nothing found\n" if code else ""), page


def on_a_terminal(command: str, folder: Path) -> str:
    """What a shell shows for a command line; `make demo` stands for its recipe."""
    pty = pytest.importorskip("pty")
    if not (shell := shutil.which("bash")):
        pytest.skip("needs bash")
    tools = folder / "bin"
    tools.mkdir(exist_ok=True)
    script = tools / "papersearch"
    script.write_text(f"#!{sys.executable}\nfrom papersearch.__main__ import main\nmain()\n", encoding="utf-8")
    script.chmod(0o755)
    variables = {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "COLUMNS": str(COLUMNS), "NO_COLOR": "1",
        "TERM": "xterm", "LC_ALL": "C.UTF-8",
    }  # fmt: skip
    master, slave = pty.openpty()
    with subprocess.Popen(
        [shell, "-c", demo() if command == "make demo" else command], cwd=folder, env={**environment(), **variables},
        stdin=slave, stdout=slave, stderr=slave,
    ):  # fmt: skip
        os.close(slave)
        shown = b""
        while True:
            try:
                data = os.read(master, 1 << 16)
            except OSError:  # how a terminal ends on Linux
                break
            if not data:
                break
            shown += data
    os.close(master)
    return shown.decode().replace("\r\n", "\n")


def demo() -> str:
    """The command that `make demo` runs."""
    makefile = read("Makefile")
    recipe = re.search(r"^demo:.*\n\t(.*)$", makefile, re.MULTILINE)
    query = re.search(r"^QUERY \?= (.*)$", makefile, re.MULTILINE)
    assert recipe and query
    return recipe.group(1).replace("$(BIN)/", "").replace("$(QUERY)", query.group(1))


def cut_as(block: str, output: str) -> str:
    """The output, cut where the block is cut."""
    if CUT not in block.splitlines():
        return output
    kept = block.splitlines().index(CUT)
    return "".join(f"{line}\n" for line in [*output.splitlines()[:kept], CUT])


def test_output_shown_is_output_got(clone: Path, request: pytest.FixtureRequest) -> None:
    shown = blocks("README.md", "console")
    assert len(shown) >= 5
    got = []
    for block in shown:
        commands = re.findall(r"^\$ (.*)$", block, re.MULTILINE)
        whole = "".join(f"$ {command}\n{on_a_terminal(command, clone)}" for command in commands)
        got.append(cut_as(block, whole))
    if request.config.getoption("--update-golden", default=False):
        for page in READMES:
            pieces = re.split(r"(?ms)(?<=^```console\n)(.*?)(?=^```$)", read(page))
            pieces[1::2] = got
            (ROOT / page).write_text("".join(pieces), encoding="utf-8")
    assert blocks("README.md", "console") == got, "write the output anew: pytest tests/test_docs.py --update-golden"


def test_settings_example_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = blocks("README.md", "toml")
    (tmp_path / FILE).write_text(example, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    if sys.version_info < (3, 11):
        pytest.importorskip("tomli")
    places = find_places(environment={})
    assert len(places.corpus) == 2 and places.corpus[0].startswith(os.path.expanduser("~"))
    assert (places.corpus[1], places.index) == (str(tmp_path / "reading-list.md"), str(tmp_path / "index"))


def test_terms_example_is_read_as_described() -> None:
    (example,) = blocks("README.md", "text")
    terms = parse_terms(example)
    assert (terms.groups, terms.problems) == ((("图神经网络", "graph neural network", "GNN"),), ())
    assert terms.words == ("图神经网络", "后门攻击")


def test_digest_example_is_read_as_described() -> None:
    (example,) = blocks("README.md", "markdown")
    notes = [parse_note("digest.md", example), parse_note("rec/deepfm.md", "# long note\n")]
    found = read_together(notes)
    papers, notices = [row.paper for note in notes for row in found.rows[note.path] if row.paper], found.notices
    (paper,) = papers
    assert not notices
    assert paper.title.startswith("DeepFM: A Factorization") and paper.aliases == ("DeepFM",)
    assert (paper.venue, paper.year, paper.orgs) == ("IJCAI", 2017, ("Huawei",))
    assert paper.category == "Recommender systems" and paper.sections[1].companion


# ---- the query language


def query_table() -> Iterator[tuple[str, str, str]]:
    """(section, query, expected notice) of every row of docs/query-language.md that begins with an example."""
    section, header = "", ""
    for line in read("docs/query-language.md").splitlines():
        if found := _HEADING.match(line):
            section = found.group(2)
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells and cells[0] == "Write":
            header = cells[1]
        elif cells and (example := re.match(r"`([^`]+)`", cells[0])):
            yield section, example.group(1), cells[1] if header == "Notice" else ""


QUERIES = list(query_table())


@pytest.mark.parametrize(("section", "query", "notice"), QUERIES, ids=[query for _, query, _ in QUERIES])
def test_queries_of_the_language_page(clone: Path, section: str, query: str, notice: str) -> None:
    with open_index(clone / "corpus", clone / "index", refresh=False) as index:
        results = index.search(query)
    if notice:
        assert any(notice in said for said in results.notices), results.notices
    else:
        assert not results.notices and results.stage in ("all", "some") and results.hits
    if section not in ("Notices", "Stages", "Words"):
        assert results.stage == "all"


def test_full_width_examples_are_what_they_are_said_to_be() -> None:
    pairs = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|$", read("docs/query-language.md"), re.MULTILINE)
    same = [(wide, narrow) for wide, narrow in pairs if any(ord(c) > 0xFF00 or c in "“”" for c in wide)]
    assert len(same) >= 4
    for wide, narrow in same:
        assert parse_query(wide).clauses == parse_query(narrow).clauses


# ---- what is public is documented


def options_of(command: click.Command) -> list[str]:
    return [name for parameter in command.params if isinstance(parameter, click.Option) for name in parameter.opts]


def names(text: str, name: str) -> bool:
    """Whether the text has the name as a word of its own."""
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) is not None


@pytest.mark.parametrize("page", READMES)
def test_every_command_and_option_is_documented(page: str) -> None:
    text = read(page)
    context = click.Context(program)
    missing = [name for name in options_of(program) if not names(text, name)]
    for name in program.list_commands(context):
        command = program.get_command(context, name)
        assert command is not None
        missing += [f"papersearch {name}"] if not names(text, f"papersearch {name}") else []
        missing += [f"{name} {option}" for option in options_of(command) if not names(text, option)]
    missing += [name for name in (*FORMATS, *SORTS, *FACETS) if not names(text, name)]
    missing += [
        name for name in (CORPUS_VARIABLE, INDEX_VARIABLE, DEBUG_VARIABLE, FILE, "NO_COLOR") if name not in text
    ]
    assert not missing


@pytest.mark.parametrize("page", READMES)
def test_every_public_name_is_documented(page: str) -> None:
    text = read(page)
    public = [*papersearch.__all__, *(name for name in vars(Index) if not name.startswith("_"))]
    assert not [name for name in public if not names(text, name)]


def test_every_field_is_documented() -> None:
    page = read("docs/query-language.md")
    assert not [name for field in FIELDS.values() for name in (field.name, field.zh) if f"{name}:" not in page]


@pytest.mark.parametrize("page", READMES)
def test_every_dependency_is_named_with_its_licence(page: str) -> None:
    project = read("pyproject.toml")
    required = re.search(r"^dependencies = \[(.*?)\]", project, re.MULTILINE | re.DOTALL)
    fast = re.search(r"^fast = \[(.*?)\]", project, re.MULTILINE)
    assert required and fast
    rows = [line for line in read(page).splitlines() if re.search(r"\| (?:MIT|BSD)", line)]
    for name in re.findall(r'"([A-Za-z][\w-]*)', required.group(1) + fast.group(1)):
        assert any(f"[{name}]" in row for row in rows), name
    (pin,) = re.findall(r'"whoosh-reloaded==([\d.]+)"', project)
    assert any(f"whoosh-reloaded) {pin} |" in row for row in rows)


# ---- form


def without_comments(block: str) -> str:
    return _COMMENT.sub("", block)


def test_both_readmes_have_the_same_shape() -> None:
    english, chinese = READMES
    levels = [[len(marks) for marks, _ in _HEADING.findall(_FENCED.sub("", read(page)))] for page in READMES]
    assert levels[0] == levels[1]
    assert list(map(without_comments, blocks(english))) == list(map(without_comments, blocks(chinese)))
    tables = [re.findall(r"^\|.*\|$", _FENCED.sub("", read(page)), re.MULTILINE) for page in READMES]
    assert len(tables[0]) == len(tables[1])


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^()\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        if anchor:
            assert anchor in [slug(title) for _, title in _HEADING.findall(file.read_text(encoding="utf-8"))], target


GUIDES = [page for page in PAGES if "decisions/" not in page and page != "CHANGELOG.md"]


@pytest.mark.parametrize("page", GUIDES)
def test_code_that_is_named_exists(page: str) -> None:
    """Files, functions and constants in code spans: `index/update.py`, `find_ideas()`, `SPAN_BONUS`."""
    spans = re.findall(r"`([^`\n]+)`", _FENCED.sub("", read(page)))
    files = ["/" + path.relative_to(ROOT).as_posix() for path in files_of_the_repository()]
    code = "\n".join(path.read_text(encoding="utf-8") for path in files_of_the_repository() if path.suffix == ".py")
    missing = [s for s in spans if re.fullmatch(r"[\w/]+\.py", s) and not any(f.endswith("/" + s) for f in files)]
    for span in spans:
        if found := re.fullmatch(r"(?:\w+\.)?(\w+)\([^()]*\)", span):
            missing += [span] if not re.search(rf"def {found.group(1)}\b", code) else []
        elif re.fullmatch(r"[A-Z]+_[A-Z_]+", span):
            known = re.search(rf"\b{span}\b", code)
            missing += [span] if not known else []
    assert not missing


@pytest.mark.parametrize("page", DECISIONS)
def test_decisions_have_their_sections(page: str) -> None:
    assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", page)
    headings = _HEADING.findall(read(f"docs/decisions/{page}"))
    assert headings[0][1].startswith(f"{int(page[:4])}. ")
    assert [title for marks, title in headings if marks == "##"] == ["Context", "Decision", "Consequences", "Measured"]
    measured = read(f"docs/decisions/{page}").partition("## Measured")[2]
    assert re.search(r"^ {4}(?:\S*python|pytest) ", measured, re.MULTILINE), "the command that prints the figures"


def test_decisions_are_numbered_without_gaps() -> None:
    assert [int(name[:4]) for name in DECISIONS] == list(range(1, len(DECISIONS) + 1))


def test_changelog_keeps_its_form() -> None:
    text = read("CHANGELOG.md")
    versions = re.findall(r"^## \[(.+?)\](.*)$", text, re.MULTILINE)
    assert versions[0] == ("Unreleased", "")
    assert all(re.fullmatch(r" - \d{4}-\d\d-\d\d", date) for _, date in versions[1:])
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= kinds


NOT_OURS = {".git", ".venv", ".hypothesis", "__pycache__", "build", "dist"}
"""Folders that git ignores, wherever they are; so are caches of tools and what an installation leaves behind."""


def files_of_the_repository() -> Iterator[Path]:
    """All files but those that git ignores."""
    for folder, folders, found in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in NOT_OURS and not name.endswith(("_cache", ".egg-info"))]
        of_index = Path(folder) == ROOT / "index"
        yield from (Path(folder, name) for name in found if not of_index or name == "README.md")


MACHINE = re.compile(r"(?<![\w./~-])/(?:work|root|tmp|home(?!/u/)|Users|mnt|opt|private)/\w|[A-Z]:\\Users\\")
REGISTRY = re.compile(
    r"\bpyp[i]\.(?:\w+\.)*\w{2,}|python[h]osted\.org|index[-]url|\bnpm[j]s\.|proxy\.[g]olang|\bmirrors?\.\w+\.",
    re.IGNORECASE,
)


def test_no_file_names_a_machine_or_a_registry() -> None:
    named: list[str] = []
    count = 0
    for file in files_of_the_repository():
        count += 1
        for number, line in enumerate(file.read_bytes().decode("utf-8", "replace").split("\n"), 1):
            if MACHINE.search(line) or REGISTRY.search(line):
                named.append(f"{file.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert count > 50 and not named


def test_patterns_of_machines_and_registries() -> None:
    for bad in ("see /" + "tmp/x", '"/' + 'home/me"', "https://pypi" + ".org/simple", "--index" + "-url x"):
        assert MACHINE.search(bad) or REGISTRY.search(bad)
    for good in ("corpus/tmp/x.md", "~/notes", "a/home/b", "papersearch.toml", "pypi"):
        assert not MACHINE.search(good) and not REGISTRY.search(good)
