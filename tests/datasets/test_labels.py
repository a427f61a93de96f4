from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from oddlog.datasets import read_labels, simulate
from oddlog.datasets.labels import INCIDENTS, LINES
from oddlog.errors import LabelError

INCIDENT = """[{"id": "ramp-1", "kind": "ramp", "group": "known", "period": "train",
"start": "2026-03-02T08:00:00.000000Z", "end": "2026-03-02T14:00:00.000000Z", "what": "slower", "services": ["search"],
"hosts": ["app-07"], "entity": null, "expected_reasons": ["ramp"], "traces": 3, "lines": 2}]"""


def test_labels_are_read_as_frames_with_times_and_lists(tmp_path):
    (tmp_path / "incidents.json").write_text(INCIDENT)
    rows = "train/web.log,17,ramp-1,ramp,1\ntoday/web.log,4,ramp-2,ramp,0\n"
    (tmp_path / "labels_lines.csv").write_text("source,line,incident,kind,direct\n" + rows)
    labels = read_labels(tmp_path)
    assert (labels.incidents.schema, labels.lines.schema) == (INCIDENTS, LINES)
    assert labels.incidents.row(0)[:6] == (
        "ramp-1", "ramp", "known", "train", datetime(2026, 3, 2, 8, tzinfo=UTC), datetime(2026, 3, 2, 14, tzinfo=UTC),
    )  # fmt: skip
    assert labels.incidents["expected_reasons"].to_list() == [["ramp"]]
    assert labels.of("train").lines.rows() == [("train/web.log", 17, "ramp-1", "ramp", True)]
    assert labels.of("today").lines.rows() == [("today/web.log", 4, "ramp-2", "ramp", False)]
    assert labels.of("today").incidents.is_empty()


def test_a_folder_without_marked_lines_has_an_empty_frame(tmp_path):
    (tmp_path / "incidents.json").write_text("[]")
    (tmp_path / "labels_lines.csv").write_text("source,line,incident,kind,direct\n")
    labels = read_labels(tmp_path)
    assert (labels.incidents.schema, labels.lines.schema) == (INCIDENTS, LINES)
    assert (labels.incidents.height, labels.lines.height) == (0, 0)


def test_the_shops_labels_are_read_too(tmp_path):
    made = simulate(tmp_path / "shop", lines=20_000, days=0.5)
    labels = read_labels(made.folder).of("today")
    assert labels.incidents["id"].to_list() == ["log-in-attack", "error-storm"]
    assert labels.incidents["entity"].to_list() == ["198.51.100.7", None]
    counted = labels.lines.group_by("incident").agg(lines=pl.len().cast(pl.Int64))
    expected = labels.incidents.select(incident="id", lines="lines")
    assert counted.sort("incident").equals(expected.sort("incident"))


def test_a_folder_without_labels_is_refused_in_one_line(tmp_path):
    with pytest.raises(LabelError) as error:
        read_labels(tmp_path)
    assert str(error.value).startswith(f"{tmp_path} has no labels that can be read: ")
    assert str(error.value).endswith(" Write some: oddlog simulate.")
