"""Blocks of whole lines out of a stream of bytes, and the frame of lines out of a block."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from oddlog.types import I64, LINES, Tally

MAX_LINE_BYTES = 64 << 10
"""What is longer is cut at a character boundary and counted."""

_SLACK = 8  # a character that begins within the limit ends within so many bytes more
_ANSI = r"\x1b(?:\[[0-?]*[ -/]*(?:[@-~]|$)|\][^\x07\x1b]*(?:\x07|\x1b\\|$)|[@-Z\\^_])"  # ECMA-48 5.4: CSI, OSC, others
_BOM = b"\xef\xbb\xbf"

CUT = "line cut at 64 KiB"
EMPTY = "empty line dropped"
REPAIRED = "invalid UTF-8 replaced"
NUL = "NUL bytes removed"
COLOUR = "terminal colours removed"


@dataclass(frozen=True)
class Encoding:
    """How the bytes of a stream become characters."""

    name: str
    unit: int  # bytes of the smallest piece
    newline: bytes
    bom: bytes

    @property
    def max_bytes(self) -> int:
        """So much of a line is kept while its end is looked for."""
        return MAX_LINE_BYTES * self.unit + _SLACK


UTF8 = Encoding("utf-8", 1, b"\n", _BOM)
UTF16LE = Encoding("utf-16-le", 2, b"\n\0", b"\xff\xfe")
UTF16BE = Encoding("utf-16-be", 2, b"\0\n", b"\xfe\xff")


def encoding_of(head: bytes) -> Encoding:
    """Return the encoding that the byte order mark names (Unicode 15, 2.6), else UTF-8."""
    return next((e for e in (UTF16LE, UTF16BE) if head.startswith(e.bom)), UTF8)


@dataclass(frozen=True)
class Block:
    """Whole lines; only the last one of a stream may lack its end.

    Attributes
    ----------
    data : bytes
        A line end that belongs to no line, then the lines, in the stream's encoding. The guard hides the
        lines' first bytes from Polars, which takes text that begins with "x^" for a zlib stream and inflates it.
    start : int
        Offset of the first line in the stream.
    hidden : int
        Bytes of the first line that were left out of `data` because the line is too long.

    """

    data: bytes
    start: int
    hidden: int


def cut_blocks(pieces: Iterable[bytes], encoding: Encoding, block_bytes: int) -> Iterator[Block]:
    """Yield blocks of about `block_bytes`, cut behind the last line end.

    Never holds more than two blocks and one line: of a longer line only the beginning is kept.
    """
    held: list[bytes] = []
    new = start = hidden = 0
    for piece in pieces:
        held.append(piece)
        new += len(piece)
        if new < block_bytes:
            continue
        data, rest = _cut_behind_newline(held, encoding)
        if data:
            yield Block(data, start, hidden)
            start, hidden = start + hidden + len(data) - encoding.unit, 0
        if encoding is UTF8 and len(rest) > encoding.max_bytes and b"\0" in rest:
            # A hole before the first line of a truncated log is no reason to cut that line. One NUL stays,
            # so that the line is counted.
            filled = b"\0" + rest.replace(b"\0", b"")
            hidden += len(rest) - len(filled)
            rest = filled
        dropped = max(0, len(rest) - encoding.max_bytes) // encoding.unit * encoding.unit
        if dropped:
            rest = rest[: encoding.max_bytes] + rest[encoding.max_bytes + dropped :]
            hidden += dropped
        held, new = [rest], 0
    data = b"".join([encoding.newline, *held])
    if len(data) > encoding.unit:
        yield Block(data, start, hidden)


def _cut_behind_newline(held: list[bytes], encoding: Encoding) -> tuple[bytes, bytes]:
    """Return the guard and all bytes up to the last line end, empty if there is none, and the rest.

    Copies each byte once: two copies more cost as much as splitting the lines.
    """
    if encoding.unit > 1:
        data = b"".join([encoding.newline, *held])
        cut = _behind_last_newline(data, encoding)
        return (data[:cut], data[cut:]) if cut > encoding.unit else (b"", data[encoding.unit :])
    for i in reversed(range(len(held))):
        cut = held[i].rfind(b"\n") + 1
        if cut:
            whole = b"".join([b"\n", *held[:i], memoryview(held[i])[:cut]])
            return whole, b"".join([held[i][cut:], *held[i + 1 :]])
    return b"", b"".join(held)


def _behind_last_newline(data: bytes, encoding: Encoding) -> int:
    """Return the offset behind the last line end of `data`, which begins with one."""
    at = data.rfind(encoding.newline)
    while at % encoding.unit:  # the second half of one character and the first of the next
        at = data.rfind(encoding.newline, 0, at + encoding.unit - 1)
    return at + encoding.unit


def to_lines(block: Block, encoding: Encoding, source: str, first: int, tally: Tally) -> tuple[pl.DataFrame, int]:
    """Return the LINES frame of a block and how many lines the block has, empty ones included.

    `first` is the number of the block's first line in `source`.
    """
    data, bom = block.data, 0
    if block.start == 0 and data.startswith(encoding.newline + encoding.bom):
        bom = len(encoding.bom)
        data = encoding.newline + data[encoding.unit + bom :]
    utf8, text, repaired = _split(data, encoding)
    n_bytes = text.str.len_bytes()
    ends = _quick_ends(n_bytes, utf8) if utf8 is data and b"\r" not in data else _ends(data, encoding)
    frame = pl.DataFrame(
        [
            pl.Series("position", ends + (block.start + block.hidden + bom)).cast(pl.UInt64),
            pl.Series("line", np.arange(first, first + len(ends), dtype=np.uint64)),
            text.alias("text"),
        ]
    )
    if encoding is UTF8 and b"\0" in data:
        _count(frame, _with_nuls(data, ends), NUL, source, tally)
    if repaired:
        _count(frame, text.str.contains("\ufffd", literal=True), REPAIRED, source, tally)
    frame = _cut_long(frame, n_bytes, source, tally)
    frame = _drop_blank(_strip(frame, utf8, source, tally), source, tally)
    columns = {"source": pl.lit(source, pl.String), "count": pl.lit(1, pl.UInt32)}
    return frame.with_columns(**columns).select(LINES.names()), len(ends)


def _split(data: bytes, encoding: Encoding) -> tuple[bytes, pl.Series, bool]:
    """Return the data as UTF-8 (`data` itself if it is), each line's text, and whether bytes were replaced."""
    if encoding is not UTF8:
        text = data.decode(encoding.name, "replace")
        utf8 = text.encode()
        return utf8, _rows(utf8), "\ufffd" in text
    if b"\0" in data:
        unfinished = data[-1:] != b"\n"
        data = data.replace(b"\0", b"")
        if unfinished and data[-1:] == b"\n":
            data += b"\n"  # the last line was nothing but NULs: still a line
    try:
        return data, _rows(data), False
    except pl.exceptions.ComputeError:  # found while splitting, so that the usual block is looked at once
        utf8 = data.decode("utf-8", "replace").encode()
        return utf8, _rows(utf8), True


