"""The default that `fit` ships, written down before the figures that judge it were made.

``frozen_default.json`` holds the members of the verdict, the candidates, their options, and each constant by which
windows are trimmed, scores calibrated, candidates joined and thresholds set. A test says that the code is what the file
says; each result of a bench keeps the SHA-256 of the file, and the report shows it.

``python -m oddlog.evaluation.frozen`` writes what the code ships now: to freeze another default is to do that, to say
so in the changelog, and to run the bench anew.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson

from oddlog import incidents, plugins
from oddlog.calibration import enough, tail
from oddlog.detectors import CANDIDATES, DEFAULT, NOT_OPTIONS, trim
from oddlog.pipeline import fit
from oddlog.pipeline.judging import lines, views
from oddlog.pipeline.learning import collecting, corrupting, joining, members, modelling

FILE = "frozen_default.json"
OF_FIT = ("threshold", "recurring", "drop_duplicates", "rates", "false_alarms")
RULES: Mapping[str, Mapping[ModuleType, tuple[str, ...]]] = {
    "trimming": {trim: ("SHARE", "MAX_SHARE", "MIN_SHARE", "STRETCH", "MAX_REFERENCES")},
    "folds": {collecting: ("FOLDS",)},
    "shares of members that are fitted once": {members: ("SHARES",)},
    "calibration": {
        tail: ("TAIL_FROM", "MIN_EXCESSES", "MIN_FOR_SHAPE", "MAX_SHAPE"),
        enough: ("PER_RATE",),
    },
    "false alarms": {views: ("USUAL_RATE",)},
    "false alarms a day": {modelling: ("READ_A_DAY",)},
    "joining": {
        joining: ("RULE", "GAIN", "LOSS", "SLACK", "LEAST_JUDGED", "LEAST_TWINS", "MOST_CORRUPTED", "SEED"),
    },
    "corrupting": {corrupting: ("LEAST_EVENTS", "SCALE", "LONGEST_PAUSES", "LEAST_DELAY_US")},
    "order of lines": {lines: ("NEWS_STRETCHES",)},
    "order of incidents": {incidents: ("MOST_NOVEL", "WORDS_FACTOR")},
}
"""Constants by what they are for, and where they stand; where they stand is not part of what is frozen."""


def shipped() -> dict[str, Any]:
    """Return what the code ships: members, candidates, options, rules."""
    takes = inspect.signature(fit).parameters
    return {
        "members": list(DEFAULT),
        "candidates": list(CANDIDATES),
        "options": {name: _options(name) for name in (*DEFAULT, *CANDIDATES)},
        "fit": {name: takes[name].default for name in OF_FIT},
        "rules": {
            what: {name: _plain(getattr(module, name)) for module, names in of.items() for name in names}
            for what, of in RULES.items()
        },
        "level factors": incidents.LEVEL_FACTOR.tolist(),
        "words.txt": hashlib.sha256(files("oddlog").joinpath("words.txt").read_bytes()).hexdigest(),
    }


def _options(name: str) -> dict[str, Any]:
    takes = inspect.signature(plugins.load("oddlog.detectors", name)).parameters
    return {key: _plain(one.default) for key, one in takes.items() if key not in NOT_OPTIONS}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def frozen() -> dict[str, Any]:
    """Return what the file says."""
    read: dict[str, Any] = orjson.loads(_content())
    return read


def differences() -> list[str]:
    """Return what the code ships otherwise than the file says; an option that the file does not know is none."""
    return list(_differing(frozen(), shipped(), ""))


def _differing(said: Any, ships: Any, where: str) -> Iterator[str]:
    if isinstance(said, dict) and isinstance(ships, dict):
        for name, value in said.items():
            yield from _differing(value, ships.get(name), f"{where}.{name}" if where else name)
    elif said != ships:
        yield f"{where}: {said} frozen, {ships} shipped"


def digest() -> str:
    """Return the SHA-256 of the file."""
    return hashlib.sha256(_content()).hexdigest()


@cache
def _content() -> bytes:
    return files("oddlog.evaluation").joinpath(FILE).read_bytes()


def write() -> Path:
    """Write the file anew; return where it lies."""
    path = Path(__file__).with_name(FILE)
    path.write_bytes(orjson.dumps(shipped(), option=orjson.OPT_INDENT_2) + b"\n")
    return path


if __name__ == "__main__":
    write()
