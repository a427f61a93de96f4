"""Traditional rules and maintenance windows as people write them: in one TOML file, or by the page.

::

    [[never]]                               [[limit]]                      [[maintenance]]
    match = "OutOfMemoryError"              match = "timeout"              service = "billing"
    [[always]]                              most = 100                     days = ["sat"]
    match = "backup finished"               within = "5min"                from = "22:00"
    every = "25h"                                                          to = "02:00"
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from oddlog.config import parse_duration
from oddlog.errors import ConfigError, did_you_mean
from oddlog.feedback import Setting
from oddlog.pipeline.live.maintenance import NAMES as MAINTENANCE
from oddlog.pipeline.live.maintenance import Maintenance, maintenance_of
from oddlog.types import LEVELS

Kind = Literal["never", "always", "limit"]
MOST_NAME = 60  # characters of a rule's name that is its words
MOST_LINES = 10**12  # of a limit
_NAMES = {
    "never": {"name", "match", "service", "level"},
    "always": {"name", "match", "service", "level", "every"},
    "limit": {"name", "match", "service", "level", "at_least", "most", "least", "within"},
    "maintenance": MAINTENANCE,
}


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes
    ----------
    kind : "never", "always" or "limit"
        What it asks for.
    name : str
        What it is called.
    match : str
        Regular expression on the message; empty for every line.
    service : str
        Only its lines; empty for all.
    level : str
        How grave it is if it is broken.
    at_least : str
        Only lines of this level and above.
    within_us : int
        "always": such a line comes at least so often. "limit": in so long.
    most, least : int or None
        "limit": how many such lines there may be.

    """

    kind: Kind
    name: str
    match: str = ""
    service: str = ""
    level: str = "ERROR"
    at_least: str = "UNKNOWN"
    within_us: int = 0
    most: int | None = None
    least: int | None = None

    @property
    def says(self) -> str:
        """What it asks for, in words.

        >>> Rule("limit", "slow", "took", "db", within_us=300_000_000, most=100).says
        'at most 100 lines “took” of db in 5 min'
        """
        what = f"“{self.match}”" if self.match else ""
        what += f" of {self.service}" if self.service else ""
        what += f" at {self.at_least} and above" if self.at_least != "UNKNOWN" else ""
        time = _length(self.within_us)
        if self.kind == "never":
            return f"never a line {what.strip()}"
        if self.kind == "always":
            return f"a line {what.strip()} at least every {time}"
        bound = f"at most {self.most:,}" if self.most is not None else f"at least {self.least:,}"
        return f"{bound} lines {what.strip()} in {time}".replace("  ", " ")

    @property
    def condition(self) -> pl.Expr:
        """Which records it is about."""
        matched = pl.col("message").str.contains(self.match) if self.match else pl.lit(value=True)
        of = pl.col("service") == self.service if self.service else pl.lit(value=True)
        grave = pl.col("level").to_physical() >= LEVELS.index(self.at_least)
        return (matched & of & grave).fill_null(value=False)


@dataclass(frozen=True)
class RuleBook:
    """What a file holds."""

    rules: tuple[Rule, ...] = ()
    maintenance: tuple[Maintenance, ...] = ()

    def with_settings(self, settings: Sequence[Setting]) -> RuleBook:
        """Return the book with what people have set besides; what makes no sense is left out.

        One that was set in an earlier version, or is called like one of the file, may make none.
        """
        rules, maintenance = list(self.rules), list(self.maintenance)
        for one in settings:
            if one.kind == "budget":
                continue
            try:
                found = entry_of(one.kind, one.fields)
            except ConfigError:
                continue
            if isinstance(found, Maintenance):
                maintenance.append(found)
            elif found.name not in {rule.name for rule in rules}:
                rules.append(found)
        return RuleBook(tuple(rules), tuple(maintenance))


def entry_of(kind: str, fields: Mapping[str, Any]) -> Rule | Maintenance:
    """Return the rule or maintenance window of what stands below ``[[kind]]``.

    Raises
    ------
    ConfigError
        If it makes no sense.

    """
    if kind not in _NAMES:
        raise ConfigError(f"There is no rule of the kind '{kind}'.", _form(kind))
    where = f"This {kind}"
    _check_names(where, kind, fields)
    if kind != "maintenance":
        return _rule(where, kind, fields, str(fields.get("match") or kind)[:MOST_NAME])
    return maintenance_of(where, fields, kind)