def _rows(utf8: bytes) -> pl.Series:
    """Split into lines behind the guard; the line end and one carriage return before it are left out."""
    return pl.read_lines(io.BytesIO(utf8)).to_series().slice(1).rechunk()


def _quick_ends(n_bytes: pl.Series, data: bytes) -> I64:
    """Return the offset behind each line [lines] where every line but the last ends in one byte."""
    ends = (n_bytes.cast(pl.Int64) + 1).cum_sum().to_numpy(writable=True)
    if len(ends):
        ends[-1] = len(data) - 1
    return ends


def _ends(data: bytes, encoding: Encoding) -> I64:
    """Return the offset behind each line [lines] of any data, three times slower."""
    kind = {UTF8: "u1", UTF16LE: "<u2", UTF16BE: ">u2"}[encoding]
    units = np.frombuffer(data, kind, len(data) // encoding.unit)
    ends = np.flatnonzero(units == ord("\n")) * encoding.unit  # the guard's own length is taken off
    unfinished = len(data) - encoding.unit > ends[-1]
    return np.append(ends[1:], len(data) - encoding.unit) if unfinished else ends[1:]


def _cut_long(frame: pl.DataFrame, n_bytes: pl.Series, source: str, tally: Tally) -> pl.DataFrame:
    too_long = n_bytes > MAX_LINE_BYTES
    if not too_long.any():
        return frame
    _count(frame, too_long, CUT, source, tally)
    at = too_long.arg_true()
    cut = pl.Series([_cut(text) for text in frame["text"].gather(at)], dtype=pl.String)
    return frame.with_columns(frame["text"].clone().scatter(at, cut))


def _strip(frame: pl.DataFrame, utf8: bytes, source: str, tally: Tally) -> pl.DataFrame:
    """Take out terminal colours and what NULs UTF-16 had, each only where the block has any."""
    if b"\0" in utf8:
        _count(frame, frame["text"].str.contains("\0", literal=True), NUL, source, tally)
        frame = frame.with_columns(pl.col("text").str.replace_all("\0", "", literal=True))
    if b"\x1b" in utf8:
        _count(frame, frame["text"].str.contains(_ANSI), COLOUR, source, tally)
        frame = frame.with_columns(pl.col("text").str.replace_all(_ANSI, ""))
    return frame


def _with_nuls(data: bytes, ends: I64) -> pl.Series:
    """Return which lines [lines] of UTF-8 `data` hold a NUL."""
    holes = np.flatnonzero(np.frombuffer(data, np.uint8) == 0) - 1  # the guard
    chosen = np.zeros(len(ends), np.bool_)
    chosen[np.searchsorted(ends, holes, side="right")] = True
    return pl.Series(chosen)


def _cut(text: str) -> str:
    return text.encode()[:MAX_LINE_BYTES].decode("utf-8", "ignore")


def _drop_blank(frame: pl.DataFrame, source: str, tally: Tally) -> pl.DataFrame:
    text = frame["text"]
    suspect = text < "!"  # empty, or begins with white space or a control character: 20 times faster to ask
    if not suspect.any():
        return frame
    at = suspect.arg_true()
    blank = suspect.scatter(at, ~text.gather(at).str.contains(r"[^\t\n\v\f\r ]"))
    if not blank.any():
        return frame
    _count(frame, blank, EMPTY, source, tally)
    return frame.filter(~blank)


def _count(frame: pl.DataFrame, chosen: pl.Series, reason: str, source: str, tally: Tally) -> None:
    line = frame["line"].filter(chosen)
    if len(line):
        tally.add(reason, len(line), example=f"{source}:{line[0]}")
