"""Secrets taken out of lines before they are kept anywhere, also keys that go over many lines."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence

import polars as pl

from oddlog.cleaning.redaction import redact_texts
from oddlog.sources.spooled import Entries

GONE = "<redacted>"
MOST_KEY_LINES = 500  # of a private key: one that never ends is none
MOST_SOURCES = 10_000  # that are in the midst of one
_BEGINS = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_ENDS = re.compile(r"^.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)


class Redacting:
    """Takes what is known as a secret out of entries; a private key also where it comes line by line.

    >>> Redacting()([("http/app", ["-----BEGIN PRIVATE KEY-----", "MIIBVgIBADANBg", "-----END PRIVATE KEY----- done"])])
    [('http/app', ['<redacted>', '<redacted>', '<redacted> done'])]
    """

    def __init__(self) -> None:
        self._within: dict[str, int] = {}  # source -> lines of a key that have come
        self._lock = threading.Lock()  # several bring lines at once

    def __call__(self, entries: Entries) -> Entries:
        """Return entries as they may be kept; names of sources too, which may be made of labels."""
        with self._lock:
            return [(self._texts([source])[0], self._without(source, texts)) for source, texts in entries]

    @staticmethod
    def _texts(texts: Sequence[str]) -> list[str]:
        return redact_texts(pl.Series(texts, dtype=pl.String)).to_list()

    def _without(self, source: str, texts: Sequence[str]) -> list[str]:
        if source not in self._within and not any("PRIVATE KEY-----" in text for text in texts):
            return self._texts(texts)
        return self._texts([self._line(source, text) for text in texts])

    def _line(self, source: str, text: str) -> str:
        """Return a line without its part of a key."""
        lines = self._within.get(source)
        if lines is None:
            begins = _BEGINS.search(text)
            if begins is None or _ENDS.search(text[begins.end() :]):
                return text  # one that is whole is known by its shape
            if len(self._within) >= MOST_SOURCES:
                del self._within[next(iter(self._within))]
            self._within[source] = 1
            return text[: begins.start()] + GONE
        if _ENDS.search(text) or lines >= MOST_KEY_LINES:
            del self._within[source]
            return _ENDS.sub(GONE, text)
        self._within[source] = lines + 1
        return GONE
