"""Traditional rules beside what is learned: a line that must never come, one that must always come, a limit.

::

    records ──► lines that a rule matches ──► its incident: new, grown, over     in the same list as all others

Rules and maintenance windows stand in one TOML file; see `load`.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from oddlog.config import parse_duration
from oddlog.errors import ConfigError, did_you_mean
from oddlog.incidents import LEVEL_FACTOR, MOST_NOVEL
from oddlog.pipeline.learning.checkpointing import incident_json, incident_of
from oddlog.types import LEVELS, NO_TIME, TIME, Incident, LineRef, LiveIncident, Reason, State, to_datetime

QUIET_US = 3_600_000_000  # after so long without a match a `never` is over
MOST_LINES = 20  # shown
MOST_MATCHES = 100_000  # of a limit, that are remembered
GROWN = 2  # told again at so many times the matches
Kind = Literal["never", "always", "limit"]
_NAMES = {
    "never": {"name", "match", "service", "level"},
    "always": {"name", "match", "service", "level", "every"},
    "limit": {"name", "match", "service", "level", "at_least", "most", "least", "within"},
    "maintenance": {"name", "service", "from", "to", "days"},
}
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes
    ----------
    kind : "never", "always" or "limit"
        What it asks for.
    name : str
        What it is called.
    match : str
        Regular expression on the message; empty for every line.
    service : str
        Only its lines; empty for all.
    level : str
        How grave it is if it is broken.
    at_least : str
        Only lines of this level and above.
    within_us : int
        "always": such a line comes at least so often. "limit": in so long.
    most, least : int or None
        "limit": how many such lines there may be.

    """

    kind: Kind
    name: str
    match: str = ""
    service: str = ""
    level: str = "ERROR"
    at_least: str = "UNKNOWN"
    within_us: int = 0
    most: int | None = None
    least: int | None = None

    @property
    def condition(self) -> pl.Expr:
        """Which records it is about."""
        matched = pl.col("message").str.contains(self.match) if self.match else pl.lit(value=True)
        of = pl.col("service") == self.service if self.service else pl.lit(value=True)
        grave = pl.col("level").to_physical() >= LEVELS.index(self.at_least)
        return (matched & of & grave).fill_null(value=False)


@dataclass(frozen=True)
class Maintenance:
    """A time in which nothing is told of a service (or of all); daily times are UTC and may pass midnight."""

    name: str
    service: str = ""
    start: datetime | None = None
    end: datetime | None = None
    days: tuple[str, ...] = ()
    from_minute: int = 0  # of the day
    to_minute: int = 0

    def holds(self, at: datetime, services: Sequence[str]) -> bool:
        """Return whether an incident of these services that begins then is not to be told."""
        if self.service and self.service not in services:
            return False
        if self.start is not None and self.end is not None:
            return self.start <= at < self.end
        minute = at.hour * 60 + at.minute
        if self.from_minute <= self.to_minute:
            return _DAYS[at.weekday()] in self.days and self.from_minute <= minute < self.to_minute
        late = _DAYS[at.weekday()] in self.days and minute >= self.from_minute
        early = _DAYS[(at.weekday() - 1) % 7] in self.days and minute < self.to_minute
        return late or early


@dataclass(frozen=True)
class RuleBook:
    """What a file holds."""

    rules: tuple[Rule, ...] = ()
    maintenance: tuple[Maintenance, ...] = ()


