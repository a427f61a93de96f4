"""The values that flow from a line to an incident, and the contracts of those who work on them.

::

    lines ──► records ──► events ──► Windows ──► Scores ──► verdicts ──► Incident
    frame     frame       frame      ragged      arrays     frame        row

Between stages there are only Polars frames and ragged numpy arrays; a line is never a Python object.

Shape letters in docstrings and comments: ``w`` windows, ``e`` events, ``b`` batch, ``t`` steps, ``d`` width,
``k`` templates, ``n`` numbers, ``m`` members, ``c`` sites. **Higher scores are more anomalous, everywhere.**
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal, Protocol, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I8 = NDArray[np.int8]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
Bool = NDArray[np.bool_]

LEVELS = ("UNKNOWN", "TRACE", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL")
"""Severity, ascending; the position in this tuple is the `u8` code in `Windows.level`."""
LEVEL: pl.DataType = pl.Enum(LEVELS)
NO_SERVICE = "lines without a service"
"""What they are called together, wherever services are named."""
TIME: pl.DataType = pl.Datetime("us", "UTC")

LINES = pl.Schema(
    {
        "source": pl.String(),  # path or address the line came from
        "position": pl.UInt64(),  # byte offset (or the source's own cursor) to resume *after* this line
        "line": pl.UInt64(),  # 1-based number within the source
        "text": pl.String(),  # the line without its end, valid UTF-8, at most 64 KiB
        "count": pl.UInt32(),  # how many identical neighbours this row stands for
    }
)
RECORDS = pl.Schema(
    {
        **LINES,
        "time": TIME,
        "level": LEVEL,
        "service": pl.String(),
        "host": pl.String(),
        "message": pl.String(),
    }
)
"""Every record has these; found fields follow: numbers as ``n.NAME`` (f32), words as ``f.NAME`` (str)."""
EVENTS = pl.Schema(
    {
        "session": pl.String(),  # the key the windower groups by; null where the record names none
        "template": pl.UInt32(),
        "time_us": pl.Int64(),  # microseconds since the epoch, UTC; NO_TIME where the record has none
        "level": pl.UInt8(),
        "service": pl.UInt16(),
        "source": pl.UInt16(),
        "line": pl.UInt64(),
    }
)
"""Events may carry further ``n.NAME`` columns (f32), which become `Windows.numbers` in their order."""
SCORES = pl.Schema(
    {
        "key": pl.String(),
        "start": TIME,
        "end": TIME,
        "n_events": pl.UInt32(),
        "score": pl.Float64(),
        "p_value": pl.Float64(),
        "threshold": pl.Float64(),
        "is_anomaly": pl.Boolean(),
    }
)
LINE_SCORES = pl.Schema(
    {
        "source": pl.String(),
        "line": pl.UInt64(),
        "time": TIME,
        "template": pl.String(),
        "score": pl.Float64(),
        "p_value": pl.Float64(),
        "is_anomaly": pl.Boolean(),
        "reason": pl.String(),
    }
)

NO_TIME = np.iinfo(np.int64).min
"""`time_us` of an event whose record carries no time."""
OVERFLOW = np.iinfo(np.uint32).max
"""`template` of an event when the table of types unseen by the model is full."""

CLOSED_BY = ("open", "end", "idle", "age", "size", "bounds", "rest", "headless")
"""How a window was closed: ``open`` = the input ended first, in the midst of it; ``end`` = an event that ends
sessions; ``idle`` = silence; ``age``/``size`` = a limit; ``bounds`` = the window's own time or count; ``rest`` = the
input ended while it paused (it may go on, but what has happened so far is whole); ``headless`` = it seems to have
begun before the input did."""


class Tally:
    """Counts what was refused, cut, repaired or dropped, by reason, with an example of each.

    >>> tally = Tally()
    >>> tally.add("line cut at 64 KiB", 2, example="app.log:17")
    >>> tally.counts["line cut at 64 KiB"], tally.examples["line cut at 64 KiB"]
    (2, 'app.log:17')
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    def add(self, reason: str, n: int = 1, *, example: str = "") -> None:
        """Count `n` more of `reason`; the first example given is the one that is kept."""
        if n <= 0:
            return
        self.counts[reason] += n
        if example:
            self.examples.setdefault(reason, example[:200])

    def merge(self, other: Tally) -> None:
        """Add another tally's counts to this one."""
        self.counts.update(other.counts)
        for reason, example in other.examples.items():
            self.examples.setdefault(reason, example)


@dataclass(frozen=True)
class Number:
    """A numeric column that was chosen for the detectors: a found field or a template's parameter slot."""

    name: str
    unit: str = ""
    scale: Literal["linear", "log"] = "linear"


