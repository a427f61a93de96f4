"""What an answer does to windows, lines and incidents of a whole detection."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oddlog
from made_windows import windows_of
from oddlog.explain import Oddity
from oddlog.feedback import Answer, Answers, beside
from oddlog.incidents import pattern_of
from oddlog.model import Model
from oddlog.pipeline.judging.answering import Overlay, without
from oddlog.pipeline.judging.detection import Detection
from oddlog.pipeline.judging.odd import OddWindows, patterns_of
from oddlog.pipeline.judging.telling import Remark
from oddlog.templates import Matcher
from oddlog.types import Incident, Templates
from small_shop import shop_lines

NOON = datetime(2026, 3, 9, 12, tzinfo=UTC)
STEPS = {
    "received": ("INFO", "web", "received from 192.0.2.7"),
    "reserved": ("INFO", "stock", "reserved 3 items"),
    "retried": ("WARN", "pay", "payment retried after 33 ms"),
    "charged": ("INFO", "pay", "charged 12.50 EUR"),
    "handed": ("INFO", "ship", "handed to carrier 4"),
    "sent": ("INFO", "mail", "receipt sent"),
    "wrapped": ("INFO", "gift", "wrapped in paper"),  # never seen in training, nor is what follows
    "returned": ("INFO", "back", "returned by customer"),
}
WHOLE = ("received", "reserved", "charged", "handed", "sent")
ORDERS = {
    "wrapped": (*WHOLE, "wrapped"),
    "wrapped-twice": (*WHOLE, "wrapped", "wrapped"),
    "wrapped-retried": ("received", "reserved", "retried", "charged", "handed", "sent", "wrapped"),
    "wrapped-lost": ("received", "reserved", "wrapped"),
    "returned": (*WHOLE, "returned"),
    "unsent": ("received", "reserved", "charged"),
    "unsent-retried": ("received", "reserved", "retried", "charged"),
}


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of usual orders and an hour apart those of `ORDERS`, followed by an hour of usual ones."""
    lines = shop_lines(40, 5, start=80_000)
    base = datetime(2026, 3, 3, 8)
    for i, steps in enumerate(ORDERS.values()):
        for j, (level, service, text) in enumerate(STEPS[step] for step in steps):
            time = base + timedelta(hours=i + 1, seconds=j)
            lines.append(f"{time:%Y-%m-%d %H:%M:%S},000 {level} shop.{service}: Order ord-777000{i} {text}")
    path = tmp_path_factory.mktemp("today") / "today.log"
    path.write_text("\n".join([*lines, *shop_lines(60, 6, start=120_000)]) + "\n")
    return path


@pytest.fixture(scope="module")
def model(quick_shop: Path) -> Model:
    return oddlog.load(quick_shop)


@pytest.fixture(scope="module")
def quick_shop(tmp_path_factory: pytest.TempPathFactory, small_log: Path) -> Path:
    folder = tmp_path_factory.mktemp("answered") / "shop.model"
    oddlog.fit(small_log, detectors=["snn", "new-event"]).save(folder)
    return folder


@pytest.fixture(scope="module")
def before(model: Model, today: Path) -> Detection:
    return model.detect(today)


def odd(found: Detection) -> set[str]:
    """Return the names of the orders that are odd."""
    names = list(ORDERS)
    return {names[int(key[-1])] for key in found.scores.filter("is_anomaly")["key"]}


def orders(incidents: Iterable[Incident]) -> set[str]:
    return {list(ORDERS)[int(key[-1])] for one in incidents for key in one.keys}


def incident_of(found: Detection, order: str) -> Incident:
    return next(one for one in found.incidents if order in orders([one]))


def answer(word: str, incident: Incident, **more: object) -> Answer:
    said = Answer(word, incident.pattern, NOON, incident.id, incident.patterns, incident.new_types)
    return replace(said, **more)  # type: ignore[arg-type]


def again(model: Model, today: Path, *said: Answer, now: datetime = NOON, **options: object) -> Detection:
    answers = Answers()
    for one in said:
        answers.add(one)
    return model.detect(today, answers=answers, now=now, **options)


def test_before_any_answer_each_set_of_types_is_an_incident_of_its_own(before: Detection):
    assert odd(before) == set(ORDERS)
    assert incident_of(before, "wrapped") == incident_of(before, "wrapped-twice")
    assert len(before.incidents) == len(ORDERS) - 1
    assert len(incident_of(before, "wrapped").new_types) == 1
    assert incident_of(before, "unsent").new_types == ()
    assert (before.hidden, before.notes) == ((), ())


