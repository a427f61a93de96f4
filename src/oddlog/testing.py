"""Checks that everyone who extends oddlog can run on their part, the same that run on every built-in.

>>> from oddlog.detectors.new_event import NewEvent
>>> check_detector(NewEvent)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from oddlog.errors import UserError
from oddlog.formats.checks import check_format
from oddlog.sinks.checks import check_sink, live_incidents
from oddlog.sources.checks import check_source
from oddlog.types import (
    I8,
    LEVELS,
    Context,
    Detector,
    Number,
    Scores,
    State,
    Templates,
    Windows,
)

__all__ = [
    "DETECTOR_CHECKS",
    "check_detector",
    "check_format",
    "check_sink",
    "check_source",
    "context",
    "live_incidents",
    "planted_windows",
    "usual_windows",
    "windows",
    "with_durations",
    "with_levels",
]

READS = frozenset({"template", "time", "level", "service", "numbers", "order", "text"})
"""What a detector may say that it reads."""

K = 6
"""Types of the example's usual traffic."""
_SECOND = 1_000_000


def context(k: int = K, seed: int = 0) -> Context:
    """Return a context of `k` templates called ``type 0 <*>`` and so on."""
    keys = np.arange(k, dtype=np.uint64)
    text = tuple(f"type {i} <*>" for i in range(k))
    levels, count = np.full(k, 3, np.uint8), np.ones(k, np.int64)
    templates = Templates(text, levels, count, keys, keys.astype(np.uint32), np.zeros((k, 8), np.float32))
    return Context(templates, seed=seed)


