"""Fixtures that several rooms share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import oddlog
from small_shop import shop_lines


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real labelled logs for measuring; a checkout without them skips."""
    here = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("ODDLOG_DATA", here.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("the real logs for measuring are not here (set ODDLOG_DATA)")
    return folder


@pytest.fixture(scope="session")
def small_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 400 usual orders."""
    path = tmp_path_factory.mktemp("shop") / "usual.log"
    path.write_text("\n".join(shop_lines(400, 1)) + "\n")
    return path


@pytest.fixture(scope="session")
def odd_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A later log of 60 usual and three lost orders, followed by an hour of others."""
    path = tmp_path_factory.mktemp("shop") / "odd.log"
    late = shop_lines(60, 3, start=90_000)
    path.write_text("\n".join([*shop_lines(60, 2, start=80_000, broken=3), *late]) + "\n")
    return path


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory, small_log: Path) -> Path:
    """A model of the usual log, on disk."""
    folder = tmp_path_factory.mktemp("models") / "shop.model"
    oddlog.fit(small_log).save(folder)
    return folder


@pytest.fixture(scope="session")
def quick_model(tmp_path_factory: pytest.TempPathFactory, small_log: Path) -> Path:
    """A model of the usual log with the members that learn in no time."""
    folder = tmp_path_factory.mktemp("models") / "quick.model"
    oddlog.fit(small_log, detectors=["snn", "new-event"]).save(folder)
    return folder
