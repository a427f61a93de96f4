"""Which odd stretches have one cause for all we know.

::

    stretches ──► groups    that begin and end together, in one service or in services that sessions run through
              ──► causes    the time that most of a group's evidence shares; weaker sights of it are put beside it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from oddlog.incidents import Joined
from oddlog.pipeline.judging.rates_reasons import Stretch
from oddlog.rates.counting import BUCKET
from oddlog.types import F64, I64

GAP = 30  # minutes after the end of one stretch in which another may belong to it
TOGETHER = 0.5  # share of the lines of an entity that there are too many of
SAME_TIME = 0.5  # share of the longer of two stretches in which both are odd, if they are of one service …
SAME_START = 10  # … or begin and end so many minutes apart at most
SHORT = 2 * SAME_START  # minutes: when exactly what is this short began is not known that well
MEANWHILE = 0.6  # share of the shorter of two causes that lies in the other, if one explains the other
SAME_SILENCE = 2
FIRST, LAST = 0.25, 0.75  # shares of the evidence that have begun at the start, and ended at the end


@dataclass
class Cause:
    """Stretches that fix the time of a cause, and weaker ones of the same place meanwhile."""

    core: list[Stretch]
    beside: list[Stretch] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Some stretches begin with a chance hit long before, or end with one: when most of the evidence does, counts.
        weight = np.array([one.surprise for one in self.core])
        self.start = _weighted(np.array([one.start for one in self.core]), weight, FIRST)
        self.end = max(_weighted(np.array([one.end for one in self.core]), weight, LAST), self.start)
        self.strength = max(one.surprise for one in self.core)
        self.places = {one.service or f"host {one.host}" for one in self.core if one.service or one.host}
        # A ramp only knows the hours in which something climbed; what else is odd knows when it began.
        self.is_ramp = all(one.member == "ramp" for one in self.core)
        self.has_own_place = any(one.kind == "entity" or one.member == "silence" for one in self.core)

    def order(self) -> tuple[bool, bool, float, int, int]:
        """Return what comes first when causes explain each other: who did it, then what is oddest, ramps last."""
        return self.is_ramp, not self.has_own_place, -self.strength, self.start, -self.end

    def explains(self, other: Cause) -> bool:
        """Return whether a weaker cause is but another sight of this one: in the same places, at the same time."""
        if other.has_own_place or not other.places <= self.places:
            return False
        if other.is_ramp and not {_series(one) for one in other.core} & {_series(one) for one in self.core}:
            return False
        both = min(self.end, other.end) - max(self.start, other.start) + 1
        return both >= MEANWHILE * (min(self.end - self.start, other.end - other.start) + 1)


def _weighted(minutes: I64, weight: F64, share: float) -> int:
    """Return the least of the minutes [x] that hold at least so large a share of the weight up to them."""
    order = np.argsort(minutes, kind="stable")
    at = np.searchsorted(np.cumsum(weight[order]), share * weight.sum())
    return int(minutes[order][min(at, len(order) - 1)])


def causes_of(stretches: Sequence[Stretch], traced: frozenset[str]) -> list[Cause]:
    """Return the causes; sessions run through the services that are `traced`."""
    found: list[Cause] = []
    for cause in sorted(map(Cause, _groups(stretches, traced)), key=Cause.order):
        stronger = next((one for one in found if one.explains(cause)), None)
        if stronger is None:
            found.append(cause)
        else:
            stronger.beside += cause.core
    return found


def _groups(stretches: Sequence[Stretch], traced: frozenset[str]) -> list[list[Stretch]]:
    """Return the stretches that belong together."""
    joined = Joined(len(stretches))
    open_: list[int] = []
    for i in sorted(range(len(stretches)), key=lambda i: stretches[i].start):
        open_ = [j for j in open_ if stretches[j].end + GAP >= stretches[i].start]
        for j in open_:
            if joined.root(i) != joined.root(j) and _together(stretches[j], stretches[i], traced):
                joined.join(j, i)
        open_.append(i)
    members: dict[int, list[Stretch]] = {}
    for i, one in enumerate(stretches):
        members.setdefault(joined.root(i), []).append(one)
    return list(members.values())


def _together(one: Stretch, other: Stretch, traced: frozenset[str]) -> bool:
    """Return whether two stretches, at most a gap apart, have one cause for all we know.

    Sessions run through the services that are `traced`: what goes wrong in one of these is felt in others at once.
    """
    if "ramp" in (one.member, other.member):
        # The end of a ramp is far from usual, too; that is seen when causes explain each other.
        return one.member == other.member and (_series(one) == _series(other) or _same_service(one, other))
    if "silence" in (one.member, other.member):
        both = one.member == other.member
        return abs(one.start - other.start) <= SAME_SILENCE if both else _same_service(one, other)
    if one.kind == other.kind == "entity":
        return one.name == other.name
    if "entity" in (one.kind, other.kind):
        return _caused_by(*((one, other) if one.kind == "entity" else (other, one)))
    longer = max(each.end - each.start + 1 for each in (one, other))
    at_once = abs(one.start - other.start) <= SAME_START and abs(one.end - other.end) <= SAME_START
    if overlap(one, other) < SAME_TIME * longer and not (at_once and longer <= SHORT):
        return False
    alike = not one.service or not other.service or (one.service in traced) == (other.service in traced)
    return _same_service(one, other) or (at_once and alike)


def _same_service(one: Stretch, other: Stretch) -> bool:
    return bool(one.service) and one.service == other.service


def _caused_by(who: Stretch, what: Stretch) -> bool:
    """Return whether an entity's lines are what there is too much of."""
    slack = 2 * BUCKET  # lines of entities are counted in ten minutes
    if abs(who.start - what.start) > slack or abs(who.end - what.end) > slack:
        return False
    if who.template >= 0:
        return who.template == what.template or _same_service(who, what)
    is_count = what.member in ("z-score", "moving-average")
    return is_count and abs(who.start - what.start) <= BUCKET and what.seen >= TOGETHER * who.seen


def _series(one: Stretch) -> tuple[str, str, str, str, int]:
    return one.kind, one.service, one.host, one.name, one.template


def overlap(one: Stretch, other: Stretch) -> int:
    """Return the minutes in which both are odd; negative where they lie apart."""
    return min(one.end, other.end) - max(one.start, other.start) + 1
