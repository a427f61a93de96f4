"""What is new since a deployment is one incident; what fails after it stays another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oddlog
from deployed_shop import DAY, NOON, ORDERS, deployed_lines
from naive.deployments import brought
from oddlog.errors import ConfigError
from oddlog.feedback import Answer, Answers, Mark, Marks
from oddlog.model import Model
from oddlog.pipeline.events import Codes, EventStore
from oddlog.pipeline.judging.deployments import Finding
from oddlog.pipeline.judging.detection import Detection
from oddlog.types import Incident


@pytest.fixture(scope="module")
def model(small_log: Path) -> Model:
    return oddlog.fit(small_log, detectors=["snn", "new-event"])


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log in which payments are taxed from noon on."""
    path = tmp_path_factory.mktemp("deployed") / "today.log"
    path.write_text("\n".join(deployed_lines()) + "\n")
    return path


def marked(model: Model, today: Path, *marks: Mark, answers: Answers | None = None) -> Detection:
    known = Marks()
    for one in marks:
        known.add(one)
    return model.detect(today, marks=known, answers=answers, now=NOON)


def names(incidents: tuple[Incident, ...]) -> list[str]:
    """Return what the incidents are about: a deployment, an order, or the line that stands alone."""
    orders = {f"ord-777000{i}": name for i, name in enumerate(ORDERS)}
    return [one.key if one.key.startswith("deploy") else orders.get(one.key, "rules") for one in incidents]


DEPLOY = Mark("shop.pay", "3.8.0", NOON)


def test_before_the_mark_each_new_thing_is_an_incident(model: Model, today: Path):
    found = model.detect(today)
    assert sorted(names(found.incidents)) == ["failed", "lost", "rules", "taxed", "wrapped"]


def test_what_is_new_since_the_deployment_is_one_incident_with_its_types_and_rates(model: Model, today: Path):
    found = marked(model, today, DEPLOY)
    assert sorted(names(found.incidents)) == ["deploy shop.pay 3.8.0", "failed", "lost"]
    incident = next(one for one in found.incidents if one.key == "deploy shop.pay 3.8.0")
    assert incident.keys == ("ord-7770001", "ord-7770002")
    assert (incident.n_windows, incident.services) == (2, ("shop.pay", "shop.gift"))
    assert [one.text for one in incident.reasons] == [
        "new since deploy shop.pay 3.8.0 at 2026-03-03 12:00: 4 message types, 6 lines",
        *[one.text for one in incident.reasons[1:2]],
        "never seen before: “tax rules loaded” (1 line, first after 1 min)",
        "never seen before: “Order <*> taxed by rule <*>” (3 lines, first after 10 min)",
        "never seen before: “Order <*> wrapped in paper” (1 line, first after 50 min)",
        "never seen before: “Order <*> could not be taxed: no rule” (ERROR, 1 line, first after 120 min)",
    ]
    assert (incident.start, incident.end) == (NOON + timedelta(minutes=1), NOON + timedelta(minutes=180, seconds=2))
    raw = today.read_text().splitlines()
    assert [line.text for line in incident.lines] == [raw[line.line - 1] for line in incident.lines]
    assert len(incident.new_types) == 4


def test_the_rates_can_be_counted_in_the_raw_lines(model: Model, today: Path):
    incident = next(one for one in marked(model, today, DEPLOY).incidents if one.key.startswith("deploy"))
    rate = incident.reasons[1]
    assert rate.kind == "rate_since_deploy"
    own = [line for line in today.read_text().splitlines() if "shop.pay:" in line]
    before, after = ([line for line in own if (line >= "2026-03-03 12") == late] for late in (False, True))
    assert (rate.numbers["lines_before"], rate.numbers["lines_after"]) == (len(before), len(after))
    assert (rate.numbers["errors_before"], rate.numbers["errors_after"]) == (0, 1)
    every = sorted(line[:23] for line in today.read_text().splitlines())
    first, last = (datetime.fromisoformat(one.replace(",", ".") + "+00:00") for one in (every[0], every[-1]))
    assert rate.numbers["minutes_before"] == pytest.approx((NOON - first) / timedelta(minutes=1), abs=0.001)
    assert rate.numbers["minutes_after"] == pytest.approx((last - NOON) / timedelta(minutes=1), abs=0.001)
    assert f"in the {(last - NOON) / timedelta(minutes=1):,.0f} min after" in rate.text


