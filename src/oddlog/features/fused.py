"""Event vectors: everything a sequence model sees of an event, side by side, on one yardstick.

==========  =================================================================================================
text        embedding of the template (its main directions among the types of training), what its words speak
            of, eight signs hashed from its text (so that no two types are quite alike), how rare its type is
            in training, and whether it is unseen; the same for all events of a type
level       one column a level
service     signs hashed from the name, and whether it is unseen; only where there are several
numbers     value (logarithm where the scale says so; the mean where absent) and whether there is one
time        gap to the event before, rate so far; hour of the day where training saw two days, day of the week
            where it saw two weeks
place       whether the event is the first of its window
==========  =================================================================================================

All are standardised by the weighted mean and standard deviation of the usual training windows (+ 0.1, so that a
constant feature divides by no zero) and cut at ± 10. Vectors exist only for the batch that is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from oddlog.features.keywords import GROUPS, keywords
from oddlog.features.text import signs as text_signs
from oddlog.types import F32, F64, I64, LEVELS, NO_TIME, Bool, Context, Number, Windows

EMBEDDED = 16
"""Main directions of the template embeddings that are kept."""
SIGNS = 8
"""Hashed signs of a template's text, and of a service's name."""
FLOOR = 0.1
"""Added to every standard deviation."""
FURTHEST = 10.0
"""Standardised values end here: one wild number must not drown all other features."""
STATISTICS_EVENTS = 1 << 18
"""Events that the yardsticks of numbers and times are learned from; of more, evenly spread ones."""
DAY_US = 86_400_000_000
CYCLES = {"hour": (DAY_US, 2), "weekday": (7 * DAY_US, 2)}
"""Features of the calendar: their period, and how many of them training must span; else a time of day that training
never saw would pass for odd."""


@dataclass(frozen=True)
class Fused:
    """How events become vectors; learned once from usual windows.

    Attributes
    ----------
    names : tuple of str
        What each column is, ``GROUP: FEATURE``.
    of_type : F32 [k + 1, x]
        The text columns of each template row; the last row serves every unseen type.
    of_level : F32 [8, x]
        The level columns of each level.
    of_service : F32 [s + 1, x]
        The service columns of each service, the last row for unseen ones; no columns where there is one service.
    mean, std : F64 [x]
        Yardsticks of the numbers (value and presence), then of the times, then of the place.
    log : Bool [n]
        Which numbers are on a logarithmic scale.
    cycles : tuple of str
        Features of the calendar that are used.

    """

    names: tuple[str, ...]
    of_type: F32
    of_level: F32
    of_service: F32
    mean: F64
    std: F64
    log: Bool
    cycles: tuple[str, ...]

    @classmethod
    def learn(cls, windows: Windows, context: Context) -> Self:
        """Learn yardsticks from usual windows [w]; of many events, from evenly spread ones."""
        weight = windows.weight[windows.window_of_event]
        k, services = len(context.templates), context.services
        row = np.minimum(windows.template, k)
        count = _held(row, weight, k + 1)
        text, text_names = _text(context, count)
        level, level_names = np.eye(len(LEVELS)), [f"level: {name}" for name in LEVELS]
        service, service_names = _services(services, windows)
        place = np.minimum(windows.service, len(services))
        cycles = tuple(name for name, (period, n) in CYCLES.items() if _span_us(windows.time_us) >= n * period)
        plain = cls(
            (),
            np.empty((0, 0), np.float32),
            np.empty((0, 0), np.float32),
            np.empty((0, 0), np.float32),
            np.zeros(0),
            np.ones(0),
            np.array([number.scale == "log" for number in context.numbers], np.bool_),
            cycles,
        )
        some = np.unique(np.linspace(0, len(row) - 1, min(len(row), STATISTICS_EVENTS)).astype(np.int64))
        first = windows.offsets[:-1][windows.window_of_event[some]]
        mean, std = _moments(plain.measured(windows, first, some).astype(np.float64), weight[some])
        return cls(
            (*text_names, *level_names, *service_names, *_measured_names(context.numbers, cycles)),
            _standardised(text, count),
            _standardised(level, _held(windows.level, weight, len(LEVELS))),
            _standardised(service, _held(place, weight, len(services) + 1)),
            mean,
            std,
            plain.log,
            cycles,
        )

    @property
    def width(self) -> int:
        """Columns of a vector."""
        return len(self.names)

    @property
    def groups(self) -> dict[str, I64]:
        """The columns of each group."""
        of = [name.split(":")[0] for name in self.names]
        return {group: np.flatnonzero(np.array(of) == group) for group in dict.fromkeys(of)}

    def vectors(self, windows: Windows, first: I64, event: I64) -> F32:
        """Return the vectors of some events [x, d].

        Parameters
        ----------
        windows : Windows
            That hold them.
        first : I64 [x]
            The first event of each one's window.
        event : I64 [x]
            Positions of the events.

        """
        # an absent number stands where the present ones have their middle
        measured = np.nan_to_num((self.measured(windows, first, event) - self.mean) / self.std, nan=0.0)
        return np.concatenate(
            [
                self.of_type[np.minimum(windows.template[event], len(self.of_type) - 1)],
                self.of_level[np.minimum(windows.level[event], len(self.of_level) - 1)],
                self.of_service[np.minimum(windows.service[event], len(self.of_service) - 1)],
                np.clip(measured, -FURTHEST, FURTHEST).astype(np.float32),
            ],
            axis=1,
        )

    def measured(self, windows: Windows, first: I64, event: I64) -> F64:
        """Return numbers (NaN = absent), times and place of some events as they are [x, y]."""
        value = windows.numbers[event].astype(np.float64)[:, : len(self.log)]
        there = np.isfinite(value)
        value = np.where(there, value, np.nan)
        value = np.where(self.log, np.sign(value) * np.log1p(np.abs(value)), value)
        columns = [value, there.astype(np.float64), self._times(windows.time_us, first, event)]
        return np.concatenate([*columns, (event == first)[:, None].astype(np.float64)], axis=1)

    def _times(self, time_us: I64, first: I64, event: I64) -> F64:
        now, begun = time_us[event], time_us[first]
        before = time_us[np.maximum(event - 1, first)]
        timed = (now != NO_TIME) & (begun != NO_TIME) & (before != NO_TIME)
        gap_ms = np.where(timed, now - np.where(timed, before, 0), 0) / 1e3
        elapsed_s = np.where(timed, now - np.where(timed, begun, 0), 0) / 1e6
        gap = np.log1p(np.maximum(gap_ms, 0.0))
        rate = np.log((event - first + 1) / (np.maximum(elapsed_s, 0.0) + 1))
        columns = [gap, np.where(timed, rate, 0.0)]
        for name in self.cycles:
            angle = 2 * np.pi * (np.where(timed, now, 0) % CYCLES[name][0]) / CYCLES[name][0]
            columns += [np.where(timed, np.sin(angle), 0.0), np.where(timed, np.cos(angle), 0.0)]
        return np.stack(columns, axis=1)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what `from_arrays` takes, for safetensors."""
        names = ("of_type", "of_level", "of_service", "mean", "std", "log")
        return {f"fused.{name}": getattr(self, name) for name in names}

    def meta(self) -> dict[str, Any]:
        """Return what `from_arrays` takes, for JSON."""
        return {"names": list(self.names), "cycles": list(self.cycles)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> Self:
        """Rebuild from what `arrays` and `meta` returned; other arrays are passed over."""
        mine = {name.removeprefix("fused."): a for name, a in arrays.items() if name.startswith("fused.")}
        return cls(tuple(meta["names"]), cycles=tuple(meta["cycles"]), **mine)


def _text(context: Context, count: F64) -> tuple[F64, list[str]]:
    """Return the text columns of each row, the unseen type last [k + 1, x], before they are standardised."""
    templates = context.templates
    k = len(templates)
    embedded = _main_directions(templates.embedding.astype(np.float64), count[:k] > 0)
    signs = text_signs(templates.text, SIGNS)
    spoken = keywords(templates.text) if k else np.zeros((0, len(GROUPS)), np.bool_)
    known = np.concatenate([embedded, spoken, signs], axis=1)
    rare = -np.log((count + 0.5) / (count.sum() + 0.5))
    rare[k] = -np.log(0.5 / (count.sum() + 0.5))
    unseen = np.zeros(k + 1)
    unseen[k] = 1
    # An unseen type has no text here: it stands where the known ones have their middle.
    middle = np.average(known, axis=0, weights=count[:k] + 1e-9) if k else known.sum(0)
    columns = np.concatenate([np.vstack([known, middle]), rare[:, None], unseen[:, None]], axis=1)
    names = [f"embedding {i + 1}" for i in range(embedded.shape[1])]
    names += [f"speaks of {group}" for group in GROUPS] + [f"sign {i + 1}" for i in range(SIGNS)]
    return columns, [f"text: {name}" for name in [*names, "rarity", "unseen"]]


def _main_directions(embedding: F64, held: Bool) -> F64:
    """Return the embeddings along the main directions of the types that training holds [k, x]."""
    if not held.any() or not embedding.shape[1]:
        return np.empty((len(embedding), 0))
    centred = embedding - embedding[held].mean(0)
    _, strength, direction = np.linalg.svd(centred[held], full_matrices=False)
    kept = min(EMBEDDED, int((strength > 1e-6 * max(strength[0], 1e-6)).sum()))
    direction = direction[:kept]
    # a direction and its opposite are one: the greatest component points up
    turn = np.sign(direction[np.arange(kept), np.abs(direction).argmax(1)])
    return np.asarray(centred @ (direction * turn[:, None]).T, np.float64)


def _services(services: Sequence[str], windows: Windows) -> tuple[F64, list[str]]:
    """Return the service columns of each service, an unseen one last [s + 1, x]; none where training holds one."""
    if len(np.unique(windows.service)) < 2 or not services:  # noqa: PLR2004 - one service tells nothing
        return np.empty((len(services) + 1, 0)), []
    unseen = np.zeros((len(services) + 1, 1))
    unseen[-1] = 1
    known = np.vstack([text_signs(services, SIGNS), np.zeros(SIGNS)])
    names = [*(f"service: sign {i + 1}" for i in range(SIGNS)), "service: unseen"]
    return np.concatenate([known, unseen], axis=1), names


def _measured_names(numbers: Sequence[Number], cycles: Sequence[str]) -> list[str]:
    names = [f"numbers: {n.name}{f' ({n.scale})' if n.scale == 'log' else ''}" for n in numbers]
    names += [f"numbers: has {n.name}" for n in numbers]
    names += ["time: gap", "time: rate"]
    return [*names, *(f"time: {cycle} {part}" for cycle in cycles for part in ("sin", "cos")), "place: first"]


def _standardised(table: F64, count: F64) -> F32:
    """Return the rows of a table [r, x] on the yardstick of how often each is met [r]."""
    mean, std = _moments(table, count)
    return np.clip((table - mean) / std, -FURTHEST, FURTHEST).astype(np.float32)


def _held(row: NDArray[Any], weight: F64, n: int) -> F64:
    """Return the weight of the events of each row [n]."""
    return np.bincount(row, weight, minlength=n)[:n].astype(np.float64)


def _moments(values: F64, weight: F64) -> tuple[F64, F64]:
    """Return weighted mean and standard deviation + 0.1 of what each column holds [x]; of nothing 0 and 0.1."""
    there = np.isfinite(values)
    total = np.maximum(weight @ there, np.finfo(np.float64).tiny)
    mean = weight @ np.where(there, values, 0.0) / total
    square = weight @ np.where(there, values - mean, 0.0) ** 2 / total
    return mean, np.sqrt(square) + FLOOR


def _span_us(time_us: I64) -> int:
    known = time_us[time_us != NO_TIME]
    return int(known.max() - known.min()) if len(known) else 0
