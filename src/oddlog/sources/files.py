r"""Files, folders and standard input as frames of lines.

>>> import io
>>> from oddlog.types import Tally
>>> frame, = read_blocks("-", Tally(), stdin=io.BytesIO(b"disk full\n\nretrying\n"))
>>> frame.select("line", "position", "text").rows()
[(1, 10, 'disk full'), (3, 20, 'retrying')]
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import polars as pl

from oddlog.errors import InputError
from oddlog.sources.blocks import cut_blocks, encoding_of, to_lines
from oddlog.sources.folders import STDIN, expand
from oddlog.sources.journal import as_json
from oddlog.sources.streams import HEAD_BYTES, BrokenStreamError, is_export, pieces, why_not_text
from oddlog.types import Tally

__all__ = ["expand", "file_changed", "read_blocks"]

BROKEN = "source not read to its end"
NO_LINES = "source without a line"

_READ_BYTES = 128 << 10  # small enough for the allocator to reuse: fresh pages cost more than the calls


def read_blocks(
    source: str, tally: Tally, *, block_bytes: int = 8 << 20, stdin: BinaryIO | None = None
) -> Iterator[pl.DataFrame]:
    """Yield the lines of a file or of standard input as LINES frames, in order.

    Compressed data are known by their first bytes (gzip, bzip2, xz, zstd), not by the file's name. `position`
    is the offset behind the line in the decompressed stream. A journal in its export form comes as JSON lines, one an
    entry, and is numbered and measured as these. Memory is bounded by about four blocks, whatever
    the file holds; `block_bytes` never changes the lines.

    Parameters
    ----------
    source : str
        Path of a file, or ``-`` for standard input.
    tally : Tally
        Takes what was cut, dropped or repaired, with the place of the first case.
    block_bytes : int
        Size of a block before it is cut behind its last line end.
    stdin : BinaryIO, optional
        What is read instead of opening `source`; ``-`` reads the standard input of the process by default.

    Raises
    ------
    InputError
        The file cannot be opened, is no text, or nothing of it could be decompressed. Other sources can
        still be read. A file that breaks off in the middle does not raise: it is counted.

    """
    first = 1
    with _open(source, stdin) as file:
        stream = _Stream(file, min(block_bytes, _READ_BYTES))
        head = stream.peek(HEAD_BYTES)
        _require_text(head, source)
        if is_export(head):
            stream.turn(lambda raw: as_json(raw, tally, source))
            head = stream.peek(HEAD_BYTES)
        encoding = encoding_of(head)
        for block in cut_blocks(stream, encoding, block_bytes):
            frame, n_lines = to_lines(block, encoding, source, first, tally)
            if stream.broken and not block.data.endswith(encoding.newline):
                # Half a line is none: it would pass for a message that was never seen.
                n_lines -= 1
                frame = frame.filter(pl.col("line") < first + n_lines)
            first += n_lines
            if len(frame):
                yield frame
    if stream.broken and not stream.size:
        raise InputError(f"{_name(source)} cannot be read: {stream.broken}.", "Leave it out, or fetch it again.")
    if stream.broken:
        tally.add(BROKEN, example=f"{source} at byte {stream.size}: {stream.broken}")
    if first == 1:
        tally.add(NO_LINES, example=source)


class _Stream:
    """The pieces of a file until it ends or breaks; keeps the reason and the number of bytes."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.size = 0
        self.broken = ""
        self._step = size
        self._pieces = self._until_broken(self._counted(pieces(file, size)))
        self._head = b""

    def turn(self, into: Callable[[Iterator[bytes]], Iterator[bytes]]) -> None:
        """Yield from now on what `into` makes of the pieces."""
        raw, self._head = iter([self._head]), b""
        self._pieces = self._until_broken(into(chain(raw, self._pieces)))

    def peek(self, n_bytes: int) -> bytes:
        """Return the first `n_bytes`, or all there are; they are yielded again."""
        head = [self._head]
        while sum(map(len, head)) < n_bytes and (piece := next(self._pieces, b"")):
            head.append(piece)
        self._head = b"".join(head)
        return self._head[:n_bytes]

    def __iter__(self) -> Iterator[bytes]:
        yield from (self._head[i : i + self._step] for i in range(0, len(self._head), self._step))
        yield from self._pieces

    def _counted(self, stream: Iterator[bytes]) -> Iterator[bytes]:
        for piece in stream:
            self.size += len(piece)
            yield piece

    def _until_broken(self, stream: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from stream
        except BrokenStreamError as error:
            self.broken = self.broken or str(error)


def _open(source: str, stdin: BinaryIO | None) -> AbstractContextManager[BinaryIO]:
    if stdin is not None:
        return nullcontext(stdin)
    if source == STDIN:
        if sys.stdin is None or sys.stdin.closed:
            raise InputError("Standard input is closed.", "Pipe lines into it: cat app.log | oddlog ... -")
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(source).open("rb")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{source} cannot be opened: {why}.", "Check the path and who may read it.") from error


def _require_text(head: bytes, source: str) -> None:
    found = why_not_text(head)
    if found:
        raise InputError(f"{_name(source)} holds no log lines: it is {found[0]}.", found[1])


def _name(source: str) -> str:
    return "standard input" if source == STDIN else source


def file_changed(source: str) -> datetime:
    """Return the UTC time at which `source` was last written to, now where that is not known.

    For formats whose times have no year.
    """
    try:
        return datetime.fromtimestamp(Path(source).stat().st_mtime, UTC)
    except (OSError, ValueError, OverflowError):
        return datetime.now(UTC)
