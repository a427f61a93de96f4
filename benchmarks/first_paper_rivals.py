"""The first paper's table of methods, on the windows that oddlog cuts from the simulated data centre.

What is judged is the same for all: windows (requests by their trace, and minutes of a service for lines without one)
that hold a labelled line are anomalous; and once more minutes of a service, over all lines. A method scores its own
unit; each line takes the score of the unit it stands in, and a window that of its oddest line. A silent service writes
no line, so it cannot be in this table.

What each method sees:

- *networks* (LSTM, next event, CNN, dense and variational autoencoder): windows of training without those that
  `trim` leaves out, by time 70 % to learn, 15 % to stop early, 15 % to set the threshold. No labels.
- *z-score*, *moving average*: how many lines, and how many ERROR lines, each service writes a minute; usual mean and
  spread over all of training, or the mean of the hour before. No labels.
- *SVM with RBF kernel*, *CART*: counts of message types, mean and highest value of the numbers, length and duration of
  each window; the **labels** of training, on all its anomalous windows and 10,000 usual ones drawn at random.
- *oddlog*: its default verdict of windows (`fit` as it is), and whether a line of the window is called odd.

Thresholds: *sigma* is mean + 3 standard deviations on the last 15 % of training (the paper's), *tail* the score that
one in 1,000 of these exceed, by the fitted tail (counts by minute: by the quantile). *Best F1* is the best threshold in
hindsight, on the test itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from oddlog.calibration import Tail
from oddlog.datasets import read_labels
from oddlog.detectors import create
from oddlog.detectors.trim import trim
from oddlog.evaluation import judged
from oddlog.model import Model
from oddlog.pipeline.cutting import cut_windows, partitions
from oddlog.pipeline.events import Codes, EventStore, event_columns
from oddlog.pipeline.planning import group_of
from oddlog.pipeline.reading import Reading
from oddlog.pipeline.watching import NumberColumns
from oddlog.templates import Matcher, mask
from oddlog.thresholds import best_f1, sigma
from oddlog.types import F64, I8, I64, LEVELS, Bool, Tally, Windows

MINUTE_US = 60_000_000
RATE = 0.001
HOUR = 60  # minutes of the moving average
USUAL_FOR_LABELS = 10_000
ERROR = LEVELS.index("ERROR")
NETWORKS = {
    "LSTM autoencoder": ("lstm", {}),
    "LSTM next event": ("next-event", {}),
    "CNN": ("cnn", {}),
    "dense autoencoder": ("vae", {"variational": False}),
    "variational autoencoder": ("vae", {}),
}


@dataclass(frozen=True)
class Period:
    """The windows of each view of one period, and what is known of each of their lines.

    Attributes
    ----------
    views : list of Windows
        In the order of the model's views; every line stands in one window.
    window, cell : I64 [e]
        Of each event, views one after the other: its window, and its minute of a service.
    cells : I64 [c]
        Service and minute of each cell: ``service << 40 | minute``.
    labelled : Bool [e]
        Whether the line belongs to an incident.
    flagged, surprise : [e]
        What oddlog says of the line, where it was asked; else False and 0.

    """

    views: list[Windows]
    window: I64
    cell: I64
    cells: I64
    labelled: Bool
    flagged: Bool
    surprise: F64

    @property
    def n_windows(self) -> int:
        """How many windows all views have."""
        return sum(map(len, self.views))

    def label(self, unit: str) -> I8:
        """Return which windows, or cells, hold a labelled line."""
        return self.most(self.labelled.astype(np.float64), unit).astype(np.int8)

    def most(self, of_line: F64, unit: str) -> F64:
        """Return the highest value of the lines of each window or cell."""
        at, n = (self.window, self.n_windows) if unit == "window" else (self.cell, len(self.cells))
        most = np.full(n, -np.inf)
        np.maximum.at(most, at, of_line)
        return most


@dataclass(frozen=True)
class Said:
    """What a method says: a score for each of its units, and which of them are odd by each threshold."""

    name: str
    unit: str
    score: F64
    odd: dict[str, Bool]
    saw: str
    cpu_s: float


def period(folder: Path, name: str, model: Model, lines: pl.DataFrame | None = None) -> Period:
    """Return a period cut into the windows of the model's views."""
    labels = read_labels(folder).of(name).lines.select("source", "line", labelled=pl.lit(1)).unique(["source", "line"])
    tally = Tally()
    views, sources = _cut(folder / name, model, tally)
    names = [one.removeprefix(f"{folder}/") for one in sources.names]
    source = pl.Series(np.concatenate([one.source for one in views]))
    event = pl.DataFrame(
        {
            "source": source.replace_strict(range(len(names)), names, return_dtype=pl.String),
            "line": np.concatenate([one.line for one in views]),
        }
    )
    joined = event.join(labels, on=["source", "line"], how="left", maintain_order="left")
    flagged, surprise = np.zeros(len(event), np.bool_), np.zeros(len(event))
    if lines is not None:
        below = lines.select(pl.col("source").str.strip_prefix(f"{folder}/"), "line", "is_anomaly", "p_value")
        said = event.join(below, on=["source", "line"], how="left", maintain_order="left")
        flagged = said["is_anomaly"].fill_null(value=False).to_numpy()
        surprise = -np.log10(said["p_value"].fill_null(1.0).to_numpy().clip(1e-300))
    starts = np.cumsum([0, *map(len, views)])
    service = np.concatenate([one.service for one in views]).astype(np.int64)
    minute = np.concatenate([one.time_us for one in views]) // MINUTE_US
    cells, cell = np.unique(service << 40 | minute, return_inverse=True)
    window = np.concatenate([one.window_of_event + start for one, start in zip(views, starts, strict=False)])
    return Period(views, window, cell, cells, joined["labelled"].is_not_null().to_numpy(), flagged, surprise)


