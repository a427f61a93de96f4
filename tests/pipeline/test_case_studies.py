"""The two case studies of the demo: what is found, what is told, and what is left in peace."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

import oddlog
from oddlog.datasets import simulate
from oddlog.pipeline.judging.detection import Detection
from oddlog.types import Incident

ATTACKER = "198.51.100.7"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("case") / "shop"
    simulate(folder, lines=60_000, seed=0)
    return folder


@pytest.fixture(scope="module")
def found(shop: Path) -> Detection:
    model = oddlog.fit(shop / "train", entity="client", detectors=["snn", "ocsvm", "new-event"])
    return model.detect(shop / "today")


@pytest.fixture(scope="module")
def traces(shop: Path) -> pl.DataFrame:
    return pl.read_csv(shop / "traces.csv").filter(pl.col("period") == "today")


@pytest.fixture(scope="module")
def storm(found: Detection, traces: pl.DataFrame) -> Incident:
    hit = set(traces.filter(pl.col("incident") == "error-storm")["key"])
    return max(found.incidents, key=lambda incident: len(hit & set(incident.keys)))


@pytest.fixture(scope="module")
def attack(found: Detection) -> Incident:
    return next(i for i in found.incidents if any(r.numbers.get("entity") == ATTACKER for r in i.reasons))


def raw(shop: Path) -> list[dict]:
    """Return today's entries, read without any code of ours."""
    entries = []
    for path in sorted((shop / "today").iterdir()):
        content = path.read_bytes()
        text = gzip.decompress(content) if path.suffix == ".gz" else content
        entries += [json.loads(line) for line in text.splitlines()]
    return entries


def test_the_storm_is_one_incident_of_the_failing_checkouts(storm: Incident, traces: pl.DataFrame):
    planted = set(traces.filter(pl.col("incident") == "error-storm")["key"])
    assert len(planted & set(storm.keys)) >= 0.9 * len(planted)
    assert len(set(storm.keys) - planted) <= 0.35 * len(planted)  # odd at the same time in the same service
    assert "payments" in storm.services


def test_the_reasons_for_the_storm_are_those_a_person_would_give(storm: Incident):
    said = " ".join(reason.text for reason in storm.reasons)
    would_say = ("will be tried again", "processor answered", "rolled back", "orders failed", "payment failed")
    assert sum(words in said for words in would_say) >= 2
    assert {"unexpected_event", "count_off"} & {reason.kind for reason in storm.reasons}


def test_every_count_in_the_storms_reasons_is_that_of_the_raw_lines(storm: Incident, shop: Path):
    messages = [entry["msg"] for entry in raw(shop) if entry.get("trace_id") == storm.key]
    told = ("will be tried again", "processor answered", "released", "transaction", "orders failed", "payment failed")
    counted = Counter(words for words in told for message in messages if words in message)
    counts = ("unexpected_event", "count_off")  # those of windows; a share says of how many
    of_windows = [reason for reason in storm.reasons if reason.kind in counts and "of" not in reason.numbers]
    checked = [
        (reason.numbers["seen"], counted[words]) for words in told for reason in of_windows if words in reason.text
    ]
    assert checked
    assert checked == [(by_hand, by_hand) for _, by_hand in checked]


def test_the_attack_is_named_with_its_address_and_its_share(attack: Incident, shop: Path):
    reason = attack.reasons[0]
    assert reason.kind == "concentration"
    assert reason.text.startswith(f"{ATTACKER}: ")
    assert "log-in failed" in reason.text
    start = attack.key.split("@")[1][:15]  # the stretch of ten minutes, less its last digit
    failed = [e for e in raw(shop) if e["msg"].startswith("log-in failed") and e["ts"].startswith(start)]
    by_attacker = [e for e in failed if e["client"] == ATTACKER]
    assert reason.numbers["total"] == len(failed)
    assert reason.numbers["lines"] == len(by_attacker)
    assert reason.numbers["share"] == pytest.approx(len(by_attacker) / len(failed))


def test_storm_and_attack_are_among_the_first_that_a_person_reads(found: Detection, storm: Incident, attack: Incident):
    assert found.incidents.index(storm) == 0
    assert found.incidents.index(attack) <= 4
    assert list(found.incidents) == sorted(found.incidents, key=lambda incident: incident.order)


def test_single_500s_mistyped_passwords_and_harmless_deployments_are_not_reported(
    found: Detection, traces: pl.DataFrame, shop: Path
):
    odd = set(found.scores.filter("is_anomaly")["key"])
    harmless = traces.filter(pl.col("incident").is_null())
    by_scenario = Counter(harmless.filter(pl.col("key").is_in(list(odd)))["scenario"])
    assert sum(by_scenario.values()) <= 0.01 * len(harmless)
    failed_once = {e["trace_id"] for e in raw(shop) if e["level"] == "ERROR" and "trace_id" in e}
    planted = set(traces.filter(pl.col("incident").is_not_null())["key"])
    assert len(failed_once - planted) > 10
    assert len((failed_once - planted) & odd) <= 0.1 * len(failed_once - planted)
    mistyped = [i for i in found.incidents if i is not None and any("log-in failed" in r.text for r in i.reasons)]
    assert all(ATTACKER in incident.key for incident in mistyped)
    shown = [line.text for incident in found.incidents for line in incident.lines if "was deployed" in line.text]
    assert shown == []
