"""Which reports are right for which labelled incident, and what figures come of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import isnan
from typing import Any

import polars as pl
import pytest

from oddlog.datasets import LabelledIncidents
from oddlog.datasets.labels import INCIDENTS, LINES
from oddlog.evaluation import judge_incidents
from oddlog.types import Incident, LineRef, Reason

NOON = datetime(2026, 3, 12, 12, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def labelled(name: str, start: float, end: float, **more: Any) -> dict[str, Any]:
    row = {
        "id": name,
        "kind": name.rstrip("-0123456789"),
        "group": "known",
        "period": "today",
        "start": at(start),
        "end": at(end),
        "services": ["orders"],
        "hosts": ["app-1"],
        "entity": None,
        "expected_reasons": ["rate"],
        "traces": 0,
        "lines": 0,
    }
    return row | more


def labels(*rows: dict[str, Any], lines: dict[str, list[int]] | None = None) -> LabelledIncidents:
    """Return labels; of each incident those lines of today/orders.log."""
    marked = [
        {"source": "today/orders.log", "line": line, "incident": name, "kind": name, "direct": True}
        for name, numbers in (lines or {}).items()
        for line in numbers
    ]
    return LabelledIncidents(pl.DataFrame(list(rows), schema=INCIDENTS), pl.DataFrame(marked, schema=LINES))


def report(start: float | None, end: float | None, *kinds: str, **more: Any) -> Incident:
    lines = tuple(LineRef("dc/today/orders.log", line, "", 1.0) for line in more.pop("lines", ()))
    made: dict[str, Any] = {
        "id": "r",
        "key": "k",
        "keys": ("k",),
        "n_windows": 1,
        "start": None if start is None else at(start),
        "end": None if end is None else at(end),
        "severity": 1.0,
        "score": 1.0,
        "p_value": 0.001,
        "pattern": "p",
        "services": ("orders",),
        "hosts": (),
        "reasons": tuple(Reason(kind, f"what {kind} says") for kind in kinds),
        "lines": lines,
    }
    return Incident(**made | more)


def right_for(one: Incident, known: LabelledIncidents) -> str:
    return judge_incidents([one], known, "dc").right_for[0]


SPIKE = labelled("spike-1", 0, 30)
LINES_OF_SPIKE = {"spike-1": [1, 2, 3, 4]}


@pytest.mark.parametrize(("shown", "found"), [([1, 2], "spike-1"), ([1, 9], "spike-1"), ([1, 8, 9], ""), ([9], "")])
def test_half_of_the_shown_lines_must_be_of_the_incident(shown: list[int], found: str):
    assert right_for(report(None, None, "count_off", lines=shown), labels(SPIKE, lines=LINES_OF_SPIKE)) == found


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [(0, 30, "spike-1"), (-45, 35, "spike-1"), (-46, 35, ""), (0, 3 * 24 * 60, "")],
)
def test_what_shows_lines_of_an_incident_must_also_have_half_of_its_time_there(start: float, end: float, found: str):
    assert right_for(report(start, end, "count_off", lines=[1, 2]), labels(SPIKE, lines=LINES_OF_SPIKE)) == found


def test_lines_of_another_folder_are_other_lines():
    judged = judge_incidents([report(None, None, lines=[1])], labels(SPIKE, lines=LINES_OF_SPIKE), "elsewhere")
    assert judged.right_for == ("",)


def test_of_two_incidents_with_half_of_the_lines_each_it_is_the_one_that_began_first():
    known = labels(labelled("late", 60, 70), SPIKE, lines={"late": [7, 8], "spike-1": [1, 2]})
    assert right_for(report(None, None, lines=[1, 2, 7, 8]), known) == "spike-1"


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        (0, 30, "spike-1"),
        (-5, 35, "spike-1"),  # within the five minutes on either side
        (-45, 35, "spike-1"),  # 40 of 80 minutes
        (-46, 35, ""),  # 40 of 81
        (35, 35, ""),  # one minute, all of it after the five minutes
        (34, 34, "spike-1"),
        (-3 * 24 * 60, 24 * 60, ""),  # four days
    ],
)
def test_half_of_the_time_must_lie_within_the_stretch(start: float, end: float, found: str):
    assert right_for(report(start, end, "rate"), labels(SPIKE)) == found


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({"services": ("orders",)}, "spike-1"),
        ({"services": ("a", "b", "orders")}, "spike-1"),
        ({"services": ("a", "b", "c", "orders")}, ""),  # it names everything
        ({"services": (), "hosts": ("app-1",)}, "spike-1"),
        ({"services": ("billing",), "hosts": ("app-2",)}, ""),
    ],
)
def test_a_match_by_time_must_name_the_service_or_the_host(more: dict[str, Any], found: str):
    assert right_for(report(0, 30, "rate", **more), labels(SPIKE)) == found


@pytest.mark.parametrize(("kind", "found"), [("silence", "spike-1"), ("drift", "spike-1"), ("missing_event", "")])
def test_a_match_by_time_needs_a_reason_about_rates(kind: str, found: str):
    assert right_for(report(0, 30, kind), labels(SPIKE)) == found


@pytest.mark.parametrize(("said", "found"), [("192.0.2.1: 94 %", "scan"), ("192.0.2.10: 94 %", "")])
def test_an_entity_is_named_by_whole_words(said: str, found: str):
    known = labels(labelled("scan", 0, 30, services=["firewall"], hosts=[], entity="192.0.2.1"))
    one = report(0, 30, services=("portal",), reasons=(Reason("concentration", said),))
    assert right_for(one, known) == found


def test_of_several_incidents_it_is_the_one_that_covers_most_of_its_time():
    known = labels(labelled("a", 0, 15), labelled("b", 10, 40))
    assert right_for(report(12, 30, "rate"), known) == "b"


def test_what_spans_many_incidents_finds_one_at_most():
    known = labels(*(labelled(f"i-{n}", 10 * n, 10 * n + 8) for n in range(20)))
    judged = judge_incidents([report(0, 200, "rate")], known)
    assert judged.right_for == ("",)
    assert judged.figures().found == 0


def day() -> tuple[list[Incident], LabelledIncidents]:
    """Return five reports of a day with four incidents.

    1 right for spike-1 by its lines, its first reason not the expected one; 2 the same incident again, as expected;
    3 false; 4 right for lag-1 by its time; 5 false. Nothing for spike-2 and lag-2.
    """
    known = labels(
        SPIKE,
        labelled("lag-1", 100, 120, group="unknown", services=["replica"], expected_reasons=["ramp"]),
        labelled("spike-2", 200, 230),
        labelled("lag-2", 300, 330, group="unknown"),
        lines=LINES_OF_SPIKE,
    )
    reports = [
        report(0, 1, "count_off", "rate", lines=[1, 2]),
        report(3, 9, "rate"),
        report(150, 160, "rate"),
        report(100, 115, "ramp", services=("replica",)),
        report(300, 330, "rate", services=("billing",)),
    ]
    return reports, known


def test_the_figures_of_a_day():
    judged = judge_incidents(*day(), "dc")
    assert judged.right_for == ("spike-1", "spike-1", "", "lag-1", "")
    assert judged.labelled.rows() == [
        ("spike-1", "spike", "known", 2, 1, "lines", False, True),
        ("lag-1", "lag", "unknown", 1, 4, "reasons", True, True),
        ("spike-2", "spike", "known", 0, None, None, False, False),
        ("lag-2", "lag", "unknown", 0, None, None, False, False),
    ]
    every = judged.figures()
    assert (every.labelled, every.found, every.right, every.false, every.first, every.any) == (4, 2, 3, 2, 1, 2)
    assert (every.recall, every.precision, every.first_share) == (0.5, 0.6, 0.5)
    assert every.f1 == pytest.approx(2 * 0.5 * 0.6 / 1.1)


def test_all_false_reports_count_against_each_group():
    judged = judge_incidents(*day(), "dc")
    known, unknown = judged.figures("known"), judged.figures("unknown")
    assert (known.right, known.false, known.precision, known.recall) == (2, 2, 0.5, 0.5)
    assert (unknown.right, unknown.false, unknown.recall) == (1, 2, 0.5)
    assert unknown.precision == pytest.approx(1 / 3)
    assert unknown.f1 == pytest.approx(0.4)


def test_the_figures_by_kind():
    assert judge_incidents(*day(), "dc").by_kind().rows() == [
        ("known", "spike", 2, 1, 2, 0, 1),
        ("unknown", "lag", 2, 1, 1, 1, 1),
    ]


def test_nothing_reported_and_nothing_labelled():
    nothing = judge_incidents([], labels(SPIKE)).figures()
    assert (nothing.recall, nothing.f1) == (0.0, 0.0)
    assert isnan(nothing.precision)
    unlabelled = judge_incidents([report(0, 1, "rate")], labels()).figures()
    assert (unlabelled.false, unlabelled.precision) == (1, 0.0)
    assert isnan(unlabelled.f1)
