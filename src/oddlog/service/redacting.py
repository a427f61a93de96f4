"""Secrets taken out of lines before they are kept anywhere, also keys that go over many lines.

::

    2026-01-01 00:00:00 INFO app: -----BEGIN PRIVATE KEY-----      from here on …
    2026-01-01 00:00:00 INFO app: MIIEvQIBADANBgkqhkiG9w0BAQ…      … what can be part of a key goes,
    2026-01-01 00:00:01 INFO app: disk 3 failed                    and nothing else

Anybody may bring a header in a user name, so it takes nothing with it that is no key: behind one that no body of a key
follows all goes on as before. What is taken out is counted by kind, as `oddlog.cleaning` does.
"""

from __future__ import annotations

import re
import string
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from oddlog.cleaning.redaction import redact_texts
from oddlog.sources.spooled import Entries
from oddlog.types import Tally

GONE = "<redacted>"
MOST_KEY_LINES = 500  # of a private key: one that never ends is none
MOST_OTHERS = 20  # lines of others, in a row, in the midst of a key: several programs may be one source
MOST_SOURCES = 10_000  # that are in the midst of one
_REASON = "secret redacted: private key"
_LONG, _FULL = 16, 60  # characters of base64 that are no word; of a whole row of a key (RFC 7468: 64; OpenSSH: 70)
_MOST_AROUND = 300  # characters before a header, or behind it, that rows may have too
_IN_ROWS = string.ascii_letters + string.digits + "+/="
_BASE64 = r"[A-Za-z0-9+/]"
_ROW = rf"{_BASE64}+={{0,2}}"
_LONG_ROW = rf"{_BASE64}{{{_LONG},}}={{0,2}}"
_NAMED = r"(?:Proc-Type|DEK-Info): ?[\w,-]+"  # RFC 1421
_BEGINS = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_ENDS = re.compile(r"-----END [A-Z ]*PRIVATE KEY-----")
_HAS_LONG = re.compile(_LONG_ROW)
_ROWS = re.compile(rf"(?P<part>{_NAMED}|{_ROW})")
_DIGITS, _GAPS = re.compile(r"\d+"), re.compile(r"\s+")
_BARE = re.compile(rf"\s*(?P<part>{_NAMED}|(?:{_LONG_ROW}\s+)*{_ROW})\s*")
_TIME = r"\d{4}[-/]\d\d[-/]\d\d[T ]|[A-Z][a-z]{2} [ \d]\d |\d\d:\d\d:\d\d|[IWEF]\d{4} "
_LOGGED = re.compile(rf"(?:<\d{{1,3}}>\S{{0,2}} ?)?\[?(?:{_TIME}).*[\s:\]|](?P<part>{_NAMED}|{_LONG_ROW})\s*")


@dataclass
class _Key:
    """A key in the midst of which a source is: what stood around its header, and what has come since."""

    around: tuple[str, str] | None
    has_body: bool
    is_last: bool = False  # the row that came was short
    lines: int = 1
    others: int = 0  # lines of others since the last row


