"""What `detect` found, and a closer look at what it judged on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from oddlog.pipeline.drifting import Drift
from oddlog.pipeline.judging.overview import Overview
from oddlog.pipeline.judging.views import View
from oddlog.templates import Matcher
from oddlog.types import Incident, Tally, Windows


@dataclass(frozen=True)
class Part:
    """Windows as they were judged, for whoever looks closer.

    Attributes
    ----------
    view : View
        What judged them.
    windows : Windows
        [w]
    verdict : pl.DataFrame
        `types.SCORES` [w].
    sources : sequence of str
        Names of `Windows.source`.
    matcher : Matcher
        Knows the types of this run, those that the model has never seen among them.

    """

    view: View
    windows: Windows
    verdict: pl.DataFrame
    sources: Sequence[str]
    matcher: Matcher


Each = Callable[[Part], None]


@dataclass(frozen=True)
class Detection:
    """What `detect` found.

    Attributes
    ----------
    incidents : tuple of Incident
        Alerts first, then notices, each the most pressing first.
    scores : pl.DataFrame
        A verdict per window (`types.SCORES`), in order of time.
    tally : Tally
        What was cleaned, cut or passed over.
    lines, odd_lines : int
        Lines read, and those that are odd by themselves.
    start, end : datetime or None
        Times of the first and the last record.
    notes : tuple of str
        What a reader should know before believing this.
    hidden : tuple of Incident
        Incidents that somebody called usual or muted.
    overview : Overview or None
        What a report tells of the whole log, if it was asked for.
    drift : Drift or None
        How far the end of the log is from training; None where the model knows nothing of that.

    """

    incidents: tuple[Incident, ...]
    scores: pl.DataFrame
    tally: Tally
    lines: int = 0
    odd_lines: int = 0
    start: datetime | None = None
    end: datetime | None = None
    nouns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    hidden: tuple[Incident, ...] = ()
    overview: Overview | None = None
    drift: Drift | None = None

    @property
    def says(self) -> str:
        """One sentence of what was judged."""
        odd = int(self.scores["is_anomaly"].sum())
        *most, last = dict.fromkeys(self.nouns) or ("windows",)
        noun = f"{', '.join(most)} and {last}" if most else last
        return (
            f"{self.lines:,} lines: {odd:,} of {len(self.scores):,} {noun} odd, "
            f"{lines_alone(self.odd_lines)}, {self._incidents}"
        )

    @property
    def _incidents(self) -> str:
        n = len(self.incidents)
        notices = sum(one.urgency == "notice" for one in self.incidents)
        said = f"{n:,} incident{'' if n == 1 else 's'}"
        return said if not notices else f"{said} ({_several(n - notices, 'alert')}, {_several(notices, 'notice')})"


def _several(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def lines_alone(n: int) -> str:
    """Return in words how many lines are odd by themselves."""
    return "1 line odd by itself" if n == 1 else f"{n:,} lines odd by themselves"
