"""JSON as the files of an index hold it, read by the scanner that the json module itself stands on.

That module compiles patterns while it is imported, which takes as long as a search takes to open an index, and reading
needs none of them. Where Python comes without that scanner, the module is what reads.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


__all__ = ["loads"]


class _Standard:
    """What the scanner asks of a decoder: that of json.loads()."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float = parse_constant = float
    parse_int = int


try:
    from _json import make_scanner

    _scan = make_scanner(_Standard)  # type: ignore[arg-type]
except (ImportError, AttributeError):
    from json import loads
else:

    def loads(s: str) -> Any:  # type: ignore[misc]
        """The value that a text is the JSON of, without blanks around it. Raises ValueError, RecursionError."""
        try:
            value, end = _scan(s, 0)
        except (StopIteration, SystemError):  # the latter where the scanner wants the module's own error
            from json import loads as tell

            return tell(s)
        if end != len(s):
            raise ValueError("more than one JSON value")
        return value
