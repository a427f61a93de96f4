"""What is odd and what only looks odd, written beside the logs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from oddlog.datasets.simulator.datacentre.plan import Plan, Planned
from oddlog.datasets.simulator.datacentre.traffic import Batch
from oddlog.datasets.simulator.tables import Tables, iso
from oddlog.types import I64, Tally


class Labels(Tables):
    """The label files, written as the logs are.

    Parameters
    ----------
    folder : Path
        Exists.
    plan : Plan
        Names the incidents.

    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        super().__init__(folder)
        self._by_number = {one.number: one for one in plan.incidents}
        self._keys = self.table("labels.csv", "key", "label")
        self._traces = self.table("traces.csv", "key", "period", "scenario", "incident")
        self._lines = self.table("labels_lines.csv", "source", "line", "incident", "kind", "direct")
        self.traces: Counter[int] = Counter()
        self.lines: Counter[int] = Counter()

    def add_traces(self, period: str, batch: Batch) -> None:
        """Write the traces of a batch."""
        rows = list(zip(batch.ids.to_list(), batch.number.tolist(), strict=True))
        self._keys.writerows((key, int(number > 0)) for key, number in rows)
        named = ((key, self._by_number[number].id if number else "") for key, number in rows)
        self._traces.writerows((key, period, batch.scenario, incident) for key, incident in named)
        self.traces.update(batch.number.tolist())

    def add_lines(self, source: str, line: I64, mark: I64) -> None:
        """Write marked lines [x] of `source`."""
        for at, code in zip(line.tolist(), mark.tolist(), strict=True):
            planned = self._by_number[code // 2]
            self._lines.writerow((source, at, planned.id, planned.incident.kind, code % 2))
        self.lines.update((mark // 2).tolist())

    def count(self, tally: Tally) -> None:
        """Add the numbers of traces and lines by kind to `tally`."""
        for what, counts in (("traces", self.traces), ("lines", self.lines)):
            for number, n in sorted(counts.items()):
                kind = self._by_number[number].incident.kind if number else "usual"
                tally.add(f"{what}: {kind}", n)


def incidents(plan: Plan, labels: Labels) -> list[dict[str, Any]]:
    """Return what should be found, in the order of time."""
    return [_incident(one, labels) for one in plan.incidents]


def _incident(planned: Planned, labels: Labels) -> dict[str, Any]:
    incident = planned.incident
    return {
        "id": planned.id,
        "kind": incident.kind,
        "group": planned.group,
        "period": planned.period,
        "start": iso(incident.span.start_us),
        "end": iso(incident.span.end_us),
        "what": incident.what,
        "services": incident.services,
        "hosts": incident.hosts,
        "entity": incident.entity or None,
        "expected_reasons": incident.expected,
        "traces": labels.traces[planned.number],
        "lines": labels.lines[planned.number],
    }


def harmless(plan: Plan) -> list[dict[str, str]]:
    """Return what looks odd and is not."""
    ordered = sorted(plan.harmless, key=lambda one: one.span.start_us)
    return [
        {
            "kind": one.kind,
            "period": one.period,
            "start": iso(one.span.start_us),
            "end": iso(one.span.end_us),
            "what": one.what,
        }
        for one in ordered
    ]
