"""Print, for every system of the measuring data, which format is found and how much of it comes out right.

    python benchmarks/formats_table.py [FOLDER]

FOLDER is the shared data (default: $ODDLOG_DATA or ../shared/data). The truth is the structured CSV beside
each loghub system; for the other sources it is read line by line with the plainest Python there is.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import polars as pl

from oddlog.formats import Detected, detect_format

YEAR = 2024
BLOCK = 60_000  # lines of a block of 8 MiB, about; the speed is that of one such block
LEVELS = {
    **dict.fromkeys(["V"], "TRACE"),
    **dict.fromkeys(["D", "DEBUG"], "DEBUG"),
    **dict.fromkeys(["I", "INFO", "Info"], "INFO"),
    "notice": "NOTICE",
    **dict.fromkeys(["W", "WARN", "WARNING", "Warning"], "WARNING"),
    **dict.fromkeys(["E", "ERROR", "error", "Error", "SEVERE", "FAILURE"], "ERROR"),
    **dict.fromkeys(["F", "FATAL", "CRITICAL"], "CRITICAL"),
}
Row = dict[str, str]


@dataclass(frozen=True)
class Truth:
    """What must come of one line; a column that is not asked about is missing."""

    time: datetime
    level: str | None
    service: str | None
    host: str | None
    message: str


def moment(written: str, form: str) -> datetime:
    """Return a naive time as UTC."""
    return datetime.strptime(written, form).replace(tzinfo=UTC)


def epoch(seconds: str) -> datetime:
    """Return epoch seconds as a time."""
    return datetime.fromtimestamp(int(seconds), UTC)


def health(stamp: str) -> datetime:
    """Return a time whose numbers are not padded."""
    day, clock = stamp.split("-")
    hours, minutes, seconds, ms = map(int, clock.split(":"))
    return moment(day, "%Y%m%d") + timedelta(hours=hours, minutes=minutes, seconds=seconds, milliseconds=ms)


def bsd(month: str, day: str, clock: str) -> datetime:
    """Return a BSD time of the given year."""
    return moment(f"{YEAR} {month} {day} {clock}", "%Y %b %d %H:%M:%S")


def comma(row: Row) -> datetime:
    """Return date and time with comma and milliseconds."""
    return moment(f"{row['Date']} {row['Time']}", "%Y-%m-%d %H:%M:%S,%f")


TIMES: dict[str, Callable[[Row], datetime]] = {
    "Android": lambda r: moment(f"{YEAR}-{r['Date']} {r['Time']}", "%Y-%m-%d %H:%M:%S.%f"),
    "Apache": lambda r: moment(r["Time"], "%a %b %d %H:%M:%S %Y"),
    "BGL": lambda r: epoch(r["Timestamp"]),
    "HDFS": lambda r: moment(r["Date"] + r["Time"], "%y%m%d%H%M%S"),
    "HPC": lambda r: epoch(r["Time"]),
    "Hadoop": comma,
    "HealthApp": lambda r: health(r["Time"]),
    "Linux": lambda r: bsd(r["Month"], r["Date"], r["Time"]),
    "Mac": lambda r: bsd(r["Month"], r["Date"], r["Time"]),
    "OpenSSH": lambda r: bsd(r["Date"], r["Day"], r["Time"]),
    "OpenStack": lambda r: moment(f"{r['Date']} {r['Time']}", "%Y-%m-%d %H:%M:%S.%f"),
    "Proxifier": lambda r: moment(f"{YEAR}.{r['Time']}", "%Y.%m.%d %H:%M:%S"),
    "Spark": lambda r: moment(f"{r['Date']} {r['Time']}", "%y/%m/%d %H:%M:%S"),
    "Thunderbird": lambda r: epoch(r["Timestamp"]),
    "Windows": lambda r: moment(f"{r['Date']} {r['Time']}", "%Y-%m-%d %H:%M:%S"),
    "Zookeeper": comma,
}
HOSTS = {"Linux": "Level", "Mac": "User", "OpenSSH": "Component", "Thunderbird": "User", "BGL": "Node", "HPC": "Node"}
NO_LEVEL = {"Linux"}  # loghub's column Level holds the host there


def service(system: str, row: Row) -> str | None:
    """Return the column that says who speaks; the departures stand in docs/formats.md."""
    if system == "OpenSSH":
        return "sshd"  # loghub's column Component holds the host there
    if system == "Proxifier":
        return row["Program"].removesuffix(" *64")
    if system == "Zookeeper":
        return row["Component"].rsplit(":", 1)[-1]
    if system == "Linux":
        return row["Component"].removeprefix("-- ")
    if system == "Thunderbird" and not tagged(row):
        return None
    return row.get("Component") or None


def tagged(row: Row) -> bool:
    """Say whether a Thunderbird line has a tag; loghub takes all before the first colon for one."""
    return bool(row["PID"]) or re.fullmatch(r"[^\s:\[\]]+", row["Component"]) is not None


def message(system: str, row: Row) -> str | None:
    """Return the content without what becomes a field; None where loghub's own cut is in doubt."""
    content = row["Content"]
    if system == "OpenStack":
        return re.sub(r"^\[instance: [0-9a-f-]{36}\] ?", "", content)
    if system == "Apache":
        return re.sub(r"^\[client [^\]]*\] ?", "", content)
    if system == "Thunderbird" and not tagged(row):
        return None
    return content


