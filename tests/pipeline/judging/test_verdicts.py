"""pipeline/judging/verdicts.py: a line's own score and what its window says of it are of one scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from made_windows import windows_of
from oddlog.calibration import Calibrator
from oddlog.explain import Oddity, Usual
from oddlog.incidents import MOST_NOVEL
from oddlog.pipeline.events import Codes
from oddlog.pipeline.judging.odd import OddWindows
from oddlog.pipeline.judging.verdicts import LineWriter
from oddlog.pipeline.judging.views import Cut, View
from oddlog.pipeline.learning.known import Known
from oddlog.templates import Matcher
from oddlog.testing import context
from oddlog.types import LEVELS, LINE_SCORES
from oddlog.windows import SessionChoice

K = 4
INFO, ERROR = LEVELS.index("INFO"), LEVELS.index("ERROR")
GRAVE = 1  # the type whose text holds a word of the list


def odd_windows(p_value: list[float], score: list[float]) -> OddWindows:
    """Return windows of two lines, the types 0 and 1, the second of which makes each of them odd."""
    windows = windows_of([[0, GRAVE]] * len(p_value))
    cut = Cut("session", SessionChoice("field", "f.id"))
    view = View("sessions", cut, (), Calibrator(), 0.0, Usual.learn(windows, K), Known.nothing())
    because = [[Oddity(GRAVE, "count_off", 1, 0, 1.0)] for _ in p_value]
    return OddWindows(
        view, windows, np.array(score), np.array(p_value), because, [[] for _ in p_value], np.zeros(len(p_value))
    )


def events_of(odd: OddWindows, level: int) -> pl.DataFrame:
    windows = odd.windows
    n = len(windows.template)
    return pl.DataFrame(
        {
            "source": windows.source,
            "line": windows.line,
            "time_us": windows.time_us,
            "template": windows.template,
            "level": np.full(n, level, np.uint8),
            "score": np.full(n, 0.5),
            "p_value": np.full(n, 0.5),
            "is_anomaly": np.zeros(n, np.bool_),
        }
    )


def written(path: Path, odd: OddWindows, level: int) -> pl.DataFrame:
    matcher, sources = Matcher(context(K).templates), Codes(["a.log"])
    with LineWriter(path, sources, matcher, np.arange(K) == GRAVE) as writer:
        writer.add(events_of(odd, level), odd)
    return pl.read_parquet(path)


def test_a_window_says_of_its_lines_what_it_would_as_an_incident(tmp_path: Path):
    lines = written(tmp_path / "lines.parquet", odd_windows([1e-3, 1e-5], [3.0, 5.0]), ERROR)
    assert lines.schema == LINE_SCORES
    # -log10 p × ERROR 4 × a word of the list 2; what does not make the window odd keeps its own score
    assert lines["score"].to_list() == pytest.approx([0.5, 3 * 4 * 2, 0.5, 5 * 4 * 2])
    assert lines["is_anomaly"].to_list() == [False, True, False, True]
    info = written(tmp_path / "info.parquet", odd_windows([1e-3], [3.0]), INFO)
    assert info["score"].to_list() == pytest.approx([0.5, 3 * 2])


def test_a_score_without_a_bound_takes_no_line_beyond_what_is_most_novel(tmp_path: Path):
    lines = written(tmp_path / "lines.parquet", odd_windows([0.0, 1e-300], [1e7, 1e6]), ERROR)
    assert lines["score"].to_list() == pytest.approx([0.5, MOST_NOVEL * 8, 0.5, MOST_NOVEL * 8])


def test_a_further_view_is_told_on_the_same_scale_and_the_rarest_window_counts(tmp_path: Path):
    nothing = odd_windows([], [])
    lines = events_of(odd_windows([1e-3], [3.0]), ERROR)
    matcher, path = Matcher(context(K).templates), tmp_path / "lines.parquet"
    with LineWriter(path, Codes(["a.log"]), matcher, np.arange(K) == GRAVE) as writer:
        writer.add(lines, nothing)
        writer.add_windows(odd_windows([1e-2], [99.0]))
        writer.add_windows(odd_windows([1e-4], [4.0]))
    told = pl.read_parquet(path)
    assert told["score"].to_list() == pytest.approx([0.5, 4 * 8])
    assert told["p_value"].to_list() == pytest.approx([0.5, 1e-4])
    assert told["is_anomaly"].to_list() == [False, True]
