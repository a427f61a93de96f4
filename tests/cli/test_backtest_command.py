"""`oddlog backtest` as a person types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[..., Any]


def test_a_person_sees_services_days_and_budgets(command: Command, quick_model: Path, odd_log: Path):
    answer = command("backtest", odd_log, "-m", quick_model, "--budget", "1/day", terminal=True)
    assert answer.code == 0
    assert "Would have fired at 1/day: 1 of 1 incident" in answer.out
    rule = " ".join(answer.out.split())
    assert "the 7 most pressing of the last 7 days, and, when it comes, among the 1 most pressing" in rule
    assert "2026-03-03" in answer.out
    assert "shop.ship         1/1" in answer.out
    assert "What budgets would have held" in answer.out
    assert "never seen" in answer.out


def test_a_machine_reads_one_object(command: Command, quick_model: Path, odd_log: Path):
    answer = command("backtest", odd_log, "-m", quick_model, "--json")
    told = json.loads(answer.out)
    assert (told["budget_per_day"], told["told"], told["incidents"]) == (5.0, 1, 1)
    assert told["by_service_and_day"] == [{"service": "shop.ship", "day": "2026-03-03", "told": 1, "incidents": 1}]
    assert told["fired"][0]["told"] is True
    assert told["fired"][0]["reasons"]


def test_a_budget_that_is_none_is_refused(command: Command, quick_model: Path, odd_log: Path):
    answer = command("backtest", odd_log, "-m", quick_model, "--budget", "some")
    assert (answer.code, answer.err) == (2, "oddlog: 'some' is no number a day. Write --budget 5/day.\n")