def loghub(folder: Path, system: str) -> tuple[list[str], list[Truth | None]]:
    """Return lines and truth of one system; None where there is no telling."""
    raw = (folder / f"{system}_2k.log").read_bytes().decode("utf-8", errors="replace").replace("\r\n", "\n")
    lines = raw.removesuffix("\n").split("\n")
    truth: list[Truth | None] = []
    with (folder / f"{system}_2k.log_structured.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            said = message(system, row)
            level = None if system in NO_LEVEL else LEVELS.get(row.get("Level", ""))
            host = row[HOSTS[system]] if system in HOSTS else None
            host = None if host == "NULL" else host
            told = None if said is None else Truth(TIMES[system](row), level, service(system, row), host, said)
            truth.append(told)
    return lines, truth


def gz_lines(path: Path) -> list[str]:
    """Return the lines of a gzip file."""
    with gzip.open(path, "rt", encoding="utf-8", errors="replace", newline="\n") as file:
        return file.read().removesuffix("\n").split("\n")


def nova_truth(line: str) -> Truth:
    """Read one OpenStack line."""
    found = re.fullmatch(
        r"(\S+ \S+) \d+ (\w+) (\S+) (?:\[(?:-|req-[^\]]*)\] ?)?(.*)", line.split("\t", 3)[3], re.DOTALL
    )
    assert found, line
    when, level, name, said = found.groups()
    said = re.sub(r"^\[instance: [0-9a-f-]{36}\] ?", "", said)
    return Truth(moment(when, "%Y-%m-%d %H:%M:%S.%f"), LEVELS[level], name, None, said)


PHRASES = {status.value: status.phrase for status in HTTPStatus} | {416: "Range Not Satisfiable"}


def access_truth(line: str) -> Truth:
    """Read one line of an access log."""
    found = re.match(r'\S+ \S+ \S+ \[([^\]]+)\] "(\S+) (\S+)(?: (\S+))?" (\d+)', line)
    assert found, line
    when, method, target, protocol, status = found.groups()
    level = "ERROR" if status >= "500" else "WARNING" if status >= "400" else "INFO"
    asked = " ".join(filter(None, [method, target.split("?")[0], protocol]))
    phrase = PHRASES[int(status)]
    return Truth(datetime.strptime(when, "%d/%b/%Y:%H:%M:%S %z"), level, None, None, f"{asked} {status} {phrase}")


def hdfs_truth(line: str) -> Truth:
    """Read one HDFS line."""
    found = re.fullmatch(r"(\d{6} \d{6}) \d+ ([A-Z]+) (\S+?): (.*)", line)
    assert found, line
    return Truth(moment(found[1], "%y%m%d %H%M%S"), LEVELS[found[2]], found[3], None, found[4])


def bgl_truth(line: str) -> Truth | None:
    """Read one BGL line; None without a level, where the cut is in doubt."""
    parts = line.split(" ", 9)
    if parts[8] not in LEVELS:
        return None
    host = None if parts[3] == "NULL" else parts[3]
    return Truth(epoch(parts[1]), LEVELS[parts[8]], parts[7], host, parts[9] if len(parts) > 9 else "")


def trainticket(path: Path) -> Iterator[list[str]]:
    """Yield the lines of each log file in the archive."""
    with tarfile.open(path) as archive:
        for member in archive:
            if member.name.endswith("_log.csv"):
                file = archive.extractfile(member)
                assert file is not None
                yield file.read().decode("utf-8").removesuffix("\n").split("\n")


def fraction_utc(written: str) -> datetime:
    """Return an RFC 3339 time in UTC, cut to microseconds."""
    return moment(written.rstrip("Z").ljust(26, "0")[:26], "%Y-%m-%dT%H:%M:%S.%f")


def trainticket_truth(line: str) -> Truth | None:
    """Read one row; None for the header and for broken rows."""
    row = next(csv.reader(io.StringIO(line)))
    if row[0] == "Timestamp":
        return None
    try:
        wrapped = json.loads(row[7])
    except json.JSONDecodeError:  # two of the runtime's objects in one row
        return None
    inner = wrapped["log"].rstrip("\r\n")
    name = re.sub(r"-[0-9a-z]{8,10}-[0-9a-z]{5}$", "", row[3])
    when = fraction_utc(wrapped["time"])
    trace = r"TraceID: \S* SpanID: \S* ?"
    if inner.startswith("{"):
        said = json.loads(inner)
        stamp = said.get("timestamp", said.get("time"))
        when = fraction_utc(stamp) if isinstance(stamp, str) else when
        if isinstance(stamp, int):
            when = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=stamp)
        level = LEVELS[said["severity"].upper()] if "severity" in said else None
        return Truth(when, level, name, row[2], re.sub(f"^{trace}", "", said["message"]))
    shape = r"\d\d:\d\d:\d\d\.\d+ (\w+) +\S+ (?:TraceID: \S* SpanID: \S* )?(.*)"
    found = re.fullmatch(shape, inner, re.DOTALL)
    if not found:
        return Truth(when, None, name, row[2], re.sub(f"^{trace}", "", inner))
    return Truth(when, LEVELS[found[1]], name, row[2], found[2])


