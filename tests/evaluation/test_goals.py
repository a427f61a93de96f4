"""What was promised is judged on the lower end of its interval; what was planned and not run is listed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from oddlog.errors import ConfigError
from oddlog.evaluation.goals import Goal, Planned, goal_table, left_out_table, read_goals
from oddlog.evaluation.scoring import Cases

FILE = """
[[goal]]
says = "F1 of jobs"
set = "jobs"
protocol = "time"
detector = "snn"
at_least = 0.9
why = "too little to learn from"

[[planned]]
set = "jobs"
protocols = ["time"]
detectors = ["snn", "dae"]
seeds = 2
why = "no time"
"""


def result(
    detector: str, seed: int = 0, answers: list[dict[str, float]] | None = None, **figures: float
) -> dict[str, Any]:
    cell = {"set": "jobs", "protocol": "time", "detector": detector, "seed": seed, "recurring": "usual"}
    return {"cell": cell, "ok": True, "figures": figures, "answers": answers or []}


def cases(one: dict[str, Any]) -> Cases:
    """Of 100 cases with 20 anomalies, as many are found as the result's F1 says."""
    label = np.repeat([1, 0], [20, 80]).astype(np.int8)
    odd = np.arange(100) < round(20 * one["figures"]["f1"] / (2 - one["figures"]["f1"]))
    whole = np.arange(100)
    hashes = whole.astype(np.uint64)
    return Cases(pl.Series(map(str, whole)), whole, whole, label, whole * 1.0, odd, hashes, hashes, whole, np.ones(100))


def verdict(goal: Goal, *results: dict[str, Any]) -> tuple[str, ...]:
    return goal_table([goal], results, cases).rows[0][3:]


GOAL = Goal("F1", "jobs", "time", "snn", at_least=0.9, why="because")


@pytest.mark.parametrize(
    ("low", "said"), [(0.95, "met"), (0.85, "not met, by its lower end")], ids=["its lower end", "only the figure"]
)
def test_a_goal_is_met_where_the_lower_end_meets_it(low: float, said: str):
    assert verdict(GOAL, result("snn", f1=0.97, f1_low=low))[2] == said


def test_of_seeds_the_lowest_end_counts_and_what_is_not_met_says_why():
    rows = verdict(GOAL, result("snn", 0, f1=0.97, f1_low=0.95), result("snn", 1, f1=0.89, f1_low=0.8))
    assert rows == ("0.930", "0.800", "not met, by its lower end", "because")
    assert verdict(GOAL, result("snn", f1=0.5, f1_low=0.4))[2:] == ("not met", "because")
    assert verdict(GOAL) == ("–", "–", "not measured", "because")


def test_where_less_is_better_the_upper_end_counts_and_a_figure_without_an_interval_says_so():
    goal = Goal("false", "jobs", "time", "snn", "usual_lines_odd_per_1000", at_most=0.5)
    assert verdict(goal, result("snn", usual_lines_odd_per_1000=0.4)) == ("0.400", "–", "met", "no interval")
    assert verdict(goal, result("snn", usual_lines_odd_per_1000=0.6))[2] == "not met"


def test_answers_are_counted_up_to_the_goal():
    given = [{"f1": 0.5, "f1_low": 0.4}, {"f1": 0.8, "f1_low": 0.7}, {"f1": 0.99, "f1_low": 0.98}]
    one = result("snn", answers=given, f1=0.5, f1_low=0.4)
    assert verdict(Goal("F1", "jobs", "time", "snn", at_least=0.9, answers=1), one)[:2] == ("0.800", "0.700")
    assert verdict(Goal("F1", "jobs", "time", "snn", at_least=0.9, answers=50), one)[2] == "met"


def test_the_best_is_that_of_those_that_saw_no_label():
    goal = Goal("near", "jobs", "time", "snn", within=0.01)
    seer = result("cart", f1=1.0) | {"learned_from_labels": True}
    table = goal_table([goal], [result("snn", f1=0.9), result("dae", f1=0.75), seer], cases)
    assert table.rows[0][2:6] == ("within 0.01 of the best, `snn`", "0.000", "0.000", "met")
    behind = Goal("near", "jobs", "time", "dae", within=0.01)
    assert verdict(behind, result("snn", f1=0.9), result("dae", f1=0.75), seer)[2] == "not met"


def test_nearness_to_the_best_can_be_asked_of_a_figure_without_an_interval():
    goal = Goal("near", "jobs", "time", "snn", "line_roc_auc", within=0.01, why="because")
    others = [result("dae", f1=0.1, line_roc_auc=0.975), result("pca", f1=1.0, line_roc_auc=0.5)]
    table = goal_table([goal], [result("snn", f1=0.5, line_roc_auc=0.97), *others], cases)
    assert table.rows[0][2:] == ("within 0.01 of the best, `dae`", "-0.005", "–", "met", "no interval")
    far = goal_table([goal], [result("snn", f1=0.5, line_roc_auc=0.9), *others], cases)
    assert far.rows[0][3:] == ("-0.075", "–", "not met", "no interval; because")


def test_what_was_planned_and_not_run_is_listed_with_its_reason():
    plan = [Planned("jobs", ("time",), ("snn", "dae"), 2, "no time"), Planned("bgl", (), (), why="not here")]
    table = left_out_table(plan, [result("snn", f1=1.0)])
    assert table is not None
    assert table.rows == (
        ("jobs", "time", "dae", "no time"),
        ("jobs", "time", "seeds of snn (1 of 2)", "no time"),
        ("bgl", "", "all", "not here"),
    )
    short = [result("snn:steps=300", seed, f1=1.0) for seed in (0, 1)]  # the same detector with an option
    table = left_out_table(plan[:1], [*short, result("dae", f1=1.0), result("dae", 1, f1=1.0)])
    assert table is None
    assert left_out_table(plan[:1], [result(name, seed, f1=1.0) for name in ("snn", "dae") for seed in (0, 1)]) is None


def test_a_file_of_goals_is_read_and_a_slip_in_it_named(tmp_path: Path):
    path = tmp_path / "goals.toml"
    path.write_text(FILE)
    found = read_goals(path)
    assert found.goals == (Goal("F1 of jobs", "jobs", "time", "snn", at_least=0.9, why="too little to learn from"),)
    assert found.planned == (Planned("jobs", ("time",), ("snn", "dae"), 2, "no time"),)
    path.write_text(FILE.replace("detector =", "detektor ="))
    with pytest.raises(ConfigError, match=r"a goal has no 'detektor'\. Did you mean 'detector'"):
        read_goals(path)
    path.write_text(FILE.replace("planned", "plan"))
    with pytest.raises(ConfigError, match=r"holds 'plan'\. Did you mean 'planned'"):
        read_goals(path)
    path.write_text("[[goal")
    with pytest.raises(ConfigError, match="is no TOML"):
        read_goals(path)
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_goals(tmp_path / "none.toml")


def test_a_figure_that_is_missing_is_not_measured():
    assert verdict(GOAL, result("snn", f1=math.nan))[2] == "not measured"
