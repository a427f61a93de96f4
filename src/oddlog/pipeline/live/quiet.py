"""Sources that say nothing, or come late: told by when lines arrive, not by what is in them.

That one service falls silent while its source goes on is for the rates to tell (`live.rating`). Here it is a whole
source (a file, a sender) that brings nothing for far longer than it ever did, all of them at once, or one whose lines
arrive but were written long before those of the others: its shipper lags, and its counts are late, not low.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import polars as pl

from oddlog.pipeline.learning.checkpointing import incident_json, incident_of
from oddlog.types import TIME, Incident, LiveIncident, Reason, Tally

LEAST_ARRIVALS = 50  # before anything is said of a source …
LEAST_S = 3_600.0  # … and so long after it was first seen
TIMES = 3.0  # the longest usual pause, or lag, from which on it is odd
LEAST_SILENCE_S = 300.0
LEAST_LAG_S = 300.0
DAY_S = 86_400.0  # pauses of the day before yesterday are forgotten
GONE_S = 1.5 * DAY_S  # a source that is silent for so long is none any more: one of each night is back by then
GONE = "nothing for a day and a half: it is watched no more until it comes again"
EVERY_S = 5.0
MOST_SOURCES = 50_000
BEYOND = "lines of a source beyond 50,000: nobody watches whether it falls silent"
SEVERITY = 24.0  # as a certain WARNING: `incidents.pressing`
What = Literal["silence", "lag"]
ALL = "every source"


@dataclass
class _Source:
    """What is known of a source; seconds are of the stream's clock, times of its lines in us."""

    first_s: float
    last_s: float
    arrivals: int = 0
    longest_s: float = 0.0  # pause of today
    before_s: float = 0.0  # … and of yesterday
    most_lag_s: float = 0.0
    lag_before_s: float = 0.0
    day: int = 0
    lag_s: float = 0.0
    is_silent: bool = False  # until something arrives

    @property
    def is_established(self) -> bool:
        """Whether it is known long enough for anything to be said of it."""
        return self.arrivals >= LEAST_ARRIVALS and self.last_s - self.first_s >= LEAST_S

    @property
    def patience_s(self) -> float:
        """How long it may say nothing."""
        return max(TIMES * max(self.longest_s, self.before_s), LEAST_SILENCE_S)

    @property
    def most_late_s(self) -> float:
        """How late its lines may be."""
        return max(TIMES * self.lag_before_s, LEAST_LAG_S)  # of today it may be growing

    def turn(self, now_s: float) -> None:
        """Forget what is older than yesterday."""
        day = int((now_s - self.first_s) // DAY_S)
        if day > self.day:
            self.before_s, self.lag_before_s = (self.longest_s, self.most_lag_s) if day == self.day + 1 else (0.0, 0.0)
            self.longest_s = self.most_lag_s = 0.0
            self.day = day


class Quiet:
    """Watches when the lines of each source arrive.

    `begun` is the id of the model that it began with: ids of incidents are made of it, and stay with another one.
    """

    def __init__(self, begun: str, tally: Tally) -> None:
        self._begun, self._tally = begun, tally
        self._sources: dict[str, _Source] = {}
        self._told: dict[tuple[str, str], LiveIncident] = {}
        self._looked_s = float("-inf")
        self._resumed: dict[str, Any] | None = None  # what `restore` was given: this clock is not known yet

    def arrived(self, sources: Sequence[str], now_s: float) -> None:
        """Note that lines of some sources came."""
        self._resume(now_s)
        if ("silence", ALL) in self._told:
            # The collector was away: that says nothing of how long each of them pauses, and all begin anew.
            for name, known in self._sources.items():
                if ("silence", name) not in self._told:
                    known.last_s, known.is_silent = now_s, False
        for name in sources:
            one = self._sources.get(name)
            if one is None:
                if len(self._sources) < MOST_SOURCES:
                    self._sources[name] = _Source(now_s, now_s, 1)
                else:
                    self._tally.add(BEYOND, example=name)
                continue
            one.turn(now_s)
            one.longest_s = max(one.longest_s, now_s - one.last_s)
            one.last_s, one.is_silent = now_s, False
            one.arrivals += 1

    def held_up(self, seconds: float) -> None:
        """Note that whoever reads the lines could not for so long: that nothing came meanwhile is no silence."""
        for one in self._sources.values():
            one.last_s += seconds

    def add(self, records: pl.DataFrame, end_us: int) -> None:
        """Take in records: how late each source is, `end_us` being the latest time of all."""
        last = (
            records.select("source", us=pl.col("time").cast(TIME).to_physical())
            .group_by("source")
            .agg(pl.col("us").max())
        )
        for name, time_us in last.iter_rows():
            one = self._sources.get(name)
            if one is not None and time_us is not None:
                one.lag_s = max((end_us - time_us) / 1e6, 0.0)
                if not one.is_established:
                    one.lag_before_s = max(one.lag_before_s, one.lag_s)
                elif one.lag_s <= one.most_late_s:
                    one.most_lag_s = max(one.most_lag_s, one.lag_s)

    def changed(self, now_s: float, now: datetime) -> list[LiveIncident]:
        """Return what is silent or late by now, and what is not any more; looked at every `EVERY_S`."""
        self._resume(now_s)
        if now_s - self._looked_s < EVERY_S:
            return []
        self._looked_s = now_s
        odd: dict[tuple[str, str], LiveIncident] = {}
        known = {name: one for name, one in self._sources.items() if one.is_established}
        for one in known.values():
            one.is_silent |= now_s - one.last_s > one.patience_s
        silent = {name for name, one in known.items() if one.is_silent}
        are_all = len(silent) == len(known) > 1
        gone = [] if are_all else self._forget(now_s)
        if are_all:
            longest = min(now_s - one.last_s for one in known.values())
            said = f"nothing has arrived from any of {len(known):,} sources for {_minutes(longest)}"
            odd["silence", ALL] = self._incident("silence", ALL, said, longest, 0.0, now)
        for name, one in known.items():
            if name not in silent or name not in self._sources:
                continue
            if live := self._told.get(("silence", name)):  # it stays what it is until something arrives
                odd["silence", name] = live
            elif not are_all:
                pause, usual = now_s - one.last_s, max(one.longest_s, one.before_s)
                said = f"nothing has arrived from {name} for {_minutes(pause)}, usual are at most {_minutes(usual)}"
                odd["silence", name] = self._incident("silence", name, said, pause, usual, now)
        for name, one in known.items():
            if one.lag_s > one.most_late_s and name not in silent:
                usual = one.lag_before_s
                late = f"lines of {name} arrive {_minutes(one.lag_s)} after those of the others"
                said = f"{late}, usual are {_minutes(usual)}"
                odd["lag", name] = self._incident("lag", name, said, one.lag_s, usual, now)
        new = [live for key, live in odd.items() if key not in self._told]
        over = [replace(live, change="over") for key, live in self._told.items() if key not in odd]
        self._told = {key: self._told.get(key, live) for key, live in odd.items()}
        return new + over + gone

    def _forget(self, now_s: float) -> list[LiveIncident]:
        """Forget sources that are gone for good; return what was told of their silence, as over."""
        old = [name for name, one in self._sources.items() if now_s - one.last_s > GONE_S]
        gone = [name for name in old if self._sources[name].is_silent or not self._sources[name].is_established]
        told = []
        for name in gone:
            del self._sources[name]
            live = self._told.pop(("silence", name), None)
            if live is not None:
                noted = replace(live.incident, notes=(*live.incident.notes, GONE))
                told.append(replace(live, incident=noted, change="over"))
        return told

    @property
    def going(self) -> set[str]:
        """Ids of incidents that were told and go on."""
        return {live.incident.id for live in self._told.values()}

    def _incident(self, what: What, name: str, said: str, is_s: float, usual_s: float, now: datetime) -> LiveIncident:
        start = now - timedelta(seconds=is_s)
        pattern = hashlib.blake2b(f"source {what}\n{name}".encode(), digest_size=8).hexdigest()
        id_ = hashlib.blake2b(f"{self._begun}\n{pattern}\n{start:%Y-%m-%dT%H:%M}".encode(), digest_size=8).hexdigest()
        kind = "source_silent" if what == "silence" else "source_late"
        numbers: dict[str, float | int | str] = {"source": name, "seconds": round(is_s, 1), "usual": round(usual_s, 1)}
        reason = Reason("source_silent", said, numbers) if what == "silence" else Reason("source_late", said, numbers)
        incident = Incident(
            id=id_,
            key=f"{kind.replace('_', ' ')}: {name}",
            keys=(),
            n_windows=0,
            start=start,
            end=now,
            severity=SEVERITY,
            score=SEVERITY / 2,
            p_value=0.0,
            pattern=pattern,
            services=(),
            hosts=(),
            reasons=(reason,),
            lines=(),
            patterns=(pattern,),
            # That one sender is gone may be meant so: a pod that was replaced, a file that was rotated away.
            urgency="alert" if name == ALL else "notice",
        )
        return LiveIncident(incident, "new", provisional=False)

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs."""
        latest = max((one.last_s for one in self._sources.values()), default=0.0)
        told = [[*key, incident_json(live.incident)] for key, live in self._told.items()]
        return {
            "sources": {name: dict(vars(one)) for name, one in self._sources.items()},
            "latest": latest,
            "told": told,
            "begun": self._begun,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken; the time until lines come again is no silence, but what was silent is so."""
        self._resumed, self._begun = state, state["begun"]
        self._told = {
            (what, name): LiveIncident(incident_of(incident), "new", provisional=False)
            for what, name, incident in state["told"]
        }

    def _resume(self, now_s: float) -> None:
        """Take over what was restored, by the clock of this process."""
        if self._resumed is None:
            return
        state, self._resumed = self._resumed, None
        shift = now_s - state["latest"]
        for name, one in state["sources"].items():
            kept = self._sources[name] = _Source(**one)
            kept.first_s, kept.last_s = kept.first_s + shift, kept.last_s + shift
            if kept.is_established and not kept.is_silent:
                kept.last_s = now_s


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:,.0f} min" if seconds >= 120 else f"{seconds:,.0f} s"  # noqa: PLR2004 - two minutes
