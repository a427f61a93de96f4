"""URLs of log stores wherever a path is: fit, detect, watch; the verdicts are those of the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import oddlog
from oddlog.errors import InputError
from stores import ElasticServer, LokiServer, running

SPAN = "since=2026-03-01&until=2026-03-10"
QUERY = f"query=%7Bapp%3D%22shop%22%7D&{SPAN}"


def ns_of(line: str) -> int:
    time = datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f").replace(tzinfo=UTC)
    return round(time.timestamp() * 1_000) * 1_000_000


@pytest.fixture
def loki() -> Iterator[LokiServer]:
    with running(LokiServer()) as server:
        yield server


def fill(server: LokiServer, *logs: Path) -> str:
    for log in logs:
        for line in log.read_text().splitlines():
            labels = {"app": "shop", "pod": re.search(r"shop\.(\w+)", line)[1]}
            server.entries.append((ns_of(line), labels, line))
    return f"loki+http://{server.host}/?{QUERY}"


def test_what_is_asked_of_loki_is_judged_like_the_file(loki: LokiServer, quick_model: Path, odd_log: Path):
    url = fill(loki, odd_log)
    model = oddlog.load(quick_model)
    from_file, from_loki = model.detect(odd_log), model.detect(url)
    assert from_loki.scores["key"].to_list() == from_file.scores["key"].to_list()
    assert from_loki.scores["is_anomaly"].to_list() == from_file.scores["is_anomaly"].to_list()
    (incident,) = from_loki.incidents
    assert incident.lines[0].source == f"loki+http://{loki.host}/shop"
    assert "lost: carrier refused" in incident.lines[0].message


def test_an_incident_leads_back_to_the_store(loki: LokiServer, quick_model: Path, odd_log: Path):
    (incident,) = oddlog.load(quick_model).detect(fill(loki, odd_log)).incidents
    (note,) = [note for note in incident.notes if "http" in note]
    start, end = (int(re.search(rf"{name}=(\d+)", note)[1]) for name in ("start", "end"))
    assert f"http://{loki.host}/loki/api/v1/query_range?query=%7Bapp%3D%22shop%22%7D" in note
    assert start <= round(incident.start.timestamp() * 1e9) <= round(incident.end.timestamp() * 1e9) <= end


def test_a_model_is_learned_from_loki_and_asks_it_once(loki: LokiServer, small_log: Path, odd_log: Path):
    model = oddlog.fit(fill(loki, small_log), detectors=["snn", "new-event"])
    assert len([one for one in loki.asked if one[1]["limit"] == "5000"]) <= 9 * 4 + 2  # six hours at a time, once
    assert len(model.detect(odd_log).incidents) == 1


def test_elasticsearch_beside_a_file(quick_model: Path, odd_log: Path, small_log: Path):
    with running(ElasticServer()) as server:
        for i, line in enumerate(odd_log.read_text().splitlines()):
            stamp = line[:23].replace(" ", "T").replace(",", ".") + "Z"
            server.documents.append((f"{i:06}", {"@timestamp": stamp, "service": "shop", "message": line}))
        found = oddlog.load(quick_model).detect([small_log, f"es+http://{server.host}/shop?{SPAN}"])
    assert {line.source for one in found.incidents for line in one.lines} == {f"es+http://{server.host}/shop"}


def test_a_store_without_entries_is_said(loki: LokiServer, quick_model: Path):
    with pytest.raises(InputError, match="has no entry that fits"):
        oddlog.load(quick_model).detect(f"loki+http://{loki.host}/?{QUERY}")
