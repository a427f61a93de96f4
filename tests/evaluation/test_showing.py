"""What a person sees: patterns a day, and misses and false alarms in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from oddlog.datasets import LogSet
from oddlog.evaluation import metrics
from oddlog.evaluation.bench import Asked, run_bench
from oddlog.evaluation.report import write_reports
from oddlog.evaluation.results import Store


def test_patterns_are_ranked_by_day_and_bring_what_they_hold_later():
    score = np.array([9.0, 5.0, 7.0, 8.0, 9.0, 1.0])
    odd = np.array([True, True, True, True, True, False])
    label = np.array([1, 0, 1, 1, 1, 1], np.int8)
    pattern = np.array([1, 2, 3, 1, 4, 5], np.uint64)
    day = np.array([0, 0, 0, 1, 1, 1])
    rank, brings = metrics.by_day(score, odd, label, pattern, day)
    # day 0: pattern 1 (9), 3 (7), 2 (5); day 1: pattern 4; pattern 1 comes again and is known; 5 is not odd
    assert dict(zip([1, 2, 3, 4], zip(rank.tolist(), brings.tolist(), strict=True), strict=True)) == {
        1: (0, 2),
        3: (1, 1),
        2: (2, 0),
        4: (0, 1),
    }
    assert [len(each) for each in metrics.by_day(score, odd & False, label, pattern, day)] == [0, 0]


def test_the_report_says_in_words_what_was_missed_and_how_many_patterns_a_day_are_shown(
    made_set: LogSet, tmp_path: Path
):
    run_bench(Asked([str(made_set.folder)], ["time-usual"], ["new-event", "error-count"], tmp_path), lambda _: None)
    results = {one["cell"]["detector"]: one for one in Store(tmp_path).results()}
    assert results["new-event"]["told"] == {"missed": [], "false": []}
    missed = results["error-count"]["told"]["missed"]
    assert sum(one["cases"] for one in missed) == results["error-count"]["figures"]["anomalous"] == 10
    assert missed[0]["says"].startswith("new: “[<*>] disk quota exceeded”")
    text = write_reports(tmp_path)[0].read_text()
    assert "## jobs, time-usual: patterns a day" in text
    assert "| `new-event` |" in text.split("patterns a day", 1)[1]


def test_several_benches_are_told_in_one_report(made_set: LogSet, tmp_path: Path):
    for detector in ("new-event", "snn"):
        run_bench(Asked([str(made_set.folder)], ["time-usual"], [detector], tmp_path / detector), lambda _: None)
    text = write_reports(tmp_path / "snn", [tmp_path / "new-event"])[0].read_text()
    assert "| `snn` | 1 |" in text
    assert "| `new-event` | 1 |" in text
    assert "SHA-256 `" in text
    assert "all results are of it" in text


def test_of_cells_that_ask_the_same_the_one_with_answers_counts(made_set: LogSet, tmp_path: Path):
    for answers in (3, 0):
        asked = Asked([str(made_set.folder)], ["time-usual"], ["snn"], tmp_path, answers=answers)
        run_bench(asked, lambda _: None)
    [one] = Store(tmp_path).results()
    assert one["cell"]["answers"] == 3
