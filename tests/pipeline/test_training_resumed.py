"""A fit that was ended while a network learned goes on to the same model; options reach the detectors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import oddlog
from oddlog.errors import ConfigError
from oddlog.pipeline.learning.usual import usual_windows

pytest.importorskip("torch")
pytest.importorskip("onnx")

OPTIONS = {"vae": {"steps": 120, "width": 8}, "next-event": {"steps": 20, "width": 8, "embedding": 4}}


class Killed(BaseException):
    """As if the process had been ended."""


@pytest.fixture(scope="module")
def whole_id(small_log: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of the model of a fit that nobody ended."""
    folder = tmp_path_factory.mktemp("whole") / "a.model"
    oddlog.fit(small_log, detectors=list(OPTIONS), options=OPTIONS, rates=False).save(folder)
    return oddlog.load(folder).id


def test_killed_while_a_network_learns_it_goes_on_to_the_same_model(small_log: Path, tmp_path: Path):
    told: list[str] = []

    def fitted(folder: str | Path = "", until: int = 10**9) -> oddlog.Model:
        def progress(what: str, _n: int) -> None:
            told.append(what)
            step = re.search(r"^learning vae .*: step (\d+)", what)
            if step and int(step[1]) >= until:
                raise Killed

        return oddlog.fit(
            small_log, detectors=list(OPTIONS), options=OPTIONS, checkpoints=folder, progress=progress, rates=False
        )

    whole = fitted()
    assert any(re.fullmatch(r"learning vae on sessions: step 120 of 120, loss [\d.e-]+", what) for what in told)
    with pytest.raises(Killed):
        fitted(tmp_path, until=60)
    told.clear()
    resumed = fitted(tmp_path)
    steps = [int(found[1]) for what in told if (found := re.search(r"learning vae .*: step (\d+)", what))]
    assert min(steps) >= 48
    whole.save(tmp_path / "whole.model")
    resumed.save(tmp_path / "resumed.model")
    ids = {oddlog.load(tmp_path / name).id for name in ("whole.model", "resumed.model")}
    assert len(ids) == 1
    of = {member.name: member for member in resumed.views[0].members}
    assert (of["vae"].width, of["next-event"].embedding) == (8, 4)


@pytest.mark.parametrize(
    "moment",
    [
        "reading",
        "mining templates",
        "cutting sessions",
        "trimming",
        "learning vae .*step 7",
        "learning next-event .*step",
    ],
)
def test_killed_at_any_moment_and_begun_again_it_comes_to_the_same_model(
    small_log: Path, tmp_path: Path, whole_id: str, moment: str
):
    def kill(what: str, _n: int) -> None:
        if re.match(moment, what):
            raise Killed

    learning = {"detectors": list(OPTIONS), "options": OPTIONS, "checkpoints": tmp_path, "rates": False}
    with pytest.raises(Killed):
        oddlog.fit(small_log, progress=kill, **learning)
    oddlog.fit(small_log, **learning).save(tmp_path / "a.model")
    assert oddlog.load(tmp_path / "a.model").id == whole_id


def test_options_are_told_to_be_wrong_before_anything_is_read():
    with pytest.raises(ConfigError, match=r"'vae' has no option 'widht'\. Did you mean 'width'\?"):
        oddlog.fit("nowhere.log", options={"vae": {"widht": 8}})
    with pytest.raises(ConfigError, match=r"no detector called 'vea'"):
        oddlog.fit("nowhere.log", options={"vea": {}})


def test_the_usual_windows_are_those_of_a_fit_in_order_of_time(small_log: Path):
    windows, context = usual_windows(small_log)
    model = oddlog.fit(small_log, detectors=["new-event"])
    facts = model.training["views"]["sessions"]
    assert len(windows) == facts["windows"] - facts["trimmed"] > 390
    assert (windows.start[1:] >= windows.start[:-1]).all()
    assert context.templates.text == model.context.templates.text
