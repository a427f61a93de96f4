"""Services that a model has never seen: for a day they are *learning*, and nothing of them is odd.

What a new service writes in that day is taken as usual of it from then on; what it writes for the first time later is
odd as of any other. It is told once, as a notice, which is over when the day is, or when the time of all lines has gone
on by a day without one of its own: what is new of it after that is odd, too. A model that knows no service by name has
no newcomers, and there are none until a service that it knows has been seen: else a log whose services are only called
otherwise would be silent.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from oddlog.model import Model
from oddlog.pipeline.events import Codes
from oddlog.types import I64, NO_TIME, Bool, Incident, LiveIncident, Reason, Tally, to_datetime

LEARNING_US = 86_400_000_000
MOST_PAIRS = 200_000  # types of new services that are known
SEVERITY = 1.0
_ROW_BITS = 32
VANISHED = "nothing of it has come for a day"
BEYOND = "message type of a new service beyond the limit: taken for odd"


@dataclass
class _Newcomer:
    """A new service: when it was first seen, and what was told of it."""

    first_us: int
    last_us: int
    lines: int = 0
    types: int = 0
    state: str = "unseen"  # unseen, new, over
    heard_us: int = NO_TIME  # which time had been reached by all lines when it was heard of last …
    heard: int = 0  # … and its lines until then

    def hear(self, now_us: int) -> None:
        """Note whether lines of it have come until now; its own times may lie far behind those of others."""
        if self.heard != self.lines or self.heard_us == NO_TIME:
            self.heard_us, self.heard = now_us, self.lines

    def has_learned(self) -> bool:
        """Return whether its lines are of a day."""
        return self.last_us - self.first_us >= LEARNING_US

    def has_vanished(self, now_us: int) -> bool:
        """Return whether nothing of it has come for a day."""
        return self.heard_us != NO_TIME and now_us - self.heard_us >= LEARNING_US


@dataclass
class Newcomers:
    """Knows which services are new, and what they have written while they were learning."""

    model: Model
    services: Codes
    tally: Tally
    _seen: dict[int, _Newcomer] = field(default_factory=dict)
    _pairs: I64 = field(default_factory=lambda: np.empty(0, np.int64))  # ascending
    _is_one_known: bool = False

    def __bool__(self) -> bool:
        return bool(len(self._pairs))

    @property
    def _n_known(self) -> int:
        return len(self.model.context.services)

    @property
    def learning(self) -> tuple[str, ...]:
        """Names of the services that are learning."""
        return tuple(self.services.names[code] for code, one in self._seen.items() if one.state != "over")

    def add(self, events: pl.DataFrame) -> None:
        """Take in events: ``service template time_us count``."""
        service = events["service"].to_numpy()
        if not any(self.model.context.services):
            return
        if not self._is_one_known:
            named = [code for code, name in enumerate(self.model.context.services) if name]
            self._is_one_known = bool(np.isin(service, named).any())
        if not self._is_one_known or not len(service) or int(service.max()) < self._n_known:
            return
        new = events.filter(pl.col("service") >= self._n_known)
        of = new.group_by("service", maintain_order=True).agg(
            first=pl.col("time_us").filter(pl.col("time_us") != NO_TIME).min(),
            last=pl.col("time_us").filter(pl.col("time_us") != NO_TIME).max(),
            lines=pl.col("count").sum(),
        )
        for code, first, last, lines in of.iter_rows():
            one = self._seen.setdefault(code, _Newcomer(first or NO_TIME, last or NO_TIME))
            one.last_us, one.lines = max(one.last_us, last or NO_TIME), one.lines + int(lines)
        until = {code: one.first_us + LEARNING_US for code, one in self._seen.items() if one.state != "over"}
        if until:  # by the time of each line: a batch may hold more than a day
            ends = pl.col("service").replace_strict(until, default=NO_TIME, return_dtype=pl.Int64)
            self._learn(new.filter(pl.col("time_us") < ends))

    def _learn(self, events: pl.DataFrame) -> None:
        pair = np.unique(_pairs(events["service"].to_numpy(), events["template"].to_numpy()))
        fresh = pair[~np.isin(pair, self._pairs, assume_unique=True)]
        room = max(MOST_PAIRS - len(self._pairs), 0)
        self.tally.add(BEYOND, len(fresh) - room)
        fresh = fresh[:room]
        for code, n in zip(*np.unique(fresh >> _ROW_BITS, return_counts=True), strict=True):
            self._seen[int(code)].types += int(n)
        if len(fresh):
            self._pairs = np.union1d(self._pairs, fresh)

    def excuses(self, service: np.ndarray, template: np.ndarray) -> Bool:
        """Return which events [e] are of what a new service has written while it was learning."""
        excused: Bool = np.isin(_pairs(service, template), self._pairs)
        return excused

    def changed(self, now_us: int) -> list[LiveIncident]:
        """Return a notice for each service that is new, and for each that has learned enough or has vanished.

        `now_us` is the time that all lines together have reached.
        """
        told = []
        for code, one in self._seen.items():
            one.hear(now_us)
            if one.state == "unseen":
                one.state = "new"
                told.append(LiveIncident(self._incident(code, one), "new", provisional=False))
            elif one.state == "new" and (one.has_learned() or one.has_vanished(now_us)):
                one.state = "over"
                notes = () if one.has_learned() else (VANISHED,)
                told.append(LiveIncident(replace(self._incident(code, one), notes=notes), "over", provisional=False))
        return told

    @property
    def going(self) -> set[str]:
        """Ids of incidents that were told and go on."""
        return {self._id(self.services.names[code]) for code, one in self._seen.items() if one.state == "new"}

    def _id(self, name: str) -> str:
        return hashlib.blake2b(f"{self.model.id}\nnew service\n{name}".encode(), digest_size=8).hexdigest()

    def _incident(self, code: int, one: _Newcomer) -> Incident:
        name = self.services.names[code]
        said = f"service {name} was never seen in training: for a day it is learning, and nothing of it is odd"
        pattern = hashlib.blake2b(f"new service\n{name}".encode(), digest_size=8).hexdigest()
        return Incident(
            id=self._id(name),
            key=f"service {name}",
            keys=(),
            n_windows=0,
            start=to_datetime(one.first_us),
            end=to_datetime(one.last_us),
            severity=SEVERITY,
            score=SEVERITY,
            p_value=1.0,
            pattern=pattern,
            services=(name,),
            hosts=(),
            reasons=(Reason("new_service", said, {"service": name, "lines": one.lines, "types": one.types}),),
            lines=(),
            patterns=(pattern,),
            urgency="notice",
        )

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs."""
        return {
            "seen": [[code, dict(vars(one))] for code, one in self._seen.items()],
            "pairs": self._pairs.tolist(),
            "known": self._is_one_known,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self._seen = {code: _Newcomer(**one) for code, one in state["seen"]}
        self._pairs = np.array(state["pairs"], np.int64)
        self._is_one_known = state["known"]


def _pairs(service: np.ndarray, template: np.ndarray) -> I64:
    pair: I64 = (service.astype(np.int64) << _ROW_BITS) + template.astype(np.int64)
    return pair
