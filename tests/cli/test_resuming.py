from __future__ import annotations

from pathlib import Path

import pytest

from oddlog.cli import resuming
from oddlog.model import load
from oddlog.pipeline.live import streaming
from oddlog.pipeline.live.streaming import Streaming


def test_what_an_older_version_noted_of_windows_is_let_go_and_reading_goes_on(
    quick_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    model, noted = load(quick_model), tmp_path / "app.resume"
    with monkeypatch.context() as then:
        then.setattr(streaming, "VERSION", streaming.VERSION - 1)
        resuming.write(noted, Streaming(model), {"app.log": {"line": 7}})
    state = resuming.read(noted)
    assert resuming.places_of(state) == {"app.log": {"line": 7}}
    (note,) = resuming.restore(Streaming(model), state)
    assert "another version of oddlog" in note
    assert "begin anew" in note
