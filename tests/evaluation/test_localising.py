"""Lines against labels: found, how soon, in which service."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from made_sets import write_made_set
from oddlog.datasets import LogSet, read_set
from oddlog.evaluation.catalogue import catalogue
from oddlog.evaluation.cells import Cell, run
from oddlog.evaluation.scoring import every_figure

CELL = Cell("jobs", "time-usual", "new-event")


@pytest.fixture
def with_lines(tmp_path: Path) -> LogSet:
    """The made set with labels of lines, and an incident for each broken session."""
    of = read_set(write_made_set(tmp_path / "jobs"))
    lines = (of.root / "jobs.log").read_text().splitlines()
    marked = [n for n, text in enumerate(lines, 1) if "quota" in text or "rollback" in text]
    labels = ["source,line,label,kind", *(f"jobs.log,{n},1,quota" for n in marked)]
    (of.folder / "labels_lines.csv").write_text("\n".join(labels) + "\n")
    times = [lines[n - 1].split()[0] for n in marked]
    incidents = [
        {
            "id": f"quota {i}",
            "kind": "quota",
            "start": start.replace("Z", "")[:19] + "Z",
            "end": end,
            "services": ["worker"],
            "hosts": [],
        }
        for i, (start, end) in enumerate(zip(times[::2], times[1::2], strict=True))
    ]
    (of.folder / "incidents.json").write_text(json.dumps(incidents))
    return read_set(of.folder)


def test_lines_that_no_usual_session_has_are_found_and_incidents_seen_at_once(with_lines: LogSet):
    listed = catalogue(with_lines)
    told = every_figure(run(CELL, with_lines, listed), with_lines, listed)
    assert told["anomalous_lines"] == 20
    assert (told["line_recall"], told["false_lines_per_1000"], told["line_roc_auc"]) == (1.0, 0.0, 1.0)
    assert (told["pressing_f1"], told["pressing_roc_auc"], told["pressing_oracle_f1"]) == (1.0, 1.0, 1.0)
    assert (told["incidents"], told["incidents_seen"], told["lines_to_detection"]) == (10, 1.0, 0.0)
    assert 0 <= told["time_to_detection_s"] < 1
    assert (told["incidents_within_1_s"], told["usual_lines_odd_per_1000"]) == (1.0, 0.0)
    assert (told["service_top_1"], told["service_top_3"]) == (1.0, 1.0)
    assert "host_top_1" not in told


def test_sessions_have_the_labels_of_their_lines_where_they_have_none(with_lines: LogSet):
    (with_lines.folder / "labels.csv").unlink()
    listed = catalogue(with_lines)
    assert listed.labelled_by == "line"
    assert listed.case_label.sum() == 20
    assert listed.label.sum() == 40


def test_anomalies_are_told_from_the_control_too(tmp_path: Path):
    of = read_set(write_made_set(tmp_path / "jobs"))
    rows = (of.folder / "labels.csv").read_text().splitlines()
    control = {f"job-{n:04d}" for n in range(121, 240, 12)}
    text = [rows[0] + ",kind"]
    for row in rows[1:]:
        key, label, system = row.split(",")
        text.append(f"{key},,{system},control" if key in control else f"{key},{label},{system},")
    (of.folder / "labels.csv").write_text("\n".join(text) + "\n")
    listed = catalogue(of)
    told = every_figure(run(CELL, of, listed), of, listed)
    assert (told["control"], told["control_roc_auc"], told["control_f1"]) == (9, 1.0, 1.0)


def test_without_labels_only_what_is_odd_is_told(tmp_path: Path):
    of = read_set(write_made_set(tmp_path / "jobs"))
    (of.folder / "labels.csv").unlink()
    of = read_set(of.folder)
    listed = catalogue(of)
    told = every_figure(run(replace(CELL, protocol="time"), of, listed), of, listed)
    assert set(told) == {"windows", "windows_odd"}
    assert told["windows"] > 100
