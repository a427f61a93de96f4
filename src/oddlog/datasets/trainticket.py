"""TrainTicket: container logs of 37 services in the minutes around 45 injected faults (Nezha, Yu et al., FSE 2023).

Every line to judge is of a minute with a fault somewhere; labelled are the lines of the pod that the fault was
injected into, within three minutes of it. Faults of network and processor may leave no trace in the logs.
"""

from __future__ import annotations

import csv
import json
import re
import tarfile
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from oddlog.datasets.folders import INCIDENTS, LINE_LABELS, LOGS, About, write_lines
from oddlog.datasets.raw import find

ABOUT = About(
    name="trainticket",
    title="TrainTicket: container logs of 37 services around 45 injected faults, labelled by pod and fault",
    format="json",
    session="trace_id",
    terms="MIT (Nezha)",
    cite="Yu et al., FSE 2023 (doi 10.1145/3611643.3616249)",
)
LASTS = timedelta(minutes=3)
LEVEL = re.compile(r"^\S+\s+(TRACE|DEBUG|INFO|WARN|ERROR|FATAL)\s")
POD = re.compile(r"-[0-9a-f]{6,10}-[0-9a-z]{5}$")


def write(raw: Path, to: Path) -> None:
    """Write the set from a folder with `nezha_logs_faults.tar.xz`, or with what it holds."""
    archives = sorted(raw.glob("*.tar.xz"))
    if not archives:
        _write(raw, to)
        return
    with tempfile.TemporaryDirectory() as folder, tarfile.open(archives[0]) as archive:
        archive.extractall(folder, filter="data")
        _write(Path(folder), to)


def _write(raw: Path, to: Path) -> None:
    faults = _faults(raw)
    labels = []
    for part, top in (("train", "construct_data"), ("test", "rca_data")):
        paths = sorted((raw / top).glob("2023-*/log/*.csv"), key=str)
        if not paths:
            find(raw / top, ("log/00_00_log.csv",))
        lines = pl.concat([_rows(path) for path in paths])
        when = pl.col("Timestamp").str.head(26).str.strip_suffix("Z").str.to_datetime("%Y-%m-%dT%H:%M:%S%.f")
        lines = lines.with_columns(when=when)
        lines = lines.sort("when", maintain_order=True)
        source = f"{part}/pods.json"
        write_lines(to / LOGS / source, pl.Series([_line(row) for row in lines.iter_rows(named=True)]))
        if part == "test":
            labels = [
                (source, number, 1, fault["kind"])
                for number, (when, pod) in enumerate(lines.select("when", "PodName").iter_rows(), 1)
                for fault in faults
                if pod == fault["hosts"][0] and fault["from"] <= when < fault["until"]
            ]
    frame = pl.DataFrame(labels, schema=["source", "line", "label", "kind"], orient="row")
    frame.unique(["source", "line"], keep="first", maintain_order=True).write_csv(to / LINE_LABELS)
    told = [{name: value for name, value in one.items() if name not in ("from", "until")} for one in faults]
    (to / INCIDENTS).write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))


def _rows(path: Path) -> pl.DataFrame:
    """Return the rows of a minute; a few are broken off in the midst, and are left out."""
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        head, *rows = csv.reader(file)
    return pl.DataFrame([row for row in rows if len(row) == len(head)], schema=head, orient="row")


def _line(row: dict[str, Any]) -> str:
    text = _inner(row["Log"])
    level = LEVEL.match(text)
    told = {
        "time": row["Timestamp"],
        "level": level[1] if level else "",
        "service": service_of(row["PodName"]),
        "host": row["PodName"],
        "trace_id": row["TraceID"],
        "message": text,
    }
    return orjson.dumps({name: value for name, value in told.items() if value}).decode()


def _inner(log: str) -> str:
    """Return what the container wrote, out of the JSON that its runtime wrote around it."""
    try:
        return str(json.JSONDecoder().raw_decode(log)[0]["log"]).rstrip("\n")
    except (ValueError, KeyError, TypeError):
        return log


def service_of(pod: str) -> str:
    """Return the service that a pod belongs to.

    >>> service_of("ts-travel-service-64469b5b48-25zj6")
    'ts-travel-service'
    """
    return POD.sub("", pod)


def _faults(raw: Path) -> list[dict[str, Any]]:
    """Return the faults in the form of `incidents.json`. Their times are those of the logs' clock, as UTC."""
    faults = []
    for path in sorted((raw / "rca_data").glob("2023-*/*fault_list.json"), key=str):
        for one in (fault for hour in orjson.loads(path.read_bytes()).values() for fault in hour):
            start = datetime.fromisoformat(one["inject_time"])
            faults.append(
                {
                    "id": f"{one['inject_time']} {one['inject_type']}",
                    "kind": one["inject_type"],
                    "start": f"{start.isoformat()}Z",
                    "end": f"{(start + LASTS).isoformat()}Z",
                    "services": [service_of(one["inject_pod"])],
                    "hosts": [one["inject_pod"]],
                    "from": start,
                    "until": start + LASTS,
                }
            )
    return faults
