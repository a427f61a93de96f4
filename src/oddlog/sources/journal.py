r"""The export form of the journal (systemd's "Journal Export Formats"), turned into lines of JSON.

An entry is spread over many lines; a value that holds line ends or control characters stands behind its length::

    __REALTIME_TIMESTAMP=1732097472345678          {"__REALTIME_TIMESTAMP":"1732097472345678","PRIORITY":"3",…
    PRIORITY=3
    MESSAGE                                        … "MESSAGE":"refused\n  at Pay.java:41"}
    <22 as 64 bits, the smallest first>refused
      at Pay.java:41
                                                   (an empty line ends an entry)

>>> entry = b"__CURSOR=s=1\nPRIORITY=3\nMESSAGE\n" + (3).to_bytes(8, "little") + b"a\nb\n\n"
>>> b"".join(as_json([entry[:20], entry[20:]], Tally(), "-"))
b'{"__CURSOR":"s=1","PRIORITY":"3","MESSAGE":"a\\nb"}\n'

Entries are not walked through one by one. What is text is quoted all at once, by replacing bytes; only a value with a
length is a step of Python.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np

from oddlog.sources.streams import BrokenStreamError
from oddlog.types import Tally

MAX_VALUE = 16 << 10
"""Bytes of a message that are kept: twice as many, if each is escaped, and the other fields fit into one line."""
MAX_OTHER = 1 << 10  # bytes of any other value with a length: a core dump's environment and maps are such
_MAX_LINE = MAX_VALUE + 65  # a name has up to 64 characters
MAX_ENTRY = 32 << 20  # systemd writes at most 1,024 fields to an entry
_LARGEST = 1 << 30  # systemd's limit for a value is 768 MiB: more is no length

CUT_FIELD = "journal field cut at 16 KiB (messages) or 1 KiB (others)"

_NAME = re.compile(rb"([A-Z0-9_]{1,64})\n")
_LENGTH_BYTES = 8
_COLOUR = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_MANY_ENDS = re.compile(rb"\n{3,}")

# Marks of our own, which no text holds once its control characters have become spaces.
_EQUALS, _NEWLINE, _BETWEEN = b"\x01", b"\x02", b"\x03"
_PLAIN = bytes(c if c >= ord(" ") or c in b"\n\t" else ord(" ") for c in range(256))


def as_json(pieces: Iterable[bytes], tally: Tally, source: str) -> Iterator[bytes]:
    """Yield the entries as JSON lines.

    Raises
    ------
    BrokenStreamError
        A value is longer than there are bytes, or than any may be; the entries before it have been yielded.

    """
    reader = Reader(tally, source)
    for piece in pieces:
        done = reader.push(piece)
        if done:
            yield done
    yield reader.rest()
    if reader.missing:
        raise BrokenStreamError("the journal ends in the middle of a field")


class Reader:
    """Bytes in, whole entries out.

    Attributes
    ----------
    missing : int
        Bytes of a value that are still to come.

    """

    def __init__(self, tally: Tally, source: str) -> None:
        self.missing = 0
        self._tally = tally
        self._source = source
        self._raw = b""  # from the beginning of a line on
        self._fields: list[bytes] = []  # the lines of the entries that are not out yet, values with lengths on one line
        self._size = 0
        self._in_long_line = False

    def push(self, piece: bytes) -> bytes:
        """Take the next bytes; return JSON lines of the entries that are complete."""
        skipped = min(self.missing, len(piece))
        self.missing -= skipped
        self._raw += piece[skipped:] if skipped else piece
        self._take_lines()
        if self._size > MAX_ENTRY:
            raise BrokenStreamError("an entry of the journal has no end")
        text = b"".join(self._fields)
        cut = text.rfind(b"\n\n") + 2
        whole, rest = (text[:cut], text[cut:]) if cut > 1 else (b"", text)
        self._fields, self._size = [rest], len(rest)
        return _json_lines(self._short(whole))

    def rest(self) -> bytes:
        """Return what is left when the input has ended, as a line without an end."""
        if self._raw and b"=" not in self._raw.partition(b"\n")[0]:  # a name, or a part of it, without all its value
            self.missing = self.missing or 1
        else:
            self._keep(self._raw.translate(_PLAIN))
        text = b"".join(self._fields).rstrip(b"\n")
        return _json_lines(self._short(text + b"\n\n")).rstrip(b"\n") if text else b""

    def _keep(self, text: bytes) -> None:
        self._fields.append(text)
        self._size += len(text)

    def _take_lines(self) -> None:
        """Move all whole lines and values from the raw bytes to the fields."""
        raw, at = self._raw, 0
        if self._in_long_line:
            at = raw.find(b"\n")
            if at < 0:
                self._raw = b""
                return
            self._in_long_line = False
        for start in _without_equals(raw):
            found = _NAME.match(raw, start) if start >= at else None
            if found is None:
                continue
            begin = found.end() + _LENGTH_BYTES
            size = int.from_bytes(raw[found.end() : begin], "little")
            if len(raw) >= begin and size > _LARGEST:
                raise BrokenStreamError(f"{found[1].decode()} has a length of {size:,} bytes, which no field has")
            most = MAX_VALUE if found[1] == b"MESSAGE" else MAX_OTHER
            if len(raw) < begin or (len(raw) < begin + size and size <= most):
                self._keep(raw[at : found.start()].translate(_PLAIN))
                self._raw = raw[found.start() :]
                return
            self._keep(raw[at : found.end() - 1].translate(_PLAIN) + b"=" + self._value(raw, begin, size, most))
            at = min(begin + size, len(raw))
            self.missing = begin + size - at
            if self.missing:
                break
        cut = raw.rfind(b"\n", at) + 1 or at
        self._keep(raw[at:cut].translate(_PLAIN))
        self._raw = raw[cut:]
        if len(self._raw) > MAX_ENTRY >> 4:  # no value without a length is so long: its beginning is kept
            self._keep(self._raw.translate(_PLAIN))
            self._raw, self._in_long_line = b"", True

    def _value(self, raw: bytes, begin: int, size: int, most: int) -> bytes:
        """Return a value on one line, without terminal colours and other control characters."""
        if size > most:
            self._tally.add(CUT_FIELD, example=self._source)
        value = _COLOUR.sub(b"", raw[begin : begin + min(size, most)])
        return value.translate(_PLAIN).replace(b"\n", _NEWLINE)

    def _short(self, text: bytes) -> bytes:
        """Return the text with no line longer than a message may be."""
        ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
        if not len(ends) or int(np.diff(ends, prepend=-1).max()) <= _MAX_LINE:
            return text
        lines = text.split(b"\n")
        self._tally.add(CUT_FIELD, sum(len(line) > _MAX_LINE for line in lines), example=self._source)
        return b"\n".join(line[:_MAX_LINE] for line in lines)


def _json_lines(text: bytes) -> bytes:
    """Return whole entries, each with the empty line behind it, as lines of JSON."""
    text = _MANY_ENDS.sub(b"\n\n", text.lstrip(b"\n")) if text[:1] == b"\n" or b"\n\n\n" in text else text
    if not text:
        return b""
    text = text.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\t", b"\\t")
    text = _with_marks(text).replace(b"\n\n", _BETWEEN).replace(_EQUALS, b'":"').replace(b"\n", b'","')
    text = text.replace(_BETWEEN, b'"}\n{"').replace(_NEWLINE, b"\\n")
    return b'{"' + text[:-2]


def _without_equals(text: bytes) -> list[int]:
    """Return where the lines begin that have an end, but no "="."""
    array = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(array == ord("\n"))
    n_equals = np.searchsorted(np.flatnonzero(array == ord("=")), ends)
    bare = (np.diff(n_equals, prepend=0) == 0) & (np.diff(ends, prepend=-1) > 1)
    begins: list[int] = (np.concatenate([[-1], ends[:-1]])[bare] + 1).tolist()
    return begins


def _with_marks(text: bytes) -> bytes:
    """Replace the first "=" of each line by a mark."""
    array = np.frombuffer(text, np.uint8).copy()
    ends = np.flatnonzero(array == ord("\n"))
    equals = np.append(np.flatnonzero(array == ord("=")), len(array))
    begins = np.concatenate([[0], ends[:-1] + 1])
    first = equals[np.searchsorted(equals, begins)]
    array[first[first < ends]] = ord(_EQUALS)
    return array.tobytes()
