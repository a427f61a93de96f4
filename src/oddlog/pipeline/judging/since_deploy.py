"""What deployments brought, told: one incident for each, and what it keeps from being told again.

Windows and lines that are odd for nothing but what a deployment brought make no incidents of their own. Types at ERROR
and above are listed, but excuse nothing: what fails after a deployment stays an incident, and says how long after it.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property

import numpy as np
import polars as pl

from oddlog.explain import percent, shorten
from oddlog.feedback import Mark
from oddlog.incidents import pattern_of
from oddlog.model import Model
from oddlog.pipeline.events import Codes
from oddlog.pipeline.judging.closeups import Rereading
from oddlog.pipeline.judging.deployments import ERROR, Deployed, Rate
from oddlog.templates import Matcher
from oddlog.types import F64, LEVELS, Bool, Incident, LineRef, LiveIncident, Reason, Windows, to_datetime

MOST_TYPES_TOLD = 10
MOST_LINES = 20
MOST_KEYS = 100
MOST_NEW_TYPES = 1_000


@dataclass(frozen=True)
class SinceDeploy:
    """The deployments that brought something, what to say of the others, and all `marks`."""

    found: Sequence[Deployed] = ()
    notes: Sequence[str] = ()
    marks: Sequence[Mark] = ()

    @cached_property
    def excused(self) -> frozenset[int]:
        """Rows of the types that make no incidents of their own."""
        return frozenset(row for one in self.found for row in _harmless(one))

    def take(self, windows: Windows) -> None:
        """Count windows [w] that are odd for nothing but such types."""
        for one in self.found:
            held = np.unique(windows.window_of_event[np.isin(windows.template, _harmless(one))])
            one.n_windows += len(held)
            one.keys += windows.key.gather(held[: MOST_KEYS - len(one.keys)]).to_list()

    def give_back(self, windows: Windows) -> None:
        """Count windows [w] no more that were taken."""
        keys = set(windows.key.to_list())
        for one in self.found:
            one.n_windows -= len(np.unique(windows.window_of_event[np.isin(windows.template, one.types["template"])]))
            one.keys = [key for key in one.keys if key not in keys]

    def noted(self, incident: Incident) -> Incident:
        """Return an incident with how long after deployments of its services it began."""
        return _noted(incident, self.marks)


def after_deploy(live: LiveIncident, marks: Sequence[Mark]) -> LiveIncident:
    """Return an incident that goes on with how long after deployments of its services it began."""
    return replace(live, incident=_noted(live.incident, marks)) if marks else live


def _noted(incident: Incident, marks: Sequence[Mark]) -> Incident:
    start = incident.start
    notes = [
        f"{_minutes(start - mark.time):,.0f} min after {mark.says}"
        for mark in marks
        if start is not None and mark.service in incident.services and mark.time <= start < mark.end
    ]
    return replace(incident, notes=(*incident.notes, *notes)) if notes else incident


@dataclass(frozen=True)
class Telling:
    """What it takes to make incidents of what deployments brought; `words` as in `Merging`."""

    model: Model
    matcher: Matcher
    services: Codes
    sources: Codes
    words: Bool

    def incident(self, one: Deployed, reading: Rereading) -> Incident:
        """Return the incident of a deployment."""
        mark, types = one.mark, one.types
        rows = types["template"].to_numpy()
        score = self.model.events.score(rows, types["level"].to_numpy(), self.words[rows])
        keys = [self.matcher.key_of(row) for row in rows.tolist()]
        k = len(self.model.context.templates)
        pattern = pattern_of(keys)
        said = f"{self.model.id}\ndeploy\n{mark.service}\n{mark.version}\n{mark.time.isoformat()}"
        lines, hosts = self._lines(types, score, reading)
        return Incident(
            id=hashlib.blake2b(said.encode(), digest_size=8).hexdigest(),
            key=mark.says,
            keys=tuple(one.keys),
            n_windows=one.n_windows,
            start=to_datetime(int(types["first"][0])),
            end=to_datetime(int(types["last"].to_numpy().max())),
            severity=float(score.max()),
            score=float(score.max()),
            p_value=float(self.model.events.p_value(score).min()),
            pattern=pattern,
            services=self._services(one),
            hosts=hosts,
            reasons=tuple(self._reasons(one)),
            lines=lines,
            patterns=(pattern,),
            new_types=tuple(f"{key:016x}" for key, row in zip(keys, rows, strict=True) if row >= k),
        )

    def _services(self, one: Deployed) -> tuple[str, ...]:
        writers = (self.services.names[code] for code in one.types["service"].to_list())
        return tuple(dict.fromkeys([one.mark.service, *(name for name in writers if name)]))[:10]

    def _reasons(self, one: Deployed) -> list[Reason]:
        mark, n_types, n_lines = one.mark, len(one.types), int(one.types["n"].sum())
        brought = f"{_plural(n_types, 'message type')}, {_plural(n_lines, 'line')}"
        said = f"new since {mark.says} at {mark.time:%Y-%m-%d %H:%M}: {brought}"
        reasons = [
            Reason(
                "new_since_deploy",
                said,
                {"types": n_types, "lines": n_lines, "service": mark.service, "version": mark.version},
            ),
            _rates(mark.service, one.before, one.after),
        ]
        reasons += [self._type(one, row) for row in one.types.head(MOST_TYPES_TOLD).iter_rows(named=True)]
        if n_types > MOST_TYPES_TOLD:
            left = n_types - MOST_TYPES_TOLD
            reasons.append(Reason("new_since_deploy", f"and {_plural(left, 'more type')}", {"types": left}))
        return reasons

    def _type(self, one: Deployed, row: dict[str, int]) -> Reason:
        after = _minutes(timedelta(microseconds=row["first"]) - timedelta(seconds=one.mark.time.timestamp()))
        level = f"{LEVELS[row['level']]}, " if row["level"] >= ERROR else ""
        text = shorten(self.matcher.text_of(row["template"]))
        numbers: dict[str, float | int | str] = {"seen": row["n"], "minutes_after": round(after, 3)}
        known = row["template"] < len(self.model.context.templates)
        kind, said = ("rare_template", "rare") if known else ("unseen_template", "never seen before")
        return Reason(
            kind, f"{said}: {text} ({level}{_plural(row['n'], 'line')}, first after {after:,.0f} min)", numbers
        )

    def _lines(
        self, types: pl.DataFrame, score: F64, reading: Rereading
    ) -> tuple[tuple[LineRef, ...], tuple[str, ...]]:
        """Return the first line of each type, and the hosts that wrote these."""
        refs = [
            (self.sources.names[source], line, one)
            for (source, line), one in zip(
                types.select("source", "line").head(MOST_LINES).iter_rows(), score.tolist(), strict=False
            )
        ]
        wanted: dict[str, set[int]] = defaultdict(set)
        for source, line, _ in refs:
            wanted[source].add(line)
        texts = {
            (source, line): (text, message, host)
            for source, line, text, host, message in reading.again(wanted).iter_rows()
        }
        hosts = Counter(host for *_, host in texts.values() if host)
        lines = tuple(
            LineRef(source, line, text, one, message)
            for source, line, one in refs
            for text, message, _ in [texts.get((source, line), ("", "", None))]
        )
        return lines, tuple(host for host, _ in hosts.most_common(10))


def _rates(service: str, before: Rate, after: Rate) -> Reason:
    """Return how many lines the service wrote a minute, and how many were errors, before and after."""

    def said(rate: Rate) -> str:
        per_minute = rate.lines / max(_minutes(rate.time), 1 / 60)
        return f"{per_minute:,.1f} lines a minute, {percent(rate.errors / max(rate.lines, 1))} errors"

    numbers: dict[str, float | int | str] = {"service": service}
    for when, rate in (("before", before), ("after", after)):
        numbers |= {
            f"lines_{when}": rate.lines,
            f"errors_{when}": rate.errors,
            f"minutes_{when}": round(_minutes(rate.time), 3),
        }
    earlier = f"{said(before)} in the {_minutes(before.time):,.0f} min before" if before.lines else "not a line before"
    return Reason(
        "rate_since_deploy",
        f"{service}: {said(after)} in the {_minutes(after.time):,.0f} min after; {earlier}",
        numbers,
    )


def _harmless(one: Deployed) -> list[int]:
    rows: list[int] = one.types.filter(pl.col("level") < ERROR)["template"].to_list()
    return rows


def _minutes(time: timedelta) -> float:
    return time / timedelta(minutes=1)


def _plural(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