def test_what_fails_or_breaks_off_after_it_stays_and_says_how_long_after(model: Model, today: Path):
    found = marked(model, today, DEPLOY)
    notes = {name: one.notes for name, one in zip(names(found.incidents), found.incidents, strict=True)}
    assert notes["failed"] == ("120 min after deploy shop.pay 3.8.0",)
    assert notes["lost"] == ("180 min after deploy shop.pay 3.8.0",)
    assert notes["deploy shop.pay 3.8.0"] == ()


def test_verdicts_do_not_change_by_a_mark(model: Model, today: Path):
    assert marked(model, today, DEPLOY).scores.equals(model.detect(today).scores)


def test_another_service_of_which_no_session_passes_on_takes_nothing(model: Model, today: Path):
    other = Mark("shop.ship", "1.1", NOON + timedelta(minutes=130))
    found = marked(model, today, other)
    assert names(found.incidents) == names(model.detect(today).incidents)
    assert found.notes == ("Nothing is new since deploy shop.ship 1.1.",)


def test_a_type_from_before_the_deployment_is_not_put_down_to_it(model: Model, today: Path):
    late = Mark("shop.pay", "3.8.1", NOON + timedelta(minutes=15))
    incident = next(one for one in marked(model, today, late).incidents if one.key.startswith("deploy"))
    assert [one.text.split("”")[0].split("“")[1] for one in incident.reasons[2:]] == [
        "Order <*> wrapped in paper",
        "Order <*> could not be taxed: no rule",
    ]


def test_each_deployment_ends_where_the_next_of_its_service_begins(model: Model, today: Path):
    found = marked(model, today, DEPLOY, Mark("shop.pay", "3.8.1", NOON + timedelta(minutes=60)))
    types = {
        one.key: [reason.text.split("”")[0].split("“")[1] for reason in one.reasons[2:]]
        for one in found.incidents
        if one.key.startswith("deploy")
    }
    assert types == {
        "deploy shop.pay 3.8.0": ["tax rules loaded", "Order <*> taxed by rule <*>", "Order <*> wrapped in paper"],
        "deploy shop.pay 3.8.1": ["Order <*> could not be taxed: no rule"],
    }


def test_the_time_of_a_mark_bounds_what_is_put_down_to_it(model: Model, today: Path):
    short = Mark("shop.pay", "3.8.0", NOON, timedelta(minutes=5))
    incident = next(one for one in marked(model, today, short).incidents if one.key.startswith("deploy"))
    assert [one.text for one in incident.reasons[2:]] == [
        "never seen before: “tax rules loaded” (1 line, first after 1 min)"
    ]


def test_marks_of_other_days_and_of_services_without_a_line_change_nothing(model: Model, today: Path):
    found = marked(
        model,
        today,
        Mark("shop.pay", "1", NOON - 3 * DAY),
        Mark("shop.pay", "9", NOON + DAY),
        Mark("shop.no", "1", NOON),
    )
    assert found.incidents == model.detect(today).incidents
    assert found.notes == ("No line here is of the service of deploy shop.no 1.",)


def test_an_answer_to_the_deployment_holds_for_its_types_also_without_the_mark(model: Model, today: Path):
    incident = next(one for one in marked(model, today, DEPLOY).incidents if one.key.startswith("deploy"))
    answers = Answers()
    answers.add(Answer("usual", incident.pattern, NOON, incident.id, incident.patterns, incident.new_types))
    found = marked(model, today, DEPLOY, answers=answers)
    assert sorted(names(found.incidents)) == ["failed", "lost"]
    assert found.notes[0] == "Nothing is new since deploy shop.pay 3.8.0."
    assert sorted(names(model.detect(today, answers=answers, now=NOON).incidents)) == ["failed", "lost"]


