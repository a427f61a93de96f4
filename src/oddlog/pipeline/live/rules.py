"""Traditional rules beside what is learned: a line that must never come, one that must always come, a limit.

::

    records ──► lines that a rule matches ──► its incident: new, grown, over     in the same list as all others

What rules there are stands in `rulebook`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from oddlog.incidents import LEVEL_FACTOR, MOST_NOVEL
from oddlog.pipeline.learning.checkpointing import incident_json, incident_of
from oddlog.pipeline.live.rulebook import Rule, RuleBook
from oddlog.types import LEVELS, NO_TIME, TIME, Incident, LineRef, LiveIncident, Reason, State, to_datetime

QUIET_US = 3_600_000_000  # after so long without a match a `never` is over
MOST_LINES = 20  # shown
MOST_MATCHES = 100_000  # of a limit, that are remembered
GROWN = 2  # told again at so many times the matches


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
    since_us: int = NO_TIME  # from when on it is watched, if that is later than the first line


class Rules:
    """Holds lines against rules while they come. A rule that is broken is one incident until it is not any more."""

    def __init__(self, book: RuleBook) -> None:
        self.book = book
        self._watched = [_Watched(rule) for rule in book.rules]
        self._since_us = NO_TIME  # from when on lines could have come
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
        watched_us = now_us - max(self._since_us, one.since_us)
        return watched_us >= rule.within_us and len(one.times) < (rule.least or 0)

    def _last_match(self, one: _Watched) -> int:
        return one.times[-1] if one.times else max(self._since_us, one.since_us)

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
                "since": one.since_us,
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
                one.since_us = kept.get("since", NO_TIME)
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
