"""Traditional rules beside what is learned: a line that must never come, one that must always come, a limit.

::

    records ──► lines that a rule matches ──► its incident: new, grown, over     in the same list as all others

What rules there are stands in `rulebook`.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from oddlog.incidents import LEVEL_FACTOR, MOST_NOVEL
from oddlog.pipeline.learning.checkpointing import incident_json, incident_of
from oddlog.pipeline.live.rulebook import Rule, RuleBook
from oddlog.pipeline.live.steps import Steps
from oddlog.types import I64, LEVELS, NO_TIME, TIME, Incident, LineRef, LiveIncident, Reason, State, to_datetime

QUIET_US = 3_600_000_000  # after so long without a match a `never` is over
MOST_LINES = 20  # shown
GROWN = 2  # told again at so many times the matches


@dataclass
class _Watched:
    """A rule and what it has seen."""

    rule: Rule
    lines: list[LineRef] = field(default_factory=list)
    first_us: int = NO_TIME  # when the rule began to be broken
    from_us: int = NO_TIME  # the first match since it was kept last
    last_us: int = NO_TIME  # the last one
    seen: int = 0  # matches since then
    told: int = 0  # … when it was told last
    services: dict[str, int] = field(default_factory=dict)
    is_broken: bool = False
    peak: tuple[int, int] = (0, 0)  # of a limit: most matches in its time, since the last look; from when on
    gap_us: int = 0  # of an `always`: the longest time between two, since then
    since_us: int = NO_TIME  # from when on it is watched, if that is later than the first line
    steps: Steps = field(init=False)  # of a limit: matches within its time

    def __post_init__(self) -> None:
        self.steps = Steps(max(self.rule.within_us, 1), whole=self.rule.least is not None)

    def begin(self) -> None:
        """Begin anew, because the rule is kept."""
        self.is_broken, self.from_us = False, NO_TIME
        self.lines, self.seen, self.told, self.services = [], 0, 0, {}

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs."""
        return {
            "rule": asdict(self.rule),
            "lines": [[r.source, r.line, r.text, r.score, r.message] for r in self.lines],
            "times": [self.first_us, self.from_us, self.last_us, self.since_us],
            "counts": [self.seen, self.told, self.is_broken],
            "steps": self.steps.state(),
            "services": self.services,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken of the same rule."""
        self.lines, self.services = [LineRef(*line) for line in state["lines"]], dict(state["services"])
        self.first_us, self.from_us, self.last_us, self.since_us = state["times"]
        self.seen, self.told, self.is_broken = state["counts"]
        self.steps.restore(state["steps"])


class Rules:
    """Holds lines against rules while they come. A rule that is broken is one incident until it is not any more.

    `begun` is the id of the model that it began with: ids of incidents are made of it, and stay with another one.
    """

    def __init__(self, book: RuleBook, begun: str) -> None:
        self.book, self._begun = book, begun
        self._watched = [_Watched(rule) for rule in book.rules]
        self._since_us = self._now_us = NO_TIME  # from when on lines could have come, and until when they have
        self._last: dict[str, LiveIncident] = {}

    def turn_to(self, book: RuleBook, now_us: int) -> list[LiveIncident]:
        """Go by another book from now on (event time); return what was broken of rules that are gone, as withdrawn."""
        kept = {one.rule: one for one in self._watched if one.rule in book.rules}
        gone = [self._last.pop(one.rule.name) for one in self._watched if one.rule not in kept and one.is_broken]
        self.book = book
        self._watched = [kept.get(rule) or _Watched(rule, since_us=now_us) for rule in book.rules]
        return [replace(one, change="withdrawn", notable=True) for one in gone]

    def standing(self) -> list[tuple[Rule, bool, int]]:
        """Return each rule, whether it is broken now, and how many lines it has matched since it began to be."""
        return [(one.rule, one.is_broken, one.seen) for one in self._watched]

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
                self._match(one, some, np.sort(time_us.filter(flag).drop_nulls().to_numpy()))

    def _match(self, one: _Watched, records: pl.DataFrame, at: I64) -> None:
        if len(at):
            if one.rule.kind == "limit":
                one.steps.add(at)
            if one.rule.most is not None:
                one.peak = max(one.peak, one.steps.peak(), key=lambda counted: counted[0])
            if one.rule.kind == "always":
                later = at[at > one.last_us]
                known = later if one.last_us == NO_TIME else np.append(one.last_us, later)
                one.gap_us = max(one.gap_us, int(np.diff(known).max(initial=0)))
            one.from_us = int(at[0]) if one.from_us == NO_TIME else min(one.from_us, int(at[0]))
            one.last_us = max(one.last_us, int(at[-1]))
        one.seen += len(records)
        for source, line, text, message, service in records.tail(MOST_LINES).iter_rows():
            one.lines.append(LineRef(source, line, text or "", 1.0, message or ""))
            if service:
                one.services[service] = one.services.get(service, 0) + 1
        one.lines = one.lines[-MOST_LINES:]

    def changed(self, now_us: int) -> list[LiveIncident]:
        """Return incidents of rules that are broken by now (event time), more than before, or not any more."""
        if now_us == NO_TIME:
            return []
        self._now_us = now_us
        found = (self._look(one, now_us) for one in self._watched)
        return [one for one in found if one is not None]

    def _look(self, one: _Watched, now_us: int) -> LiveIncident | None:
        counted = one.steps.count(now_us), one.steps.from_us
        if one.peak[0] > counted[0]:
            counted = one.peak
        broken = self._broken(one, now_us, counted[0])
        gap_us, one.peak, one.gap_us = one.gap_us, (0, 0), 0
        name = one.rule.name
        if not broken:
            if not one.is_broken:
                return None
            one.begin()
            return replace(self._last.pop(name), change="over", notable=True)
        is_new, one.is_broken = not one.is_broken, True
        if is_new:
            one.first_us = self._first(one, counted[1])
        elif one.seen < GROWN * max(one.told, 1):
            return None
        one.told = one.seen
        incident = self._incident(one, now_us, counted[0], gap_us)
        live = LiveIncident(incident, "new" if is_new else "grown", provisional=False)
        self._last[name] = live
        return live

    def _broken(self, one: _Watched, now_us: int, counted: int) -> bool:
        rule = one.rule
        if rule.kind == "never":
            return one.last_us > now_us - QUIET_US or one.seen > one.told
        if rule.kind == "always":
            return max(now_us - self._last_match(one), one.gap_us) > rule.within_us
        if rule.most is not None:
            return counted > rule.most
        watched_us = now_us - max(self._since_us, one.since_us)
        return watched_us >= rule.within_us and counted < (rule.least or 0)

    def _first(self, one: _Watched, counted_us: int) -> int:
        """Return when a rule began to be broken; lines that are too many did from `counted_us` on."""
        if one.rule.most is not None:
            return counted_us
        return one.from_us if one.rule.kind == "never" and one.from_us != NO_TIME else self._last_match(one)

    def _last_match(self, one: _Watched) -> int:
        return max(self._since_us, one.since_us) if one.last_us == NO_TIME else one.last_us

    def _incident(self, one: _Watched, now_us: int, counted: int, gap_us: int) -> Incident:
        rule = one.rule
        start = to_datetime(one.first_us)
        pattern = hashlib.blake2b(f"rule\n{rule.name}".encode(), digest_size=8).hexdigest()
        said = f"{self._begun}\nrule\n{rule.name}\n{one.first_us}"
        ranked = sorted(one.services, key=lambda name: (-one.services[name], name))
        is_missed = rule.kind == "always" or rule.least is not None or one.last_us == NO_TIME
        return Incident(
            id=hashlib.blake2b(said.encode(), digest_size=8).hexdigest(),
            key=f"rule {rule.name}",
            keys=(),
            n_windows=0,
            start=start,
            end=to_datetime(now_us if is_missed else one.last_us),
            severity=float(MOST_NOVEL * LEVEL_FACTOR[LEVELS.index(rule.level)]),
            score=MOST_NOVEL,
            p_value=0.0,
            pattern=pattern,
            services=tuple(ranked[:10]) or ((rule.service,) if rule.service else ()),
            hosts=(),
            reasons=(_reason(one, counted, max(now_us - self._last_match(one), gap_us)),),
            lines=tuple(one.lines),
            patterns=(pattern,),
        )

    # -- state -----------------------------------------------------------------------------------------------

    def state(self) -> State:
        """Return what `restore` needs."""
        last = {name: [incident_json(one.incident), one.change] for name, one in self._last.items()}
        watched = {one.rule.name: one.state() for one in self._watched}
        return State(
            meta={"watched": watched, "since": self._since_us, "last": last, "begun": self._begun, "now": self._now_us}
        )

    def restore(self, state: State) -> None:
        """Go on where `state` was taken; rules that were not there then, or said something else, begin anew."""
        self._since_us, self._begun = state.meta["since"], state.meta["begun"]
        last = state.meta["last"]
        for one in self._watched:
            kept = state.meta["watched"].get(one.rule.name)
            if kept is None or kept["rule"] != asdict(one.rule):
                one.since_us = state.meta["now"]
                continue
            one.restore(kept)
            if one.is_broken:
                incident, change = last[one.rule.name]
                self._last[one.rule.name] = LiveIncident(incident_of(incident), change, provisional=False)

    @property
    def going(self) -> set[str]:
        """Ids of incidents that were told and go on."""
        return {one.incident.id for one in self._last.values()}


def _reason(one: _Watched, counted: int, gap_us: int) -> Reason:
    """Return why a rule is broken: so many matches in its time, or so long without one."""
    rule = one.rule
    what = f"“{rule.match}”" if rule.match else "lines"
    what += f" of {rule.service}" if rule.service else ""
    n = counted if rule.kind == "limit" else one.seen
    numbers: dict[str, float | int | str] = {"rule": rule.name, "seen": n}
    if rule.kind == "never":
        return Reason("rule", f"must never come: {what} ({n:,} line{'' if n == 1 else 's'})", numbers)
    if rule.kind == "always":
        minutes, usual = gap_us / 60e6, rule.within_us / 60e6
        said = f"must come every {usual:,.4g} min: {what}, not seen for {minutes:,.4g} min"
        return Reason("rule", said, numbers | {"minutes": minutes, "usual": usual})
    bound = f"at most {rule.most:,}" if rule.most is not None else f"at least {rule.least:,}"
    said = f"{n:,} of {what} in {rule.within_us / 60e6:,.4g} min, {bound} are allowed"
    return Reason("rule", said, numbers)