@dataclass(frozen=True)
class Templates:
    """The message types of a model: keys are for ever, rows are this model's.

    Attributes
    ----------
    text : tuple of str, [k]
        Canonical text of each row, variables as ``<*>``.
    level : U8 [k]
        The most frequent level of the row's lines (code into `LEVELS`).
    count : I64 [k]
        Lines seen in training.
    key : U64 [x]
        Every key known to the model, ascending; ``x >= k`` because merging maps several keys to one row.
    row : U32 [x]
        The row of each key.
    embedding : F32 [k, d]
        Embedding of each text.

    """

    text: tuple[str, ...]
    level: U8
    count: I64
    key: U64
    row: U32
    embedding: F32

    def __len__(self) -> int:
        return len(self.text)

    def rows_of(self, key: U64) -> I64:
        """Return the row of each key [e], -1 where the model has never seen it."""
        if len(self.key) == 0:
            return np.full(len(key), -1, np.int64)
        at = np.minimum(np.searchsorted(self.key, key), len(self.key) - 1)
        return np.where(self.key[at] == key, self.row[at].astype(np.int64), -1)


@dataclass(frozen=True)
class Context:
    """What is fixed before any detector fits, and shared by all of them."""

    templates: Templates
    numbers: tuple[Number, ...] = ()
    services: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True)
