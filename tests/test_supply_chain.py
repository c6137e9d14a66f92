"""What CI installs: pinned by hashes, the same versions everywhere, under licences that were looked at."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, metadata, version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = ("requirements-build.txt", "requirements-ci.txt", "requirements-judge.txt")

ALLOWED = ("MIT", "BSD", "Apache", "ISC", "Python Software Foundation", "PSF", "MPL-2.0", "Mozilla Public License 2.0")
"""Licences that ask for nothing but their own text, or (MPL, of tools for testing only) for changes to their own files."""


def name_of(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()


def pinned(file: str) -> dict[str, set[str]]:
    """Package → the versions that a file pins, one for each range of Pythons."""
    found: dict[str, set[str]] = {}
    for name, number in re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE):
        found.setdefault(name_of(name), set()).add(number)
    return found


@pytest.mark.parametrize("file", FILES)
def test_every_file_has_a_hash(file: str, tally: Callable[[str, str, int], None]) -> None:
    text = re.sub(r"^#.*\n", "", (ROOT / file).read_text(encoding="utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    lines = text.splitlines()
    assert len(lines) > 3
    hashes = 0
    for line in lines:
        found = re.fullmatch(r"[\w.-]+==[\w.]+(?: ; [^;]+?)?((?: +--hash=sha256:[0-9a-f]{64})+)", line.rstrip())
        assert found, line[:80]
        hashes += found.group(1).count("--hash")
    tally("supply", "hashes", hashes)


@pytest.mark.parametrize("file", FILES)
def test_the_versions_are_those_of_the_constraints(file: str) -> None:
    constraints = pinned("constraints.txt")
    for name, versions in pinned(file).items():
        if name in constraints:
            assert constraints[name] <= versions, name


def test_no_file_names_a_host() -> None:
    for file in (*FILES, "constraints.txt"):
        assert "://" not in (ROOT / file).read_text(encoding="utf-8")


def licence_of(package: str) -> str:
    data = metadata(package)
    classifiers = [c for c in data.get_all("Classifier") or [] if c.startswith("License ::")]
    return " ".join([data.get("License-Expression") or "", *classifiers, (data.get("License") or "")[:80]])


@pytest.mark.parametrize("package", sorted({name for file in FILES for name in pinned(file)}))
def test_licences_are_on_the_list(package: str, tally: Callable[[str, str, int], None]) -> None:
    try:
        version(package)
    except PackageNotFoundError:
        pytest.skip("not installed here")
    licence = licence_of(package)
    assert any(allowed in licence for allowed in ALLOWED), f"{package}: {licence}"
    tally("supply", "licences", 1)


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_dependencies_are_named_with_their_licences(page: str) -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    needed = re.findall(r'"([\w-]+)[><=]', project.partition("dependencies = [")[2].partition("]")[0])
    assert len(needed) > 4
    table = (ROOT / page).read_text(encoding="utf-8").lower()
    for package in needed:
        row = next((line for line in table.splitlines() if line.startswith(f"| [{package.lower()}]")), "")
        assert re.search(r"\b(mit|bsd|apache)", row), package
