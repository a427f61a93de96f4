"""Configuration: a TOML file whose names are those of the options.

::

    # oddlog.toml
    [fit]
    session = "trace_id"
    false-alarms = "5/day"

    [detect]
    fail-on-anomaly = true

An option on the command line wins over the environment (``ODDLOG_FIT_SESSION``), which wins over the file.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from oddlog.errors import ConfigError, did_you_mean

UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "day": 86_400.0, "w": 604_800.0}

LONGEST_S = 100 * 365.25 * 86_400  # a century: what is longer is a slip


def load_config(path: Path, known: Mapping[str, AbstractSet[str]]) -> dict[str, dict[str, Any]]:
    """Return the options of each command that the file sets, named as in Python.

    Parameters
    ----------
    path : Path
        A TOML file with a table per command.
    known : mapping
        The options of each command.

    Raises
    ------
    ConfigError
        If the file cannot be read, is no TOML, or names a command or an option that does not exist.

    """
    tables = _toml(path)
    options: dict[str, dict[str, Any]] = {}
    for command, table in tables.items():
        if command not in known or not isinstance(table, dict):
            raise ConfigError(f"{path} sets '{command}', which is no command's table.", did_you_mean(command, known))
        options[command] = {}
        for name, value in table.items():
            option = name.replace("-", "_")
            if option not in known[command]:
                names = {o.replace("_", "-") for o in known[command]}
                raise ConfigError(f"{path} sets '{name}', which [{command}] does not have.", did_you_mean(name, names))
            options[command][option] = value
    return options


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"The configuration {path} cannot be read: {error.strerror}.", "Check the path.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The configuration {path} is not TOML: {error}.", "Mend that line.") from error


def load_options(path: Path) -> dict[str, dict[str, Any]]:
    """Return the options of each detector from a TOML file with a table ``[detector.NAME]`` for each.

    Raises
    ------
    ConfigError
        If the file cannot be read, is no TOML, or holds anything else.

    """
    tables = _toml(path)
    of_detectors = tables.pop("detector", {})
    odd = [*tables, *(name for name, table in of_detectors.items() if not isinstance(table, dict))]
    if odd:
        raise ConfigError(f"{path} holds '{odd[0]}', which is no detector's table.", "Write [detector.lstm].")
    return {
        name: {option.replace("-", "_"): value for option, value in of.items()} for name, of in of_detectors.items()
    }


def write_options(options: Mapping[str, Mapping[str, bool | float | str]]) -> str:
    """Return the text that `load_options` reads.

    >>> print(write_options({"lstm": {"width": 48, "rate": 0.005}}), end="")
    [detector.lstm]
    width = 48
    rate = 0.005
    """
    lines: list[str] = []
    for name, chosen in options.items():
        lines += [*([""] if lines else []), f"[detector.{name}]"]
        lines += [f"{option.replace('_', '-')} = {json.dumps(value)}" for option, value in chosen.items()]
    return "".join(f"{line}\n" for line in lines)


def parse_duration(text: str) -> float:
    """Return seconds.

    >>> parse_duration("60s"), parse_duration("5min"), parse_duration("1.5h")
    (60.0, 300.0, 5400.0)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|day|d|w)\s*", text)
    seconds = float(found[1]) * UNITS[found[2]] if found else 0.0
    if not 0 < seconds < LONGEST_S:
        raise ConfigError(f"'{text}' is no duration.", "Write a number and a unit: 30s, 5min, 2h, 7d.")
    return seconds


def parse_window(text: str) -> tuple[Literal["time", "count"], int]:
    """Return how windows are cut: ("time", microseconds) or ("count", events).

    >>> parse_window("60s"), parse_window("100")
    (('time', 60000000), ('count', 100))
    """
    if text.strip().isdigit():
        if int(text) < 1:
            raise ConfigError("A window of 0 lines holds nothing.", "Write --window 100 or --window 60s.")
        return "count", int(text)
    try:
        return "time", round(parse_duration(text) * 1e6)
    except ConfigError as error:
        raise ConfigError(
            f"'{text}' is no window.", "Write a duration or a number of lines: --window 60s or --window 100."
        ) from error


def parse_false_alarms(text: str, option: str = "--false-alarms") -> float:
    """Return how many false alarms (or whatever `option` asks for) a day are accepted.

    >>> parse_false_alarms("5/day"), parse_false_alarms("0.5"), parse_false_alarms("1/h")
    (5.0, 0.5, 24.0)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:/\s*(h|hour|d|day|w|week)\s*)?", text)
    per_day = float(found[1]) * {"h": 24.0, "w": 1 / 7}.get((found[2] or "d")[0], 1.0) if found else 0.0
    if per_day <= 0:
        what = "rate of false alarms" if option == "--false-alarms" else "number a day"
        raise ConfigError(f"'{text}' is no {what}.", f"Write {option} 5/day.")
    return per_day


def parse_time(text: str, *, now: datetime | None = None) -> datetime:
    """Return a time in UTC from ISO 8601, or from a duration that lies so far back ("7d").

    >>> parse_time("2026-03-01T12:00:00+01:00").isoformat()
    '2026-03-01T11:00:00+00:00'
    """
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        try:
            return (now or datetime.now(UTC)) - timedelta(seconds=parse_duration(text))
        except ConfigError as error:
            raise ConfigError(
                f"'{text}' is no time.", "Write 2026-03-01, 2026-03-01T12:30:00Z, or how far back: 7d."
            ) from error
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def as_time(value: str | datetime) -> datetime | None:
    """Return a time in UTC from what a caller may give; None for nothing."""
    if not value:
        return None
    return parse_time(value if isinstance(value, str) else value.isoformat())