def test_a_new_type_that_is_usual_excuses_windows_that_are_odd_for_nothing_else(
    before: Detection, model: Model, today: Path
):
    found = again(model, today, answer("usual", incident_of(before, "wrapped")))
    assert odd(found) == {"wrapped-lost", "returned", "unsent", "unsent-retried"}
    assert orders(found.incidents) == odd(found)
    assert orders(found.hidden) == {"wrapped", "wrapped-twice", "wrapped-retried"}
    assert {one.answer for one in found.hidden} == {"usual"}
    assert found.notes == ("2 incidents of 2 patterns you called usual are not shown; oddlog detect --all shows them.",)


def test_a_new_type_is_excused_in_sessions_of_the_company_it_was_seen_in(before: Detection, model: Model, today: Path):
    incident, retried = incident_of(before, "wrapped"), incident_of(before, "wrapped-retried")
    assert len(incident.company) == len(WHOLE)
    assert set(retried.company) > set(incident.company)
    found = again(model, today, answer("usual", incident, company=incident.company))
    assert odd(found) == set(ORDERS) - {"wrapped", "wrapped-twice"}
    found = again(model, today, answer("usual", retried, company=retried.company))
    assert odd(found) == {"wrapped-lost", "returned", "unsent", "unsent-retried"}


def test_a_set_of_known_types_that_is_usual_excuses_that_set_and_no_other(before: Detection, model: Model, today: Path):
    found = again(model, today, answer("usual", incident_of(before, "unsent")))
    assert odd(found) == set(ORDERS) - {"unsent"}
    assert found.notes == ("1 incident of 1 pattern you called usual is not shown; oddlog detect --all shows it.",)


def test_a_pattern_named_without_its_incident_excuses_no_type(before: Detection, model: Model, today: Path):
    bare = Answer("usual", incident_of(before, "wrapped").pattern, NOON)
    assert odd(again(model, today, bare)) == set(ORDERS) - {"wrapped", "wrapped-twice"}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("word", ["usual", "mute"])
def test_an_answered_incident_is_gone_and_the_scores_are_what_they_were(
    order: str, word: str, before: Detection, model: Model, today: Path
):
    incident = incident_of(before, order)
    found = again(model, today, answer(word, incident))
    assert incident.id not in {one.id for one in found.incidents}
    assert incident.id in {one.id for one in found.hidden}
    assert found.scores["score"].to_list() == before.scores["score"].to_list()
    assert (order in odd(found)) == (word == "mute")  # muted is not shown, but odd; usual is neither
    kept = {one.id: one for one in before.incidents}
    assert all(one == kept[one.id] for one in found.incidents)


def test_a_mute_holds_until_its_time_by_the_clock(before: Detection, model: Model, today: Path):
    muted = answer("mute", incident_of(before, "wrapped"), until=NOON + timedelta(hours=8))
    assert len(again(model, today, muted, now=NOON + timedelta(hours=7)).hidden) == 2
    later = again(model, today, muted, now=NOON + timedelta(hours=8))
    assert (later.incidents, later.hidden, later.notes) == (before.incidents, (), ())


def test_usual_and_muted_types_are_told_apart(before: Detection, model: Model, today: Path):
    usual, muted = answer("usual", incident_of(before, "wrapped")), answer("mute", incident_of(before, "returned"))
    found = again(model, today, usual, muted)
    assert odd(found) == {"wrapped-lost", "returned", "unsent", "unsent-retried"}
    assert orders(one for one in found.hidden if one.answer == "mute") == {"returned"}
    assert len(found.notes) == 2


def test_what_is_confirmed_comes_first_and_stays(before: Detection, model: Model, today: Path):
    last = before.incidents[-1]
    found = again(model, today, answer("anomalous", last, who="kim"))
    confirmed = next(one for one in found.incidents if one.id == last.id)
    assert (confirmed.answer, confirmed.severity) == ("anomalous", 2 * last.severity)
    assert confirmed.notes == ("confirmed by kim on 2026-03-09 12:00",)
    assert confirmed.urgency == "alert"
    assert [one.order for one in found.incidents] == sorted(one.order for one in found.incidents)
    assert found.scores.equals(before.scores)


