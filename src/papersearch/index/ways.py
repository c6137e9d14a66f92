"""Ascending numbers as the way from each to the next, in hexadecimal digits: of document numbers, and of characters.

A way takes so many digits. One that is as large as they can say, or larger, is written as that largest number, as
often as it holds it, and the rest. Two digits are a byte; with one or three, what is left of the last byte is an F,
which says nothing by itself.
"""

from __future__ import annotations

from itertools import accumulate, compress, repeat
from operator import ne, sub

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

GO_ON = (0, 0xF, 0xFF, 0xFFF)
"""By digits: the number to which the one after it is added."""
FEW_BITS = 7
"""A term has few documents if it has less than this part of all, as a power of two: ways of three digits are shorter
then than ways of two, of which each 255 documents between take one more."""

_VALUE_OF_DIGIT = bytes([int(char, 16) if char in "0123456789abcdef" else 0 for char in map(chr, range(256))])


def doc_width(documents: int) -> int:
    """Bytes of a document's number that is written whole."""
    return (max(1, (documents - 1).bit_length()) + 7) // 8


class Coding:
    """How the documents of a term are written in a segment that has so many.

    Attributes:
        width: bytes of a document's number that is written whole.
        few: documents of a term below which their ways have three digits, not two.
    """

    __slots__ = ("few", "width")

    def __init__(self, documents: int) -> None:
        self.width, self.few = doc_width(documents), documents >> FEW_BITS

    def digits(self, count: int, size: int) -> int:
        """Digits of the ways of `count` documents that take `size` bytes; 0 where their numbers are written whole."""
        return 0 if size == count * self.width else 1 if size < count else 3 if count < self.few else 2

    def pack(self, docs: Sequence[int]) -> bytes:
        """Document numbers, ascending, in the shortest way there is for so many of them."""
        count = len(docs)
        packed, least = b"", count * self.width
        if count > 1:
            ways = [docs[0], *map(sub, docs[1:], docs)]
            for digits in (3 if count < self.few else 2, 1):
                if digits == 1:
                    least = min(least, count)
                if docs[-1] * digits < GO_ON[digits] * 2 * least:  # a way is at least its share of all
                    packed_so = pack_ways(ways, digits)
                    if len(packed_so) < least:
                        packed, least = packed_so, len(packed_so)
        return packed or (
            bytes(docs) if self.width == 1 else b"".join([doc.to_bytes(self.width, "little") for doc in docs])
        )

    def unpack(self, data: bytes, count: int) -> list[int]:
        """What pack() wrote of `count` documents; more or fewer of damaged bytes."""
        digits, width = self.digits(count, len(data)), self.width
        if digits:
            return along_ways(data, digits)
        return (
            list(data)
            if width == 1
            else [int.from_bytes(data[at : at + width], "little") for at in range(0, len(data), width)]
        )


def pack_ways(ways: Sequence[int], digits: int) -> bytes:
    """The ways, each in so many digits or more."""
    go_on = GO_ON[digits]
    if max(ways) >= go_on:
        split: list[int] = []
        for way in ways:
            if way >= go_on:
                split += [go_on] * (way // go_on)
                way %= go_on
            split.append(way)
        ways = split
    if digits == 2:
        return bytes(ways)
    text = f"%0{digits}x" * len(ways) % tuple(ways)
    return bytes.fromhex(text + "f" * (len(text) & 1))


def along_ways(data: bytes, digits: int = 2) -> list[int]:
    """The numbers to which the ways lead."""
    ways: Sequence[int] = data
    if digits == 1:
        ways = data.hex().encode().translate(_VALUE_OF_DIGIT)
    elif digits == 3:
        text = data.hex()
        ways = [int(text[at : at + 3], 16) for at in range(0, len(text) - 2, 3)]
    go_on, summed = GO_ON[digits], accumulate(ways)
    return list(summed if go_on not in ways else compress(summed, map(ne, ways, repeat(go_on))))
