"""Search for a detector's sizes and rates: random trials, of which few are tried for long.

Judged by nothing but the loss on the validation windows, the 15 % of the time behind the 70 % that is learned from.
The last 15 %, on which a fit calibrates, is not looked at.

::

    round 1   12 trials, a ninth of the steps each     the best third goes on
    round 2    4 trials, a third of the steps
    round 3    2 or 3 trials, all steps                the best of all is chosen

Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", AISTATS 2016,
section 3 (arXiv 1502.07943), with a third kept instead of a half. The detector's own defaults are the first trial and
are always in the last round, so what is chosen is never worse than they are, as far as the validation windows tell.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from oddlog import plugins
from oddlog.detectors import create
from oddlog.errors import ConfigError, InputError, TooLittleDataError, did_you_mean
from oddlog.types import Context, Windows

Options = Mapping[str, float]
Say = Callable[[str, int], None]

TRIALS = 12
KEPT = 3  # one in so many goes on to the next round
ROUNDS = 3
SHARES = (0.70, 0.85)  # of the windows: until where is learned from, until where is judged
FEWEST_STEPS = 20


@dataclass(frozen=True)
class Trial:
    """One training with its result.

    Attributes
    ----------
    options : mapping
        What differs from the defaults of the detector, by name.
    steps : int
        Steps of training that were allowed.
    loss : float
        On the validation windows; infinite where there was none.

    """

    options: Options
    steps: int
    loss: float


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Attributes
    ----------
    name : str
        Of the detector.
    best, default : Trial
        The best trial of all steps, and that of the defaults.
    trials : tuple of Trial
        All of them, as they were made.

    """

    name: str
    best: Trial
    default: Trial
    trials: tuple[Trial, ...] = field(repr=False)


def tune(
    windows: Windows,
    context: Context,
    name: str,
    *,
    trials: int = TRIALS,
    seed: int = 0,
    journal: Path | None = None,
    progress: Say | None = None,
) -> Tuned:
    """Search for the options of a detector.

    Parameters
    ----------
    windows : Windows
        Usual ones [w], in order of time; see `pipeline.learning.usual.usual_windows`.
    context : Context
        Of the windows.
    name : str
        A detector with an attribute ``search``: options and the values to try.
    trials : int
        Of the first round, the defaults among them.
    seed : int
        Of the draw and of all trainings.
    journal : Path, optional
        A file of JSON lines to which each finished trial is added. Those that stand there already, of the same
        windows, are not made again.
    progress : callable
        Told (what is being tried, which trial).

    Raises
    ------
    ConfigError
        If there is no such detector, or nothing to search for in it.
    TooLittleDataError
        If there are too few windows to judge by.

    """
    space, defaults, most_steps = _search(name)
    cut = [round(len(windows) * share) for share in SHARES]
    if not 0 < cut[0] < cut[1]:
        raise TooLittleDataError(f"{len(windows)} usual windows are too few to search with.", "Give more logs.")
    learned, judged = (windows.take(np.arange(a, b)) for a, b in ((0, cut[0]), (cut[0], cut[1])))
    book = Journal(journal, _fingerprint(name, learned, judged, seed))
    say = progress or (lambda _what, _n: None)
    made: list[Trial] = []

    def judge(options: Options, steps: int) -> Trial:
        say(f"{name}: {', '.join(f'{k} {v:g}' for k, v in options.items())}, {steps} steps", len(made) + 1)
        trial = book.found(options, steps)
        if trial is None:
            detector: Any = create(name, seed, **options, steps=steps).fit(learned, context, validation=judged)
            loss = detector.training["loss"]
            trial = Trial(options, steps, math.inf if loss is None else float(loss))
            book.add(trial)
        made.append(trial)
        return trial

    left = _drawn(space, defaults, trials, seed)
    for number in range(ROUNDS):
        steps = max(FEWEST_STEPS, most_steps // KEPT ** (ROUNDS - 1 - number))
        found = sorted((judge(options, steps) for options in left), key=lambda trial: trial.loss)
        left = [trial.options for trial in found[: max(1, math.ceil(len(found) / KEPT))]]
        if number == ROUNDS - 2 and defaults not in left:
            left.append(defaults)
    default = next(trial for trial in found if trial.options == defaults)
    return Tuned(name, found[0], default, tuple(made))


class Journal:
    """Finished trials as JSON lines, so that a search that was ended goes on where it was."""

    def __init__(self, path: Path | None, data: str) -> None:
        self.path, self.data = path, data
        self._found: dict[tuple[str, int], float] = {}
        if path is not None and path.exists():
            self._read(path)

    def found(self, options: Options, steps: int) -> Trial | None:
        """Return the trial if it has been made."""
        loss = self._found.get((_key(options), steps))
        return None if loss is None else Trial(options, steps, loss)

    def add(self, trial: Trial) -> None:
        """Write down a trial; it is on the disk when this returns."""
        self._found[_key(trial.options), trial.steps] = trial.loss
        if self.path is None:
            return
        loss = trial.loss if math.isfinite(trial.loss) else None
        line = json.dumps({"data": self.data, "options": dict(trial.options), "steps": trial.steps, "loss": loss})
        with self.path.open("a+b") as file:
            if file.tell() and not self._ends_well(self.path):
                file.write(b"\n")  # the line before was cut off
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _read(self, path: Path) -> None:
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            raise InputError(f"The journal {path} cannot be read: {error.strerror}.", "Check the path.") from error
        for line in lines:
            try:
                one = json.loads(line)
                if one["data"] == self.data:
                    loss = math.inf if one["loss"] is None else float(one["loss"])
                    self._found[_key(one["options"]), int(one["steps"])] = loss
            except (ValueError, KeyError, TypeError):
                continue  # cut off while it was written

    @staticmethod
    def _ends_well(path: Path) -> bool:
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"


def check(name: str) -> None:
    """Raise a `ConfigError` where there is no such detector, or nothing to search for in it."""
    _search(name)


def _search(name: str) -> tuple[Mapping[str, tuple[float, ...]], dict[str, float], int]:
    """Return what to try, the detector's defaults of that, and how many steps it takes by default."""
    space = _space(name)
    if not space:
        able = [other for other in plugins.found("oddlog.detectors") if _space(other)]
        raise ConfigError(f"There is nothing to search for in '{name}'.", did_you_mean(name, able))
    made: Any = create(name)
    return space, {option: getattr(made, option) for option in space}, int(made.steps)


def _space(name: str) -> Mapping[str, tuple[float, ...]]:
    space: Mapping[str, tuple[float, ...]] = getattr(plugins.load("oddlog.detectors", name), "search", {})
    return space


def _drawn(space: Mapping[str, tuple[float, ...]], defaults: dict[str, float], trials: int, seed: int) -> list[Options]:
    """Return the defaults and random others, all different; fewer where there are no more."""
    draw = np.random.default_rng(seed)
    drawn: list[Options] = [defaults]
    for _ in range(100 * trials):  # enough to meet nearly all of a small space
        if len(drawn) >= trials:
            break
        one = {option: values[int(draw.integers(len(values)))] for option, values in space.items()}
        if one not in drawn:
            drawn.append(one)
    return drawn


def _key(options: Options) -> str:
    return json.dumps(dict(options), sort_keys=True)


def _fingerprint(name: str, learned: Windows, judged: Windows, seed: int) -> str:
    digest = sha256(f"{name} {seed}".encode())
    for windows in (learned, judged):
        for array in (windows.offsets, windows.template, windows.time_us, windows.weight, windows.numbers):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