def load(path: Path) -> RuleBook:
    """Return the rules of a TOML file.

    Raises
    ------
    ConfigError
        If it cannot be read, or a rule makes no sense.

    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"The rules {path} cannot be read: {error.strerror}.", "Check the path.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The rules {path} are not TOML: {error}.", "Mend that line.") from error
    rules: list[Rule] = []
    maintenance: list[Maintenance] = []
    for kind, entries in tables.items():
        if kind not in _NAMES or not isinstance(entries, list):
            raise ConfigError(f"{path} holds '{kind}', which is no list of rules.", _form(kind))
        for i, entry in enumerate(entries, 1):
            where = f"{path}: [[{kind}]] {i}"
            _check_names(where, kind, entry)
            if kind == "maintenance":
                maintenance.append(_maintenance(where, entry, f"maintenance {i}"))
            else:
                rules.append(_rule(where, kind, entry, f"{kind} {i}"))
    names = [rule.name for rule in rules]
    twice = next((name for name in names if names.count(name) > 1), "")
    if twice:
        raise ConfigError(f"{path} holds two rules called '{twice}'.", "Give each a name of its own.")
    return RuleBook(tuple(rules), tuple(maintenance))


def _form(kind: str) -> str:
    return f'{did_you_mean(kind, _NAMES)} Write [[never]], and below it: match = "OutOfMemoryError"'


def _check_names(where: str, kind: str, entry: Mapping[str, Any]) -> None:
    for name in entry:
        if name not in _NAMES[kind]:
            raise ConfigError(f"{where} sets '{name}', which it does not have.", did_you_mean(name, _NAMES[kind]))


def _rule(where: str, kind: str, entry: Mapping[str, Any], name: str) -> Rule:
    match, service = str(entry.get("match", "")), str(entry.get("service", ""))
    level, at_least = (str(entry.get(n, d)).upper() for n, d in (("level", "ERROR"), ("at_least", "UNKNOWN")))
    for one in (level, at_least):
        if one not in LEVELS:
            raise ConfigError(f"{where} names the level {one}.", f"There are: {', '.join(LEVELS)}.")
    if kind != "limit" and not match:
        raise ConfigError(f"{where} matches nothing.", 'Write, for instance: match = "backup finished"')
    try:
        pl.Series([""]).str.contains(match)
    except pl.exceptions.PolarsError as error:
        raise ConfigError(f"{where}: '{match}' is no regular expression.", "Mend it.") from error
    duration = {"always": "every", "limit": "within"}.get(kind, "")
    if duration and duration not in entry:
        raise ConfigError(f"{where} does not say how long.", f'Write, for instance: {duration} = "5min"')
    within_us = round(parse_duration(str(entry[duration])) * 1e6) if duration else 0
    most, least = entry.get("most"), entry.get("least")
    if kind == "limit" and (most is None) == (least is None):
        raise ConfigError(f"{where} needs one of 'most' and 'least'.", "Write, for instance: most = 100")
    for number in (most, least):
        if number is not None and (not isinstance(number, int) or number < 0):
            raise ConfigError(f"{where}: {number!r} is no number of lines.", "Write, for instance: most = 100")
    assert kind in ("never", "always", "limit")
    return Rule(
        kind,  # type: ignore[arg-type] # one of the three
        str(entry.get("name", name)),
        match,
        service,
        level,
        at_least,
        within_us,
        most,
        least,
    )


def _maintenance(where: str, entry: Mapping[str, Any], name: str) -> Maintenance:
    start, end = entry.get("from"), entry.get("to")
    own = str(entry.get("name", name)), str(entry.get("service", ""))
    if isinstance(start, datetime) and isinstance(end, datetime):
        return Maintenance(*own, start.replace(tzinfo=start.tzinfo or UTC), end.replace(tzinfo=end.tzinfo or UTC))
    days = tuple(str(day).lower()[:3] for day in entry.get("days", _DAYS))
    try:
        minutes = [int(str(one)[:2]) * 60 + int(str(one)[3:5]) for one in (start, end)]
    except ValueError:
        minutes = [-1]
    if any(not 0 <= one <= 1440 for one in minutes) or not set(days) <= set(_DAYS):  # noqa: PLR2004 - minutes of a day
        raise ConfigError(
            f"{where} names no time.",
            'Write from = 2026-03-09T22:00:00Z and to likewise, or days = ["sat"], from = "22:00", to = "02:00".',
        )
    return Maintenance(*own, days=days, from_minute=minutes[0], to_minute=minutes[1])


@dataclass
class _Watched:
    """A rule and what it has seen."""

    rule: Rule
    times: list[int] = field(default_factory=list)  # of matches, us; of a limit those within its time
    lines: list[LineRef] = field(default_factory=list)
    first_us: int = NO_TIME  # when the rule began to be broken
    seen: int = 0  # matches since then
    told: int = 0  # … when it was told last
    services: dict[str, int] = field(default_factory=dict)
    is_broken: bool = False
    peak: int = 0  # of a limit: most matches in its time, since it was looked at last
    gap_us: int = 0  # of an `always`: the longest time between two, since then


class Rules:
    """Holds lines against rules while they come. A rule that is broken is one incident until it is not any more."""

    def __init__(self, book: RuleBook) -> None:
        self.book = book
        self._watched = [_Watched(rule) for rule in book.rules]
        self._since_us = NO_TIME  # from when on lines could have come
        self._last: dict[str, LiveIncident] = {}

    def add(self, records: pl.DataFrame) -> None:
        """Take in records."""
        if not len(records) or not self._watched:
            return
        time_us = records["time"].cast(TIME).to_physical()
        earliest = time_us.min()
        if isinstance(earliest, int) and self._since_us == NO_TIME:
            self._since_us = earliest
        flags = records.select(one.rule.condition.alias(str(i)) for i, one in enumerate(self._watched))
        for i, one in enumerate(self._watched):
            flag = flags[str(i)]
            if flag.any():
                some = records.filter(flag).select("source", "line", "text", "message", "service")
                self._match(one, some, time_us.filter(flag).drop_nulls().to_list())

    def _match(self, one: _Watched, records: pl.DataFrame, times: list[int]) -> None:
        one.times = sorted([*one.times, *times])[-MOST_MATCHES:]
        at = np.array(one.times)
        if one.rule.kind == "limit" and len(at):
            counts = np.arange(1, len(at) + 1) - np.searchsorted(at, at - one.rule.within_us, side="right")
            one.peak = max(one.peak, int(counts.max()))
        if one.rule.kind == "always" and len(at) > 1:
            one.gap_us = max(one.gap_us, int(np.diff(at).max()))
        one.seen += len(records)
        for source, line, text, message, service in records.tail(MOST_LINES).iter_rows():
            one.lines.append(LineRef(source, line, text or "", 1.0, message or ""))
            if service:
                one.services[service] = one.services.get(service, 0) + 1
        one.lines = one.lines[-MOST_LINES:]

    def changed(self, now_us: int, model_id: str) -> list[LiveIncident]:
        """Return incidents of rules that are broken by now (event time), more than before, or not any more."""
        if now_us == NO_TIME:
            return []
        found = (self._look(one, now_us, model_id) for one in self._watched)
        return [one for one in found if one is not None]

    def _look(self, one: _Watched, now_us: int, model_id: str) -> LiveIncident | None:
        broken = self._broken(one, now_us)
        peak, gap_us, one.peak, one.gap_us = one.peak, one.gap_us, 0, 0
        name = one.rule.name
        if not broken:
            if not one.is_broken:
                return None
            one.is_broken = False
            last = self._last.pop(name)
            one.lines, one.seen, one.told, one.services = [], 0, 0, {}
            return replace(last, change="over", notable=True)
        is_new, one.is_broken = not one.is_broken, True
        if is_new:
            one.first_us = one.times[0] if one.times and one.rule.kind != "always" else self._last_match(one)
        elif one.seen < GROWN * max(one.told, 1):
            return None
        one.told = one.seen
        incident = self._incident(one, now_us, model_id, (peak, gap_us))
        live = LiveIncident(incident, "new" if is_new else "grown", provisional=False)
        self._last[name] = live
        return live

    def _broken(self, one: _Watched, now_us: int) -> bool:
        rule = one.rule
        if rule.kind == "never":
            one.times = [at for at in one.times if at > now_us - QUIET_US]
            return bool(one.times) or one.seen > one.told
        if rule.kind == "always":
            one.times = one.times[-1:]
            return max(now_us - self._last_match(one), one.gap_us) > rule.within_us
        one.times = [at for at in one.times if at > now_us - rule.within_us]
        if rule.most is not None:
            return max(len(one.times), one.peak) > rule.most
        watched_us = now_us - self._since_us
        return watched_us >= rule.within_us and len(one.times) < (rule.least or 0)

    def _last_match(self, one: _Watched) -> int:
        return one.times[-1] if one.times else self._since_us

    def _incident(self, one: _Watched, now_us: int, model_id: str, most: tuple[int, int]) -> Incident:
        rule = one.rule
        start = to_datetime(one.first_us)
        pattern = hashlib.blake2b(f"rule\n{rule.name}".encode(), digest_size=8).hexdigest()
        said = f"{model_id}\nrule\n{rule.name}\n{one.first_us}"
        ranked = sorted(one.services, key=lambda name: (-one.services[name], name))
        end_us = one.times[-1] if one.times and rule.kind != "always" else now_us
        return Incident(
            id=hashlib.blake2b(said.encode(), digest_size=8).hexdigest(),
            key=f"rule {rule.name}",
            keys=(),
            n_windows=0,
            start=start,
            end=to_datetime(end_us),
            severity=float(MOST_NOVEL * LEVEL_FACTOR[LEVELS.index(rule.level)]),
            score=MOST_NOVEL,
            p_value=0.0,
            pattern=pattern,
            services=tuple(ranked[:10]) or ((rule.service,) if rule.service else ()),
            hosts=(),
            reasons=(_reason(one, now_us - self._last_match(one), most),),
            lines=tuple(one.lines),
            patterns=(pattern,),
        )

    # -- state -----------------------------------------------------------------------------------------------

    def state(self) -> State:
        """Return what `restore` needs."""
        watched = {
            one.rule.name: {
                "times": one.times,
                "lines": [[r.source, r.line, r.text, r.score, r.message] for r in one.lines],
                "counts": [one.first_us, one.seen, one.told, one.is_broken],
                "services": one.services,
            }
            for one in self._watched
        }
        last = {name: [incident_json(one.incident), one.change] for name, one in self._last.items()}
        return State(meta={"watched": watched, "since": self._since_us, "last": last})

    def restore(self, state: State) -> None:
        """Go on where `state` was taken; rules that were not there then begin anew."""
        self._since_us = state.meta["since"]
        for one in self._watched:
            kept = state.meta["watched"].get(one.rule.name)
            if kept is not None:
                one.times, one.services = list(kept["times"]), dict(kept["services"])
                one.lines = [LineRef(*line) for line in kept["lines"]]
                one.first_us, one.seen, one.told, one.is_broken = kept["counts"]
        for name, (incident, change) in state.meta["last"].items():
            if any(one.rule.name == name and one.is_broken for one in self._watched):
                self._last[name] = LiveIncident(incident_of(incident), change, provisional=False)


def _reason(one: _Watched, since_us: int, most: tuple[int, int]) -> Reason:
    """Return why a rule is broken, `since_us` after its last match; `most` are its peak and its longest gap."""
    rule = one.rule
    what = f"“{rule.match}”" if rule.match else "lines"
    what += f" of {rule.service}" if rule.service else ""
    n = max(len(one.times), most[0]) if rule.kind == "limit" else one.seen
    numbers: dict[str, float | int | str] = {"rule": rule.name, "seen": n}
    if rule.kind == "never":
        return Reason("rule", f"must never come: {what} ({n:,} line{'' if n == 1 else 's'})", numbers)
    if rule.kind == "always":
        minutes, usual = max(since_us, most[1]) / 60e6, rule.within_us / 60e6
        said = f"must come every {usual:,.4g} min: {what}, not seen for {minutes:,.4g} min"
        return Reason("rule", said, numbers | {"minutes": minutes, "usual": usual})
    bound = f"at most {rule.most:,}" if rule.most is not None else f"at least {rule.least:,}"
    said = f"{n:,} of {what} in {rule.within_us / 60e6:,.4g} min, {bound} are allowed"
    return Reason("rule", said, numbers)
