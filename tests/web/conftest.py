"""A page of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("jinja2")
import oddlog
from served_page import Page


@pytest.fixture
def page(quick_model: Path, tmp_path: Path) -> Iterator[Page]:
    """A page of its own, with a model of its own: answers lie beside it."""
    model = tmp_path / "shop.model"
    model.symlink_to(quick_model)
    made = Page(model, tmp_path / "data")
    yield made
    made.close()


@pytest.fixture(scope="session")
def quick_model(tmp_path_factory: pytest.TempPathFactory, small_log: Path) -> Path:
    """A model of the usual log with the members that learn in no time."""
    folder = tmp_path_factory.mktemp("models") / "quick.model"
    oddlog.fit(small_log, detectors=["snn", "new-event"]).save(folder)
    return folder
