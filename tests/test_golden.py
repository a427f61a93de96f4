"""Models of every format version there ever was load, and say what they said when they were made."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

import oddlog
from golden.make import verdicts
from oddlog.model import FORMAT_VERSION

GOLDEN = Path(__file__).resolve().parent / "golden"
VERSIONS = sorted(GOLDEN.glob("format-*"))


def test_the_current_format_version_has_a_golden_model():
    assert GOLDEN / f"format-{FORMAT_VERSION}" in VERSIONS


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)
def test_a_golden_model_is_small_and_loads_under_its_own_id(folder: Path):
    files = list((folder / "model").iterdir())
    assert sum(file.stat().st_size for file in files) < 200_000
    assert {file.suffix for file in files} == {".json", ".safetensors", ".onnx"}
    expected = json.loads((folder / "verdicts.json").read_text(encoding="utf-8"))
    model = oddlog.load(folder / "model")
    assert [member.name for member in model.views[0].members] == ["snn", "dae", "ocsvm", "new-event"]
    if expected["oddlog"] == oddlog.__version__:
        assert model.id == expected["id"]


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)
def test_a_golden_model_gives_the_verdicts_it_gave(folder: Path):
    expected = json.loads((folder / "verdicts.json").read_text(encoding="utf-8"))
    got = verdicts(oddlog.load(folder / "model"), folder / "today.log")
    exact = ("key", "n_events", "is_anomaly")
    for name in exact:
        assert [row[name] for row in got["windows"]] == [row[name] for row in expected["windows"]]
    for name in ("score", "p_value", "threshold"):
        wanted = [row[name] for row in expected["windows"]]
        assert [row[name] for row in got["windows"]] == pytest.approx(wanted, rel=1e-5, abs=1e-12), name
    assert sum(row["is_anomaly"] for row in expected["windows"]) == 3
    assert got["odd_lines"] == expected["odd_lines"]
    assert len(got["incidents"]) == len(expected["incidents"]) == 1
    for one, wanted in zip(got["incidents"], expected["incidents"], strict=True):
        assert one.pop("severity") == pytest.approx(wanted.pop("severity"), rel=1e-5)
        assert one == wanted


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)
def test_the_lost_orders_of_a_golden_log_are_those_that_are_odd(folder: Path):
    lines = (folder / "today.log").read_text(encoding="utf-8").splitlines()
    lost = {line.split("Order ")[1].split()[0] for line in lines if " lost: " in line}
    windows = pl.DataFrame(json.loads((folder / "verdicts.json").read_text(encoding="utf-8"))["windows"])
    assert set(windows.filter("is_anomaly")["key"]) == lost
