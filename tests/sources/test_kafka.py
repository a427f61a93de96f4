"""Kafka's consumer against librdkafka's mock cluster: brokers inside the client library, no real ones.

The mock takes three seconds to let a member into its group, and forgets one only when its session times out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from oddlog.errors import ConfigError, InputError
from oddlog.testing import check_source
from oddlog.types import Tally

pytest.importorskip("confluent_kafka", reason="the extra kafka is not installed")
from confluent_kafka import Consumer, Producer, TopicPartition

from oddlog.service.feeding import Feeder
from oddlog.sources import kafka
from oddlog.sources.kafka import NO_VALUE, Kafka, parse
from oddlog.sources.opening import open_sources
from oddlog.sources.spool import Spool


class Cluster:
    """Three brokers of the mock cluster that the producer holds."""

    def __init__(self, folder: Path) -> None:
        self.producer = Producer({"test.mock.num.brokers": 3, "bootstrap.servers": "none", "log_level": 2})
        brokers = self.producer.list_topics(timeout=20).brokers.values()
        self.brokers = ",".join(f"{one.host}:{one.port}" for one in brokers)
        self.topic = f"logs-{uuid4().hex[:8]}"
        config = folder / "kafka.properties"
        config.write_text("session.timeout.ms=4000\nheartbeat.interval.ms=500\n")
        self.url = f"kafka://{self.brokers}/{self.topic}?group=oddlog&config={config}"

    def put(self, *texts: str | bytes | None, partition: int = 0) -> None:
        for text in texts:
            self.producer.produce(self.topic, text, partition=partition, timestamp=1_772_438_400_000)
        assert self.producer.flush(20) == 0

    def committed(self, partition: int = 0) -> int:
        asking = Consumer({"bootstrap.servers": self.brokers, "group.id": "oddlog"})
        (found,) = asking.committed([TopicPartition(self.topic, partition)], timeout=20)
        asking.close()
        return found.offset


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    made.put("")  # makes the topic; a record without a value
    yield made
    del made.producer


def texts_of(source: Kafka, n: int) -> list[str]:
    found: list[str] = []
    for _ in range(400):
        found += source.poll(100, 0.05).lines["text"].to_list()
        if len(found) >= n:
            break
    return [json.loads(text)["message"] for text in found]


def test_it_keeps_the_contract(cluster: Cluster, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("oddlog.sources.checks.WAIT_S", 0.1)
    cluster.put("first", '{"message":"second","level":"warn"}', "third\n  at Pay.main")
    head = '{"timestamp":1772438400000,"message":'
    texts = [f'{head}"first"}}', '{"message":"second","level":"warn"}', f'{head}"third\\n  at Pay.main"}}']

    def make(at: object) -> Kafka:
        url = cluster.url.replace("group=oddlog", f"group={uuid4().hex}")  # no commit of another is known
        return Kafka(url, Tally(), position=at, from_start=True)

    check_source(make, [(f"kafka/{cluster.topic}/0", text) for text in texts])


def test_offsets_are_committed_only_once_lines_are_durable(cluster: Cluster):
    source = Kafka(cluster.url, Tally(), from_start=True)
    cluster.put("one", "two")
    assert texts_of(source, 2) == ["one", "two"]
    assert cluster.committed() < 0
    source.commit(source.state())
    assert cluster.committed() == 3
    source.close()


def test_the_later_of_commit_and_position_holds(cluster: Cluster):
    cluster.put("one", "two", "three", "four")
    name = f"{cluster.topic}/0"
    first = Kafka(cluster.url, Tally(), position={name: 2}, from_start=True)
    assert texts_of(first, 3) == ["two", "three", "four"]
    first.commit({name: 4})
    first.close()
    second = Kafka(cluster.url, Tally(), position={name: 2}, from_start=True)  # another member came farther
    assert texts_of(second, 1) == ["four"]
    second.close()


def test_only_what_comes_now_is_read_where_nothing_was_and_that_is_remembered(cluster: Cluster):
    cluster.put("before")
    first = Kafka(cluster.url, Tally())
    for _ in range(400):
        if first.poll(10, 0.05).position:
            break
    position = first.state()
    first.close()
    cluster.put("meanwhile")
    second = Kafka(cluster.url, Tally(), position=position)
    assert texts_of(second, 1) == ["meanwhile"]
    second.close()


def test_what_a_kill_leaves_uncommitted_comes_once(cluster: Cluster, tmp_path: Path):
    spool = Spool(tmp_path / "spool", Tally())

    def feeder(into: Spool) -> Feeder:
        return Feeder("kafka", into, lambda tally, at: open_sources([cluster.url], tally, position=at, from_start=True))

    def feed(one: Feeder, n: int) -> None:
        for _ in range(400):
            one.turn(0.05)
            if one.lines >= n:
                return

    cluster.put("one", "two")
    first = feeder(spool)
    first._source.commit = lambda _: None  # killed in between: nothing is ever committed
    feed(first, 2)
    first._source.close()
    spool.close()
    assert cluster.committed() < 0
    again = Spool(tmp_path / "spool", Tally())
    cluster.put("three")
    second = feeder(again)
    feed(second, 1)
    second.stop()
    found = again.poll(100, 0.0).lines["text"].to_list()
    assert [json.loads(text)["message"] for text in found] == ["one", "two", "three"]
    assert cluster.committed() == 4
    again.close()


def test_places_of_a_stream_are_offsets(cluster: Cluster):
    source = Kafka(cluster.url, Tally(), from_start=True)
    cluster.put("one", "two")
    texts_of(source, 2)
    name = f"{cluster.topic}/0"
    assert source.state()[name] == 3
    assert source.state({f"kafka/{name}": (2, 2)})[name] == 2
    assert set(source.state({}).values()) == {0}  # nothing has been dealt with
    source.close()


def test_records_without_a_value_are_counted_and_long_ones_cut(cluster: Cluster):
    tally = Tally()
    source = Kafka(cluster.url, tally, from_start=True)
    cluster.put(None, "x" * 100_000)
    assert [len(text) for text in texts_of(source, 1)] == [64 << 10]
    assert tally.counts == {NO_VALUE: 2, kafka.CUT: 1}
    source.close()


def test_a_broker_that_is_not_there_is_the_users_to_mend(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kafka, "REACH_S", 0.2)
    with pytest.raises(InputError, match=r"No broker of 127\.0\.0\.1:9 answers"):
        Kafka("kafka://127.0.0.1:9/logs", Tally())


def test_a_url_that_makes_no_sense_is_refused_with_a_hint(tmp_path: Path):
    for url, said in (
        ("kafka://host:9092/", "no topic"),
        ("kafka:///logs", "no broker"),
        ("kafka://host/logs?groop=x", "Did you mean 'group'"),
        ("kafka://host/logs?config=/nowhere", "cannot be read"),
    ):
        with pytest.raises(ConfigError, match=said):
            parse(url)
    config = tmp_path / "kafka.properties"
    config.write_text("# secure\nsecurity.protocol = ssl\nssl.ca.location=/ca.pem\n")
    assert parse(f"kafka://a,b/x,y?config={config}") == (
        "a,b", ("x", "y"), "oddlog", {"security.protocol": "ssl", "ssl.ca.location": "/ca.pem"},
    )  # fmt: skip
    config.write_text("no.such.option=1\n")
    with pytest.raises(ConfigError, match="cannot be used"):
        Kafka(f"kafka://127.0.0.1:9/logs?config={config}", Tally())