class Redacting:
    """Takes what is known as a secret out of entries; a private key also where it comes line by line.

    Parameters
    ----------
    tally : Tally, optional
        Counts lines by kind of secret.

    >>> Redacting()([("app", ["-----BEGIN PRIVATE KEY-----", "MIIBVgIBADANBgkq", "-----END PRIVATE KEY----- done"])])
    [('app', ['<redacted>', '<redacted>', '<redacted> done'])]
    >>> Redacting()([("app", ["INFO a key begins with -----BEGIN PRIVATE KEY-----", "ERROR disk 3 failed"])])
    [('app', ['INFO a key begins with <redacted>', 'ERROR disk 3 failed'])]

    """

    def __init__(self, tally: Tally | None = None) -> None:
        self._tally = Tally() if tally is None else tally
        self._within: dict[str, _Key] = {}  # by source
        self._lock = threading.Lock()  # several bring lines at once

    def __call__(self, entries: Entries) -> Entries:
        """Return entries as they may be kept; names of sources too, which may be made of labels."""
        with self._lock:
            return [(_texts([source])[0], self._without(source, texts)) for source, texts in entries]

    def _without(self, source: str, texts: Sequence[str]) -> list[str]:
        if source not in self._within and not any("PRIVATE KEY-----" in text for text in texts):
            return _texts(texts, self._tally)
        parted = [self._line(source, text) for text in texts]
        self._tally.add(_REASON, sum(one != text for one, text in zip(parted, texts, strict=True)))
        return _texts(parted, self._tally)

    def _line(self, source: str, text: str) -> str:
        """Return a line without its part of a key."""
        key = self._within.get(source)
        if key is None:
            return self._begun(source, text)
        begins, ends = _BEGINS.search(text), _ENDS.search(text)
        if begins and not (ends and ends.start() < begins.start()):
            del self._within[source]
            return self._begun(source, text)
        if ends:
            del self._within[source]
            return _without_tail(text[: ends.start()]) + GONE + self._begun(source, text[ends.end() :])
        key.lines += 1
        found = _part(key, text)
        if (found is None and not _goes_on(key, text)) or key.lines > MOST_KEY_LINES:
            del self._within[source]
        return text if found is None else text[: found.start("part")] + GONE + text[found.end("part") :]

    def _begun(self, source: str, text: str) -> str:
        """Return a line without the beginning of a key; one that is whole is known by its shape."""
        begins = [None, *_BEGINS.finditer(text)][-1]
        if begins is None or _ENDS.search(text, begins.end()):
            return text
        before, behind = text[: begins.start()], text[begins.end() :]
        row = _HAS_LONG.search(behind)
        if len(self._within) >= MOST_SOURCES:
            del self._within[next(iter(self._within))]
        self._within[source] = _Key(_around(before, "" if row else behind), has_body=row is not None)
        return before + GONE + (behind if row is None else behind[: row.start()])


def _texts(texts: Sequence[str], tally: Tally | None = None) -> list[str]:
    return redact_texts(pl.Series(texts, dtype=pl.String), tally).to_list()


def _part(key: _Key, text: str) -> re.Match[str] | None:
    """Return what of a line, as its ``part``, is of a key that goes on; nothing of a line of others."""
    found = _BARE.fullmatch(text) or _in_place(key, text) or _LOGGED.fullmatch(text)
    if not found or key.is_last:
        return None
    *_, row = found["part"].split()
    is_named = ":" in found["part"]
    # A word is base64 too: only behind a row of a key, and in the same place, it may be the last one.
    if not is_named and len(row) < (_FULL if key.others else 1 if key.has_body else _LONG):
        return None
    key.others, key.has_body, key.is_last = 0, True, len(row) < _LONG and not is_named
    return found


def _goes_on(key: _Key, text: str) -> bool:
    """Return whether a key may go on behind a line that is none of it."""
    if not text.strip() or (key.around and _alike(text).rstrip() == "".join(key.around).rstrip()):
        return True  # an empty row
    key.others += 1
    return key.has_body and not key.is_last and key.others <= MOST_OTHERS


def _without_tail(text: str) -> str:
    """Return what stands before the end of a key without what of it may be the key's."""
    kept = text.rstrip(_IN_ROWS + "\\ \t\r\n")
    row = _HAS_LONG.search(text, len(kept))
    return text[: row.start()] if row else text.rstrip(_IN_ROWS)


def _in_place(key: _Key, text: str) -> re.Match[str] | None:
    """Return what of a line stands where the header stood; numbers and gaps around it may differ."""
    for row in _ROWS.finditer(text) if key.around else ():
        if row.start() > _MOST_AROUND:
            break
        if _around(text[: row.start()], text[row.end() :]) == key.around:
            return row
    return None


def _around(before: str, behind: str) -> tuple[str, str] | None:
    """Return what stands on both sides of a part of a key, as lines of one kind share it; None if that is much."""
    if max(len(before), len(behind)) > _MOST_AROUND:
        return None
    return _alike(before), _alike(behind).rstrip()


def _alike(text: str) -> str:
    """Return what lines of one kind share.

    >>> _alike("12:00:01.5  [17] ")
    '0:0:0.0 [0] '
    """
    return _GAPS.sub(" ", _DIGITS.sub("0", text))
