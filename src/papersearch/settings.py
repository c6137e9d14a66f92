"""Where corpus and index are: option > environment > papersearch.toml > the nearest folder that holds a corpus.

For the command line only; the library is told by its arguments and reads none of this.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from papersearch.errors import UsageError
from papersearch.record import Record

CORPUS = "corpus"
INDEX = "index"
FILE = "papersearch.toml"
CORPUS_VARIABLE = "PAPERSEARCH_CORPUS"
INDEX_VARIABLE = "PAPERSEARCH_INDEX"


class Places(Record):
    """The corpora (one at least) and the index folder, absolute or as the user wrote them."""

    corpus: tuple[str, ...]
    index: str


def find_places(
    corpus: Sequence[str] = (), index: str | None = None, environment: Mapping[str, str] | None = None
) -> Places:
    """Places for options as given: `corpus` empty or `index` None means the option was not used.

    Raises UsageError when no corpus is named or found, or papersearch.toml is not what it should be. The file is not
    read when options or environment name both places.
    """
    environment = os.environ if environment is None else environment
    if not all(corpus) or index == "":
        raise UsageError("an empty path names no folder; give --corpus and --index a folder, or leave them out")
    if not corpus and environment.get(CORPUS_VARIABLE):
        corpus = [os.path.expanduser(environment[CORPUS_VARIABLE])]
    if index is None and environment.get(INDEX_VARIABLE):
        index = os.path.expanduser(environment[INDEX_VARIABLE])
    if corpus and index is not None:
        return Places(tuple(corpus), index)

    here = _current_folder()
    folder, file = _nearest(here)
    written: dict[str, list[str]] = _read(file) if file else {}
    if not corpus:
        if folder is None:
            raise UsageError(
                f"no corpus found: neither {here} nor a folder above it holds {CORPUS}/ or {FILE}; "
                f"name one with --corpus or {CORPUS_VARIABLE}"
            )
        corpus = written.get(CORPUS) or [os.path.join(folder, CORPUS)]
    if index is None:
        index = written[INDEX][0] if INDEX in written else os.path.join(folder or here, INDEX)
    return Places(tuple(corpus), index)


def _current_folder() -> str:
    try:
        return os.getcwd()
    except OSError as error:
        raise UsageError("the current folder is gone; change to one that exists") from error


def _nearest(folder: str) -> tuple[str | None, str | None]:
    """(the nearest folder from here upwards with a corpus or settings in it, its settings file)."""
    while True:
        file = os.path.join(folder, FILE)
        if os.path.isfile(file):
            return folder, file
        if os.path.isdir(os.path.join(folder, CORPUS)):
            return folder, None
        above = os.path.dirname(folder)
        if above == folder:
            return None, None
        folder = above


def _toml(file: str) -> ModuleType:
    """The TOML reader: the standard library's from Python 3.11 on, else tomli where it is installed."""
    from importlib import import_module

    for name in ("tomllib", "tomli"):
        try:
            return import_module(name)
        except ImportError:
            continue
    raise UsageError(f"{file}: this Python has no TOML reader; install tomli, or name both --corpus and --index")


def _read(file: str) -> dict[str, list[str]]:
    """The absolute paths that each key of a settings file names."""
    toml = _toml(file)
    try:
        with open(file, encoding="utf-8-sig") as stream:
            data: dict[str, Any] = toml.loads(stream.read())
    except OSError as error:
        raise UsageError(f"{file} cannot be read ({error.strerror}); mend that, or name both places") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is not TOML: {error}; correct it, or name both --corpus and --index") from error
    if unknown := sorted(set(data) - {CORPUS, INDEX}):
        raise UsageError(f"{file}: unknown key {unknown[0]!r}; the keys are {CORPUS} and {INDEX}")
    paths: dict[str, list[str]] = {}
    for key, value in data.items():
        values = value if key == CORPUS and isinstance(value, list) else [value]
        if not values or not all(isinstance(v, str) and v.strip() and "\0" not in v for v in values):
            wanted = "a path or a list of paths" if key == CORPUS else "a path"
            raise UsageError(f"{file}: {key} must be {wanted}, in quotes")
        paths[key] = [os.path.join(os.path.dirname(file), os.path.expanduser(v)) for v in values]
    return paths