def _cut(path: Path, model: Model, tally: Tally) -> tuple[list[Windows], Codes]:
    """Return the windows of each view, each in order of time: the way of `detect`, up to the windows."""
    matcher, numbers = Matcher(model.context.templates), NumberColumns(model.context.numbers)
    services, sources = Codes(model.context.services, what="services"), Codes(what="sources")
    reading = Reading(tally=tally)
    stores = [EventStore(by=view.cut.partition()) for view in model.views]
    low, high = np.iinfo(np.int64).max, np.iinfo(np.int64).min
    for records in reading.records(path):
        masked = mask(records["message"])
        rows = matcher.rows(masked.distinct_key, masked.distinct_text)[masked.inverse]
        shared = event_columns(records, services, sources)
        shared = shared.with_columns(pl.Series("template", rows), *numbers.of(records, masked))
        low, high = min(low, int(shared["time_us"].min())), max(high, int(shared["time_us"].max()))  # type: ignore[arg-type] # not null
        for view, store in zip(model.views, stores, strict=True):
            events = shared.with_columns(group_of(records, view.name, view.cut))
            store.add(events.filter(pl.col("session").is_not_null()))
    reading.close()
    found = []
    for view, store in zip(model.views, stores, strict=True):
        windows = Windows.concat([cut_windows(events, view.cut, tally, (low, high)) for events in partitions(store)])
        found.append(windows.take(np.lexsort((windows.end, windows.start))))
        store.close()
    return found, sources


def network(name: str, learned: Period, asked: Period, model: Model, seed: int) -> Said:
    """Learn from each view's windows, score those of the other period."""
    began = time.process_time()
    detector, options = NETWORKS[name]
    score: list[F64] = []
    odd: dict[str, list[Bool]] = {"sigma": [], "tail": []}
    for windows, test in zip(learned.views, asked.views, strict=True):
        usual = windows.take(trim(windows, model.context)[0])
        edges = [round(len(usual) * share) for share in (0.7, 0.85)]
        train, stop, rest = (usual.take(part) for part in np.split(np.arange(len(usual)), edges))
        member = create(detector, seed, **options).fit(train, model.context, validation=stop)
        held, said = member.score(rest).window, member.score(test).window
        tail = Tail.fit(held)
        score.append(np.nan_to_num(tail.surprise(said)))  # views have scales of their own
        odd["sigma"].append(said > sigma(held).value)
        odd["tail"].append(said > tail.quantile(RATE))
    joined = {kind: np.concatenate(parts) for kind, parts in odd.items()}
    return Said(name, "window", np.concatenate(score), joined, "usual windows, trimmed", time.process_time() - began)


