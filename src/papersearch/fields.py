"""The one table of fields. Schema, query parser, CLI options, facets and docs are made from it.

A *scored* field is a zone of the boosted text field: its tokens go into the same postings as all other text, with
the zone's boost as their weight and their position inside the zone's range, so that `title:x` is "x at a position of
the title zone" and BM25 sees one field (docs/decisions/0002-one-boosted-field.md). An *exact* field is a separate
field of whole normalised values for filters and facets.
"""

from __future__ import annotations

from typing import Literal

from papersearch.record import Record

TEXT = "text"
"""The boosted text field: words of title, aliases, category and notes."""
GRAMS = "grams"
"""Overlapping pairs of Chinese characters at the same positions as the words of TEXT: the recall floor. A pair that is
a word there (or a character that stands alone) is left out: TEXT has it."""
ID = "id"
"""The field of document ids."""


class Field(Record):
    """One field a user can name in a query."""

    name: str
    zh: str
    kind: Literal["scored", "exact", "year", "flag"]
    help: str
    boost: float = 1.0
    zone: tuple[int, int] = (0, 0)
    facet: bool = False
    plural: str = ""

    @property
    def key(self) -> str:
        """Name of the engine field that holds it."""
        return TEXT if self.kind == "scored" else self.name


# Zones are ranges of positions, [start, end). What does not fit a short zone goes on in the note zone, which has no
# end:
# nothing is dropped. Narrow zones keep most positions below 2**16, so that they take two bytes on disk.
TABLE: tuple[Field, ...] = (
    Field("title", "标题", "scored", "words of the title", boost=3.0, zone=(0, 1024)),
    Field("alias", "别名", "scored", "short names of the paper", boost=0.5, zone=(1024, 1536)),
    Field("category", "类别", "exact", "the heading above the paper, whole or a part", boost=1.0, zone=(1536, 2048),
          facet=True, plural="categories"),
    Field("note", "笔记", "scored", "words of the notes and companion notes", boost=1.0, zone=(2048, 2**31)),
    Field("venue", "会议", "exact", "conference or journal, any known spelling", facet=True, plural="venues"),
    Field("year", "年份", "year", "2022, 2019..2021, 2021.., >=2020, [2019 TO 2021]", facet=True, plural="years"),
    Field("org", "机构", "exact", "organisation, whole or a part", facet=True, plural="orgs"),
    Field("has", "有", "flag", "has:notes, has:links, has:companion, has:alias, has:venue, has:year"),
)  # fmt: skip

FIELDS: dict[str, Field] = {field.name: field for field in TABLE}
BY_ANY_NAME: dict[str, Field] = {name: field for field in TABLE for name in (field.name, field.zh)}
FACETS: tuple[str, ...] = tuple(field.name for field in TABLE if field.facet)
EXACT: tuple[str, ...] = tuple(field.name for field in TABLE if field.kind != "scored")


def zone(name: str) -> tuple[int, int]:
    """Positions of the field's tokens in TEXT and GRAMS, start inclusive, end exclusive."""
    return FIELDS[name].zone
