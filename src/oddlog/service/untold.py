"""What has happened to incidents and is not stored yet, in the order it happened."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from oddlog.store.letters import ENDED
from oddlog.types import LiveIncident

MOST_OF_ONE = 16  # changes of one incident that wait: it began and ended again and again while nothing could be stored


class Untold:
    """Holds changes until they are stored.

    An incident may begin and end between two looks at it, in logs that are replayed: both are kept, for sinks are told
    both. That one is over is stored with a checkpoint only, in the same transaction: a service that is killed goes on
    behind it, and does not find the incident anew.
    """

    def __init__(self) -> None:
        self._of: dict[str, list[LiveIncident]] = {}

    def __len__(self) -> int:
        return len(self._of)

    def add(self, live: LiveIncident) -> None:
        """Take in a change; what has grown since is told as it is then."""
        changes = self._of.setdefault(live.incident.id, [])
        if changes and changes[-1].change == "grown" and live.change != "new":
            live = replace(live, notable=changes.pop().notable or live.notable)
        changes.append(live)
        if len(changes) > MOST_OF_ONE:
            del changes[1:3]  # an end and the beginning after it

    def ready(self, *, with_ends: bool) -> list[LiveIncident]:
        """Return what can be stored now; without ends nothing of an incident from where it ended on."""
        found: list[LiveIncident] = []
        for changes in self._of.values():
            found += changes if with_ends else changes[: _first_end(changes)]
        return found

    def stored(self, which: Iterable[LiveIncident]) -> None:
        """Let go of changes that `ready` has returned."""
        gone = {id(one) for one in which}
        left = {name: [one for one in changes if id(one) not in gone] for name, changes in self._of.items()}
        self._of = {name: changes for name, changes in left.items() if changes}


def _first_end(changes: list[LiveIncident]) -> int:
    return next((i for i, one in enumerate(changes) if one.change in ENDED), len(changes))
