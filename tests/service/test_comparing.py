"""Two models on the same lines: which of their incidents are of the same thing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from oddlog.feedback import Answers
from oddlog.service.comparing import Day, Rejudged, compare
from oddlog.types import LineRef


def told(id_: str, start: str, end: str = "", **more: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "id": id_,
        "key": id_,
        "start": f"2026-03-03T{start}:00Z",
        "end": f"2026-03-03T{end or start}:00Z",
        "pattern": id_,
        "patterns": [id_],
        "services": [],
        "lines": [],
        "severity": 5.0,
        "reasons": [{"kind": "unseen_template", "text": "new", "numbers": {}}],
    }
    return base | more


def test_what_shares_a_pattern_at_the_same_time_is_one():
    same = compare([told("a", "10:00", "10:20")], [told("x", "10:30", patterns=["a", "x"])])
    assert same.totals == Day(both=1)
    late = compare([told("a", "10:00")], [told("x", "10:30", patterns=["a", "x"])])
    assert late.totals == Day(only_current=1, only_challenger=1)


def test_so_is_what_shares_a_line_or_names_the_same_services():
    line = [{"source": "app", "line": 7}]
    assert compare([told("a", "10:00", lines=line)], [told("x", "10:05", lines=line)]).totals.both == 1
    assert compare([told("a", "10:00", services=["pay"])], [told("x", "10:05", services=["pay"])]).totals.both == 1
    other = compare([told("a", "10:00", services=["pay"])], [told("x", "10:05", services=["pay", "web"])])
    assert other.totals == Day(only_current=1, only_challenger=1)


def test_several_incidents_of_the_challenger_may_be_one_of_the_current_model():
    ours = [told("a", "10:00", "12:00")]
    theirs = [told("x", "10:05", patterns=["a"]), told("y", "11:55", patterns=["a"])]
    assert compare(ours, theirs).totals == Day(both=1)


def test_what_no_model_says_is_left_out():
    rule = [{"kind": "rule", "text": "must never come", "numbers": {}}]
    silent = [{"kind": "source_silent", "text": "brings nothing", "numbers": {}}]
    found = compare([told("r", "10:00", reasons=rule)], [told("s", "11:00", reasons=silent)])
    assert found.totals == Day()
    assert not found.days


def test_what_only_one_has_found_is_told_the_most_pressing_first_and_by_day():
    theirs = [told("x", "10:05"), told("y", "11:55", severity=50.0)]
    found = compare([], theirs)
    assert [one["id"] for one in found.only_challenger] == ["y", "x"]
    assert found.days == {"2026-03-03": Day(only_challenger=2)}


def test_what_is_answered_usual_is_no_difference_but_is_judged_anew():
    answers = {"u": ("usual", "nightly backup"), "c": ("anomalous", "")}
    theirs = [told("u", "10:00"), told("u", "14:00"), told("c", "11:00")]
    found = compare([told("c", "11:00")], theirs, lambda pattern: answers.get(pattern, ("", "")))
    assert found.totals == Day(both=1)
    assert found.rejudged == [Rejudged("c", "anomalous", "", 1, 1), Rejudged("u", "usual", "nightly backup", 0, 2)]


def test_of_more_than_are_compared_those_of_the_same_time_are(tmp_path: Path):
    pytest.importorskip("sqlalchemy")
    from oddlog.service.choosing import MOST_COMPARED, Choosing  # noqa: PLC0415
    from oddlog.store import Beside, Store  # noqa: PLC0415
    from stored_incidents import AT, Clock, live  # noqa: PLC0415

    clock = Clock()
    store = Store(tmp_path / "oddlog.db", clock)
    both = [live(20 * n, lines=(), services=()) for n in range(MOST_COMPARED + 100)]
    for some in (both, both[:150]):  # those that began first are changed last
        clock.pass_by(days=30)
        store.save("m", some)
    store.save("m", [], beside=Beside("c", both))
    choosing = Choosing(SimpleNamespace(store=store, models=None), Answers().standing)
    found = choosing._compared("c", AT.isoformat())
    store.close()
    assert found["totals"] == {"both": MOST_COMPARED, "only_current": 0, "only_challenger": 0}
    assert (found["is_cut"], found["since"]) == (True, both[99].incident.start.isoformat())


def test_what_only_one_finds_says_where_it_is(tmp_path: Path):
    pytest.importorskip("sqlalchemy")
    from oddlog.service.choosing import Choosing  # noqa: PLC0415
    from oddlog.store import Beside, Store  # noqa: PLC0415
    from stored_incidents import AT, Clock, live  # noqa: PLC0415

    store = Store(tmp_path / "oddlog.db", Clock())
    nowhere: tuple[str, ...] = ()
    theirs = [
        live(1),
        live(100, services=nowhere),
        live(200, services=nowhere, hosts=nowhere, lines=(LineRef("/a.log", 1, "x", 1.0),)),
    ]
    store.save("m", [], beside=Beside("c", theirs))
    found = Choosing(SimpleNamespace(store=store, models=None), Answers().standing)._compared("c", AT.isoformat())
    store.close()
    assert sorted(list(one["place"]) for one in found["only_challenger"]) == [["a.log"], ["h1"], ["pay"]]
