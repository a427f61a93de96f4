"""Fault injection into OpenStack's Nova: 439 tests, each run twice (Cotroneo et al., ESEC/FSE 2019).

Usual are second rounds that did not fail, anomalous are runs that failed. Faulty runs that held are the *control*:
they follow a restart of the services as failed ones do, which alone writes some twenty types of lines.
"""

from __future__ import annotations

from pathlib import Path

import orjson
import polars as pl

from oddlog.datasets.folders import INCIDENTS, LABELS, LOGS, About, write_lines
from oddlog.datasets.raw import find, open_raw

ABOUT = About(
    development=True,
    name="nova",
    title="Fault injection into OpenStack's Nova: 591,000 lines of 878 runs, labelled by run",
    session="column_1",
    terms="AGPL-3.0: use, never ship",
    cite="Cotroneo et al., ESEC/FSE 2019 (doi 10.1145/3338906.3338916)",
)
SOURCE = "nova.tsv"
CONTROL = "control"
TIME = "%Y-%m-%d %H:%M:%S%.f"


def write(raw: Path, to: Path) -> None:
    """Write the set from a folder with `nova_runs.tsv.gz` and `runs.csv`.

    A run is the first column, a test and its round. The time of the injection, and which subsystem it hit, go to
    `incidents.json`.
    """
    with open_raw(find(raw, ("nova_runs.tsv.gz", "nova_runs.tsv"))) as file:
        text = pl.Series("text", file.read().decode("utf-8", "replace").removesuffix("\n").split("\n"))
    part = text.str.splitn("\t", 4).struct.unnest()
    run = part["field_0"] + "-" + part["field_1"]
    write_lines(to / LOGS / SOURCE, run + "\t" + part["field_2"] + "\t" + part["field_3"])
    runs = pl.read_csv(find(raw, ("runs.csv",)), infer_schema_length=None)
    failed = pl.col("label") == "FAILURE"
    kinds = pl.when(failed).then(pl.col("fault_type")).when(pl.col("round") == 1).then(pl.lit(CONTROL))
    runs = runs.with_columns(
        key=pl.col("test") + "-" + pl.col("round").cast(pl.String),
        kind=kinds,
        odd=pl.when(failed).then(1).when(pl.col("round") == 1).then(None).otherwise(0),
    )
    runs.select("key", label="odd", kind="kind", system="subsystem").write_csv(to / LABELS)
    _write_incidents(runs.filter(failed), part["field_3"].str.head(23), run, to)


def _write_incidents(failed: pl.DataFrame, when: pl.Series, run: pl.Series, to: Path) -> None:
    time = when.str.to_datetime(TIME, time_unit="us", strict=False)
    ends = pl.DataFrame({"key": run, "end": time}).group_by("key").agg(pl.col("end").max())
    rows = (
        failed.with_columns(pl.col("trigger_time").str.head(26).str.to_datetime(TIME, time_unit="us", strict=False))
        .join(ends, on="key", maintain_order="left")
        .drop_nulls(["trigger_time", "end"])
    )
    incidents = [
        {
            "id": row["key"],
            "kind": row["kind"],
            "start": f"{row['trigger_time'].isoformat()}Z",
            "end": f"{row['end'].isoformat()}Z",
            "services": [str(row["subsystem"]).lower()],
            "hosts": [],
        }
        for row in rows.to_dicts()
    ]
    (to / INCIDENTS).write_bytes(orjson.dumps(incidents, option=orjson.OPT_INDENT_2))