def counted(learned: Period, asked: Period) -> Iterator[Said]:
    """Return what z-score and moving average say of lines and ERROR lines by minute of a service."""
    for name, moving in (("z-score", False), ("moving average", True)):
        began = time.process_time()
        first, second = _series(learned), _series(asked)
        held: list[F64] = []
        score = np.zeros(len(asked.cells))
        for kind in (0, 1):
            for service, usual in first.items():
                train = _apart(usual[1][kind], moving)
                mean, spread = (0.0, train.std()) if moving else (train.mean(), train.std())
                z = np.abs(train - mean) / max(spread, 1e-3)
                held.append(z[round(0.85 * len(z)) :])
                if service in second:
                    begin, both, index, minute = second[service]
                    now = np.abs(_apart(both[kind], moving) - mean) / max(spread, 1e-3)
                    score[index] = np.maximum(score[index], now[minute - begin])
        threshold = pl.Series(np.concatenate(held)).quantile(1 - RATE, "higher")
        odd = {"3 std": score > 3.0, "tail": score > (threshold or 0.0)}
        yield Said(name, "cell", score, odd, "lines and ERRORs by minute", time.process_time() - began)


Series = dict[int, tuple[int, F64, I64, I64]]


def _series(of: Period) -> Series:
    """Return by service: the first minute, lines and ERRORs of each minute [2, t], its cells and their minutes."""
    level = np.concatenate([one.level for one in of.views])
    lines = np.bincount(of.cell, minlength=len(of.cells)).astype(np.float64)
    errors = np.bincount(of.cell, level >= ERROR, minlength=len(of.cells))
    service, minute = of.cells >> 40, of.cells & ((1 << 40) - 1)
    begin, n = int(minute.min()), int(minute.max() - minute.min()) + 1
    found: Series = {}
    for one in np.unique(service).tolist():
        index = np.flatnonzero(service == one)
        both = np.zeros((2, n))
        both[:, minute[index] - begin] = lines[index], errors[index]
        found[one] = (begin, both, index, minute[index])
    return found


def _apart(series: F64, moving: bool) -> F64:
    """Return the series, or how far it is from the mean of the hour before."""
    if not moving:
        return series
    total = np.concatenate([[0.0], np.cumsum(series)])
    at = np.arange(len(series))
    before = np.maximum(at - HOUR, 0)
    mean = (total[at] - total[before]) / np.maximum(at - before, 1)
    return np.where(at > 0, series - mean, 0.0)


def with_labels(learned: Period, asked: Period, model: Model, seed: int) -> Iterator[Said]:
    """Return what a support vector machine and a decision tree say that have seen labels."""
    label = learned.label("window")
    rng = np.random.default_rng(seed)
    usual = rng.permutation(np.flatnonzero(label == 0))[:USUAL_FOR_LABELS]
    rows = np.sort(np.concatenate([usual, np.flatnonzero(label == 1)]))
    k = len(model.context.templates)
    train, test = _features(learned.views, k)[rows], _features(asked.views, k)
    mean, spread = train.mean(0), train.std(0) + 0.1
    svm = SVC(kernel="rbf", class_weight="balanced", cache_size=500)
    cart = DecisionTreeClassifier(min_samples_leaf=5, class_weight="balanced", random_state=seed)
    for name, machine in (("SVM, RBF kernel", svm), ("CART", cart)):
        began = time.process_time()
        machine.fit((train - mean) / spread, label[rows])
        score = np.empty(len(test))
        for start in range(0, len(test), 20_000):
            part = (test[start : start + 20_000] - mean) / spread
            score[start : start + len(part)] = (
                machine.decision_function(part) if name.startswith("SVM") else machine.predict_proba(part)[:, 1] - 0.5
            )
        saw = f"labels: {int(label.sum()):,} anomalous windows"
        yield Said(name, "window", score, {"its own": score > 0}, saw, time.process_time() - began)


