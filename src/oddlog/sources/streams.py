"""Bytes of a file or of standard input, decompressed by what they begin with, never whole in memory."""

from __future__ import annotations

import bz2
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

import zstandard

HEAD_BYTES = 64 << 10
"""So much of a stream is looked at before it is judged to be text."""

_MAGIC_BYTES = 10  # the longest magic number that is looked for, that of bzip2
_STEP_BYTES = 1 << 20  # output of one step: bounds the memory that a decompression bomb can ask for
_XZ_MEMORY = 256 << 20  # xz -9 needs 65 MiB; a crafted header may ask for 4 GiB
_ZSTD_INPUT = 512  # the codec has no output limit; 512 bytes of the worst input become 16 MiB

_CONTROLS = bytes(c for c in range(32) if c not in b"\t\n\v\f\r\x1b\b") + b"\x7f"
_PRINTABLE = bytes(range(32, 127)) + b"\t\n\r"
_BINARY_SHARE = 0.05  # random bytes hold 10 % control characters, an executable 20-60 % NULs, a log none
_FEW = 4  # so many odd bytes prove nothing, however short the stream

_ARCHIVES = (
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"\x04\x22\x4d\x18", "lz4-compressed"),
    (0, b"PAR1", "a Parquet file"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"\x7fELF", "a program"),
    (0, b"%PDF-", "a PDF document"),
    (0, b"LPKSHHRH", "a systemd journal"),
    (0, b"\xff\xfe\0\0", "text in UTF-32"),
    (0, b"\0\0\xfe\xff", "text in UTF-32"),
    (257, b"ustar", "a tar archive"),
)
_BINARY_HINT = "Leave it out, or turn it into text first."
_HINTS = {
    "a zip archive": "Unpack it first: unzip FILE",
    "a 7z archive": "Unpack it first: 7z x FILE",
    "lz4-compressed": "Decompress it first: lz4 -d FILE, or pipe it in: lz4 -dc FILE | oddlog ... -",
    "a tar archive": "Unpack it first: tar xf FILE",
    "a systemd journal": "Pipe it in: journalctl -o json --file FILE | oddlog ... -",
    "text in UTF-32": "Convert it first: iconv -f UTF-32 -t UTF-8 FILE",
    "text in UTF-16 without a byte order mark": "Convert it first: iconv -f UTF-16LE -t UTF-8 FILE",
}
_EXPORT = re.compile(
    rb"\n*(?:[A-Z0-9_]{1,64}=[^\n]*\n){0,40}?__(?:CURSOR|REALTIME_TIMESTAMP)=[^\n]*\n(?:[A-Z0-9_]{1,64}(?:=|\n)|\n|\Z)"
)


class BrokenStreamError(Exception):
    """Reading stopped before the end; what came out until then is good. The message says why."""


class _Codec(Protocol):
    """What zlib, bz2 and lzma have in common, as their standard library objects spell it."""

    @property
    def eof(self) -> bool: ...
    def step(self, data: bytes) -> tuple[bytes, bytes]: ...


class _Gzip:
    def __init__(self) -> None:
        self._codec = zlib.decompressobj(31)  # 31 = gzip header and a window of 32 KiB

    @property
    def eof(self) -> bool:
        return self._codec.eof

    def step(self, data: bytes) -> tuple[bytes, bytes]:
        out = self._codec.decompress(data, _STEP_BYTES)
        return out, self._codec.unused_data if self.eof else self._codec.unconsumed_tail


class _Buffered:
    """bz2 and lzma, which keep what they have not read yet themselves."""

    def __init__(self, codec: bz2.BZ2Decompressor | lzma.LZMADecompressor) -> None:
        self._codec = codec

    @property
    def eof(self) -> bool:
        return self._codec.eof

    def step(self, data: bytes) -> tuple[bytes, bytes]:
        out = self._codec.decompress(data, _STEP_BYTES)
        return out, self._codec.unused_data if self.eof else b""


class _Zstd:
    def __init__(self) -> None:
        self._codec = zstandard.ZstdDecompressor().decompressobj()

    @property
    def eof(self) -> bool:
        return self._codec.eof

    def step(self, data: bytes) -> tuple[bytes, bytes]:
        return self._codec.decompress(data), self._codec.unused_data if self.eof else b""


_SKIPPABLE = bytes(range(0x50, 0x60))  # a zstd frame that holds no data, as pzstd writes first
_ERRORS = (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, EOFError, ValueError)