class Windows:
    """A batch of windows as ragged arrays: window ``i`` holds events ``offsets[i]:offsets[i + 1]``.

    Events of a window stand in order of (time, source, line).
    """

    key: pl.Series  # [w] str
    start: I64  # [w] us
    end: I64  # [w] us
    closed_by: U8  # [w] code into CLOSED_BY
    weight: F64  # [w] how many windows of the data this one stands for
    offsets: I64  # [w + 1]
    template: U32  # [e] row; >= k is a type unseen by the model
    time_us: I64  # [e]
    level: U8  # [e]
    service: U16  # [e]
    source: U16  # [e]
    line: U64  # [e]
    numbers: F32  # [e, n] NaN = absent

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> I64:
        """Events per window [w]."""
        return np.diff(self.offsets)

    @property
    def window_of_event(self) -> I64:
        """The window each event stands in [e]."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @classmethod
    def empty(cls, n_numbers: int = 0) -> Self:
        """Return no windows."""
        return cls(
            pl.Series("key", [], dtype=pl.String),
            np.empty(0, np.int64),
            np.empty(0, np.int64),
            np.empty(0, np.uint8),
            np.empty(0, np.float64),
            np.zeros(1, np.int64),
            np.empty(0, np.uint32),
            np.empty(0, np.int64),
            np.empty(0, np.uint8),
            np.empty(0, np.uint16),
            np.empty(0, np.uint16),
            np.empty(0, np.uint64),
            np.empty((0, n_numbers), np.float32),
        )

    def take(self, index: I64 | Bool) -> Self:
        """Return the windows at `index` [x] (positions or a mask), in that order."""
        index = np.flatnonzero(index) if index.dtype == np.bool_ else np.asarray(index, np.int64)
        lengths = self.lengths[index]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        # position of each taken event: its window's first event + its rank inside the window
        event = np.repeat(self.offsets[:-1][index] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return type(self)(
            self.key.gather(index),
            self.start[index],
            self.end[index],
            self.closed_by[index],
            self.weight[index],
            offsets,
            self.template[event],
            self.time_us[event],
            self.level[event],
            self.service[event],
            self.source[event],
            self.line[event],
            self.numbers[event],
        )

    @classmethod
    def concat(cls, parts: list[Self]) -> Self:
        """Return the windows of all parts, one after the other."""
        if not parts:
            return cls.empty()
        if len(parts) == 1:
            return parts[0]
        starts = np.concatenate([[0], np.cumsum([p.offsets[-1] for p in parts])])
        offsets = np.concatenate([p.offsets[:-1] + s for p, s in zip(parts, starts[:-1], strict=True)])

        arrays = {f.name: [getattr(p, f.name) for p in parts] for f in fields(cls)}
        key = pl.concat(arrays.pop("key"), rechunk=True)
        del arrays["offsets"]
        joined = {name: np.concatenate(arrays[name]) for name in arrays}
        return cls(key=key, offsets=np.append(offsets, starts[-1]).astype(np.int64), **joined)


@dataclass(frozen=True)
class Scores:
    """What a detector says of windows and events. Higher = more anomalous, NaN = no opinion."""

    window: F64  # [w]
    event: F32  # [e]


@dataclass(frozen=True)
class State:
    """What a fitted part is made of: arrays for safetensors, JSON meta, ONNX graphs by name."""

    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
    graphs: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Reason:
    """Why something is odd. Every number can be recomputed from the raw lines."""

    kind: str
    text: str
    numbers: Mapping[str, float | int | str] = field(default_factory=dict)


@dataclass(frozen=True)
class LineRef:
    """One raw line that belongs to an incident."""

    source: str
    line: int
    text: str
    score: float
    message: str = ""  # what the line says behind its header


Urgency = Literal["alert", "notice"]
"""Whether something lasts, so that it is worth to be called for, or was over in a moment; see `oddlog.incidents`."""


@dataclass(frozen=True)
class Incident:
    """Verdicts that belong together, as a person reads them."""

    id: str
    key: str  # key of the first window
    keys: tuple[str, ...]  # all windows, oldest first, at most 100
    n_windows: int
    start: datetime | None
    end: datetime | None
    severity: float  # what the order of incidents goes by
    score: float
    p_value: float
    pattern: str
    services: tuple[str, ...]
    hosts: tuple[str, ...]
    reasons: tuple[Reason, ...]
    lines: tuple[LineRef, ...]
    patterns: tuple[str, ...] = ()  # of all its windows, the most frequent first, at most 100
    new_types: tuple[str, ...] = ()  # keys (hex) of the types never seen in training that its top window leads with
    company: tuple[str, ...] = ()  # keys (hex) of the known types beside these in its sessions; see judging.company
    urgency: Urgency = "alert"
    answer: str = ""  # what a person has said of its pattern: usual, anomalous or mute
    notes: tuple[str, ...] = ()  # what else is known of it, for people
    members: Mapping[str, float] = field(default_factory=dict)  # p-value of each member for the most pressing window

    def fields(self) -> dict[str, Any]:
        """Return its fields by name, and those of its parts: what `dataclasses.asdict` does, without copying them."""
        parts = {"reasons": [vars(one) for one in self.reasons], "lines": [vars(one) for one in self.lines]}
        return vars(self) | parts

    @property
    def place(self) -> tuple[str, ...]:
        """Where it is: its services; where its lines name none its hosts, else the sources they came from, shortly."""
        return place_of(self.services, self.hosts, [line.source for line in self.lines])

    @property
    def order(self) -> tuple[bool, float]:
        """What incidents are sorted by: alerts before notices, the most pressing first."""
        return self.urgency == "notice", -self.severity


@dataclass(frozen=True)
class LiveIncident:
    """An incident while it goes on, and what has happened to it.

    Attributes
    ----------
    incident : Incident
        As it is now; as it was last, if it is over or was withdrawn.
    change : str
        "new", "grown", "over" (nothing more came for an hour, or too much is odd to be held) or "withdrawn": what
        looked odd while it went on turned out usual, or became part of another incident.
    provisional : bool
        Whether it rests on single lines, or on windows that are still open.
    notable : bool
        Whether it is worth to be told again: an incident that has grown by one window among many is not.

    """

    incident: Incident
    change: Literal["new", "grown", "over", "withdrawn"]
    provisional: bool
    notable: bool = True


@dataclass(frozen=True)
class Passed:
    """What went by while logs were judged live: counted, for those who draw it.

    Attributes
    ----------
    minutes : pl.DataFrame
        ``minute service lines errors unseen``: lines by minute (since the epoch, of their own time) and service; those
        of level ERROR or worse, and those of types the model has never seen.
    scores : pl.DataFrame
        ``minute view windows odd top``: windows by the minute they ended in; `top` is the highest score as a share of
        the threshold.
    types : pl.DataFrame
        ``day key lines first last``: lines by day and message type (key in hex); times in seconds.
    texts : pl.DataFrame
        ``key text level service`` of types the model has never seen, once each.
    sources : pl.DataFrame
        ``name lines errors event``: by source; `event` is the latest time of a line, in seconds, null without.
    verdicts : pl.DataFrame
        Each window that was judged for good: `SCORES` with its ``view``.

    """

    minutes: pl.DataFrame
    scores: pl.DataFrame
    types: pl.DataFrame
    texts: pl.DataFrame
    sources: pl.DataFrame
    verdicts: pl.DataFrame


@dataclass(frozen=True)
class Batch:
    """What a source hands over at once.

    Attributes
    ----------
    lines : pl.DataFrame
        `LINES`, in order of arrival; positions of one source only grow.
    position : object
        What to give to `Source.commit` once nothing up to here is needed again.

    """

    lines: pl.DataFrame
    position: Any = None


class Source(Protocol):
    """Brings lines while they happen."""

    def poll(self, max_lines: int, timeout_s: float) -> Batch:
        """Return lines that have come, at once if there are some, else after at most `timeout_s`; maybe none.

        About `max_lines` at most: a block that was read is handed over whole.
        """
        ...

    def commit(self, position: Any) -> None:
        """Note that whatever was handed over up to `position` has been dealt with, and may be forgotten."""
        ...


class Sink(Protocol):
    """Takes incidents to where people look."""

    name: str

    def send(self, live: LiveIncident) -> None:
        """Hand over what has happened to an incident; return once it is there.

        The same may be sent twice, after a crash: `incident.id` tells. Of an incident that it has not taken as new, as
        it refused that or was away for too long, a sink is never told that it has grown (it is told as new then) or
        is over.

        Raises
        ------
        SinkUnavailableError
            To be sent again later.
        SinkRefusedError
            Never to be sent again: it goes to the dead letters.

        """
        ...


class Format(Protocol):
    """One way of writing a log line. Register a new one in ``formats/__init__.py``."""

    name: str

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:
        """Return as many rows as `text` [lines] has.

        Columns: ``ok`` (bool: the line is of this format), ``time level service host message`` as in
        `RECORDS` (null where absent), then found fields ``n.NAME`` (f32) and ``f.NAME`` (str). Must never
        raise on any text. `year` is that of the source, for formats that do not write one.
        """
        ...


class Detector(Protocol):
    """Learns from windows what is usual; scores windows and events.

    `reads` names what of the windows is looked at (``template``, ``time``, ``level``, ``service``,
    ``numbers``, ``order``, ``text``): windows alike in all of that are scored once.

    One that reads the ``text`` of templates may have a method ``with_texts(texts) -> Self``: it returns a detector
    that also knows those of the types [x] unseen by the model, of rows k and on, and has the same state. `detect` asks
    for it once all lines are read; without it an unseen type has no text.
    """

    name: str
    reads: frozenset[str]
    needs: Literal["usual", "labels"]

    def fit(
        self,
        windows: Windows,
        context: Context,
        labels: I8 | None = None,
        *,
        validation: Windows | None = None,
    ) -> Self:
        """Learn. `labels` [w]: 0 usual, 1 anomalous, -1 unknown."""
        ...

    def score(self, windows: Windows) -> Scores:
        """Score; changes nothing. Unseen types must not raise; empty in, empty out."""
        ...

    def state(self) -> State:
        """Return everything `from_state` needs."""
        ...

    @classmethod
    def from_state(cls, state: State, context: Context) -> Self:
        """Rebuild a fitted detector; needs neither torch nor scikit-learn."""
        ...


class Federable(Detector, Protocol):
    """A detector that sites can train together: its weights are alike in shape at all of them.

    No weight is sized by what a site has of its own (its templates, services, numbers). One made of linear layers may
    have ``layers``, the name of the bias by that of the weights [i, o] of each, and ``get_inputs(windows, seed)``,
    second moments of what goes into each of them and a 1 [i + 1, i + 1]: then sites' networks are merged by them.
    """

    def get_weights(self) -> dict[str, F32]:
        """Return a copy of what is learned together, by name; sorted."""
        ...

    def set_weights(self, weights: Mapping[str, F32]) -> None:
        """Take over weights of the same names and shapes."""
        ...

    def train(self, windows: Windows, steps: int, seed: int) -> int:
        """Learn on from the weights that are set; return the steps taken. Same weights, windows, seed: same result."""
        ...


def place_of(services: Sequence[str], hosts: Sequence[str], sources: Sequence[str]) -> tuple[str, ...]:
    """See `Incident.place`.

    >>> place_of((), (), ["/var/log/app.log", "/var/log/app.log"]), place_of((), ["web-1"], ["app.log"])
    (('app.log',), ('web-1',))
    """
    return tuple(services or hosts or dict.fromkeys(map(source_name, sources)))


def source_name(source: str) -> str:
    """Return what a source is called where there is little room: its file, with the folder if that says nothing.

    >>> source_name("/var/log/app.log"), source_name("/pods/shop_pay-7/pay/0.log"), source_name("push:till-3")
    ('app.log', 'pay/0.log', 'push:till-3')
    """
    parts = [part for part in source.split("/") if part]
    name = parts[-1] if parts else source
    is_number = not any(map(str.isalpha, name.partition(".")[0]))
    return "/".join(parts[-2:]) if is_number and len(parts) > 1 else name


def to_datetime(time_us: int) -> datetime | None:
    """Return microseconds since the epoch as a datetime in UTC, None for `NO_TIME`."""
    return None if time_us == NO_TIME else datetime.fromtimestamp(time_us / 1e6, UTC)
