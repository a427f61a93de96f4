"""Rules and maintenance windows: what a file may say, when a rule is broken, what is told of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

import oddlog
from made_incidents import incident
from oddlog.errors import ConfigError
from oddlog.feedback import Setting
from oddlog.pipeline.learning.checkpointing import packed, unpacked
from oddlog.pipeline.live.budget import Budget
from oddlog.pipeline.live.gate import Gate
from oddlog.pipeline.live.maintenance import Maintenance, settled
from oddlog.pipeline.live.rulebook import Rule, RuleBook, entry_of, load
from oddlog.pipeline.live.rules import Rules
from oddlog.pipeline.live.streaming import Streaming
from oddlog.sources import read_blocks
from oddlog.types import LEVEL, TIME, LineRef, LiveIncident, Reason, State, Tally

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
MINUTE_US = 60_000_000
BOOK = """
[[never]]
name = "out of memory"
match = "OutOfMemory(Error)?"
level = "critical"

[[always]]
match = "backup finished"
every = "2h"

[[limit]]
name = "log-ins"
match = "login failed"
service = "auth"
most = 3
within = "5min"

[[limit]]
name = "alive"
service = "web"
least = 1
within = "10min"

[[maintenance]]
name = "release night"
service = "payments"
days = ["sat"]
from = "22:00"
to = "02:00"

