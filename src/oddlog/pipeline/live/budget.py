"""At most so many incidents a day: which are told, and which are only kept.

One fold over incidents in order of time, the same in a backtest and live.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

DAY_US = 86_400_000_000
WEEK_DAYS = 7
MOST_REMEMBERED = 10_000


@dataclass
class Budget:
    """Lets through the most pressing incidents, about `per_day` of them a day.

    An incident is let through if

    - it is as pressing as those of the last week that such a budget has room for (the *bar*), and
    - of those that were let through in the 24 hours before it, fewer than `per_day` are as pressing as it is.

    So what is among the `per_day` worst of its last 24 hours is never held back, however many trifles came before it:
    that is how there may be more than `per_day`. What was let through once stays so, whatever becomes of it; what was
    held back is asked again when it grows.

    >>> hour = 3_600_000_000
    >>> two = Budget(2)
    >>> [two.lets("a", 9.0, 0), two.lets("b", 3.0, hour), two.lets("c", 3.0, 2 * hour), two.lets("d", 12.0, 3 * hour)]
    [True, True, False, True]
    >>> two.lets("c", 30.0, 4 * hour), two.held
    (True, 1)

    Attributes
    ----------
    per_day : float
        How many.
    held : int
        Incidents that were held back when they were first asked for.

    """

    per_day: float
    held: int = 0
    _seen: dict[str, tuple[int, float]] = field(default_factory=dict)  # id -> when, how pressing; of the last week
    _told: dict[str, tuple[int, float]] = field(default_factory=dict)  # … of those let through

    def lets(self, id_: str, severity: float, at_us: int) -> bool:
        """Return whether an incident may be told, that is so pressing at that time."""
        known = id_ in self._seen
        self._forget(at_us)
        before = max(severity, self._seen.get(id_, (0, severity))[1])
        self._seen[id_] = (at_us, before)
        if id_ in self._told:
            self._told[id_] = (self._told[id_][0], before)
            return True
        as_pressing = sum(one >= severity for when, one in self._told.values() if at_us - when < DAY_US)
        if severity < self.bar or as_pressing >= self.per_day:
            self.held += not known
            return False
        self._told[id_] = (at_us, severity)
        return True

    @property
    def bar(self) -> float:
        """How pressing an incident must be: as the least of the last week that there is room for; 0 while all fit."""
        ranked = sorted((one for _, one in self._seen.values()), reverse=True)
        room = max(round(self.per_day * WEEK_DAYS), 1)
        return ranked[room - 1] if len(ranked) >= room else 0.0

    def _forget(self, at_us: int) -> None:
        old = at_us - WEEK_DAYS * DAY_US
        for known in (self._seen, self._told):
            for name in [name for name, (when, _) in known.items() if when < old]:
                del known[name]
            while len(known) > MOST_REMEMBERED:
                del known[next(iter(known))]

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs."""
        return {"held": self.held, "seen": self._seen, "told": self._told}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.held = state["held"]
        self._seen = {name: (when, severity) for name, (when, severity) in state["seen"].items()}
        self._told = {name: (when, severity) for name, (when, severity) in state["told"].items()}
