"""An incident as others are told of it: JSON, and a few words."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from oddlog.types import LiveIncident

MOST_REASONS = 3
MOST_PLACES = 3
ENDED = ("over", "withdrawn")


def as_json(live: LiveIncident) -> dict[str, Any]:
    """Return the object that others build on."""
    head = {"type": "incident", "change": live.change, "provisional": live.provisional}
    return head | asdict(live.incident)


def summary(live: LiveIncident, most: int | None = None) -> str:
    """Return one line: what, why, where; at `most` so many characters, if `why` can be cut for that."""
    incident = live.incident
    by_host = incident.hosts and not incident.services
    where = f" {'on' if by_host else 'in'} {', '.join(incident.place[:MOST_PLACES])}" if incident.place else ""
    why = incident.reasons[0].text if incident.reasons else incident.key
    word = {"over": "Over: ", "withdrawn": "Usual after all: "}.get(live.change, "")
    room = len(why) if most is None else max(most - len(word) - len(where), 1)
    return f"{word}{why if len(why) <= room else why[: room - 1] + '…'}{where}"


def details(live: LiveIncident) -> list[str]:
    """Return the further reasons, and the first odd line."""
    incident = live.incident
    told = [one.text for one in incident.reasons[1:MOST_REASONS]]
    return told + [f"{line.source}:{line.line} {line.text}"[:500] for line in incident.lines[:1]]
