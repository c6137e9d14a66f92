"""Notes of one hostile shape each, of about any number of characters."""

from __future__ import annotations

from collections.abc import Callable

SHAPES: dict[str, Callable[[int], str]] = {
    "headings": lambda n: "### A paper of many[ICML'22]\n" * (n // 28),
    "lists": lambda n: "- item of a list\n" * (n // 17),
    "nested lists": lambda n: "".join(" " * (2 * (i % 40)) + "- x\n" for i in range(n // 44)),
    "quotes": lambda n: "> " * (n // 2) + "x\n",
    "lines of quotes": lambda n: "".join("> " * (i % 60) + "x\n" for i in range(n // 62)),
    "one line": lambda n: "- " + "word " * (n // 5),
    "one word": lambda n: "x" * n,
    "chinese": lambda n: "检测" * (n // 2),
    "open brackets": lambda n: "- " + "[" * n,
    "link ends": lambda n: "- [a" + "](" * (n // 2),
    "images": lambda n: "- " + "![" * (n // 2),
    "stars": lambda n: "- " + "*a_ " * (n // 4),
    "star run": lambda n: "- [a](b) " + "*" * n,
    "backticks": lambda n: "- [a](b) " + "".join("`" * (i % 50 + 1) + "a" for i in range(n // 26)),
    "angles": lambda n: "- [a](b) " + "<a " * (n // 3),
    "entities": lambda n: "- [a](b) " + "&amp;" * (n // 5),
    "backslashes": lambda n: "- [a](b) " + "\\" * n,
    "tables": lambda n: "| a | b |\n| - | - |\n" + "| c | d |\n" * (n // 10),
    "one table row": lambda n: "|a" * (n // 2) + "\n" + "|-" * (n // 2),
    "fences": lambda n: "```\nx\n" * (n // 6),
    "an open fence": lambda n: "```\n" + "x\n" * (n // 2),
    "html": lambda n: "<div>\n\n" * (n // 7),
    "html comment": lambda n: "<!--\n" + "x\n" * (n // 2),
    "references": lambda n: "".join(f"[r{i}]: x{i}.md\n" for i in range(n // 14)),
    "links": lambda n: "### A[ICML'22]\n- " + "[a](b.md) " * (n // 10),
    "urls": lambda n: "- " + "https://example.org/x " * (n // 22),
    "url with dots": lambda n: "- https://example.org/" + ".)" * (n // 2),
    "setext": lambda n: "A title\n===\n" * (n // 12),
    "underlines": lambda n: "a\n" * (n // 2) + "===\n",
    "rules": lambda n: "---\n" * (n // 4),
    "accents": lambda n: "a" + "\u0301" * n,
    "blank lines": lambda n: "\n" * n,
    "tabs": lambda n: "\t" * n + "x",
    "one heading": lambda n: "### " + "[" * (n // 2) + "]" * (n // 2),
    "groups": lambda n: "### A" + "[X,Y]" * (n // 5),
    "numbers": lambda n: "1. x\n" * (n // 5),
}