[[maintenance]]
from = 2026-03-09T22:00:00Z
to = 2026-03-10T02:00:00Z
"""


def us(minute: float) -> int:
    return round(START.timestamp() * 1e6) + round(minute * MINUTE_US)


def lines(*found: tuple[float, str, str]) -> pl.DataFrame:
    n = len(found)
    return pl.DataFrame(
        {
            "source": ["app.log"] * n,
            "line": range(1, n + 1),
            "time": [us(minute) for minute, _, _ in found],
            "level": ["INFO"] * n,
            "service": [service for _, service, _ in found],
            "text": [f"raw {message}" for _, _, message in found],
            "message": [message for _, _, message in found],
        },
        schema_overrides={"level": LEVEL, "line": pl.UInt64},
    ).with_columns(pl.col("time").cast(TIME))


@pytest.fixture
def book(tmp_path: Path) -> RuleBook:
    (tmp_path / "rules.toml").write_text(BOOK)
    return load(tmp_path / "rules.toml")


def of(rules: Rules, minute: float) -> list[tuple[str, str]]:
    return [(one.change, one.incident.key) for one in rules.changed(us(minute))]


def test_a_file_says_what_rules_there_are(book: RuleBook):
    assert [(one.kind, one.name) for one in book.rules] == [
        ("never", "out of memory"),
        ("always", "always 1"),
        ("limit", "log-ins"),
        ("limit", "alive"),
    ]
    assert [one.name for one in book.maintenance] == ["release night", "maintenance 2"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[nevr]]\nmatch='x'", "Did you mean 'never'"),
        ("[[never]]\nmach='x'", "Did you mean 'match'"),
        ("[[never]]\n", "matches nothing"),
        ("[[never]]\nmatch='('", "no regular expression"),
        ("[[never]]\nmatch='x'\nlevel='bad'", "the level BAD"),
        ("[[always]]\nmatch='x'", "does not say how long"),
        ("[[limit]]\nwithin='5min'", "needs one of 'most' and 'least'"),
        ("[[limit]]\nwithin='5min'\nmost=-1", "no number of lines"),
        ("[[maintenance]]\nfrom='late'\nto='later'", "names no time"),
        ("[[never]]\nname='a'\nmatch='x'\n[[never]]\nname='a'\nmatch='y'", "two rules called 'a'"),
        ("never", "are not TOML"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_write(text: str, said: str, tmp_path: Path):
    (tmp_path / "rules.toml").write_text(text)
    with pytest.raises(ConfigError, match=said.replace("(", r"\(")):
        load(tmp_path / "rules.toml")


def test_a_line_that_must_never_come_is_told_with_its_lines_and_is_over_after_an_hour(book: RuleBook):
    rules = Rules(RuleBook(book.rules[:1]), "m")
    rules.add(lines((0, "pay", "ok"), (1, "pay", "java.lang.OutOfMemoryError: heap")))
    (new,) = rules.changed(us(1))
    told = new.incident
    assert (new.change, told.services, told.severity) == ("new", ("pay",), 60.0)
    assert told.reasons[0].text == "must never come: “OutOfMemory(Error)?” (1 line)"
    assert told.lines[0].text == "raw java.lang.OutOfMemoryError: heap"
    assert of(rules, 2) == []
    rules.add(lines((3, "pay", "OutOfMemory"), (4, "pay", "OutOfMemory")))
    assert of(rules, 5) == [("grown", "rule out of memory")]
    assert of(rules, 70) == [("over", "rule out of memory")]
    rules.add(lines((80, "pay", "OutOfMemory")))
    (again,) = rules.changed(us(80))
    assert again.incident.id != told.id


def test_one_that_came_and_went_while_much_was_caught_up_with_is_told_all_the_same(book: RuleBook):
    rules = Rules(RuleBook(book.rules[:3]), "m")
    storm = [(100 + i / 10, "auth", "login failed for eve") for i in range(9)]
    rules.add(lines((0, "db", "backup finished"), (1, "pay", "OutOfMemory"), *storm, (200, "db", "backup finished")))
    assert of(rules, 300) == [("new", "rule out of memory"), ("new", "rule always 1"), ("new", "rule log-ins")]
    assert of(rules, 301) == [("over", "rule out of memory"), ("over", "rule always 1"), ("over", "rule log-ins")]


def test_a_line_that_must_come_is_missed_in_time_and_the_rule_mended_when_it_comes(book: RuleBook):
    rules = Rules(RuleBook(book.rules[1:2]), "m")
    rules.add(lines((0, "web", "hello")))
    assert of(rules, 119) == []
    (new,) = rules.changed(us(130))
    assert new.incident.reasons[0].text == "must come every 120 min: “backup finished”, not seen for 130 min"
    rules.add(lines((140, "db", "backup finished: 3 GB")))
    assert of(rules, 141) == [("over", "rule always 1")]
    assert of(rules, 200) == []


def test_too_many_and_too_few_in_a_time_of_one_service_only(book: RuleBook):
    rules = Rules(RuleBook(book.rules[2:]), "m")
    tries = [(i, "auth", "login failed for bob") for i in range(3)]
    rules.add(lines((0, "web", "GET /"), *tries, (3, "web", "login failed")))
    assert of(rules, 4) == []
    rules.add(lines((4, "auth", "login failed for eve")))
    (new,) = rules.changed(us(4))
    assert new.incident.reasons[0].text == "4 of “login failed” of auth in 5 min, at most 3 are allowed"
    assert of(rules, 20) == [("over", "rule log-ins"), ("new", "rule alive")]


def many(n: int, minute: float, per_minute: int) -> pl.DataFrame:
    """Return so many lines from a minute on."""
    first = us(minute)
    return (
        lines((minute, "web", "GET /"))
        .join(pl.DataFrame({"at": [first + i * MINUTE_US // per_minute for i in range(n)]}), how="cross")
        .with_columns(time=pl.col("at").cast(TIME))
        .drop("at")
    )


@pytest.mark.parametrize(("least", "told"), [(110_000, []), (130_000, ["at least 130,000 are allowed"])])
def test_a_limit_may_be_far_above_a_hundred_thousand(least: int, told: list[str]):
    few = Rules(RuleBook((Rule("limit", "few", within_us=60 * MINUTE_US, least=least),)), "m")
    much = Rules(RuleBook((Rule("limit", "much", within_us=60 * MINUTE_US, most=119_999),)), "m")
    over = Rules(RuleBook((Rule("limit", "over", within_us=60 * MINUTE_US, most=122_100),)), "m")
    said: dict[str, list[str]] = {"few": [], "much": [], "over": []}
    for minute in range(0, 100, 5):
        for one in (few, much, over):
            one.add(many(10_000, minute, 2_000))  # 120,000 an hour
            for live in one.changed(us(minute + 5)):
                said[one.book.rules[0].name].append(f"{live.change} {live.incident.reasons[0].text}")
    assert said["over"] == []
    assert said["much"] == ["new 120,000 of lines in 60 min, at most 119,999 are allowed"]
    assert [one.rsplit(", ", 1)[1] for one in said["few"]][:1] == told


def test_a_rule_that_says_something_else_under_its_name_begins_anew(book: RuleBook):
    one = Rules(RuleBook(book.rules[:1]), "m")
    one.add(lines((1, "pay", "OutOfMemory")))
    one.changed(us(1))
    assert len(one.going) == 1
    other = Rules(RuleBook((replace(book.rules[0], match="boom"),)), "m")
    other.restore(unpacked(packed(one.state())))
    assert (other.going, of(other, 70)) == (set(), [])


def test_one_line_that_comes_late_makes_no_gap_before_the_last(book: RuleBook):
    rules = Rules(RuleBook(book.rules[1:2]), "m")
    rules.add(lines((600, "db", "backup finished")))
    assert of(rules, 601) == []
    rules.add(lines((0, "db", "backup finished")))
    assert of(rules, 602) == []


def test_rules_go_on_from_their_state_and_tell_nothing_twice(book: RuleBook):
    one = Rules(book, "m")
    one.add(lines((0, "web", "GET /"), (1, "pay", "OutOfMemory")))
    told = one.changed(us(1))
    other = Rules(book, "m")
    other.restore(unpacked(packed(one.state())))
    assert of(other, 2) == []
    assert [(o.change, o.incident.id) for o in other.changed(us(62)) if "memory" in o.incident.key] == [
        ("over", told[0].incident.id)
    ]


def test_a_maintenance_window_covers_its_service_past_midnight():
    saturday = datetime(2026, 3, 7, 23, tzinfo=UTC)
    weekly = Maintenance("m", "payments", days=("sat",), from_minute=22 * 60, to_minute=2 * 60)

    def holds(hours: float, *services: str) -> bool:
        at = saturday + timedelta(hours=hours)
        return weekly.holds_back(incident("a", start=at, end=at, services=services), at) is not None

    assert holds(0, "web", "payments")
    assert holds(2, "payments")
    assert not holds(4, "payments")
    assert not holds(-24, "payments")
    assert not holds(0, "web")


LINES = (LineRef("http/shop", 1, "x", 1.0, "connection refused by db-2"), LineRef("http/shop", 2, "x", 1.0, "refused"))
OF = {"services": ("payments", "web"), "hosts": ("db-2",), "lines": LINES, "pattern": "f" * 16, "patterns": ("f" * 16,)}
ANNOUNCED = [
    ({"service": "pay*"}, True),
    ({"service": "gateway, web"}, True),
    ({"service": ["gateway", "web"]}, True),
    ({"service": "pay"}, False),
    ({"host": "db-*"}, True),
    ({"host": "web-1"}, False),
    ({"source": "http/shop"}, True),
    ({"source": "syslog/*"}, False),
    ({"match": "refused"}, True),
    ({"match": "connection refused"}, False),  # one of its lines says something else
    ({"pattern": "f" * 16}, True),
    ({"pattern": "0" * 16}, False),
    ({"service": "web", "host": "db-2", "match": "refused$|db-2"}, True),
    ({"service": "web", "host": "db-3"}, False),
]


@pytest.mark.parametrize(("fields", "held"), ANNOUNCED, ids=[str(fields) for fields, _ in ANNOUNCED])
def test_maintenance_holds_back_what_it_names_and_nothing_else(fields: dict[str, object], held: bool):
    when = {"from": START.isoformat(), "for": "1h"}
    (one,) = RuleBook().with_settings([Setting("maintenance", fields | settled(when, START))]).maintenance
    told = Gate(maintenance=[one]).through(live("a", start=START, end=START, **OF), START)
    assert told.notable is not held


def test_what_outlasts_its_maintenance_is_told():
    gate = Gate(maintenance=[Maintenance("m", "", START, START + timedelta(hours=1))])
    late = START + timedelta(minutes=90)
    assert not gate.through(live("a", start=START, end=START), START).notable
    assert not gate.through(live("a", "grown", start=START, end=START + timedelta(minutes=50)), START).notable
    told = gate.through(live("a", "grown", start=START, end=late), late)
    assert (told.change, told.notable) == ("new", True)


def test_a_source_that_is_silent_beyond_its_maintenance_is_told_though_nothing_more_comes():
    silent = {"key": "source silent: syslog/db-2", "reasons": (Reason("source_silent", "x", {}),), "lines": ()}
    gate = Gate(maintenance=[Maintenance("m", start=START, end=START + timedelta(hours=1), source="syslog/db-*")])
    for id_ in ("a", "b"):
        assert not gate.through(live(id_, start=START, end=START, **silent), START).notable
    assert not gate.through(live("b", "over", start=START, end=START, **silent), START).notable  # back in time
    again = Gate(maintenance=gate.maintenance)
    again.restore(unpacked(packed(State(meta=gate.state()))).meta)
    for one in (gate, again):
        assert one.after(START + timedelta(minutes=59)) == []
        (told,) = one.after(START + timedelta(minutes=61))
        assert (told.incident.id, told.change, told.notable) == ("a", "new", True)
        assert one.after(START + timedelta(minutes=62)) == []


def test_what_lasts_is_told_as_soon_as_its_maintenance_is_ended():
    broken = {"key": "rule backup", "reasons": (Reason("rule", "x", {}),), "lines": ()}
    gate = Gate(maintenance=[Maintenance("m", start=START, end=START + timedelta(hours=1))])
    assert not gate.through(live("a", start=START, end=START, **broken), START).notable
    gate.turn_to(None, [])
    (told,) = gate.after(START + timedelta(minutes=1))
    assert (told.incident.id, told.notable) == ("a", True)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"host": "db-2", "for": "soon"}, "soon"),
        ({"host": "db-2", "for": "2h", "to": "02:00"}, "how long it lasts"),
        ({"host": "db-2", "for": "2h", "days": ["sat"]}, "how long it lasts"),
        ({"match": "(", "for": "2h"}, "no regular expression"),
        ({"from": "2026-03-02T09:00:00Z", "to": "2026-03-02T08:00:00Z"}, "ends before it begins"),
    ],
)
def test_what_makes_no_sense_of_maintenance_is_refused(fields: dict[str, object], says: str):
    with pytest.raises(ConfigError, match=says):
        entry_of("maintenance", settled(fields, START))


def live(id_: str, change: str = "new", **changed: object) -> LiveIncident:
    return LiveIncident(incident(id_, **changed), change, provisional=False)


def test_what_is_held_back_is_kept_with_the_reason_and_told_when_it_has_grown_enough():
    gate = Gate(Budget(1))
    assert gate.through(live("a", severity=5.0), START).notable
    held = gate.through(live("b", severity=4.0), START)
    assert not held.notable
    assert held.incident.notes == ("not told: the budget of 1 a day is spent on what is more pressing",)
    over = gate.through(live("b", "over", severity=4.0), START)
    assert (over.notable, over.incident.notes) == (False, held.incident.notes)  # it is still said why
    grown = gate.through(live("b", "grown", severity=40.0), START)
    assert (grown.change, grown.notable, grown.incident.notes) == ("new", True, ())
    assert gate.through(live("b", "over", severity=40.0), START).notable
    again = Gate(Budget(1))
    again.restore(gate.state())
    assert not again.through(live("c", severity=39.0), START).notable
    assert (gate.held, again.held) == (1, 2)


def test_what_was_told_before_there_was_a_budget_is_told_to_its_end():
    gate = Gate()
    for id_ in ("a", "b", "c"):
        assert gate.through(live(id_), START).notable
    assert gate.through(live("b", "over"), START).notable
    again = Gate()
    again.restore(gate.state())
    again.turn_to(1.0, ())
    assert again.through(live("pressing", severity=99.0), START).notable
    grown = again.through(live("a", "grown", severity=4.0), START)
    assert (grown.change, grown.notable, grown.incident.notes) == ("grown", True, ())
    assert again.through(live("a", "over", severity=4.0), START).notable
    assert not again.through(live("b", severity=4.0), START).notable  # it had ended: it is another one now
    again.turn_to(None, [Maintenance("night", "", START, START + timedelta(hours=1))])
    assert again.through(live("c", "over", start=START), START).notable


def test_what_was_held_back_is_listed_while_more_of_it_comes():
    gate = Gate(Budget(1))

    class Goes(dict[str, None]):
        """What was told, while the worker goes on between two looks at it."""

        def __contains__(self, id_: object) -> bool:
            gate._held[f"{id_} and more"] = None
            return False

    for id_ in ("a", "b", "c"):
        gate.through(live(id_, severity=5.0), START)
    gate._told = Goes()
    assert gate.held_ids == ["c", "b"]


def test_a_maintenance_window_holds_back_what_begins_in_it():
    gate = Gate(maintenance=[Maintenance("night", "", START, START + timedelta(hours=1))])
    assert gate.through(live("a", start=START), START).incident.notes == ("not told: night",)
    assert gate.through(live("b", start=START + timedelta(hours=2)), START).notable
    assert not Gate()


def test_a_host_that_is_announced_to_be_maintained_is_not_told_as_silent():
    book = RuleBook().with_settings(
        [Setting("maintenance", {"host": "db-2", "from": "2026-03-02T08:00:00Z", "to": "2026-03-02T09:00:00Z"})]
    )
    assert [one.says for one in book.maintenance] == [
        "nothing of db-2 is told from 2026-03-02 08:00 to 2026-03-02 09:00 UTC"
    ]
    gate = Gate(maintenance=book.maintenance)
    silent, other = (live(name, start=START, hosts=(name,)) for name in ("db-2", "db-3"))
    assert gate.through(silent, START).incident.notes == ("not told: maintenance",)
    assert gate.through(other, START).notable
    assert gate.through(live("x", start=START), START).notable  # of which nobody knows the host


def test_a_rule_stands_in_the_list_of_a_stream(quick_stream_model: oddlog.Model, odd_log: Path):
    rule = Rule("never", "no carrier", "carrier refused")
    stream = Streaming(quick_stream_model, sample_lines=50, rules=RuleBook((rule,)))
    stream.push(pl.concat(list(read_blocks(str(odd_log), Tally()))), 0.0)
    stream.tick(0.5)
    told = {one.incident.key: one for one in stream.incidents()}
    assert told["rule no carrier"].incident.reasons[0].kind == "rule"
    other = Streaming(quick_stream_model, rules=RuleBook((rule,)))
    other.restore(unpacked(packed(stream.state())))
    assert [one.incident.key for one in other.incidents() if one.change == "new"] == []


def test_what_is_missed_stays_so_when_a_stream_goes_on(quick_stream_model: oddlog.Model, odd_log: Path):
    book = RuleBook((Rule("always", "backup", "backup finished", within_us=round(1_440 * MINUTE_US)),))
    one = Streaming(quick_stream_model, sample_lines=50, rules=book)
    one.push(pl.concat(list(read_blocks(str(odd_log), Tally()))), 0.0)
    one.tick(0.5)
    one.incidents()
    one.tick(2 * 86_400.0)
    assert "rule backup" in [live.incident.key for live in one.incidents()]
    other = Streaming(quick_stream_model, rules=book)
    other.restore(unpacked(packed(one.state())))
    other.tick(20.0)  # by a clock of its own
    assert [live.incident.key for live in other.incidents() if live.incident.key == "rule backup"] == []
    assert other.going == one.going


def test_time_goes_on_from_where_it_was_when_a_silent_stream_goes_on(quick_stream_model: oddlog.Model, odd_log: Path):
    book = RuleBook((Rule("always", "backup", "backup finished", within_us=round(1_440 * MINUTE_US)),))
    one = Streaming(quick_stream_model, sample_lines=50, rules=book)
    one.push(pl.concat(list(read_blocks(str(odd_log), Tally()))), 0.0)
    one.tick(0.5)
    one.incidents()
    keys = []
    for hours in (10, 10, 10):  # of a process each, the first after the lines
        one.tick(7.0)
        one.tick(7.0 + hours * 3_600)
        keys += [live.incident.key for live in one.incidents()]
        state = unpacked(packed(one.state()))
        one = Streaming(quick_stream_model, rules=book)
        one.restore(state)
    assert keys.count("rule backup") == 1


def test_what_was_taken_back_is_told_as_such_though_the_state_was_taken_before(
    quick_stream_model: oddlog.Model, odd_log: Path
):
    book = RuleBook((Rule("never", "no carrier", "carrier refused"),))
    stream = Streaming(quick_stream_model, sample_lines=50, rules=book)
    stream.push(pl.concat(list(read_blocks(str(odd_log), Tally()))), 0.0)
    stream.tick(0.5)
    id_ = next(one.incident.id for one in stream.incidents() if one.incident.key == "rule no carrier")
    assert id_ in stream.going
    removed = Streaming(quick_stream_model, rules=RuleBook())
    removed.restore(unpacked(packed(stream.state())))
    assert id_ not in removed.going  # nobody here would end it: it is an orphan
    stream.rule(RuleBook(), None)
    other = Streaming(quick_stream_model)
    other.restore(unpacked(packed(stream.state())))
    assert id_ in other.going
    assert ("withdrawn", id_) in [(one.change, one.incident.id) for one in other.incidents()]
    assert id_ not in other.going


def test_a_rule_that_is_added_while_nothing_runs_is_watched_from_then_on(book: RuleBook):
    one = Rules(RuleBook(), "m")
    one.add(lines((0, "web", "GET /")))
    other = Rules(RuleBook(book.rules[:2]), "m")
    one.turn_to(RuleBook(book.rules[:1]), us(0))
    one.add(lines((600, "web", "GET /")))
    assert of(one, 600) == []
    other.restore(unpacked(packed(one.state())))
    assert of(other, 700) == []
    assert of(other, 730) == [("new", "rule always 1")]


@pytest.fixture(scope="module")
def quick_stream_model(small_log: Path) -> oddlog.Model:
    return oddlog.fit(small_log, detectors=["new-event"])
