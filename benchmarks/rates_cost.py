"""What rates cost, and how many false incidents they raise on usual days.

    python benchmarks/rates_cost.py [--lines 1000000] [--like ../shared/data/hdfs/HDFS_2percent.log.gz]

The cost is that of `oddlog fit` and `oddlog detect` with and without rates, each a process of its own, with the
member that learns fastest. Usual days are those of the simulated shop before its incidents, learned from for some hours
or days and judged for the week after: harmless bursts, deployments and batch jobs are in them.
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

import oddlog
from measured import ODDLOG, lines_file, run
from oddlog.datasets import simulate, simulate_datacentre
from oddlog.datasets.labels import read_labels

START = datetime(2026, 3, 2, 6, tzinfo=UTC)
KINDS = {"rate", "silence", "ramp", "out_of_range", "error_share", "concentration"}
LEARNED_HOURS = (4, 12, 24, 48, 168, 336)


def costs(n_lines: int, like: str) -> None:
    print("| command | CPU-seconds without | with rates | more |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="oddlog-bench-") as folder:
        logs = {"storage lines": Path(folder, "storage.log"), "shop": Path(folder, "shop")}
        lines_file(logs["storage lines"], n_lines, like)
        simulate(logs["shop"], lines=n_lines, days=14)
        logs["shop"] /= "train"
        for name, log in logs.items():
            spent: dict[str, list[float]] = {"fit": [], "detect": []}
            for option in ("--no-rates", "--rates"):
                model = str(Path(folder, f"{name}{option}.model"))
                fit = [ODDLOG, "fit", str(log), "-m", model, "--detectors", "new-event", option]
                spent["fit"].append(run(fit).cpu_s)
                spent["detect"].append(run([ODDLOG, "detect", str(log), "-m", model, "--json"]).cpu_s)
            for what, (without, with_rates) in spent.items():
                more = with_rates / without - 1
                print(f"| `oddlog {what}`, {name} | {without:.1f} | {with_rates:.1f} | {more:.0%} |", flush=True)


def false_incidents() -> None:
    print("\n| learned from | expected by | false incidents in the week after |\n|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="oddlog-bench-") as folder:
        simulate(Path(folder, "shop"), lines=1_200_000, days=30)
        log = Path(folder, "shop", "train")
        for hours in LEARNED_HOURS:
            until = START + timedelta(hours=hours)
            model = oddlog.fit(log, until=until, session="none", window="600s", detectors=["new-event"])
            found = model.detect(log, since=until, until=until + timedelta(days=7))
            false = [i for i in found.incidents if i.key.startswith(("service ", "host ")) or _concentrated(i)]
            grain = model.training["rates"].get("grain", "not watched")
            print(f"| {hours} h | {grain} | {len(false)} |", flush=True)


def data_centre(n_lines: int) -> None:
    """Print how many of the data centre's incidents rates find that are theirs to find, and how many are false."""
    with tempfile.TemporaryDirectory(prefix="oddlog-bench-") as folder:
        centre = simulate_datacentre(Path(folder, "centre"), entries=n_lines, days=14)
        model = oddlog.fit(centre.train, session="none", window="600s", detectors=["new-event"])
        found = model.detect(centre.today)
        labels = read_labels(centre.folder).of("today").incidents
    rated = [i for i in found.incidents if _first_of_rates(i)]
    theirs = labels.filter(pl.col("expected_reasons").list.set_intersection(list(KINDS)).list.len() > 0)
    hits = {row["id"]: [i for i in rated if _is_about(i, row)] for row in labels.iter_rows(named=True)}
    mine = [row for row in theirs.iter_rows(named=True) if hits[row["id"]]]
    first = [r for r in mine if any(_first_of_rates(i) in r["expected_reasons"] for i in hits[r["id"]])]
    about = {incident.id for those in hits.values() for incident in those}
    print(
        f"\nData centre, {centre.lines:,} lines: {len(labels)} incidents, of {len(theirs)} a rate is expected to tell."
    )
    print(f"Of these {len(mine)} found, {len(first)} with a first reason of rates that is expected;", end=" ")
    print(f"{len(rated)} incidents with such reasons told, {len(rated) - len(about)} of them false.", flush=True)


def _first_of_rates(incident: oddlog.types.Incident) -> str:
    return next((reason.kind for reason in incident.reasons if reason.kind in KINDS), "")


def _is_about(incident: oddlog.types.Incident, row: dict[str, Any]) -> bool:
    """Return whether an incident is one that was planted: at its time, and of a service, host or address of it."""
    early, late = row["start"] - timedelta(minutes=5), row["end"] + timedelta(minutes=15)
    named = {*incident.services, *incident.hosts, incident.key.rsplit("@", 1)[0]}
    there = {*(row["services"] or []), *(row["hosts"] or []), row["entity"]}
    overlaps = incident.start is not None and incident.end is not None and incident.start <= late
    return bool(overlaps and incident.end >= early and named & there)


def _concentrated(incident: oddlog.types.Incident) -> bool:
    return any(reason.kind == "concentration" for reason in incident.reasons)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--like", default="", help="an HDFS file to repeat")
    parser.add_argument("--lines", type=int, default=1_000_000)
    options = parser.parse_args()
    costs(options.lines, options.like)
    false_incidents()
    data_centre(options.lines)


if __name__ == "__main__":
    main()
