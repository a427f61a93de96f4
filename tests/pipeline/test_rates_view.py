"""From lines to incidents: counts by minute are learned, saved, judged and told with numbers of the raw lines."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import oddlog
from made_rates import DAY, FAILED, MONDAY, QUERY, More, Silent, traffic, write
from oddlog.feedback import Answer, Answers
from oddlog.model import Model
from oddlog.pipeline.judging.detection import Detection

FAST: dict[str, Any] = {"session": "none", "window": "600s", "detectors": ["new-event"]}
NEXT = MONDAY + 4 * DAY
STORM = NEXT + 720
ATTACKER = "203.0.113.9"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rates")
    write(traffic(MONDAY, 4 * DAY, 1), folder / "train.log")
    changes = (
        More(FAILED, STORM, 10, 20.0, ATTACKER),
        More(QUERY, STORM + 240, 8, 60.0),
        Silent("auth", STORM + 420, 60),
    )
    write(traffic(NEXT, DAY, 2, *changes), folder / "today.log")
    write(traffic(NEXT, DAY, 3), folder / "usual.log")
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    oddlog.fit(folder / "train.log", **FAST).save(folder / "app.model")
    return oddlog.load(folder / "app.model")


@pytest.fixture(scope="module")
def found(model: Model, folder: Path) -> Detection:
    return model.detect(folder / "today.log")


def reasons(found: Detection, kind: str) -> list[oddlog.types.Reason]:
    return [reason for incident in found.incidents for reason in incident.reasons if reason.kind == kind]


def raw(folder: Path, start: int, minutes: int) -> list[dict[str, Any]]:
    first, last = (datetime.fromtimestamp(60 * at, UTC).isoformat()[:19] for at in (start, start + minutes))
    lines = (folder / "today.log").read_text().splitlines()
    return [json.loads(line) for line in lines if first <= line[len('{"ts": "') :][:19] < last]


def test_a_saved_model_has_rates_and_inspect_says_what_is_expected(model: Model):
    assert model.rates is not None
    facts = model.training["rates"]
    assert facts["grain"] == "day"
    assert "expected by hour of the day; z-score, silence, ramp, mean, error-share, concentration" in facts["says"]


def test_the_attack_the_storm_and_the_silence_are_incidents_with_their_reasons(found: Detection):
    kinds = {reason.kind for incident in found.incidents for reason in incident.reasons}
    assert {"concentration", "rate", "silence"} <= kinds
    assert len(found.incidents) <= 5


def test_the_share_of_the_attacker_is_that_of_the_raw_lines(found: Detection, folder: Path):
    reason = reasons(found, "concentration")[0]
    start = STORM // 10 * 10
    failed = [row for row in raw(folder, start, 10) if row["msg"].startswith("log-in of") and row["level"] == "WARNING"]
    mine = [row for row in failed if row["client"] == ATTACKER]
    assert reason.text.startswith(f"{ATTACKER}: ")
    assert (reason.numbers["lines"], reason.numbers["total"]) == (len(mine), len(failed))


def test_the_lines_of_the_storm_are_those_of_the_raw_lines(found: Detection, folder: Path):
    reason = next(r for r in reasons(found, "rate") if "query took" in r.text)
    counted = [
        sum(row["msg"].startswith("query took") for row in raw(folder, start, int(reason.numbers["minutes"])))
        for start in range(STORM + 220, STORM + 260)
    ]
    assert reason.numbers["seen"] in counted
    assert reason.numbers["seen"] > 5 * float(reason.numbers["usual"])


def test_the_silent_service_is_named_with_the_length_of_its_silence(found: Detection):
    reason = reasons(found, "silence")[0]
    assert reason.text.startswith(("auth has been silent for ", "host auth-1 has been silent for "))
    assert 60 <= int(reason.numbers["minutes"]) <= 66
    silent = next(incident for incident in found.incidents if reason in incident.reasons)
    assert "auth" in silent.services or "auth-1" in silent.hosts
    assert not reason.text.startswith("host auth-1") or silent.hosts[0] == "auth-1"  # it wrote no line to be known by


def test_the_lines_shown_are_lines_of_what_is_odd(found: Detection):
    storm = next(i for i in found.incidents if any("query took" in r.text and r.kind == "rate" for r in i.reasons))
    assert any("query took" in line.text for line in storm.lines)


def test_verdicts_of_ten_minutes_stand_among_the_scores(found: Detection):
    rows = found.scores.filter(pl.col("key").str.starts_with("service "))
    assert rows["key"].is_unique().all()
    odd = rows.filter("is_anomaly")
    assert len(rows) > 300
    assert 2 <= len(odd) <= 30
    assert (odd["score"] >= odd["threshold"]).all()
    assert (rows.filter(~pl.col("is_anomaly"))["score"] < rows["threshold"][0]).all()
    assert {"service auth@2026-03-06T12:00Z", "service db@2026-03-06T16:00Z"} <= set(odd["key"])


def test_a_usual_day_has_no_incident(model: Model, folder: Path):
    assert model.detect(folder / "usual.log").incidents == ()


def test_without_rates_nothing_of_them_is_learned_or_told(folder: Path):
    without = oddlog.fit(folder / "train.log", rates=False, **FAST)
    assert without.rates is None
    assert without.training["rates"]["says"] == "not watched, as asked"
    found = without.detect(folder / "today.log")
    assert not found.scores["key"].str.starts_with("service ").any()


def test_two_hours_are_too_short_and_inspect_says_so(tmp_path: Path):
    path = write(traffic(MONDAY + 600, 120, 1), tmp_path / "short.log")
    model = oddlog.fit(path, session="none", window="60s", detectors=["new-event"])
    assert model.rates is None
    assert model.training["rates"]["says"].startswith("not watched: 2.0 hours are too short")


def test_the_same_lines_in_other_files_give_the_same_model_of_rates(folder: Path, tmp_path: Path, model: Model):
    lines = (folder / "train.log").read_text().splitlines(keepends=True)
    (tmp_path / "a.log").write_text("".join(lines[: len(lines) // 2]))
    (tmp_path / "b.log").write_text("".join(lines[len(lines) // 2 :]))
    other = oddlog.fit([tmp_path / "a.log", tmp_path / "b.log"], **FAST)
    assert other.rates is not None
    assert model.rates is not None
    assert other.rates.watch.series.kind == model.rates.watch.series.kind
    assert other.rates.watch.threshold == model.rates.watch.threshold
    one, two = (each.detect(folder / "today.log") for each in (model, other))
    assert [i.key for i in one.incidents] == [i.key for i in two.incidents]


def test_where_no_line_names_a_service_the_lines_are_named_and_an_answer_reaches_their_counts(tmp_path: Path):
    def lines(day: int, extra: int = 0) -> list[str]:
        def at(minute: int, second: int) -> str:
            return f"2026-03-{day:02d}T{minute // 60:02d}:{minute % 60:02d}:{second:02d}Z"

        usual = [f"{at(m, s)} request {m}{s} answered" for m in range(1_440) for s in (5, 20, 40)]
        return sorted(usual + [f"{at(720, i % 60)} request {i} answered" for i in range(extra)])

    (tmp_path / "train.log").write_text("\n".join(lines(2) + lines(3) + lines(4)))
    (tmp_path / "today.log").write_text("\n".join(lines(5, extra=600)))
    model = oddlog.fit(tmp_path / "train.log", **FAST)
    found = model.detect(tmp_path / "today.log")
    [incident] = [one for one in found.incidents if one.key.startswith("lines without a service@")]
    odd = found.scores.filter("is_anomaly")["key"].to_list()
    assert "lines without a service@2026-03-05T12:00Z" in odd
    answers = Answers()
    noon = datetime(2026, 3, 6, 12, tzinfo=UTC)
    answers.add(Answer("usual", incident.pattern, noon, incident.id, incident.patterns, incident.new_types))
    after = model.detect(tmp_path / "today.log", answers=answers)
    assert incident.key not in [one.key for one in after.incidents]
    assert "lines without a service@2026-03-05T12:00Z" not in after.scores.filter("is_anomaly")["key"].to_list()
