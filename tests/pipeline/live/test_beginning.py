"""From no model to the first one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

import oddlog
from oddlog.errors import OddlogError
from oddlog.pipeline.live.background import Fit, Outcome
from oddlog.pipeline.live.beginning import Beginning
from oddlog.pipeline.live.collecting import BEYOND, Collecting, Need
from oddlog.types import LINES
from small_shop import shop_lines

NEED = Need(lines=1_000, hours=0.5)


def frame(texts: Sequence[str], first: int = 1, source: str = "http/shop") -> pl.DataFrame:
    numbers = range(first, first + len(texts))
    columns = {"source": source, "position": numbers, "line": numbers, "text": texts, "count": 1}
    return pl.DataFrame(columns, schema=LINES, strict=False)


class Now:
    """A fit that is over when it is asked for the first time."""

    def __init__(self, paths: Sequence[Path], model: Path, options: Sequence[str]) -> None:
        self._model, self.paths = model, paths
        try:
            oddlog.fit(list(paths), detectors=["snn", "new-event"]).save(model)
            self._outcome = Outcome(model)
        except OddlogError as error:
            self._outcome = Outcome(None, str(error))
        assert not options

    def poll(self) -> Outcome | None:
        return self._outcome

    def stop(self) -> None:
        pass


def beginning(folder: Path, need: Need = NEED) -> tuple[Beginning, list[str]]:
    said: list[str] = []
    collecting = Collecting(folder / "lines", need)
    return Beginning(collecting, lambda: folder / "app.model", say=said.append, learn=Now), said


def test_it_collects_says_how_far_it_is_learns_and_says_so(tmp_path: Path):
    one, said = beginning(tmp_path)
    lines = shop_lines(400, 1)
    for i in range(0, len(lines), 100):
        if one.phase == "collecting":
            one.take(frame(lines[i : i + 100], i + 1), float(i))
    assert said[0] == "No model yet: 100 of 1,000 lines are collected, from 1 source."
    assert said[1] == (
        "No model yet: 200 of 1,000 lines and 0.33 of 0.5 hours are collected, from 1 source; about 1.3 hours more."
    )
    assert 5 < len(said) < 14
    assert one.phase == "learning"
    assert said[-1].startswith("Learning what is usual from 1,000 lines")
    one.look(2_000.0)
    assert one.phase == "learned"
    assert said[-1] == "Learned from 1,000 lines: judging from now on. It took 1100 s."
    assert oddlog.load(one.model).training["lines"] == 1_000


def test_it_goes_on_collecting_while_more_lies_ready(tmp_path: Path):
    one, _ = beginning(tmp_path)
    lines = frame(shop_lines(400, 1))
    one.take(lines, 0.0, caught_up=False)
    assert one.phase == "collecting"
    one.take(lines.clear(), 1.0)
    assert one.phase == "learning"


def test_what_was_too_little_is_said_and_twice_as_much_is_collected(tmp_path: Path):
    one, said = beginning(tmp_path, Need(lines=20, hours=0.01))
    one.take(frame(shop_lines(8, 1)[:30]), 0.0)
    one.take(frame([]), 2.0)
    one.look(3.0)
    assert one.phase == "collecting"
    assert said[-1].startswith("No model could be learned: Too little to learn from")
    assert said[-1].endswith("Twice as much is collected now.")
    assert one.collecting.need == Need(lines=40, hours=0.02)


def test_a_quiet_system_is_learned_after_a_day_and_lines_without_times_need_no_hours(tmp_path: Path):
    day = Collecting(tmp_path / "day", Need())
    texts = [f"2026-03-02 {h:02d}:{m:02d}:00,000 INFO shop.web: beat {h}" for h in range(24) for m in range(60)]
    day.add(frame(texts[:1_200]), 0.0)
    assert not day.progress.is_enough
    day.add(frame(texts[1_200:], 1_201), 1.0)
    day.add_end()
    assert day.progress.is_enough
    untimed = Collecting(tmp_path / "untimed", Need(lines=50))
    untimed.add(frame([f"beat {i}" for i in range(60)]), 0.0)
    untimed.add_end()
    assert untimed.progress.is_enough
    assert untimed.progress.says == "50 of 50 lines are collected, from 1 source"


def test_what_was_written_after_the_last_note_comes_again_and_is_kept_once(tmp_path: Path):
    lines = shop_lines(40, 1)
    first = Collecting(tmp_path, NEED)
    first.add(frame(lines[:100]), 0.0)
    first.note(100)
    first.add(frame(lines[100:150], 101), 1.0)
    first.add(frame(["elsewhere"], 151, "http/other"), 1.0)
    second = Collecting(tmp_path, NEED)
    assert (second.position, second.progress.lines) == (100, 100)
    second.add(frame(lines[100:], 101), 0.0)
    (path,) = second.files
    assert path.read_text().splitlines() == lines
    assert list(tmp_path.glob("*.log")) == [path]


def test_sources_have_files_of_their_own_inside_the_folder_and_a_limit(tmp_path: Path):
    one = Collecting(tmp_path / "lines", NEED, most_bytes=100)
    for source in ("../../etc/passwd", "a/b", "a-b"):
        one.add(frame(["x" * 20], source=source), 0.0)
    assert len(one.files) == 3
    assert all(path.parent == tmp_path / "lines" and path.is_file() for path in one.files)
    one.add(frame(["x" * 90], source="a/b"), 0.0)
    assert one.tally.counts[BEYOND] == 1
    assert one.n_bytes == 63


def test_a_fit_in_a_process_of_its_own_says_why_it_failed(tmp_path: Path):
    fit = Fit([tmp_path / "nothing.log"], tmp_path / "m")
    fit._process.wait()
    outcome = fit.poll()
    assert outcome.model is None
    assert "nothing.log" in outcome.said
    other = Fit([tmp_path], tmp_path / "m")
    other.stop()


@pytest.mark.parametrize("hours", [0.0, 2.9])
def test_enough_lines_of_too_short_a_time_are_not_enough(hours: float, tmp_path: Path):
    one = Collecting(tmp_path, Need(lines=10))
    minutes = int(hours * 60)
    one.add(frame([f"2026-03-02 08:{m % 60:02d}:00,000 INFO a: b" for m in range(minutes or 30)]), 0.0)
    assert not one.progress.is_enough
