"""A data centre of three days, and what a reader with nothing but JSON makes of it."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from dataclasses import dataclass, field

import pytest

from oddlog.datasets import DataCentre, simulate_datacentre
from oddlog.types import Tally


@dataclass
class Read:
    """The simulated logs, read line by line."""

    made: DataCentre
    tally: Tally
    logs: dict[str, list[dict]] = field(default_factory=dict)  # source -> records

    def json(self, name):
        return json.loads((self.made.folder / name).read_text())

    def table(self, name):
        with (self.made.folder / name).open(newline="") as file:
            return list(csv.DictReader(file))

    def records(self, period):
        return [r for source, log in self.logs.items() if source.startswith(period) for r in log]

    def traces(self, period):
        found = defaultdict(list)
        for record in self.records(period):
            if "trace_id" in record:
                found[record["trace_id"]].append(record)
        return found

    def marked(self):
        """Return the incident of each marked line."""
        return {(row["source"], int(row["line"])): row["incident"] for row in self.table("labels_lines.csv")}

    def incidents(self, kind=""):
        return [one for one in self.json("incidents.json") if not kind or one["kind"] == kind]

    def lines_of(self, incident):
        return [self.logs[source][line - 1] for (source, line), name in self.marked().items() if name == incident["id"]]


@pytest.fixture(scope="session")
def datacentre(tmp_path_factory):
    tally = Tally()
    made = simulate_datacentre(tmp_path_factory.mktemp("simulate") / "dc", entries=100_000, days=3, tally=tally)
    read = Read(made, tally)
    for period in (made.train, made.today):
        for path in sorted(period.iterdir()):
            read.logs[f"{period.name}/{path.name}"] = [json.loads(line) for line in path.read_text().splitlines()]
    return read
