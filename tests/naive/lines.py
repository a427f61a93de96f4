"""The slow, obvious twin of `oddlog.sources.read_blocks`: all bytes in memory, one line after the other."""

import re

LIMIT = 64 * 1024
CSI = re.compile(r"\x1b\[[0-?]*[ -/]*(?:[@-~]|$)")
OSC = re.compile(r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\|$)")
OTHER = re.compile(r"\x1b[@-Z\\^_]")
ESCAPE = re.compile(f"{CSI.pattern}|{OSC.pattern}|{OTHER.pattern}")


def lines_of(data: bytes) -> list[tuple[int, int, str]]:
    """Return (line, position, text) of every line that is not blank."""
    if data.startswith(b"\xff\xfe"):
        return _lines(data, 2, "utf-16-le", b"\n\0")
    if data.startswith(b"\xfe\xff"):
        return _lines(data, 2, "utf-16-be", b"\0\n")
    return _lines(data, 3 if data.startswith(b"\xef\xbb\xbf") else 0, "utf-8", b"\n")


def _lines(data: bytes, begin: int, encoding: str, newline: bytes) -> list[tuple[int, int, str]]:
    rows = []
    number = 0
    while begin < len(data):
        number += 1
        end = _find(data, newline, begin)
        text = _text(data[begin:end], encoding)
        begin = min(len(data), end + len(newline))
        if text.strip("\t\n\v\f\r "):
            rows.append((number, begin, text))
    return rows


def _find(data: bytes, newline: bytes, begin: int) -> int:
    at = data.find(newline, begin)
    while at >= 0 and (at - begin) % len(newline):
        at = data.find(newline, at + 1)
    return at if at >= 0 else len(data)


def _text(raw: bytes, encoding: str) -> str:
    if encoding == "utf-8":
        raw = raw.replace(b"\0", b"")
    text = raw.decode(encoding, "replace")
    text = text.removesuffix("\r")
    text = text.encode()[:LIMIT].decode("utf-8", "ignore")
    return ESCAPE.sub("", text.replace("\0", ""))
