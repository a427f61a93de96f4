"""A model for the service."""

from __future__ import annotations

from pathlib import Path

import pytest

import oddlog


@pytest.fixture(scope="session")
def quick_model(tmp_path_factory: pytest.TempPathFactory, small_log: Path) -> Path:
    """A model of the usual log with the members that learn in no time."""
    folder = tmp_path_factory.mktemp("models") / "quick.model"
    oddlog.fit(small_log, detectors=["snn", "new-event"]).save(folder)
    return folder
