"""From an incident back to the log store that its lines came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit

from oddlog.sources.asking import Store
from oddlog.sources.opening import STORES, is_store
from oddlog.types import Incident, LiveIncident

AROUND = timedelta(minutes=1)  # shown before and after an incident


class Links:
    """Notes of incidents where their lines stand.

    Parameters
    ----------
    texts : sequence of str
        What is read: paths, globs, and URLs of log stores.

    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._stores: list[Store] = [STORES[urlsplit(text).scheme](text) for text in texts if is_store(text)]

    def noted(self, incident: Incident) -> Incident:
        """Return the incident with a note for each store that its lines came from."""
        if not self._stores or incident.start is None or incident.end is None:
            return incident
        sources = {line.source for line in incident.lines}
        start, end = (round(at.timestamp() * 1e6) * 1_000 for at in (incident.start - AROUND, incident.end + AROUND))
        notes = [
            f"In {store.name}: {store.link(start, end)}"
            for store in self._stores
            if any(source == store.name or source.startswith(f"{store.name}/") for source in sources)
        ]
        return replace(incident, notes=(*incident.notes, *dict.fromkeys(notes))) if notes else incident

    def told(self, live: LiveIncident) -> LiveIncident:
        """Return the same of an incident that goes on."""
        incident = self.noted(live.incident)
        return live if incident is live.incident else replace(live, incident=incident)
