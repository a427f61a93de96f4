"""What of the incidents is told to sinks: not what a maintenance window covers, and no more than a budget holds.

All of them are kept and shown; one that is held back says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from oddlog.pipeline.learning.checkpointing import incident_json, incident_of
from oddlog.pipeline.live.budget import Budget
from oddlog.pipeline.live.maintenance import Maintenance, is_lasting
from oddlog.types import Incident, LiveIncident

MOST_TOLD = 10_000
ENDED = ("over", "withdrawn")


@dataclass
class Gate:
    """Decides what is told.

    Attributes
    ----------
    budget : Budget or None
        At most so many a day.
    maintenance : sequence of Maintenance
        When nothing is told of some services.
    held : int
        Incidents that were held back.

    """

    budget: Budget | None = None
    maintenance: Sequence[Maintenance] = ()
    held: int = 0
    _told: dict[str, None] = field(default_factory=dict)
    _held: dict[str, str] = field(default_factory=dict)  # id -> why
    _until: dict[str, tuple[datetime, LiveIncident]] = field(default_factory=dict)  # of what lasts by itself, by id

    def turn_to(self, per_day: float | None, maintenance: Sequence[Maintenance]) -> None:
        """Go by another budget (None for none) and other maintenance windows from now on; what was told stays told."""
        self.maintenance = maintenance
        if per_day is None:
            self.budget = None
        elif self.budget is None:
            self.budget = Budget(per_day)
        else:
            self.budget.per_day = per_day

    @property
    def held_ids(self) -> list[str]:
        """Ids of the last incidents that were held back and not told since, the latest first."""
        held = list(self._held)  # in one step: pages ask while the worker goes on
        return [id_ for id_ in reversed(held) if id_ not in self._told]

    def __bool__(self) -> bool:
        return self.budget is not None or bool(self.maintenance)

    def through(self, live: LiveIncident, now: datetime) -> LiveIncident:
        """Return the incident as it is to be stored: not `notable` if it is held back, with the reason in its notes.

        `now` is the time of an incident that has none.
        """
        incident = live.incident
        if not self:
            return self._noted(live)
        if incident.id in self._told:
            return live
        if live.change in ENDED:
            self._until.pop(incident.id, None)  # nobody was told that it began
            return replace(live, notable=False, incident=_noting(incident, self._held.get(incident.id, "")))
        why = self._why_not(live, now)
        if not why:
            self._told[incident.id] = None
            _bound(self._told)
            return replace(live, change="new", notable=True)  # to whoever is told
        if incident.id not in self._held:
            self.held += 1
        self._held[incident.id] = why
        _bound(self._held)
        return replace(live, notable=False, incident=_noting(incident, why))

    def _noted(self, live: LiveIncident) -> LiveIncident:
        """Note what is told while nothing is held back: what goes on goes on being told once something is."""
        id_ = live.incident.id
        if live.change not in ENDED:
            self._told[id_] = None
            _bound(self._told)
        elif id_ not in self._held:
            self._told.pop(id_, None)
        self._until.pop(id_, None)
        return live

    def after(self, now: datetime) -> list[LiveIncident]:
        """Return what goes on although the maintenance is over, or ended, that held it back."""
        waiting = [live for until, live in self._until.values() if now > until or not self._holds(live.incident, now)]
        for live in waiting:
            del self._until[live.incident.id]
        return [self.through(replace(one, incident=replace(one.incident, end=now)), now) for one in waiting]

    def _holds(self, incident: Incident, now: datetime) -> tuple[str, datetime] | None:
        """Return the name of the maintenance that holds an incident back, and when it ends."""
        until = ((one.name, one.holds_back(incident, now)) for one in self.maintenance)
        return next(((name, ends) for name, ends in until if ends is not None), None)

    def _why_not(self, live: LiveIncident, now: datetime) -> str:
        incident = live.incident
        at = incident.start or now
        held = self._holds(incident, now)
        if held is not None:
            name, ends = held
            if is_lasting(incident):
                self._until[incident.id] = (ends, live)
            return f"not told: {name}"
        end = incident.end or at
        if self.budget is not None and not self.budget.lets(
            incident.id, incident.severity, round(end.timestamp() * 1e6)
        ):
            return f"not told: the budget of {self.budget.per_day:g} a day is spent on what is more pressing"
        return ""

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs."""
        budget = None if self.budget is None else self.budget.state()
        until = [[ends.isoformat(), incident_json(one.incident)] for ends, one in self._until.values()]
        return {
            "budget": budget,
            "told": list(self._told),
            "held": [[id_, why] for id_, why in self._held.items()],
            "n_held": self.held,
            "until": until,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        if self.budget is not None and state["budget"] is not None:
            self.budget.restore(state["budget"])
        self._told = dict.fromkeys(state["told"])
        # A checkpoint of before holds ids alone.
        self._held = dict((one, "") if isinstance(one, str) else one for one in state["held"])
        self.held = state["n_held"]
        for ends, incident in state.get("until", ()):
            live = LiveIncident(incident_of(incident), "new", provisional=False)
            self._until[live.incident.id] = (datetime.fromisoformat(ends), live)


def _noting(incident: Incident, why: str) -> Incident:
    return replace(incident, notes=(*incident.notes, why)) if why and why not in incident.notes else incident


def _bound(known: dict[str, Any]) -> None:
    while len(known) > MOST_TOLD:
        del known[next(iter(known))]
