"""Models beside each other, one of which judges."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import oddlog
from oddlog.errors import ModelError
from oddlog.pipeline.live.versions import Versions


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, small_log: Path) -> list[Path]:
    folder = tmp_path_factory.mktemp("three")
    for seed in range(3):
        oddlog.fit(small_log, detectors=["new-event"], seed=seed).save(folder / str(seed))
    return [folder / str(seed) for seed in range(3)]


@pytest.fixture
def versions(tmp_path: Path, models: list[Path]) -> Versions:
    times = (datetime(2026, 3, 2, tzinfo=UTC) + timedelta(hours=i) for i in range(100))
    found = Versions(tmp_path / "models", lambda: next(times))
    for model in models:
        place = found.place()
        shutil.copytree(model, place)
        found.add(place, "learned")
    return found


def test_the_last_one_added_judges_and_one_step_leads_back(versions: Versions, models: list[Path]):
    ids = [oddlog.load(model).id for model in models]
    assert oddlog.load(versions.current).id == ids[2]
    assert versions.rollback() == ids[1][:12]
    assert oddlog.load(versions.current).id == ids[1]
    assert versions.rollback() == ids[0][:12]
    with pytest.raises(ModelError, match="No other model has judged"):
        versions.rollback()
    versions.use(ids[2][:5])
    assert versions.rollback() == ids[0][:12]


def test_all_are_listed_the_one_that_judges_first(versions: Versions):
    found = versions.every()
    assert [one.is_current for one in found] == [True, False, False]
    assert found[0].why == "learned"
    assert found[0].lines > 1_000
    assert found[0].used > found[1].used > found[2].used


def test_one_that_is_not_there_or_damaged_is_refused_and_the_old_one_stays(versions: Versions):
    before = versions.name
    with pytest.raises(ModelError, match=r"There is no model zzz in .*\. There are: "):
        versions.use("zzz")
    other = next(one.name for one in versions.every() if not one.is_current)
    (versions.folder / other / "model.json").write_bytes(b"{}")
    with pytest.raises(ModelError, match="differs from the manifest"):
        versions.use(other)
    assert versions.name == before


def test_drop_has_no_challenger_neither_one_that_judges_nor_one_that_is_asked_for(versions: Versions):
    one, two, judges = (version.name for version in reversed(versions.every()))
    assert judges == versions.name
    with pytest.raises(ModelError, match="No model challenges"):
        versions.drop()
    versions.ask_learning()
    assert versions.drop() == "No challenger is learned any more."
    versions.challenge(one)
    assert versions.drop() == f"{one} judges beside no more."
    versions.challenge(two)
    versions.ask_learning()
    assert versions.drop() == f"{two} judges beside no more. No challenger is learned any more."
    assert (versions.challenger, versions.is_learning_asked, len(versions.every())) == ("", False, 3)


def test_a_folder_without_models_has_none(tmp_path: Path):
    empty = Versions(tmp_path / "models")
    assert (empty.name, empty.every()) == ("", [])
