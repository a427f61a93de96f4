"""Session keys found on real logs (skipped where they are not there)."""

from __future__ import annotations

import csv
import gzip
import io
import tarfile
from itertools import islice
from pathlib import Path

import polars as pl
import pytest

from oddlog.windows import find_session, session_keys

NOVA = r"^(\S+ \S+) \d+ \S+ \S+ (?:\[(?:-|(req-\S+)[^\]]*)\] )?(.*)$"


def head(path: Path, n: int = 60_000) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
        return [line.rstrip("\n") for line in islice(file, n)]


@pytest.mark.parametrize("n", [20_000, 60_000])
def test_hdfs_is_grouped_by_block_however_short_the_log(shared_data, n):
    lines = pl.Series(head(shared_data / "hdfs" / "HDFS_2percent.log.gz", n))
    records = pl.DataFrame({"message": lines.str.splitn(" ", 6).struct.field("field_5")})
    choice = find_session(records)
    assert (choice.kind, choice.value) == ("regex", r"\b(blk_-?[0-9]+)")
    assert choice.confidence > 0.5
    assert session_keys(records, choice).null_count() == 0


def nova(shared_data: Path) -> tuple[pl.Series, pl.DataFrame]:
    lines = pl.Series(head(shared_data / "openstack_nova" / "nova_runs.tsv.gz"))
    columns = lines.str.splitn("\t", 4).struct.unnest()
    parts = columns["field_3"].str.extract_groups(NOVA).struct.unnest()
    time = parts["1"].str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_zone="UTC", strict=False)
    return columns["field_0"], pl.DataFrame({"time": time, "message": parts["3"], "f.request_id": parts["2"]})


def test_openstack_is_grouped_by_run_where_a_column_names_it(shared_data):
    run, records = nova(shared_data)
    choice = find_session(records.with_columns(**{"f.column_1": run}))
    assert (choice.kind, choice.value) == ("field", "f.column_1")


def test_openstack_is_grouped_by_request_where_no_run_is_named(shared_data):
    _, records = nova(shared_data)
    choice = find_session(records)
    assert (choice.kind, choice.value) == ("field", "f.request_id")
    keys = session_keys(records, choice).drop_nulls()
    assert keys.str.starts_with("req-").all()


@pytest.mark.parametrize("as_field", [True, False])
def test_trainticket_is_grouped_by_trace(shared_data, as_field):
    rows: list[list[str]] = []
    with tarfile.open(shared_data / "trainticket" / "nezha_logs_faults.tar.xz") as archive:
        members = [m for m in archive if "rca_data/2023-01-29" in m.name and m.name.endswith("_log.csv")]
        for member in members[:3]:
            file = archive.extractfile(member)
            assert file is not None
            rows += list(csv.reader(io.TextIOWrapper(file, encoding="utf-8")))[1:]
    named = {"f.trace_id": [r[5] for r in rows], "f.span_id": [r[6] for r in rows], "f.pod": [r[3] for r in rows]}
    records = pl.DataFrame({"at": [r[1] for r in rows], "message": [r[7] for r in rows], **(named if as_field else {})})
    choice = find_session(records.sort("at").drop("at"))
    expected = (
        ("field", "f.trace_id") if as_field else ("regex", r"""\bTraceID["']?\s?[=:]\s?["']?([\w\-]*[0-9][\w\-]*)""")
    )
    assert (choice.kind, choice.value) == expected


@pytest.mark.parametrize("name", ["bgl_raw_first_10k", "bgl_raw_shuffled_20k"])
def test_none_is_invented_on_bgl(shared_data, name):
    parts = pl.Series(head(shared_data / "bgl" / f"{name}.log.gz")).str.splitn(" ", 10).struct.unnest()
    fields = {
        "f.alert": parts["field_0"],
        "f.rack": parts["field_3"],
    }  # the node, under a name that does not give it away
    assert find_session(pl.DataFrame({"message": parts["field_9"].fill_null(""), **fields})).kind == "none"


def test_none_is_invented_on_a_web_access_log(shared_data):
    lines = pl.Series(head(shared_data / "access" / "apache_combined_10k.log.gz"))
    assert find_session(pl.DataFrame({"message": lines})).kind == "none"
    found = lines.str.extract_groups(r'^(\S+) .*?"\S+ (\S+)[^"]*" .*"([^"]*)" "([^"]*)"$').struct.unnest()
    names = ["f.a", "f.b", "f.c", "f.d"]  # client, path, referrer and agent, not given away by their names
    records = found.rename(dict(zip(found.columns, names, strict=True))).with_columns(message=lines)
    assert find_session(records).kind == "none"


TWO_THOUSAND = [
    "Android",
    "Apache",
    "BGL",
    "HPC",
    "HealthApp",
    "Linux",
    "Mac",
    "Proxifier",
    "Spark",
    "Thunderbird",
    "Windows",
    "Zookeeper",
]


@pytest.mark.parametrize("system", TWO_THOUSAND)
def test_none_is_invented_on_systems_without_one(shared_data, system):
    table = pl.read_csv(shared_data / "loghub_2k" / system / f"{system}_2k.log_structured.csv", infer_schema_length=0)
    known = {"LineId", "Content", "EventId", "EventTemplate", "Date", "Time", "Day", "Month", "Timestamp", "Label"}
    fields = {f"f.{name.lower()}": table[name] for name in table.columns if name not in known}
    assert find_session(pl.DataFrame({"message": table["Content"].fill_null(""), **fields})).kind == "none"


def test_processes_of_sshd_are_sessions(shared_data):
    table = pl.read_csv(shared_data / "loghub_2k" / "OpenSSH" / "OpenSSH_2k.log_structured.csv", infer_schema_length=0)
    choice = find_session(pl.DataFrame({"message": table["Content"], "f.pid": table["Pid"]}))
    assert (choice.kind, choice.value) == ("field", "f.pid")
