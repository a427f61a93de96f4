"""Logs nobody here wrote come out with right time, level, service, host and message."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SYSTEMS = {
    "Android": "android",
    "Apache": "apache_error",
    "BGL": "bgl",
    "HDFS": "hdfs",
    "HPC": "hpc",
    "Hadoop": "log4j",
    "HealthApp": "healthapp",
    "Linux": "syslog",
    "Mac": "syslog",
    "OpenSSH": "syslog",
    "OpenStack": "openstack",
    "Proxifier": "proxifier",
    "Spark": "log4j",
    "Thunderbird": "thunderbird",
    "Windows": "cbs",
    "Zookeeper": "zookeeper",
}


@pytest.fixture(scope="module")
def table() -> ModuleType:
    """The script that prints the table of docs/formats.md, which knows the truth."""
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "formats_table.py"
    spec = importlib.util.spec_from_file_location("formats_table", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["formats_table"] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def assert_right(measured: object, least: float = 0.999) -> None:
    assert measured.right.keys() == {"time", "level", "service", "host", "message"}  # type: ignore[attr-defined]
    for name, share in measured.right.items():  # type: ignore[attr-defined]
        assert share >= least, f"{name}: {measured.wrong[name][:3]}"  # type: ignore[attr-defined]


@pytest.mark.parametrize(("system", "name"), SYSTEMS.items())
def test_a_loghub_system_is_found_and_read_right(shared_data: Path, table: ModuleType, system: str, name: str) -> None:
    lines, truth = table.loghub(shared_data / "loghub_2k" / system, system)
    assert len(lines) == len(truth) == 2_000
    assert sum(t is not None for t in truth) >= 0.99 * len(truth)
    measured = table.measure(system, lines, truth)
    assert measured.found.format.name == name
    assert measured.found.confidence >= 0.99
    assert_right(measured)


def test_openstack_in_a_table_of_runs_is_read_right(shared_data: Path, table: ModuleType) -> None:
    lines = table.gz_lines(shared_data / "openstack_nova" / "nova_runs.tsv.gz")[::100]
    measured = table.measure("Nova", lines, [table.nova_truth(line) for line in lines])
    assert table.inner_names(measured.found) == "tsv > openstack"
    assert_right(measured)


def test_trainticket_is_unwrapped_three_times(shared_data: Path, table: ModuleType) -> None:
    files = table.trainticket(shared_data / "trainticket" / "nezha_logs_faults.tar.xz")
    lines = next(lines for lines in files if lines[1].startswith("2023"))
    measured = table.measure("TrainTicket", lines, [table.trainticket_truth(line) for line in lines])
    assert table.inner_names(measured.found) == "csv > docker > log4j"
    assert_right(measured)
    records = measured.found.format.parse(table.pl.Series(lines), year=2024)
    assert not records["ok"][0], "the header is no record"
    for name in ("f.trace_id", "f.span_id", "f.pod"):
        assert records[name][1:].null_count() == 0


def test_containers_of_several_makes_in_one_file_are_all_read(shared_data: Path, table: ModuleType) -> None:
    files = table.trainticket(shared_data / "trainticket" / "nezha_logs_faults.tar.xz")
    lines = next(lines for lines in files if lines[1].startswith("2022"))
    measured = table.measure("Online Boutique", lines, [table.trainticket_truth(line) for line in lines])
    assert table.inner_names(measured.found) == "csv > docker > json + log4j"
    assert_right(measured)


def test_access_logs_are_read_right(shared_data: Path, table: ModuleType) -> None:
    lines = table.gz_lines(shared_data / "access" / "apache_combined_10k.log.gz")
    measured = table.measure("access", lines, [table.access_truth(line) for line in lines])
    assert measured.found.format.name == "access"
    assert_right(measured)


def test_the_alert_column_of_bgl_is_kept(shared_data: Path, table: ModuleType) -> None:
    lines = table.gz_lines(shared_data / "bgl" / "bgl_raw_shuffled_20k.log.gz")[:5_000]
    measured = table.measure("BGL", lines, [table.bgl_truth(line) for line in lines])
    assert_right(measured)
    alerts = measured.found.format.parse(table.pl.Series(lines), year=2024)["f.alert"].to_list()
    assert alerts == [None if line.startswith("- ") else line.split(" ", 1)[0] for line in lines]
