"""An incident as others are told of it: JSON, and a few words."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from oddlog.types import LiveIncident

MOST_REASONS = 3
ENDED = ("over", "withdrawn")


def as_json(live: LiveIncident) -> dict[str, Any]:
    """Return the object that others build on."""
    head = {"type": "incident", "change": live.change, "provisional": live.provisional}
    return head | asdict(live.incident)


def summary(live: LiveIncident) -> str:
    """Return one line: what, where, why."""
    incident = live.incident
    where = f" in {', '.join(incident.services[:3])}" if incident.services else ""
    why = incident.reasons[0].text if incident.reasons else incident.key
    word = {"over": "Over: ", "withdrawn": "Usual after all: "}.get(live.change, "")
    return f"{word}{why}{where}"


def details(live: LiveIncident) -> list[str]:
    """Return the further reasons, and the first odd line."""
    incident = live.incident
    told = [one.text for one in incident.reasons[1:MOST_REASONS]]
    return told + [f"{line.source}:{line.line} {line.text}"[:500] for line in incident.lines[:1]]