def _features(views: Sequence[Windows], k: int) -> np.ndarray:
    """Return ln(1 + count) of each type, mean and highest of each number, length and duration [w, d], f32."""
    return np.concatenate([_features_of(one, k) for one in views])


def _features_of(windows: Windows, k: int) -> np.ndarray:
    n, at = len(windows), windows.window_of_event
    code = at * (k + 1) + np.minimum(windows.template, k).astype(np.int64)
    cell, count = np.unique(code, return_counts=True)
    types = np.zeros((n, k + 1), np.float32)
    types[cell // (k + 1), cell % (k + 1)] = np.log1p(count)
    further = [np.log1p(windows.lengths), np.log1p((windows.end - windows.start) / 1e6)]
    for column in windows.numbers.T:
        value = np.sign(column) * np.log1p(np.abs(column))
        there = np.isfinite(value)
        total = np.bincount(at[there], value[there], minlength=n)
        highest = np.full(n, -1.0)
        np.maximum.at(highest, at[there], value[there])
        further += [total / np.maximum(np.bincount(at[there], minlength=n), 1), highest]
    return np.concatenate([types, np.stack(further, axis=1).astype(np.float32)], axis=1)


def oddlog_says(asked: Period, model: Model) -> Iterator[Said]:
    """Return the default verdict of windows, and of lines, which one is then asked of any window."""
    verdicts = [view.verdicts(windows) for view, windows in zip(model.views, asked.views, strict=True)]
    verdict = pl.concat(verdicts)
    surprise = -np.log10(verdict["p_value"].fill_null(1.0).fill_nan(1.0).to_numpy().clip(1e-300))
    odd = {"its own": verdict["is_anomaly"].to_numpy()}
    nothing = float("nan")  # the costs of the whole fit stand elsewhere
    yield Said("oddlog, windows", "window", surprise, odd, "usual windows, trimmed", nothing)
    yield Said("oddlog, lines", "line", asked.surprise, {"its own": asked.flagged}, "the same", nothing)


def table(said: Said, asked: Period, unit: str, label: I8) -> None:
    """Print what a method says of windows, or of minutes of a service: a line for each threshold."""
    to_line = {"window": asked.window, "cell": asked.cell, "line": np.arange(len(asked.window))}[said.unit]
    score = said.score if unit == said.unit else asked.most(said.score[to_line], unit)
    best = best_f1(score, label).params["f1"]
    for kind, flags in said.odd.items():
        odd = flags if unit == said.unit else asked.most(flags[to_line].astype(np.float64), unit) > 0
        of = judged(score, odd, label)
        shares = (of.accuracy, of.precision, of.found_share, of.f1, of.auc, best)
        shown = " | ".join(f"{share:.3f}" for share in shares)
        print(
            f"| {said.name} | {said.saw} | {kind} | {shown} | {'' if np.isnan(said.cpu_s) else f'{said.cpu_s:.0f}'} |",
            flush=True,
        )


def compare(folder: Path, model: Model, lines: pl.DataFrame, seed: int) -> None:
    """Print the table of all methods, judged on windows and on minutes of a service."""
    learned, asked = period(folder, "train", model), period(folder, "today", model, lines)
    said = [*oddlog_says(asked, model), *counted(learned, asked), *with_labels(learned, asked, model, seed)]
    said += [network(name, learned, asked, model, seed) for name in NETWORKS]
    for unit, what in (("window", "windows"), ("cell", "minutes of a service")):
        label = asked.label(unit)
        print(f"\nSeed {seed}, per {what}: {int(label.sum()):,} of {len(label):,} are anomalous\n")
        print("| method | saw | threshold | accuracy | precision | recall | F1 | ROC AUC | best F1 | CPU-s |")
        print("|---|---|---|---|---|---|---|---|---|---|")
        for one in said:
            table(one, asked, unit, label)
    print()