def test_lines_of_an_excused_type_are_not_odd_and_others_are(
    before: Detection, model: Model, today: Path, tmp_path: Path
):
    def odd_lines(*said: Answer) -> set[str]:
        again(model, today, *said, line_scores=tmp_path / "lines.parquet")
        lines = pl.read_parquet(tmp_path / "lines.parquet").filter("is_anomaly")
        return {text.removeprefix("Order <*> ") for text in lines["template"]}

    assert odd_lines() >= {"wrapped in paper", "returned by customer"}
    assert odd_lines(answer("usual", incident_of(before, "returned"))) == odd_lines() - {"returned by customer"}
    assert odd_lines(answer("mute", incident_of(before, "returned"))) == odd_lines()


def test_an_answer_to_a_line_without_a_window_holds_for_its_type(model: Model, tmp_path: Path):
    path = tmp_path / "lines.log"
    path.write_text(
        "\n".join([*shop_lines(60, 6), *(["2026-03-02 09:00:00,000 WARN shop.disk: nearly full"] * 3)]) + "\n"
    )
    (alone,) = model.detect(path).incidents
    assert (alone.n_windows, alone.patterns, len(alone.new_types)) == (0, (alone.pattern,), 1)
    for word, n_odd in (("usual", 0), ("mute", 0), ("anomalous", 3)):
        found = again(model, path, answer(word, alone))
        assert (found.odd_lines, len(found.incidents), len(found.hidden)) == (n_odd, int(n_odd > 0), int(n_odd == 0))
    assert again(model, path, Answer("usual", alone.pattern, NOON)).incidents == ()


def test_an_answer_that_holds_only_for_what_comes_later_leaves_what_was_before(
    before: Detection, model: Model, today: Path
):
    incident = incident_of(before, "wrapped")
    first = before.scores.filter(pl.col("key") == incident.keys[0])["end"][0]
    answers = Answers(only_later=True)
    answers.add(answer("usual", incident, time=first))
    assert odd(model.detect(today, answers=answers, now=NOON)) == set(ORDERS) - {"wrapped-twice", "wrapped-retried"}
    later = answer("usual", incident_of(before, "returned"), time=NOON, new_types=incident.new_types)
    answers.add(later)  # the same type once more, after all of it: what was covered stays covered
    assert odd(model.detect(today, answers=answers, now=NOON)) == set(ORDERS) - {"wrapped-twice", "wrapped-retried"}


def test_what_only_recurs_is_odd_again_once_somebody_confirms_it(tmp_path: Path):
    log, today = tmp_path / "train.log", tmp_path / "today.log"
    lost = shop_lines(0, 9, broken=0)
    for i in range(5):  # a few lost orders in each stretch of time: trimmed, and known
        lost += shop_lines(100, 10 + i, start=i * 10_000, broken=2)
    log.write_text("\n".join(lost) + "\n")
    today.write_text(
        "\n".join([*shop_lines(40, 30, start=100_000, broken=2), *shop_lines(60, 31, start=110_000)]) + "\n"
    )
    model = oddlog.fit(log, detectors=["snn", "new-event"])
    assert len(model.views[0].known.oddity)
    calm = model.detect(today)
    alarmed = replace(model, views=(replace(model.views[0], known=type(model.views[0].known).nothing()),)).detect(today)
    assert (calm.scores["is_anomaly"].sum(), alarmed.scores["is_anomaly"].sum()) == (0, 2)
    (incident,) = alarmed.incidents
    found = again(model, today, answer("anomalous", incident))
    assert [one.answer for one in found.incidents] == ["anomalous"]
    assert found.scores["is_anomaly"].to_list() == alarmed.scores["is_anomaly"].to_list()
    assert again(model, today, answer("usual", incident)).scores.equals(calm.scores)


def test_windows_of_time_are_answered_by_the_types_that_make_them_odd(small_log: Path, tmp_path: Path):
    model = oddlog.fit(small_log, detectors=["snn", "new-event"], session="none", window="10min")
    lines = shop_lines(200, 8, start=80_000)
    middle = len(lines) // 2
    backup = lines[middle][:23] + " INFO shop.backup: volume copied"
    path = tmp_path / "today.log"
    path.write_text("\n".join([*lines[:middle], backup, *lines[middle:]]) + "\n")
    found = model.detect(path)
    incident = next(one for one in found.incidents if one.new_types)
    assert incident.n_windows == 1
    after = again(model, path, answer("usual", incident))
    assert after.scores["is_anomaly"].sum() == found.scores["is_anomaly"].sum() - 1
    assert incident.id not in {one.id for one in after.incidents}


