"""How a spool is written: frames of lines and marks, one behind the other in a segment; see `spool`."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

Entries = Sequence[tuple[str, Sequence[str]]]
"""Texts by source, in order of arrival."""
Marks = Mapping[str, Mapping[str, Any]]
"""How far those have come who pull: by name, JSON values by part; None for a part that is no more."""
_HEAD = struct.Struct("<IIQI")


def frame(content: bytes, number: int, n: int) -> bytes:
    """Return a frame of `n` lines, the first of which has this number."""
    return _HEAD.pack(len(content), zlib.crc32(content), number, n) + content


def entries_in(content: bytes) -> Entries:
    """Return the lines of a frame's content."""
    found = orjson.loads(content)
    entries: Entries = found["entries"] if isinstance(found, dict) else found
    return entries


def marks_in(content: bytes) -> Marks:
    """Return the marks of a frame's content."""
    return orjson.loads(content)["marks"] if content[:1] == b"{" else {}


def take_marks(known: dict[str, dict[str, Any]], new: Marks) -> None:
    """Add new marks to those that are known."""
    for name, parts in new.items():
        mine = known.setdefault(name, {})
        mine.update(parts)
        for gone in [part for part, value in mine.items() if value is None]:
            del mine[gone]


def frames_in(path: Path, offset: int) -> Iterator[tuple[int, int, bytes, int]]:
    """Yield first line, number of lines, content and end of the whole frames of a segment from an offset on."""
    with path.open("rb") as file:
        file.seek(offset)
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            length, crc, first, n = _HEAD.unpack(head)
            content = file.read(length)
            if len(content) < length or zlib.crc32(content) != crc:
                return
            offset += _HEAD.size + length
            yield first, n, content, offset


def sync(path: Path) -> None:
    """Make a file durable, or the names of those in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