def _codec_of(head: bytes) -> Callable[[], _Codec] | None:
    """Return the maker of the decompressor that the first bytes ask for (RFC 1952, RFC 8878, xz 1.2)."""
    if head.startswith(b"\x1f\x8b\x08"):
        return _Gzip
    if head[:3] == b"BZh" and head[4:10] in (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90"):
        return lambda: _Buffered(bz2.BZ2Decompressor())
    if head.startswith(b"\xfd7zXZ\0"):
        return lambda: _Buffered(lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY))
    if head.startswith(b"\x28\xb5\x2f\xfd") or (head[1:4] == b"\x2a\x4d\x18" and head[:1] in _SKIPPABLE):
        return _Zstd
    return None


def is_compressed(head: bytes) -> bool:
    """Return whether a stream that begins with these bytes is decompressed while it is read."""
    return _codec_of(head) is not None


def _raw(file: BinaryIO, size: int) -> Iterator[bytes]:
    while True:
        try:
            data = file.read(size)
        except OSError as error:
            raise BrokenStreamError(error.strerror or str(error)) from error
        if not data:
            return
        yield data


def _inflate(raw: Iterator[bytes], new: Callable[[], _Codec]) -> Iterator[bytes]:
    """Decompress all members (gzip), streams (bz2, xz) or frames (zstd), one after the other."""
    codec, untouched = new(), True  # untouched: nothing of this member has been read
    for piece in raw:
        data, full = piece, False
        while data or full:
            if untouched:
                data = data.lstrip(b"\0")  # padding between members is legal in xz, usual behind gzip on tape
                if not data:
                    break
            try:
                out, data = codec.step(data)
            except _ERRORS as error:
                raise BrokenStreamError(f"the compressed data are damaged ({error})") from error
            untouched = False
            if out:
                yield out
            full = len(out) == _STEP_BYTES  # a full step may leave output behind in the codec
            if codec.eof:
                codec, untouched, full = new(), True, False
    if not untouched:
        raise BrokenStreamError("the compressed data end in the middle")


def is_export(head: bytes) -> bool:
    """Return whether a stream that begins with these bytes is a journal in its export form (see `journal`)."""
    return _EXPORT.match(head) is not None


def pieces(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield the decompressed bytes of `file` in order, in pieces of no fixed size.

    Raises
    ------
    BrokenStreamError
        Reading or decompressing stopped before the end.

    """
    raw = _raw(file, size)
    head, broken = b"", None
    try:
        while len(head) < _MAGIC_BYTES and (data := next(raw, b"")):
            head += data
    except BrokenStreamError as error:
        broken = error
    new = _codec_of(head)
    whole = _again(head, broken, raw)
    if new is None:
        yield from whole
    else:
        yield from _inflate(_sliced(whole, _ZSTD_INPUT) if new is _Zstd else whole, new)


def _again(head: bytes, broken: BrokenStreamError | None, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    if broken:
        raise broken
    yield from rest


def _sliced(stream: Iterator[bytes], size: int) -> Iterator[bytes]:
    for data in stream:
        yield from (data[i : i + size] for i in range(0, len(data), size))


def why_not_text(head: bytes) -> tuple[str, str] | None:
    """Return what the (decompressed) stream is, with a hint, if its first bytes show that it is no text.

    NULs at the very beginning are ignored: a log that was truncated while its writer kept its place
    begins with a hole. FIX messages, full of SOH, are text: control characters count only where the
    bytes are no UTF-8 either.
    """
    if (head[:2] in (b"\xff\xfe", b"\xfe\xff") and head[2:4] != b"\0\0") or is_export(head):
        return None
    sample = head[:HEAD_BYTES].lstrip(b"\0")
    binary = _is_binary(sample)
    for at, magic, what in _ARCHIVES:
        # A log may begin with the letters PAR1, none with a magic number that no keyboard writes; before that of a tar
        # there is a name, filled up with NULs, however much text follows.
        sure = magic.translate(None, _PRINTABLE) or b"\0" in head[:at]
        if head[at : at + len(magic)] == magic and (binary or sure):
            return what, _HINTS.get(what, _BINARY_HINT)
    if not binary:
        return None
    if any(_mostly_ascii(sample[at::2]) and not sample[1 - at :: 2].strip(b"\0") for at in (0, 1)):
        what = "text in UTF-16 without a byte order mark"
        return what, _HINTS[what]
    return "binary", _BINARY_HINT


def _is_binary(sample: bytes) -> bool:
    few = max(_FEW, _BINARY_SHARE * len(sample))
    if sample.count(0) > few:
        return True
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    return controls > few and not _is_utf8(sample)


def _mostly_ascii(sample: bytes) -> bool:
    return len(sample.translate(None, _PRINTABLE)) < _BINARY_SHARE * len(sample)


def _is_utf8(sample: bytes) -> bool:
    """Whether the sample is UTF-8, except that its end may stand within a character."""
    try:
        sample.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return True
