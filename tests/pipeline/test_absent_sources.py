"""A model of several sources, judged on some of them: that the others say nothing is a note, and no odd count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import oddlog
from made_rates import DAY, MONDAY, Silent, traffic, write
from oddlog.model import Model
from oddlog.pipeline.judging.detection import Detection

FAST: dict[str, Any] = {"session": "none", "window": "600s", "detectors": ["new-event"]}
NEXT = MONDAY + 3 * DAY
NOTE = (
    "1 of the 2 sources of training is not here: db.log. That these say nothing is left out of rates, shares and drift: "
    "give them too, or fit on what is here alone."
)


def split(records: pl.DataFrame, folder: Path) -> None:
    """Write what the database says to a file of its own, the rest to another."""
    folder.mkdir()
    write(records.filter(pl.col("service") == "db"), folder / "db.log")
    write(records.filter(pl.col("service") != "db"), folder / "web.log")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("absent")
    split(traffic(MONDAY, 3 * DAY, 1), folder / "train")
    split(traffic(NEXT, DAY, 2), folder / "today")
    split(traffic(NEXT, DAY, 2, Silent("auth", NEXT, DAY)), folder / "outage")
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    oddlog.fit(folder / "train", **FAST).save(folder / "app.model")
    return oddlog.load(folder / "app.model")


def silent(found: Detection) -> set[str]:
    """Return what is said to be less than usual, or silent."""
    every = [one.text for incident in found.incidents for one in incident.reasons if one.kind in ("rate", "silence")]
    every += (
        [f"drift {one.service or 'all'}" for one in found.drift.drifted if one.of == "lines"] if found.drift else []
    )
    return {name for name in ("db", "auth", "query took", "drift all") if any(name in text for text in every)}


def test_of_a_source_that_is_not_given_only_a_note_is_told(model: Model, folder: Path):
    found = model.detect(folder / "today" / "web.log")
    assert silent(found) == set()
    assert [note for note in found.notes if "sources of training" in note] == [NOTE]
    assert found.drift is not None
    assert {"", "db"}.isdisjoint(one.service for one in found.drift.figures)


def test_all_sources_are_judged_as_ever(model: Model, folder: Path):
    found = model.detect(folder / "today")
    assert not [note for note in found.notes if "sources of training" in note]
    assert found.drift is not None
    assert {"", "db"} <= {one.service for one in found.drift.figures}


def test_a_service_that_says_nothing_beside_others_of_its_source_is_told(model: Model, folder: Path):
    assert "auth" in silent(model.detect(folder / "outage"))
    assert "auth" in silent(model.detect(folder / "outage" / "web.log"))


def test_a_source_that_was_read_and_is_silent_is_told(model: Model, folder: Path, tmp_path: Path):
    web, db = ((folder / "today" / name).read_text().splitlines(keepends=True) for name in ("web.log", "db.log"))
    (tmp_path / "web.log").write_text("".join(web))
    (tmp_path / "db.log").write_text(db[0].replace('"db"', '"other"'))
    found = model.detect([tmp_path / "web.log", tmp_path / "db.log"])
    assert not [note for note in found.notes if "sources of training" in note]
    assert "query took" in silent(found)


def test_a_model_learned_on_keeps_who_wrote_what(model: Model, folder: Path):
    learned = oddlog.update(model, folder / "today" / "web.log")
    assert learned.rates is not None
    assert learned.rates.origins is not None
    assert sorted(len(one.names) for one in learned.rates.origins.origins) == [1, 2]
    assert any("db.log" in note for note in learned.detect(folder / "today" / "web.log").notes)
