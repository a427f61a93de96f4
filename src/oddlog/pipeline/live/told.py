"""An incident that was told: as it was then, and whether it is worth to be told again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from oddlog.pipeline.learning.checkpointing import incident_json, incident_of
from oddlog.types import Incident, LiveIncident

QUIET_US = 3_600_000_000  # an incident is over after so much event time without anything more
GROWN = 2.0  # an incident is told again once it has so many times the windows or the weight


@dataclass
class Told:
    """An incident that goes on.

    Attributes
    ----------
    last : LiveIncident
        As it was told last.
    seen_us : int
        Event time of the last of it.
    weight : tuple of float and int
        Severity and windows when it was told last as notable.

    """

    last: LiveIncident
    seen_us: int
    weight: tuple[float, int]

    @classmethod
    def first(cls, live: LiveIncident, seen_us: int) -> Self:
        """Note an incident that is new."""
        return cls(live, seen_us, _weight(live.incident))

    def again(self, live: LiveIncident, seen_us: int) -> LiveIncident | None:
        """Return the same incident as it is now, if it has changed; notable if it has grown or is another kind of news.

        `seen_us` is the event time of the last of it.
        """
        self.seen_us, last = max(self.seen_us, seen_us), self.last
        notable = self._has_grown(live.incident) or _kind(live) != _kind(last)
        if not notable and _size(live.incident) == _size(last.incident):
            return None
        self.last = replace(live, change="grown", notable=notable)
        if notable:
            self.weight = _weight(live.incident)
        return self.last

    def end(self, change: Literal["over", "withdrawn"] = "over") -> LiveIncident:
        """Return it as it was last, and that nothing more will come."""
        return replace(self.last, change=change, notable=True)

    def _has_grown(self, incident: Incident) -> bool:
        severity, n_windows = self.weight
        return bool(incident.severity >= GROWN * severity or incident.n_windows >= GROWN * max(n_windows, 1))

    def is_near(self, incident: Incident, quiet_us: int) -> bool:
        """Return whether an incident is not so far from this one that one of them was over before the other began."""
        if incident.start is None or incident.end is None:
            return True
        start = self.last.incident.start
        start_us, end_us = (round(one.timestamp() * 1e6) for one in (incident.start, incident.end))
        from_us = self.seen_us if start is None else round(start.timestamp() * 1e6)
        return from_us - end_us <= QUIET_US and start_us - self.seen_us <= quiet_us

    def state(self) -> dict[str, Any]:
        """Return what `from_state` needs."""
        return {
            "incident": incident_json(self.last.incident),
            "change": self.last.change,
            "provisional": self.last.provisional,
            "seen": self.seen_us,
            "weight": self.weight,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Go on where `state` was taken."""
        live = LiveIncident(incident_of(state["incident"]), state["change"], state["provisional"])
        return cls(live, state["seen"], (state["weight"][0], state["weight"][1]))


def _weight(incident: Incident) -> tuple[float, int]:
    return incident.severity, incident.n_windows


def _kind(one: LiveIncident) -> tuple[object, ...]:
    return one.provisional, one.incident.answer


def _size(incident: Incident) -> tuple[object, ...]:
    return incident.n_windows, incident.start, incident.end, len(incident.lines), incident.severity
