"""How editors are told which file to open at which line. No shell is involved."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess

from papersearch.errors import PapersearchError, UsageError

_LINE_FIRST = frozenset(("vim", "nvim", "vi", "gvim", "nano", "emacs", "emacsclient"))
"""Editors that take `+LINE FILE`."""
_GOTO = frozenset(("code", "code-insiders", "codium", "vscodium", "cursor"))
"""Editors that take `-g FILE:LINE`."""
_LINE_LAST = frozenset(("subl", "hx", "helix"))
"""Editors that take `FILE:LINE`."""


def arguments(editor: str, file: str, line: int) -> list[str]:
    """Program and arguments that open a file at a line (from 1), or the file alone in an editor that is not known.

    `editor` is a command as EDITOR has it, with options and quotes: `code --wait`. Raises UsageError.
    """
    try:
        words = shlex.split(editor, posix=os.name == "posix")
    except ValueError as error:
        raise UsageError(f"EDITOR is {editor!r}, which cannot be read ({error}); correct it, or use --print") from None
    if not words:
        raise UsageError("EDITOR names no editor; set it, or use --print")
    words[0] = words[0].strip('"')  # as Windows quotes a path with blanks
    name = os.path.splitext(os.path.basename(words[0]).lower())[0]
    if name in _LINE_FIRST:
        return [*words, f"+{line}", file]
    if name in _GOTO:
        return [*words, "-g", f"{file}:{line}"]
    if name in _LINE_LAST:
        return [*words, f"{file}:{line}"]
    return [*words, file]


def edit(editor: str, file: str, line: int) -> None:
    """Open a file at a line and wait until the editor returns. Raises UsageError where it cannot be started, and
    PapersearchError where it failed."""
    program, *rest = arguments(editor, file, line)
    try:
        started = subprocess.Popen([shutil.which(program) or program, *rest])
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"the editor {program!r} cannot be started ({reason}); set EDITOR, or use --print") from None
    while started.poll() is None:
        with contextlib.suppress(KeyboardInterrupt):  # what Ctrl-C means is for the editor to say
            started.wait()
    if started.returncode:
        raise PapersearchError(f"the editor {program!r} ended with exit code {started.returncode}")