def test_a_mark_is_listed_undone_and_set_but_once(tmp_path: Path):
    marks = Marks.load(tmp_path / "m.jsonl")
    assert (marks.add(DEPLOY), marks.add(Mark("shop.web", "2", NOON))) == (1, 2)
    with pytest.raises(ConfigError, match=r"'deploy shop\.pay 3\.8\.0' is marked at that time already"):
        marks.add(DEPLOY)
    assert marks.undo(1) == DEPLOY
    with pytest.raises(ConfigError, match=r"There is no mark 1\. Look with: oddlog mark list"):
        marks.undo(1)
    assert [one.service for one in Marks.load(tmp_path / "m.jsonl").standing()] == ["shop.web"]
    assert marks.add(DEPLOY) == 3
    assert [one.service for one in Marks.load(tmp_path / "m.jsonl").standing()] == ["shop.pay", "shop.web"]


def test_records_that_are_no_marks_are_passed_over_and_counted(tmp_path: Path):
    path = tmp_path / "m.jsonl"
    Marks.load(path).add(DEPLOY)
    good = path.read_text()
    path.write_text('{"mark":"deploy"}\n' + good.replace("Z", "") + good.replace("86400", "-1") + good + good[:40])
    marks = Marks.load(path)
    assert ([one.service for one in marks.given], marks.broken) == (["shop.pay"], 4)


EVENT = st.fixed_dictionaries(
    {
        "time": st.integers(0, 40),
        "service": st.integers(0, 2),
        "template": st.integers(0, 5),
        "level": st.sampled_from([3, 6]),
        "session": st.sampled_from([None, "a", "b", "c"]),
    }
)
MARK = st.tuples(st.integers(0, 2), st.integers(1, 40), st.integers(1, 30))


@given(st.lists(EVENT, min_size=1, max_size=25), st.lists(MARK, min_size=1, max_size=3, unique_by=lambda m: m[0]))
@settings(deadline=None, max_examples=150)
def test_what_deployments_brought_is_what_counting_event_by_event_finds(
    events: list[dict[str, object]], marks: list[tuple[int, int, int]]
):
    for line, event in enumerate(events):
        event["line"] = line
    second = 1_000_000
    frame = pl.DataFrame(
        {
            "session": pl.Series([e["session"] for e in events], dtype=pl.String),
            "template": pl.Series([e["template"] for e in events], dtype=pl.UInt32),
            "time_us": pl.Series([int(str(e["time"])) * second for e in events], dtype=pl.Int64),
            "level": pl.Series([e["level"] for e in events], dtype=pl.UInt8),
            "service": pl.Series([e["service"] for e in events], dtype=pl.UInt16),
            "source": pl.Series([0] * len(events), dtype=pl.UInt16),
            "line": pl.Series([e["line"] for e in events], dtype=pl.UInt64),
            "count": pl.Series([1] * len(events), dtype=pl.UInt32),
        }
    )
    new = np.arange(6) >= 2
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    asked = [
        Mark(f"s{service}", "1", epoch + timedelta(seconds=at), timedelta(seconds=within))
        for service, at, within in marks
    ]
    times = [int(str(e["time"])) for e in events]
    span = (min(times) * second, max(times) * second)
    with EventStore(rows_in_memory=5, partitions=2) as store:
        for i in range(0, len(frame), 4):
            store.add(frame[i : i + 4])
        found, _ = Finding(Codes(["s0", "s1", "s2"]), new).find(asked, store, span)
    here = [m for m in marks if m[1] * second <= span[1] and (m[1] + m[2]) * second > span[0]]
    expected = brought(events, [(s, at, at + within) for s, at, within in here], set(range(2, 6)))
    got = {
        one.mark.service: (
            {
                row: (n, level, first // second, last // second)
                for row, n, level, first, last in one.types.select(
                    "template", "n", "level", "first", "last"
                ).iter_rows()
            },
            [(rate.lines, rate.errors) for rate in (one.before, one.after)],
        )
        for one in found
    }
    assert got == {f"s{m[0]}": said for m, said in zip(here, expected, strict=True) if said[0]}
