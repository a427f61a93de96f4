"""What sources were found to be before: one that is written like them needs no search among all formats.

A search reads a thousand lines with up to forty formats: a tenth of a CPU-second, for each of thousands of containers.
Nearly all of them are written like one that was seen before. How a line is written is its *outline*::

    2024-11-20 10:11:12,345 INFO [main] org.example.App: request 17 done
    4-0-0 0:0:0,0 INFO [a] a.a.a: a

A source is taken for what others of the same outlines were found to be only where the search left no doubt about those,
and only once its own lines were read with that format: as many of them must be readable.
"""

from __future__ import annotations

import re
from collections.abc import Hashable

import polars as pl

from oddlog.formats.alike import own_for, value_of
from oddlog.formats.detection import LOWEST_CONFIDENCE, Detected, judged_as, telling_lines
from oddlog.formats.levels import BY_WORD

LOOKED_AT = 100  # lines of a source, evenly spread
ENOUGH = 0.9  # share of them whose outlines are known
SURE = 0.95  # confidence of a finding that is remembered; so is plain text, which nothing else could read
DOUBT = 0.05  # confidence of another format from which on a finding is in doubt
LESS = 0.02  # so much less may be readable than of the source before
MOST_OUTLINES = 10_000  # beyond it all are forgotten
_HEAD, _OBJECT = 96, 1_024  # characters of a line, and of an object, whose keys tell, too
_QUOTED = 24  # characters of a quoted value
_MONTHS_AND_DAYS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec Mon Tue Wed Thu Fri Sat Sun"
_KEPT = frozenset({*BY_WORD, *_MONTHS_AND_DAYS.split()})  # with another word in its place a line is another
_DIGITS = {1: "0", 2: "0", 3: "0"}  # of other runs the length: a year is no day, an epoch no year
_KEY = r'"[^"\\]*" ?:|\w+='
_TOKEN = re.compile(rf"{_KEY}|[^\W\d_]+|[0-9]+")
_LONG = re.compile(rf'"((?:[^"\\]|\\.){{{_QUOTED}}})(?:[^"\\]|\\.)*"(?! ?:)')
_PROSE = re.compile(r'(?<![^\s"])a(?: [a0-9]+)+(?![^\s"])')


def outline(text: str) -> str:
    """Return how a line is written: its punctuation, keys, levels, and how long its numbers are.

    >>> outline("2024-11-20 10:11:12,345 INFO [main] org.example.App: request 17 done")
    '4-0-0 0:0:0,0 INFO [a] a.a.a: a'
    >>> outline('{"level":"warn","msg":"took 17 ms"}')
    '{"level":"warn","msg":"a"}'
    """
    head = _LONG.sub(r'"\1"', text[:_OBJECT]) if text.startswith("{") else text[:_HEAD]
    return _PROSE.sub("a", _TOKEN.sub(_token, head))


def _token(found: re.Match[str]) -> str:
    token = found[0]
    if token[0] == '"' or token[-1] == "=" or (len(token) == 1 and token.isalpha()) or token in _KEPT:
        return token
    return _DIGITS.get(len(token), str(len(token))) if token[0].isdigit() else "a"


class Remembered:
    """Remembers by their outlines what sources were found to be."""

    def __init__(self) -> None:
        self._found: list[Detected] = []
        self._place: dict[Hashable, int] = {}  # of each format among the findings
        self._of: dict[str, int] = {}  # outline → the finding; -1 where sources differ

    def find(self, sample: pl.Series, *, year: int) -> Detected | None:
        """Return what a source is, as `detect_format` would; None if that must be asked.

        Parameters
        ----------
        sample : pl.Series of str [lines]
            Its first lines.
        year : int
            Of the first line.

        """
        if not self._of or not len(sample):
            return None
        lines = telling_lines(sample)
        places = [self._of.get(outline(text), -1) for text in _spread(lines)]
        known = {place for place in places if place >= 0}
        if len(known) != 1 or places.count(-1) > (1 - ENOUGH) * len(places):
            return None
        before = self._found[known.pop()]
        own = own_for(before.format)
        assert own is not None  # no other is remembered
        found = judged_as(own, lines, year=year)
        worse = before.confidence - found.confidence > LESS or before.share_ok - found.share_ok > LESS
        return None if worse else found

    def note(self, sample: pl.Series, found: Detected) -> None:
        """Remember what a search has found, if there is no doubt about it."""
        is_plain = found.confidence == LOWEST_CONFIDENCE and found.share_ok == 1.0
        doubt = max((confidence for _, confidence in found.alternatives), default=0.0) > DOUBT
        sure = (found.confidence >= SURE or is_plain) and not doubt and own_for(found.format) is not None
        if len(self._of) > MOST_OUTLINES:
            self._found, self._place, self._of = [], {}, {}
        place = -1
        if sure:
            place = self._place.setdefault(value_of(found.format), len(self._found))
            if place == len(self._found):
                self._found.append(found)
        for text in _spread(telling_lines(sample)):
            own = outline(text)
            self._of[own] = place if self._of.get(own, place) == place else -1


def _spread(lines: pl.Series) -> list[str]:
    """Return some of the lines, evenly spread."""
    return lines.gather_every(-(-len(lines) // LOOKED_AT)).to_list() if len(lines) else []
