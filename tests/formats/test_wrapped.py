"""Lines inside lines: what each layer says, and containers of several makes in one source."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from oddlog.formats import by_name, detect_format
from oddlog.formats.checks import read_cases
from oddlog.formats.fields import plain_name, service_of_pod

CORPORA = Path(__file__).resolve().parents[1] / "corpora" / "formats"
AT = "2024-11-20T10:11:12.5Z"
LOG4J = "10:11:12.345 INFO  org.example.Cart - item {}"
JSON = '{{"severity":"error","message":"TraceID: 4bf9 SpanID: 00f0 order {}","name":"orders"}}'


def docker(line: str) -> str:
    return json.dumps({"log": line + "\n", "stream": "stdout", "time": AT})


def test_two_makes_in_one_source_are_both_read() -> None:
    text = pl.Series([docker(line.format(i)) for i in range(20) for line in (LOG4J, JSON, "no header {}")])
    found = detect_format(text, year=2024)
    assert found.format.name == "docker"
    assert found.format.inner.name == "json + log4j"  # type: ignore[attr-defined]
    rows = found.format.parse(text, year=2024).head(3).to_dicts()
    at = datetime(2024, 11, 20, 10, 11, 12, 500_000, tzinfo=UTC)
    assert [(r["time"], r["level"], r["service"], r["message"], r["f.trace_id"]) for r in rows] == [
        (at, "INFO", "org.example.Cart", "item 0", None),
        (at, "ERROR", "orders", "order 0", "4bf9"),
        (at, None, None, "no header 0", None),
    ]


def test_the_outer_service_wins_and_the_inner_logger_is_kept() -> None:
    lines = [json.dumps({"time": AT, "service": "cart", "message": LOG4J.format(i)}) for i in range(20)]
    found = detect_format(pl.Series(lines), year=2024)
    row = found.format.parse(pl.Series(lines), year=2024).to_dicts()[0]
    assert (row["service"], row["f.logger"], row["message"]) == ("cart", "org.example.Cart", "item 0")


def test_an_inner_time_with_a_date_wins_over_the_outer_one() -> None:
    lines = [docker(f"2024-11-20 10:11:{i:02d},000 INFO a.B - x") for i in range(20)]
    found = detect_format(pl.Series(lines), year=2024)
    assert found.format.parse(pl.Series(lines), year=2024)["time"][3] == datetime(2024, 11, 20, 10, 11, 3, tzinfo=UTC)


def test_messages_that_only_look_like_text_are_left_alone() -> None:
    lines = [json.dumps({"time": AT, "level": "info", "message": f"user=anna did a={i}"}) for i in range(20)]
    found = detect_format(pl.Series(lines), year=2024)
    assert found.format.inner is None  # type: ignore[attr-defined]
    assert found.format.parse(pl.Series(lines), year=2024)["message"][7] == "user=anna did a=7"


@pytest.mark.parametrize(
    "name",
    ["nginx_error", "postgres", "mysql", "redis", "haproxy", "elb", "cef", "journald", "gelf", "windows_event"],
)
def test_what_a_server_writes_is_found_inside_of_a_container(name: str) -> None:
    own = [case["text"] for case in read_cases(CORPORA / f"{name}.jsonl") if case["ok"]]
    lines = pl.Series([f"2024-11-20T10:11:12.1Z stdout F {text}" for text in own])
    found = detect_format(lines, year=2024)
    assert (found.format.name, found.format.inner.name) == ("docker", name)  # type: ignore[attr-defined]
    inner = by_name(name).parse(pl.Series(own), year=2024)
    assert found.format.parse(lines, year=2024)["message"].to_list() == inner["message"].to_list()


def test_json_in_json_in_json_ends() -> None:
    line = '{"level":"info","note":"no message of its own"}'
    for _ in range(6):
        line = json.dumps({"message": line})
    found = detect_format(pl.Series([line] * 20), year=2024)
    records = found.format.parse(pl.Series([line]), year=2024)
    assert records["level"].to_list() == ["INFO"]
    assert records["f.note"].to_list() == ["no message of its own"]


def test_a_pod_is_its_service_without_the_replica() -> None:
    pods = {
        "cart-7d9f8b6c5d-x2x4z": "cart",
        "ts-order-service-64469b5b48-25zj6": "ts-order-service",
        "node-exporter-k8xzq": "node-exporter",
        "db-0": "db",
        "redis-cache": "redis-cache",
        "web": "web",
    }
    frame = pl.DataFrame({"pod": list(pods)})
    assert frame.select(service_of_pod(pl.col("pod"))).to_series().to_list() == list(pods.values())


def test_keys_are_compared_without_case_and_punctuation() -> None:
    assert plain_name("@Time-Stamp") == plain_name("timestamp") == "timestamp"
    assert plain_name("kubernetes.pod_name") == "kubernetespodname"
