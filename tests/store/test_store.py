"""Incidents are found page by page; both databases do the same; old databases become new ones."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path

import orjson
import polars as pl
import pytest

from stored_incidents import AT, Clock, incident, live

pytest.importorskip("sqlalchemy")
from oddlog.errors import ConfigError, InputError
from oddlog.store import Asked, Beside, Store, StoreUnavailableError
from oddlog.types import TIME, LiveIncident, Passed

Fill = Callable[..., None]


def ids(store: Store, **asked: object) -> list[int]:
    return [int(one.id, 16) for one in store.page(Asked(**asked)).rows]


def test_pages_follow_each_other_without_gap_or_repetition(store: Store, fill: Fill, clock: Clock):
    for n in range(25):
        clock.pass_by(seconds=n % 3)  # several are changed in the same moment
        fill(n, severity=float(n % 5))
    for order in ("latest", "pressing"):
        whole = [one.id for one in store.page(Asked(order=order, limit=100)).rows]
        found: list[str] = []
        after = ""
        while True:
            page = store.page(Asked(order=order, limit=7, after=after))
            assert page.total == 25
            found += [one.id for one in page.rows]
            after = page.next
            if not after:
                break
        assert found == whole
        assert len(set(found)) == 25


def test_incidents_are_found_by_time_service_host_pattern_and_urgency(store: Store, fill: Fill):
    fill(1)
    fill(2, services=("web", "pay"), hosts=("h2",))
    fill(3, urgency="notice")
    store.save("m", [live(4, "over"), live(5, "withdrawn")])
    assert ids(store, order="pressing") == [1, 2, 4, 3]
    assert ids(store, service="web") == [2]
    assert ids(store, host="h2") == [2]
    assert ids(store, urgency="notice") == [3]
    assert ids(store, pattern=f"{1:016x}") == [1]
    assert ids(store, state="going", order="pressing") == [1, 2, 3]
    assert ids(store, state="over") == [4]
    assert ids(store, state="withdrawn") == [5]
    assert ids(store, since=AT + timedelta(minutes=2, seconds=40), order="pressing") == [4, 3]
    assert ids(store, until=AT + timedelta(minutes=1, seconds=10)) == [1]
    assert store.names("service") == ["pay", "web"]
    assert store.names("host") == ["h1", "h2"]


def test_what_was_answered_is_left_out_until_a_mute_ends(store: Store, fill: Fill, clock: Clock):
    fill(1, 2, 3)
    ends = (AT + timedelta(hours=1)).timestamp()
    patterns = [f"{n:016x}" for n in range(4)]
    store.set_answers({patterns[1]: ("usual", None), patterns[2]: ("mute", ends), patterns[3]: ("anomalous", None)})
    assert ids(store, answer="open") == [3]
    assert ids(store, answer="usual") == [1]
    assert store.incident(patterns[2]).answer == "mute"
    clock.pass_by(hours=2)
    assert sorted(ids(store, answer="open")) == [2, 3]
    store.set_answers({})
    assert sorted(ids(store, answer="open")) == [1, 2, 3]


@pytest.mark.parametrize("after", ["nonsense", "WzEsMiwzXQ", "e30", "WyJhIiwiYiIsImMiXQ", "é", "[]", "bnVsbA"])
def test_a_place_to_go_on_from_that_is_none_of_ours_is_refused(store: Store, fill: Fill, after: str):
    fill(1)
    with pytest.raises(ConfigError, match="no place to go on from"):
        store.page(Asked(after=after))


def test_an_incident_grows_under_its_id_and_keeps_what_is_known_from_near(store: Store, clock: Clock):
    store.save("m", [live(1)], near={f"{1:016x}": {"lines": [{"message": "a"}]}})
    clock.pass_by(minutes=5)
    store.save("m", [live(1, "grown", n_windows=4, services=("web",))])
    (one,) = store.page(Asked()).rows
    assert (one.times, one.change, one.incident["n_windows"]) == (2, "grown", 4)
    assert one.stored < one.updated
    assert store.closeup(one.id) == {"lines": [{"message": "a"}]}
    assert store.closeup("nope") == {}
    assert store.names("service") == ["web"]


def test_a_checkpoint_of_another_model_is_the_only_one_but_for_that_of_a_challenger(store: Store):
    store.save("one", [], (7, b"one"), beside=Beside("challenger", [live(1)], b"its"))
    assert (store.checkpoint("one"), store.checkpoint("challenger")) == ((7, b"one"), (7, b"its"))
    store.save("one", [], (8, b"one"), beside=Beside("other", [live(2)], b"its"))
    assert store.checkpoint("challenger") is None
    assert [len(store.both(model, AT).challenger) for model in ("challenger", "other")] == [0, 1]
    store.save("other", [], (9, b"judges now"), beside=Beside("other", [live(3)], b"beside"))
    assert (store.checkpoint("one"), store.checkpoint("other")) == (None, (9, b"judges now"))
    store.save("one", [], (9, b"again"))
    assert (store.last_position(), store.checkpoint("other"), store.both("other", AT).challenger) == (9, None, [])


def hour(n: int, change: str = "new") -> LiveIncident:
    """Return an incident of an hour that nothing shares with others."""
    start = AT + timedelta(hours=n)
    return live(n, change, start=start, end=start + timedelta(minutes=1))


def test_two_models_are_compared_over_the_same_time_however_much_they_have_found(store: Store, clock: Clock):
    for n in range(60):
        clock.pass_by(seconds=1)
        store.save("m", [hour(n)])
    store.save("m", [], beside=Beside("c", [*map(hour, range(0, 60, 2)), live(90, start=None, end=None)]))
    clock.pass_by(hours=1)
    store.save("m", [hour(n, "over") for n in range(15)])  # the oldest are changed last
    found = store.both("c", AT, 50)
    assert (found.is_cut, found.since) == (True, AT + timedelta(hours=9))
    assert [one["id"] for one in found.current] == [f"{n:016x}" for n in range(59, 9, -1)]
    assert [one["id"] for one in found.challenger] == [f"{n:016x}" for n in range(58, 9, -2)]
    found = store.both("c", AT + timedelta(hours=40), 50)
    assert (found.is_cut, len(found.current), len(found.challenger)) == (False, 20, 10 + 1)
    found = store.both("c", AT + timedelta(hours=40), 5)
    assert [[one["id"] for one in some] for some in (found.current, found.challenger)] == [
        [f"{n:016x}" for n in range(59, 54, -1)],
        [f"{n:016x}" for n in (58, 56)],
    ]
    store.save("m", [hour(n, "withdrawn") for n in range(60)])
    assert not store.both("c", AT, 50).current


def test_a_checkpoint_is_never_apart_from_what_was_found_up_to_it(store: Store, monkeypatch: pytest.MonkeyPatch):
    store.save("m", [live(1)], (7, b"state"))
    assert store.checkpoint("m") == (7, b"state")
    monkeypatch.setattr(store, "write_incidents", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        store.save("m", [live(2)], (9, b"later"), ["a sink"])
    assert store.checkpoint("m") == (7, b"state")
    assert store.letters("waiting") == []
    assert store.last_position() == 7


def test_a_sink_is_told_what_began_then_what_ended_and_nothing_twice(store: Store):
    def save(*told: LiveIncident, sinks: tuple[str, ...] = ("a",)) -> None:
        store.save("m", told, sinks=sinks)

    save(live(1, "over"))  # of which it has never heard
    save(live(1))
    save(live(1, n_windows=3))  # found anew after a kill, by now it is more
    save(live(1, "grown", n_windows=2), live(1, "grown", n_windows=3))  # and is no more than that
    save(live(1, "grown", n_windows=4), sinks=("a", "b"))  # another sink has come
    save(live(1, "over", n_windows=4), live(1, "over", n_windows=5), sinks=("a", "b"))
    save(replace(live(1, "over"), notable=False), replace(live(2, "over"), notable=False))
    save(live(1), live(1, "withdrawn"), live(1))  # it goes on after all
    told = [(one.sink, one.told["change"], one.told["incident"]["n_windows"]) for one in store.letters("waiting")[::-1]]
    assert [one[1:] for one in told if one[0] == "a"] == [
        ("new", 1), ("grown", 3), ("grown", 4), ("over", 4), ("new", 1), ("withdrawn", 1), ("new", 1),
    ]  # fmt: skip
    assert [one[1:] for one in told if one[0] == "b"] == [("new", 4), ("over", 4)]


def test_what_is_held_back_is_not_told_and_what_was_told_is_told_as_over(store: Store):
    store.save("m", [replace(live(1), notable=False), live(2)], sinks=["a"])
    store.save("m", [replace(live(n, "over"), notable=False) for n in (1, 2)], sinks=["a"])
    assert [one.told["change"] for one in store.letters("waiting")] == ["over", "new"]
    assert {one.told["incident"]["key"] for one in store.letters("waiting")} == {"k2"}


def passed(minute: int, lines: int, **columns: object) -> Passed:
    verdicts = pl.DataFrame({"key": ["a"], "end": [AT], "score": [2.0]}).with_columns(pl.col("end").cast(TIME))
    frames = {
        "minutes": {"minute": [minute], "service": ["pay"], "lines": [lines], "errors": [1], "unseen": [0]},
        "scores": {"minute": [minute], "view": ["sessions"], "windows": [3], "odd": [1], "top": [1.5]},
        "types": {"day": [minute // 1440], "key": ["ab"], "lines": [lines], "first": [minute * 60.0], "last": [minute * 60.0 + 9]},
        "texts": {"key": ["ab"], "text": ["x <*>"], "level": ["ERROR"], "service": ["pay"]},
        "sources": {"name": ["http/pay"], "lines": [lines], "errors": [1], "event": [minute * 60.0]},
    }  # fmt: skip
    return Passed(**{name: pl.DataFrame(frame) for name, frame in (frames | columns).items()}, verdicts=verdicts)


def test_what_went_by_is_added_up(store: Store):
    now = int(AT.timestamp() // 60)
    store.save("m", [], (1, b""), passed=passed(now, 10))
    store.save("m", [], (2, b""), passed=passed(now, 5))
    store.save("m", [], (3, b""), passed=passed(now + 1, 2))
    assert store.last_minute() == now + 1
    assert store.minutes(now, now + 2) == [
        {"minute": now, "lines": 15, "errors": 2, "unseen": 0},
        {"minute": now + 1, "lines": 2, "errors": 1, "unseen": 0},
    ]
    assert [row["lines"] for row in store.minutes(now, now + 2, step=5)] == [17]
    assert store.minutes(now, now + 2, service="web") == []
    assert store.scores(now, now + 2, step=5) == [{"minute": now, "windows": 9, "odd": 3, "top": 1.5}]
    assert store.services(now, now + 2) == [{"service": "pay", "lines": 17, "errors": 3, "unseen": 0}]
    (one,) = store.types(0)
    assert (one["lines"], one["first"], one["last"]) == (17, now * 60.0, now * 60.0 + 69)
    assert (one["text"], one["level"]) == ("x <*>", "ERROR")
    assert store.first_seen(["ab", "none"]) == {"ab": now * 60.0}
    (source,) = store.sources()
    assert (source["lines"], source["event"], source["arrived"]) == (17, (now + 1) * 60.0, AT.timestamp())
    part = store.scored()
    assert (part.windows["key"].to_list(), part.n) == (["a", "a", "a"], 3)
    store.forget_scored(part.last)
    assert store.scored() is None


def test_what_is_old_is_forgotten_but_never_what_goes_on(store: Store, clock: Clock):
    now = int(AT.timestamp() // 60)
    store.save("m", [live(1, "over"), live(2)], (1, b""), ["sink"], near={f"{1:016x}": {"a": 1}})
    store.save("m", [], (2, b""), passed=passed(now, 10))
    clock.pass_by(days=40)
    assert store.forget(clock.now - timedelta(days=30)) == 1
    assert ids(store) == [2]
    assert store.closeup(f"{1:016x}") == {}
    assert store.sources() == []
    assert [one.told["change"] for one in store.letters("waiting")] == ["new"]  # of what goes on
    # Lines are old only beside newer ones: logs that are replayed are not forgotten at once.
    assert [row["lines"] for row in store.minutes(now, now + 1)] == [10]
    later = now + 40 * 1440
    store.save("m", [], (3, b""), passed=passed(later, 7))
    store.forget(clock.now - timedelta(days=30))
    assert store.minutes(now, now + 1) == []
    assert [(row["lines"], row["text"]) for row in store.types(0)] == [(7, "x <*>")]


def test_a_value_is_made_once_and_kept(store: Store):
    assert store.setting("secret", lambda: "a") == "a"
    assert store.setting("secret", lambda: "b") == "a"


def test_a_database_of_the_second_version_becomes_one_of_today(tmp_path: Path, clock: Clock):
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as old:
        old.executescript(
            """
            CREATE TABLE version (number INTEGER NOT NULL);
            INSERT INTO version VALUES (2);
            CREATE TABLE incidents (id VARCHAR(16) NOT NULL PRIMARY KEY, model VARCHAR(64) NOT NULL,
              change VARCHAR(16) NOT NULL, provisional BOOLEAN NOT NULL, severity FLOAT NOT NULL,
              pattern VARCHAR(16) NOT NULL, started VARCHAR(32) NOT NULL, stored VARCHAR(32) NOT NULL,
              updated VARCHAR(32) NOT NULL, times INTEGER NOT NULL, body BLOB NOT NULL);
            CREATE INDEX incidents_by_time ON incidents (updated);
            CREATE TABLE checkpoint (model VARCHAR(64) NOT NULL PRIMARY KEY, position INTEGER NOT NULL,
              stored VARCHAR(32) NOT NULL, state BLOB NOT NULL);
            INSERT INTO checkpoint VALUES ('m', 5, '', x'00');
            CREATE TABLE letters (number INTEGER NOT NULL PRIMARY KEY, sink VARCHAR NOT NULL,
              incident VARCHAR(16) NOT NULL, what VARCHAR NOT NULL, state VARCHAR(8) NOT NULL, tries INTEGER NOT NULL,
              written FLOAT NOT NULL, due FLOAT NOT NULL, said VARCHAR NOT NULL, told BLOB NOT NULL,
              UNIQUE (sink, incident, what));
            """
        )
        for n in range(3):
            body = orjson.dumps(asdict(incident(n, urgency="notice")), option=orjson.OPT_UTC_Z)
            old.execute(
                "INSERT INTO incidents VALUES (?, 'm', 'over', 0, 1.0, ?, ?, ?, ?, 1, ?)",
                (f"{n:016x}", f"{n:016x}", incident(n).start.isoformat(), "", AT.isoformat(), body),
            )
    store = Store(path, clock)
    assert ids(store, service="pay", urgency="notice") == [0, 1, 2]
    assert ids(store, since=AT + timedelta(minutes=2)) == [2]
    assert store.checkpoint("m") == (5, b"\0")
    store.close()
    again = Store(path, clock)  # nothing is done twice
    assert ids(again, host="h1") == [0, 1, 2]
    again.close()


def test_a_database_of_a_later_version_is_refused(tmp_path: Path):
    with sqlite3.connect(tmp_path / "new.db") as new:
        new.executescript("CREATE TABLE version (number INTEGER NOT NULL); INSERT INTO version VALUES (99);")
    with pytest.raises(InputError, match="later oddlog"):
        Store(tmp_path / "new.db")


@pytest.mark.parametrize("url", ["mysql://u:secret@h/n", "postgresql://u:secret@h:port/n", "http://u:secret@h"])
def test_a_url_that_names_no_store_is_refused_without_its_password(url: str):
    with pytest.raises(InputError, match="is no store") as refused:
        Store(url)
    assert "secret" not in str(refused.value)


def test_a_server_that_is_not_there_is_told_without_its_password():
    pytest.importorskip("psycopg")
    with pytest.raises(InputError, match="cannot be opened") as refused:
        Store("postgresql://u:secret@127.0.0.1:1/n")
    assert "secret" not in str(refused.value)


def test_tenants_of_one_server_see_nothing_of_each_other(postgres: str, clock: Clock):
    one, other = Store(postgres, clock, tenant="one"), Store(postgres, clock, tenant="other")
    one.save("m", [live(1)], (3, b"x"))
    assert ids(one) == [1]
    assert ids(other) == []
    assert other.checkpoint("m") is None
    one.close()
    other.close()


def test_a_lost_file_is_said_to_be_one(tmp_path: Path, clock: Clock):
    store = Store(tmp_path / "oddlog.db", clock)
    store.close()
    (tmp_path / "oddlog.db").write_bytes(b"no database, but text of some length" * 100)
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"oddlog.db{suffix}").unlink(missing_ok=True)
    with pytest.raises(StoreUnavailableError):
        store.page(Asked())
    store.close()