@dataclass(frozen=True)
class Measured:
    """One line of the table: shares of the lines of which the truth is known."""

    system: str
    lines: int
    found: Detected
    right: dict[str, float]
    wrong: dict[str, list[tuple[str, Any, Any]]]
    lines_per_cpu_s: float


def measure(system: str, lines: list[str], truth: list[Truth | None]) -> Measured:
    """Read the lines as a source is read, and compare with the truth."""
    text = pl.Series("text", lines)
    found = detect_format(text.head(1_000), year=YEAR)
    records = found.format.parse(text, year=YEAR)
    many = pl.concat([text] * max(1, BLOCK // len(text))).head(BLOCK)
    start = time.process_time()
    found.format.parse(many, year=YEAR)
    cpu = time.process_time() - start
    known = [i for i, t in enumerate(truth) if t is not None]
    right, wrong = {}, {}
    for name in ("time", "level", "service", "host", "message"):
        got = records[name].to_list()
        pairs = [(lines[i], got[i], getattr(truth[i], name)) for i in known]
        if name == "time" and system.startswith(("BGL", "Thunderbird")):
            pairs = [(line, g and g.replace(microsecond=0), t) for line, g, t in pairs]
        if name == "message":  # loghub strips the ends
            pairs = [(line, g.strip(), t.strip()) for line, g, t in pairs]
        wrong[name] = [(line, g, t) for line, g, t in pairs if g != t]
        right[name] = 1 - len(wrong[name]) / max(1, len(known))
    return Measured(system, len(lines), found, right, wrong, len(many) / max(cpu, 1e-9))


def all_systems(data: Path) -> Iterator[Measured]:
    """Measure every source there is."""
    for folder in sorted((data / "loghub_2k").iterdir(), key=lambda f: f.name.lower()):
        yield measure(folder.name, *loghub(folder, folder.name))
    lines = gz_lines(data / "hdfs" / "HDFS_2percent.log.gz")
    yield measure("HDFS, raw", lines, [hdfs_truth(line) for line in lines])
    lines = gz_lines(data / "bgl" / "bgl_raw_shuffled_20k.log.gz")
    yield measure("BGL, raw, shuffled", lines, [bgl_truth(line) for line in lines])
    lines = gz_lines(data / "access" / "apache_combined_10k.log.gz")
    yield measure("access", lines, [access_truth(line) for line in lines])
    lines = gz_lines(data / "openstack_nova" / "nova_runs.tsv.gz")[:100_000]
    yield measure("OpenStack Nova runs", lines, [nova_truth(line) for line in lines])
    files = list(trainticket(data / "trainticket" / "nezha_logs_faults.tar.xz"))
    for system, year in (("Online Boutique", "2022"), ("TrainTicket", "2023")):
        ours = [lines for lines in files if lines[1].startswith(year)]
        lines = ours[0] + [line for more in ours[1:] for line in more[1:]]  # every file has a header
        yield measure(system, lines, [trainticket_truth(line) for line in lines])


def inner_names(found: Detected) -> str:
    """Return the format's name, with those inside of it."""
    names: list[str] = []
    at: object = found.format
    while isinstance(name := getattr(at, "name", None), str):
        names.append(name)
        at = getattr(at, "inner", None)
    return " > ".join(names)


def main() -> None:
    """Print the table as Markdown."""
    here = Path(__file__).resolve().parents[1]
    data = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("ODDLOG_DATA", here.parent / "shared" / "data"))
    print("| system | lines | format found | confidence | time | level | service | host | message | lines / CPU-s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for row in all_systems(data):
        shares = " | ".join(f"{100 * row.right[n]:.2f}" for n in ("time", "level", "service", "host", "message"))
        head = f"{row.system} | {row.lines:,} | {inner_names(row.found)} | {row.found.confidence:.3f}"
        print(f"| {head} | {shares} | {row.lines_per_cpu_s:,.0f} |", flush=True)
        for name, wrong in row.wrong.items():
            for line, got, wanted in wrong[:2]:
                print(f"{row.system}: {name}: {line!r:.160}: {got!r:.80}, wanted {wanted!r:.80}", file=sys.stderr)


if __name__ == "__main__":
    main()