def windows(sequences: Sequence[Sequence[int]], weight: Sequence[float] | None = None) -> Windows:
    """Return closed windows that hold these template rows, a second from event to event and window to window.

    >>> windows([[0, 1, 1], [2]]).lengths.tolist()
    [3, 1]
    """
    lengths = np.array([len(s) for s in sequences], np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    n, e = len(sequences), int(offsets[-1])
    start = np.arange(n) * _SECOND
    rank = np.arange(e) - np.repeat(offsets[:-1], lengths)
    return Windows(
        key=pl.Series("key", [f"window {i}" for i in range(n)], dtype=pl.String),
        start=start,
        end=start + np.maximum(lengths - 1, 0) * _SECOND,
        closed_by=np.full(n, 1, np.uint8),
        weight=np.ones(n) if weight is None else np.asarray(weight, np.float64),
        offsets=offsets,
        template=np.array([t for s in sequences for t in s], np.uint32),
        time_us=np.repeat(start, lengths) + rank * _SECOND,
        level=np.full(e, 3, np.uint8),
        service=np.zeros(e, np.uint16),
        source=np.zeros(e, np.uint16),
        line=np.arange(1, e + 1, dtype=np.uint64),
        numbers=np.empty((e, 0), np.float32),
    )


def usual_windows(n: int = 200, seed: int = 0) -> Windows:
    """Return sessions of one kind: begin, one to four writes, as many answers, now and then a retry, end."""
    draw = np.random.default_rng(seed)
    writes, retry = draw.integers(1, 5, n), draw.integers(0, 10, n) == 0
    return windows([[0, *[1, 2] * int(w), *([3] if r else []), 4] for w, r in zip(writes, retry, strict=True)])


def planted_windows() -> Windows:
    """Return what every detector must find odd: unseen types only, and a storm that never begins or ends."""
    return windows([[K + 1, K + 2, K + 3], [*[3] * 60, *[K + 1] * 40]])


def with_durations(batch: Windows) -> Windows:
    """Return the windows with a number: 10 ms more for each type than for the one before, far more for unseen ones."""
    template = batch.template.astype(np.float64)
    usual = 10 * (template + 1) * (1 + 0.1 * np.sin(batch.line.astype(np.float64)))
    durations = np.where(template < K, usual, 1e6)
    return replace(batch, numbers=durations.astype(np.float32)[:, None])


def with_levels(batch: Windows) -> Windows:
    """Return the windows with events of unseen types as errors; all others are of level INFO."""
    level = np.where(batch.template < K, LEVELS.index("INFO"), LEVELS.index("ERROR"))
    return replace(batch, level=level.astype(np.uint8))


def check_detector(factory: Callable[[], Detector]) -> None:
    """Check that a detector keeps the contract of `types.Detector`.

    One that reads numbers is given windows that hold one, one that reads levels windows in which they differ.

    Parameters
    ----------
    factory : callable
        Returns a new, unfitted detector, alike each time.

    Raises
    ------
    AssertionError
        Naming the first check that failed, and what was found.

    """
    reads = factory().reads
    given = _shown(factory, with_levels) if "level" in reads else factory
    given = _shown(given, with_durations, _with_duration) if "numbers" in reads else given
    for check in DETECTOR_CHECKS:
        check(given)


def check_names_what_it_is(factory: Callable[[], Detector]) -> None:
    """Name, what is read, and what is needed are class attributes with known values."""
    made = factory()
    _require(bool(made.name) and made.name == made.name.strip().lower(), f"a short lower-case name: {made.name!r}")
    _require(made.reads <= READS, f"reads only of {sorted(READS)}: {sorted(made.reads)}")
    _require(made.needs in {"usual", "labels"}, f"needs 'usual' or 'labels': {made.needs!r}")


def check_scoring_does_not_learn(factory: Callable[[], Detector]) -> None:
    """Scoring twice, with something else in between, gives the same; the state stays as it was."""
    fitted, usual = _fitted(factory), usual_windows(40, seed=1)
    before, first = _frozen(fitted.state()), fitted.score(usual)
    fitted.score(planted_windows())
    _require_equal(first, fitted.score(usual), "the second scoring equals the first")
    _require(before == _frozen(fitted.state()), "the state is the same after scoring")


def check_empty_in_empty_out(factory: Callable[[], Detector]) -> None:
    """No windows give no scores; a window without events gets one."""
    fitted = _fitted(factory)
    nothing = fitted.score(Windows.empty())
    _require(nothing.window.shape == (0,) and nothing.event.shape == (0,), "no windows, no scores")
    _check_shapes(fitted.score(windows([[], [0, 1, 2, 4], []])), 3, 4)
    _check_shapes(fitted.score(windows([[]])), 1, 0)


def check_unseen_types_do_not_raise(factory: Callable[[], Detector]) -> None:
    """Rows beyond the model's table, OVERFLOW among them, are scored; never infinite."""
    _check_shapes(_fitted(factory).score(windows([[K], [K + 1, 2**32 - 1], [0, 2**32 - 1]])), 3, 5)


def check_higher_is_more_anomalous(factory: Callable[[], Detector]) -> None:
    """Planted anomalies score above every usual window that was not learned from."""
    fitted = _fitted(factory)
    usual, planted = fitted.score(usual_windows(40, seed=1)).window, fitted.score(planted_windows()).window
    _require(not np.isnan(planted).any(), f"an opinion on planted anomalies: {planted}")
    highest = float(np.nanmax(usual))
    _require(bool(planted.min() > highest), f"planted {planted} above the highest usual score {highest}")


def check_state_round_trip(factory: Callable[[], Detector]) -> None:
    """Through arrays, JSON and graphs a detector comes back that scores bit by bit the same."""
    fitted, batch = _fitted(factory), Windows.concat([usual_windows(40, seed=1), planted_windows()])
    state = fitted.state()
    for name, array in state.arrays.items():
        _require(array.dtype.kind in "biuf", f"array '{name}' holds numbers: {array.dtype}")
    arrays = {name: np.array(array) for name, array in state.arrays.items()}
    graphs = {name: bytes(graph) for name, graph in state.graphs.items()}
    stored = State(arrays, json.loads(json.dumps(dict(state.meta), allow_nan=False)), graphs)
    back = type(fitted).from_state(stored, context())
    _require_equal(fitted.score(batch), back.score(batch), "from_state scores as the fitted one")
    _require(_frozen(stored) == _frozen(back.state()), "the state of from_state is that state")


def check_same_seed_same_scores(factory: Callable[[], Detector]) -> None:
    """Fitted twice on the same windows with the same seed, the scores are bit by bit the same."""
    batch = usual_windows(40, seed=1)
    _require_equal(_fitted(factory).score(batch), _fitted(factory).score(batch), "two fits alike")


def check_one_by_one_equals_batch(factory: Callable[[], Detector]) -> None:
    """Neighbours in the batch change no window's score (1e-5, relative)."""
    fitted = _fitted(factory)
    batch = Windows.concat([usual_windows(10, seed=1), planted_windows()])
    together = fitted.score(batch)
    alone = [fitted.score(batch.take(np.array([i]))) for i in range(len(batch))]
    for name, whole, parts in (
        ("window", together.window, np.concatenate([s.window for s in alone])),
        ("event", together.event, np.concatenate([s.event for s in alone])),
    ):
        close = np.allclose(whole, parts, rtol=1e-5, atol=1e-5, equal_nan=True)
        _require(close, f"{name} scores alone equal those in a batch: {parts} and {whole}")


def check_inputs_stay_as_they_were(factory: Callable[[], Detector]) -> None:
    """Neither fitting nor scoring writes into the windows."""
    batch, labels = _training(factory())
    before = _bytes_of(batch)
    factory().fit(batch, context(), labels).score(batch)
    _require(_bytes_of(batch) == before, "the windows are as they were")


def check_one_window_is_enough(factory: Callable[[], Detector]) -> None:
    """Learning from a single usual window works, and from many that are all alike."""
    for n in (1, 50):
        usual = windows([[0, 1, 2, 4]] * n)
        labels: I8 | None = None
        if factory().needs == "labels":
            usual = Windows.concat([usual, planted_windows()])
            labels = np.array([0] * n + [1, 1], np.int8)
        scores = factory().fit(usual, context(), labels).score(usual_windows(5))
        _check_shapes(scores, 5, int(usual_windows(5).offsets[-1]))


def check_labelled_anomalies_are_not_usual(factory: Callable[[], Detector]) -> None:
    """Windows labelled anomalous still score high; who learns from usual windows only ignores them."""
    usual, planted = usual_windows(), planted_windows()
    both = Windows.concat([usual, *[planted] * 20])
    labels = np.array([0] * len(usual) + [1] * (20 * len(planted)), np.int8)
    fitted = factory().fit(both, context(), labels)
    if fitted.needs == "usual":
        expected = factory().fit(usual, context()).score(planted)
        _require_equal(expected, fitted.score(planted), "labelled anomalies leave no trace")
    highest = float(np.nanmax(fitted.score(usual).window))
    _require(bool(fitted.score(planted).window.min() > highest), "labelled anomalies score above usual windows")


def check_nothing_to_learn_is_the_users_to_mend(factory: Callable[[], Detector]) -> None:
    """Fitting on no windows raises a `UserError`, not a division by zero."""
    try:
        factory().fit(Windows.empty(), context(), np.empty(0, np.int8))
    except UserError:
        return
    raise AssertionError("Expected: fitting on no windows raises an oddlog.errors.UserError.")


DETECTOR_CHECKS: tuple[Callable[[Callable[[], Detector]], None], ...] = (
    check_names_what_it_is,
    check_scoring_does_not_learn,
    check_empty_in_empty_out,
    check_unseen_types_do_not_raise,
    check_higher_is_more_anomalous,
    check_state_round_trip,
    check_same_seed_same_scores,
    check_one_by_one_equals_batch,
    check_inputs_stay_as_they_were,
    check_one_window_is_enough,
    check_labelled_anomalies_are_not_usual,
    check_nothing_to_learn_is_the_users_to_mend,
)
"""The checks of `check_detector`, in order."""


def _shown(
    factory: Callable[[], Detector],
    seen: Callable[[Windows], Windows],
    context_of: Callable[[Context], Context] = lambda context: context,
) -> Callable[[], Detector]:
    """Return a factory of detectors that are shown windows, and a context, with something added."""
    inner = type(factory())

    class Shown:
        name, reads, needs = inner.name, inner.reads, inner.needs

        def __init__(self, made: Detector | None = None) -> None:
            self.made = factory() if made is None else made

        def fit(
            self, windows: Windows, context: Context, labels: I8 | None = None, *, validation: Windows | None = None
        ) -> Shown:
            stopped_by = None if validation is None else seen(validation)
            self.made.fit(seen(windows), context_of(context), labels, validation=stopped_by)
            return self

        def score(self, windows: Windows) -> Scores:
            return self.made.score(seen(windows))

        def state(self) -> State:
            return self.made.state()

        @classmethod
        def from_state(cls, state: State, context: Context) -> Shown:
            return cls(inner.from_state(state, context_of(context)))

    return Shown


def _with_duration(context: Context) -> Context:
    return replace(context, numbers=(Number("duration_ms", "ms", "log"),))


def _training(made: Detector) -> tuple[Windows, I8 | None]:
    usual = usual_windows()
    if made.needs == "usual":
        return usual, None
    both = Windows.concat([usual, *[planted_windows()] * 20])
    return both, np.array([0] * len(usual) + [1] * (len(both) - len(usual)), np.int8)


def _fitted(factory: Callable[[], Detector]) -> Detector:
    batch, labels = _training(factory())
    return factory().fit(batch, context(), labels)


def _check_shapes(scores: Scores, n_windows: int, n_events: int) -> None:
    window, event = scores.window, scores.event
    _require(window.shape == (n_windows,), f"{n_windows} window scores: {window.shape}")
    _require(event.shape == (n_events,), f"{n_events} event scores: {event.shape}")
    _require(window.dtype == np.float64, f"window scores are float64: {window.dtype}")
    _require(event.dtype == np.float32, f"event scores are float32: {event.dtype}")
    _require(not (np.isinf(window).any() or np.isinf(event).any()), "scores are finite or NaN")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(f"Expected: {what}.")


def _require_equal(one: Scores, other: Scores, what: str) -> None:
    same = np.array_equal(one.window, other.window, equal_nan=True)
    _require(same and np.array_equal(one.event, other.event, equal_nan=True), what)


def _frozen(state: State) -> tuple[object, ...]:
    arrays = {name: (a.dtype.str, a.shape, a.tobytes()) for name, a in sorted(state.arrays.items())}
    return arrays, json.dumps(dict(state.meta), sort_keys=True), dict(state.graphs)


def _bytes_of(batch: Windows) -> tuple[bytes, ...]:
    arrays = (batch.start, batch.end, batch.weight, batch.offsets, batch.template, batch.time_us)
    rest = (batch.closed_by, batch.level, batch.service, batch.source, batch.line, batch.numbers)
    return tuple(np.ascontiguousarray(a).tobytes() for a in (*arrays, *rest))
