"""Models of every format version there ever was load, and say what they said when they were made."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

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
    assert model.views[0].voting == ("snn", "dae", "ocsvm", "new-event")  # of before there were members that do not
    manifest = (folder / "model" / "manifest.json").read_bytes()
    assert model.id == expected["id"] == hashlib.sha256(manifest).hexdigest()


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)
def test_a_golden_model_gives_the_verdicts_it_gave(folder: Path):
    expected = json.loads((folder / "verdicts.json").read_text(encoding="utf-8"))
    got = json.loads(json.dumps(verdicts(oddlog.load(folder / "model"), folder / "today.log")))
    for kind, n_odd in (("windows", 3), ("lines", 3)):
        assert sum(row[2] for row in expected[kind]) == n_odd
        assert [row[:3] for row in got[kind]] == [
            row[:3] for row in expected[kind]
        ]  # what it is, and whether it is odd
        for number in range(3, len(expected[kind][0])):
            wanted = [row[number] for row in expected[kind]]
            assert [row[number] for row in got[kind]] == pytest.approx(wanted, rel=1e-5, abs=1e-12)
    assert len(expected["incidents"]) == 1
    assert got["incidents"] == expected["incidents"]


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)
def test_the_lost_orders_of_a_golden_log_are_those_that_are_odd(folder: Path):
    lines = (folder / "today.log").read_text(encoding="utf-8").splitlines()
    lost = {line.split("Order ")[1].split()[0] for line in lines if " lost: " in line}
    said = json.loads((folder / "verdicts.json").read_text(encoding="utf-8"))
    assert {key for key, _, is_anomaly, *_ in said["windows"] if is_anomaly} == lost
    assert {n for n, _, is_anomaly, *_ in said["lines"] if is_anomaly} == {
        n for n, line in enumerate(lines, 1) if " lost: " in line
    }