def _length(us: int) -> str:
    """Return a time in the largest unit that it is a whole number of.

    >>> _length(300_000_000), _length(25 * 3_600_000_000), _length(90_000_000)
    ('5 min', '25 h', '90 s')
    """
    for unit, in_us in (("days", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000)):
        if us % in_us == 0 and (us > in_us or unit != "days"):
            return f"{us // in_us:,} {unit}"
    return f"{us / 1e6:,.4g} s"


def load(path: Path) -> RuleBook:
    """Return the rules of a TOML file.

    Raises
    ------
    ConfigError
        If it cannot be read, or a rule makes no sense.

    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"The rules {path} cannot be read: {error.strerror}.", "Check the path.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The rules {path} are not TOML: {error}.", "Mend that line.") from error
    rules: list[Rule] = []
    maintenance: list[Maintenance] = []
    for kind, entries in tables.items():
        if kind not in _NAMES or not isinstance(entries, list):
            raise ConfigError(f"{path} holds '{kind}', which is no list of rules.", _form(kind))
        for i, entry in enumerate(entries, 1):
            where = f"{path}: [[{kind}]] {i}"
            _check_names(where, kind, entry)
            if kind == "maintenance":
                maintenance.append(maintenance_of(where, entry, f"maintenance {i}"))
            else:
                rules.append(_rule(where, kind, entry, f"{kind} {i}"))
    names = [rule.name for rule in rules]
    twice = next((name for name in names if names.count(name) > 1), "")
    if twice:
        raise ConfigError(f"{path} holds two rules called '{twice}'.", "Give each a name of its own.")
    return RuleBook(tuple(rules), tuple(maintenance))


def _form(kind: str) -> str:
    return f'{did_you_mean(kind, _NAMES)} Write [[never]], and below it: match = "OutOfMemoryError"'


def _check_names(where: str, kind: str, entry: Mapping[str, Any]) -> None:
    for name in entry:
        if name not in _NAMES[kind]:
            raise ConfigError(f"{where} sets '{name}', which it does not have.", did_you_mean(name, _NAMES[kind]))


def _rule(where: str, kind: str, entry: Mapping[str, Any], name: str) -> Rule:
    match, service = str(entry.get("match", "")), str(entry.get("service", ""))
    level, at_least = (str(entry.get(n, d)).upper() for n, d in (("level", "ERROR"), ("at_least", "UNKNOWN")))
    for one in (level, at_least):
        if one not in LEVELS:
            raise ConfigError(f"{where} names the level {one}.", f"There are: {', '.join(LEVELS)}.")
    if kind != "limit" and not match:
        raise ConfigError(f"{where} matches nothing.", 'Write, for instance: match = "backup finished"')
    try:
        pl.Series([""]).str.contains(match)
    except pl.exceptions.PolarsError as error:
        raise ConfigError(f"{where}: '{match}' is no regular expression.", "Mend it.") from error
    duration = {"always": "every", "limit": "within"}.get(kind, "")
    if duration and duration not in entry:
        raise ConfigError(f"{where} does not say how long.", f'Write, for instance: {duration} = "5min"')
    within_us = round(parse_duration(str(entry[duration])) * 1e6) if duration else 0
    most, least = entry.get("most"), entry.get("least")
    if kind == "limit" and (most is None) == (least is None):
        raise ConfigError(f"{where} needs one of 'most' and 'least'.", "Write, for instance: most = 100")
    for number in (most, least):
        if number is not None and not (isinstance(number, int) and 0 <= number <= MOST_LINES):
            raise ConfigError(f"{where}: {number!r} is no number of lines.", "Write, for instance: most = 100")
    assert kind in ("never", "always", "limit")
    return Rule(
        kind,  # type: ignore[arg-type] # one of the three
        str(entry.get("name", name)),
        match,
        service,
        level,
        at_least,
        within_us,
        most,
        least,
    )
