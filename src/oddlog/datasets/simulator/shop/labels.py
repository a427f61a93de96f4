"""What is odd and what only looks odd, written beside the logs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from oddlog.datasets.simulator.shop.messages import HOSTS
from oddlog.datasets.simulator.shop.plan import BURST_MINUTES, MINUTE_US, Period, Plan
from oddlog.datasets.simulator.shop.traffic import ATTACK_MARK, STORM_MARK, Batch
from oddlog.datasets.simulator.shop.values import ATTACKER, OFFICE
from oddlog.datasets.simulator.tables import Tables, iso
from oddlog.types import I64, Tally

KINDS = {0: "", STORM_MARK: "error-storm", ATTACK_MARK: "log-in-attack"}
"""What a mark means; also the incident's id."""


@dataclass(frozen=True)
class Incident:
    """Something that went wrong today, as a person should read of it.

    Attributes
    ----------
    id, kind : str
        Alike as long as each kind is there once.
    start, end : str
        ISO 8601, UTC.
    what : str
        The sentence one hopes to get.
    services, hosts : tuple of str
        Where it happens.
    address : str or None
        Who does it.
    traces, lines : int
        How many requests and lines belong to it.

    """

    id: str
    kind: str
    start: str
    end: str
    what: str
    services: tuple[str, ...]
    hosts: tuple[str, ...]
    address: str | None
    traces: int
    lines: int


class Labels(Tables):
    """The label files, written as the logs are.

    Parameters
    ----------
    folder : Path
        Exists.

    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._keys = self.table("labels.csv", "key", "label")
        self._lines = self.table("labels_lines.csv", "source", "line", "kind")
        self._traces = self.table("traces.csv", "key", "period", "scenario", "incident")
        self._clients: set[str] = set()
        self.traces = dict.fromkeys(KINDS, 0)
        self.lines = dict.fromkeys(KINDS, 0)

    def __exit__(self, *end: object) -> None:
        clients = self.table("labels_clients.csv", "key", "label")
        clients.writerows((client, int(client == ATTACKER)) for client in sorted(self._clients))
        super().__exit__(*end)

    def add_traces(self, period: Period, batch: Batch) -> None:
        """Write the traces of a batch."""
        kind, label = KINDS[batch.mark], int(batch.mark > 0)
        self._keys.writerows((key, label) for key in batch.traces.ids)
        self._traces.writerows((key, period.name, batch.scenario.name, kind) for key in batch.traces.ids)
        self._clients.update(str(client) for client in batch.traces.value("client"))
        self.traces[batch.mark] += len(batch.traces)

    def add_lines(self, source: str, line: I64, mark: I64) -> None:
        """Write marked lines [x] of `source`."""
        rows = list(zip(line.tolist(), mark.tolist(), strict=True))
        self._lines.writerows((source, number, KINDS[code]) for number, code in rows)
        for _, code in rows:
            self.lines[code] += 1

    def count(self, tally: Tally) -> None:
        """Add the numbers of traces and lines by kind to `tally`."""
        for code, kind in KINDS.items():
            tally.add(f"traces: {kind or 'usual'}", self.traces[code])
            tally.add(f"lines: {kind or 'usual'}", self.lines[code])


def incidents(plan: Plan, labels: Labels) -> list[dict[str, Any]]:
    """Return what should be found."""
    deployed = next(d for d in plan.today.deployments if not d.harmless)
    found = (
        _incident(
            labels,
            STORM_MARK,
            (deployed.at_us, plan.storm[1]),
            f"{deployed.service} {deployed.version} was deployed; since then the payment processor refuses "
            "every charge, payments gives up after three attempts, orders are rolled back, checkouts end "
            "with 500 and no confirmation is sent.",
            ("payments", "orders", "gateway"),
        ),
        _incident(
            labels,
            ATTACK_MARK,
            plan.attack,
            f"{ATTACKER} tries to log in under hundreds of user names and fails; each try looks like a "
            "mistyped password.",
            ("auth", "gateway"),
            address=ATTACKER,
        ),
    )
    return [asdict(incident) for incident in sorted(found, key=lambda incident: incident.start)]


def _incident(
    labels: Labels,
    mark: int,
    span: tuple[int, int],
    what: str,
    services: tuple[str, ...],
    *,
    address: str | None = None,
) -> Incident:
    hosts = tuple(host for service in services[:1] for host in HOSTS[service])
    kind = KINDS[mark]
    start, end = (iso(time_us) for time_us in span)
    return Incident(kind, kind, start, end, what, services, hosts, address, labels.traces[mark], labels.lines[mark])


_EVERYWHERE = (
    ("single-500", "Now and then one request ends with 500: a query that timed out, a conflict, a deadlock."),
    ("mistyped-password", "A user mistypes the password once to three times."),
    ("payment-retry", "A single charge works at the second or third attempt."),
    ("noisy-errors", "catalog writes ERROR for missing thumbnails, up to nine in a request that is answered."),
    ("rare-warning", "The certificate expires in some weeks; a clock differs by some milliseconds."),
    ("busy-address", f"Many people share the address {OFFICE}."),
)


def harmless(plan: Plan) -> list[dict[str, str]]:
    """Return what looks odd and is not; every kind stands in both periods."""
    found = []
    for period in (plan.train, plan.today):
        for kind, what in _EVERYWHERE:
            found.append(_harmless(period, kind, what, period.start_us, period.end_us))
        for deployment in period.deployments:
            if deployment.harmless:
                what = f"{deployment.service} {deployment.version} was deployed."
                found.append(_harmless(period, "deployment", what, deployment.at_us, deployment.at_us + MINUTE_US))
        for kind, what, starts, minutes in (
            ("burst", "Three times the usual requests.", period.bursts, BURST_MINUTES),
            ("batch-job", "A stock reconciliation and a newsletter.", period.jobs, 15),
        ):
            for start in starts:
                at = period.start_us + start * MINUTE_US
                found.append(_harmless(period, kind, what, at, at + minutes * MINUTE_US))
    return found


def _harmless(period: Period, kind: str, what: str, start: int, end: int) -> dict[str, str]:
    return {"kind": kind, "period": period.name, "start": iso(start), "end": iso(end), "what": what}