def test_answers_go_with_the_name_of_the_model_when_both_are_moved(quick_shop: Path, tmp_path: Path):
    Answers.load(beside(quick_shop, "answers")).add(Answer("usual", "a" * 16, NOON))
    moved = tmp_path / "elsewhere" / "other.model"
    moved.parent.mkdir()
    quick_shop.rename(moved)
    beside(quick_shop, "answers").rename(beside(moved, "answers"))
    try:
        assert [one.pattern for one in Answers.load(beside(moved, "answers")).given] == ["a" * 16]
        assert oddlog.load(moved).id
    finally:
        moved.rename(quick_shop)


BAGS = st.lists(st.lists(st.integers(0, 5), max_size=6), max_size=5)


@given(BAGS, st.sets(st.integers(0, 5)))
@settings(deadline=None)
def test_windows_without_some_types_are_those_windows_cut_from_the_other_events(bags: list[list[int]], out: set[int]):
    windows = windows_of(bags)
    rest = without(windows, np.isin(windows.template, sorted(out)))
    expected = [[t for t in bag if t not in out] for bag in bags]
    assert [rest.template[a:b].tolist() for a, b in zip(rest.offsets, rest.offsets[1:], strict=False)] == expected
    assert rest.key.to_list() == windows.key.to_list()
    assert rest.line.tolist() == [line for line, t in zip(windows.line, windows.template, strict=True) if t not in out]


def rate_incident(name: str, pattern: str, *keys: str) -> Incident:
    return Incident(name, keys[0], keys, len(keys), NOON, NOON, 1.0, 3.0, 0.001, pattern, ("shop",), (), (), ())


def test_what_is_said_of_rates_holds_before_they_are_told():
    scores = pl.DataFrame({"key": ["service a@1", "service a@2", "service b@1"], "is_anomaly": [True, True, True]})
    told = [
        rate_incident("1", "a" * 16, "service a@1", "service a@2"),
        rate_incident("2", "b" * 16, "service a@2"),  # odd in another way at the same time
        rate_incident("3", "c" * 16, "service b@1"),
    ]
    answers = Answers()
    answers.add(Answer("usual", "a" * 16, NOON))
    answers.add(Answer("mute", "c" * 16, NOON))
    overlay = Overlay(answers.standing(NOON), Matcher(oddlog_templates()))
    episodes: list[Any] = ["one", "two", "three"]
    rated = overlay.rates(episodes, told, scores)
    assert (rated.shown, rated.hidden) == (["two"], ["one", "three"])
    assert rated.scores["is_anomaly"].to_list() == [False, True, True]


def oddlog_templates() -> Templates:
    nothing = np.empty(0, np.int64)
    return Templates(
        ("a <*>", "b"),
        np.full(2, 3, np.uint8),
        np.ones(2, np.int64),
        nothing.astype(np.uint64),
        nothing.astype(np.uint32),
        np.empty((2, 0), np.float32),
    )


@pytest.mark.parametrize("by", ["session", "time"])
def test_a_window_that_is_odd_by_no_type_has_the_pattern_of_what_is_remarked_on(by: str):
    matcher = Matcher(oddlog_templates())
    windows = windows_of([[0, 1], [0, 1], [0, 1], [1, 1]])
    slow, late = Remark("out_of_range", 0, 0, 1), Remark("unexpected_event", 1, 1, 2)
    oddity = Oddity(1, "count_off", 2, 1, 1.0)
    view: Any = SimpleNamespace(cut=SimpleNamespace(by=by))
    remarks = [[slow], [late], [slow], [slow]]
    odd = OddWindows(view, windows, np.ones(4), np.ones(4), [[], [], [], [oddity]], remarks, np.zeros(4))
    first, second, third, fourth = patterns_of(matcher, odd)
    assert first == third != second
    own = [matcher.key_of(row) for row in (0, 1)]
    assert fourth == pattern_of(own[1:])
    assert first not in {pattern_of(own), pattern_of([]), pattern_of(own[:1])}  # other sessions have these types, too
