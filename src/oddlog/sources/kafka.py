"""Topics of Kafka as a member of a consumer group: ``kafka://BROKER:9092/TOPIC?group=oddlog``. Extra ``kafka``.

A partition is a source, ``kafka/TOPIC/0``; a line's position is the offset behind its record. Offsets are committed to
the broker only once whoever polls says that the lines are durable, and what a kill left uncommitted is known by the
position that lies with those lines: where the two differ, the later one holds.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import polars as pl

from oddlog.errors import ConfigError, InputError, MissingExtraError, did_you_mean
from oddlog.sources.entries import LONGEST_LINE, as_line
from oddlog.types import LINES, Batch, Tally

try:
    from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
except ImportError as error:
    raise MissingExtraError("kafka://", "kafka") from error

REACH_S = 10.0  # to reach a broker at the start, and to ask one where a partition begins and ends
MOST_RECORDS = 10_000  # of a poll
CUT = "line cut at 64 KiB"
NO_VALUE = "record without a value dropped"
FAILED = "Kafka failed"
UNCOMMITTED = "Kafka took no commit: known by the lines that were kept"
_OPTIONS = ("config", "group")
_log = logging.getLogger("oddlog")


class Kafka:
    """Consumes topics. A `types.Source`.

    Parameters
    ----------
    url : str
        Brokers, topics (divided by commas), ``group``, and ``config``: a file with further options of librdkafka, one
        ``NAME=VALUE`` a line.
    tally : Tally
        Takes what was dropped, and failures.
    position : mapping, optional
        What another handed over, to go on behind it.
    from_start : bool
        Where a partition has never been read, begin with its first record, not with what comes from now on.

    Raises
    ------
    ConfigError
        If the URL makes no sense.
    InputError
        If no broker can be reached.

    """

    def __init__(
        self, url: str, tally: Tally, *, position: Mapping[str, int] | None = None, from_start: bool = False
    ) -> None:
        brokers, topics, group, options = parse(url)
        self._tally, self._from_start = tally, from_start
        self._known = dict(position or {})  # where to go on, by partition that was not assigned yet
        self._next: dict[str, int] = {}  # behind what was handed over, by assigned partition
        self._begun: dict[str, int] = {}  # where each of them was begun with
        try:
            self._consumer = Consumer(
                {
                    **options,
                    "bootstrap.servers": brokers,
                    "group.id": group,
                    "enable.auto.commit": False,
                    "auto.offset.reset": "earliest" if from_start else "latest",
                    "error_cb": self._hear,
                }
            )
        except KafkaException as error:
            raise ConfigError(f"{url} cannot be used: {error.args[0].str()}.", "Look at the config file.") from error
        try:
            self._consumer.list_topics(timeout=REACH_S)
            self._consumer.subscribe(list(topics), on_assign=self._assigned, on_revoke=self._revoked)
        except KafkaException as error:
            self._consumer.close()
            raise InputError(f"No broker of {brokers} answers: {error.args[0].str()}.", "Check the address.") from error

    def poll(self, max_lines: int, timeout_s: float) -> Batch:
        """Return lines that have come; see `types.Source`."""
        rows: list[tuple[str, int, str]] = []
        for record in self._consumer.consume(min(max_lines, MOST_RECORDS), timeout_s):
            error = record.error()
            if error is not None:
                self._hear(error)
                continue
            name, behind = f"{record.topic()}/{record.partition()}", record.offset() + 1
            self._next[name] = behind
            text = self._text(record, name)
            if text:
                rows.append((f"kafka/{name}", behind, text))
        schema = {"source": pl.String, "position": pl.UInt64, "text": pl.String}
        frame = pl.DataFrame(rows, schema=schema, orient="row")
        frame = frame.with_columns(line="position", count=pl.lit(1, pl.UInt32)).select(LINES.names())
        return Batch(frame, self.state())

    def commit(self, position: Any) -> None:
        """Tell the broker that all before these offsets is durable."""
        offsets = [_partition(name, offset) for name, offset in position.items() if name in self._next]
        if not offsets:
            return
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            self._tally.add(UNCOMMITTED, example=error.args[0].str())

    def state(
        self, places: Mapping[str, tuple[int, int]] | None = None, _earliest: int | None = None
    ) -> dict[str, Any]:
        """Return a position to go on from; see `opening.Resumable`."""
        if places is None:
            return dict(self._next)
        # Of a partition that is not named nothing has been dealt with.
        return {name: places.get(f"kafka/{name}", (at, 0))[0] for name, at in self._begun.items()}

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    # -- partitions ------------------------------------------------------------------------------------------

    def _assigned(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """Go on where each partition was left, by whoever of the group came farther."""
        try:
            committed = consumer.committed(list(partitions), timeout=REACH_S)
        except KafkaException as error:
            self._hear(error.args[0])
            committed = list(partitions)
        for partition, kept in zip(partitions, committed, strict=True):
            name = f"{partition.topic}/{partition.partition}"
            at = max(kept.offset if kept.offset >= 0 else -1, self._known.pop(name, -1))
            if at < 0:
                at = self._edge(consumer, partition)
            if at >= 0:
                partition.offset = at
                self._next[name] = self._begun[name] = at
        consumer.assign(list(partitions))

    def _edge(self, consumer: Consumer, partition: TopicPartition) -> int:
        """Return where a partition begins or ends that was never read."""
        try:
            low, high = consumer.get_watermark_offsets(partition, timeout=REACH_S)
        except KafkaException as error:
            self._hear(error.args[0])
            return -1
        return int(low if self._from_start else high)

    def _revoked(self, _consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """Forget partitions that another member of the group goes on with; what was handed over is committed by now."""
        for partition in partitions:
            for held in (self._next, self._begun):
                held.pop(f"{partition.topic}/{partition.partition}", None)

    # -- records ---------------------------------------------------------------------------------------------

    def _hear(self, error: KafkaError) -> None:
        if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - named so by the library
            self._tally.add(FAILED, example=error.str())

    def _text(self, record: Any, name: str) -> str:
        """Return a record as one line of JSON: as it is where it is an object, else as a message with its time."""
        value = record.value()
        if not value or not value.strip():
            self._tally.add(NO_VALUE, example=f"{name} at {record.offset()}")
            return ""
        self._tally.add(CUT, int(len(value) > LONGEST_LINE), example=f"{name} at {record.offset()}")
        text: str = value.decode("utf-8", "replace").strip()
        if text.startswith("{") and len(text) <= LONGEST_LINE:
            if "\n" not in text:
                return text
            try:
                return orjson.dumps(orjson.loads(text)).decode()
            except orjson.JSONDecodeError:
                pass  # a line that begins with a brace, and goes on
        kind, milliseconds = record.timestamp()
        return as_line({"timestamp": milliseconds} if kind else {}, text)


def _partition(name: str, offset: int) -> TopicPartition:
    topic, _, number = name.rpartition("/")
    return TopicPartition(topic, int(number), offset)


def parse(url: str) -> tuple[str, tuple[str, ...], str, dict[str, str]]:
    """Return brokers, topics, group and further options.

    >>> parse("kafka://a:9092,b:9092/logs?group=night")
    ('a:9092,b:9092', ('logs',), 'night', {})

    Raises
    ------
    ConfigError
        If the URL makes no sense.

    """
    parts = urlsplit(url)
    topics = tuple(topic for topic in parts.path.strip("/").split(",") if topic)
    if not parts.netloc or not topics:
        raise ConfigError(f"'{url}' names no broker or no topic.", "Write kafka://HOST:9092/TOPIC.")
    asked = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    odd = sorted(set(asked) - set(_OPTIONS))
    if odd:
        raise ConfigError(f"'{url}' sets '{odd[0]}', which kafka:// does not have.", did_you_mean(odd[0], _OPTIONS))
    return parts.netloc, topics, asked.get("group", "oddlog"), _options(asked.get("config", ""))


def _options(path: str) -> dict[str, str]:
    if not path:
        return {}
    try:
        rows = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.", "Check config= and who may read it.") from error
    pairs = [row.partition("=") for row in rows if row.strip() and not row.lstrip().startswith("#")]
    return {name.strip(): value.strip() for name, _, value in pairs}
