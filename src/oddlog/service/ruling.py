"""Rules, maintenance windows and the budget as people see and change them while the service runs.

What the configuration holds stays; what is set here lies beside the model, with who has set it, and can be taken back.
The worker heeds it within a second, as it does answers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from oddlog.errors import ConfigError
from oddlog.feedback import Setting, Settings, beside
from oddlog.feedback.settings import KINDS, Kind, Value
from oddlog.pipeline.live.maintenance import Maintenance, settled
from oddlog.pipeline.live.rulebook import Rule, entry_of
from oddlog.service.worker import Worker
from oddlog.store import Store, Stored

MOST_HELD = 20  # incidents that were held back, at a glance
MOST_TEXT = 500  # characters of a field
MOST_A_DAY = 1e6


@dataclass(frozen=True)
class Shown:
    """A rule or a maintenance window as it stands.

    Attributes
    ----------
    number : int
        By which it is taken back; 0 for one of the configuration.
    kind, name, says : str
        What it is, what it is called, what it asks for.
    who : str
        Who has set it.
    time : datetime or None
        When.
    is_broken : bool
        Whether it is broken now.
    seen : int
        Lines it has matched since it is.
    is_heeded : bool
        Whether the worker goes by it yet.
    stands : str
        Of maintenance: whether it is "on" now, or "over".

    """

    number: int
    kind: str
    name: str
    says: str
    who: str = ""
    time: datetime | None = None
    is_broken: bool = False
    seen: int = 0
    is_heeded: bool = True
    stands: str = ""


@dataclass(frozen=True)
class Budget:
    """How many incidents a day are told: `per_day` is None for all; `held` were held back, the last of them `those`."""

    per_day: float | None = None
    number: int = 0
    who: str = ""
    time: datetime | None = None
    held: int = 0
    those: tuple[Stored, ...] = ()


class Ruling:
    """What rules one tenant's service goes by.

    Parameters
    ----------
    worker : Worker
        Judges.
    where : Path
        Its model: settings lie beside.
    clock : callable
        Returns the time.

    """

    def __init__(self, worker: Worker, where: Path, clock: Callable[[], datetime]) -> None:
        self._worker, self._where, self._clock = worker, where, clock
        self._store: Store = worker.store
        self._lock = threading.Lock()

    def rules(self) -> list[Shown]:
        """Return all rules and maintenance windows, those of the configuration first."""
        stream = self._worker.stream
        standing = [] if stream is None else stream.rules
        now = {rule: (is_broken, seen) for rule, is_broken, seen in standing}
        windows = [] if stream is None else list(stream.gate.maintenance)
        shown = []
        for number, one in self._settings().standing:
            if one.kind == "budget":
                continue
            try:
                entry = entry_of(one.kind, one.fields)
            except ConfigError:  # of another version
                continue
            state = now.pop(entry, None) if isinstance(entry, Rule) else (False, 0) if entry in windows else None
            if isinstance(entry, Maintenance) and entry in windows:
                windows.remove(entry)
            is_broken, seen = state or (False, 0)
            says = (number, one.kind, entry.name, entry.says, one.who, one.time, is_broken, seen, state is not None)
            shown.append(Shown(*says, stands=self._stands(entry)))
        fixed = [Shown(0, rule.kind, rule.name, rule.says, is_broken=b, seen=n) for rule, (b, n) in now.items()]
        fixed += [Shown(0, "maintenance", one.name, one.says, stands=self._stands(one)) for one in windows]
        return [*fixed, *shown]

    def _stands(self, one: Rule | Maintenance) -> str:
        if isinstance(one, Rule):
            return ""
        now = self._clock()
        is_over = one.end is not None and one.end <= now
        return "over" if is_over else "on" if one.until(now) is not None else ""

    def budget(self) -> Budget:
        """Return the budget that holds, and what it and maintenance windows have held back."""
        stream = self._worker.stream
        gate = None if stream is None else stream.gate
        given = [(number, one) for number, one in self._settings().standing if one.kind == "budget"]
        per_day = None if gate is None or gate.budget is None else gate.budget.per_day
        ids = [] if gate is None else gate.held_ids[:MOST_HELD]
        those = tuple(one for one in map(self._store.incident, ids) if one is not None)
        held = 0 if gate is None else gate.held
        if not given:
            return Budget(per_day, held=held, those=those)
        number, last = given[-1]
        return Budget(float(str(last.fields["per_day"])) or None, number, last.who, last.time, held, those)

    def set(self, kind: str, fields: Mapping[str, Value], *, who: str) -> int:
        """Add a rule, a maintenance window, or a budget (``per_day``, 0 for none); return its number.

        Raises
        ------
        ConfigError
            If it makes no sense, or there is a rule of that name.

        """
        if kind not in KINDS:
            raise ConfigError(f"There is no rule of the kind '{kind[:40]}'.", f"There are: {', '.join(KINDS)}.")
        now = self._clock()
        if kind == "maintenance":
            fields = settled(fields, now)
        self._check(kind, fields)
        with self._lock:
            return self._settings().add(Setting(cast("Kind", kind), dict(fields), now, who))

    def _check(self, kind: str, fields: Mapping[str, Value]) -> None:
        long = next((name for name, one in fields.items() if isinstance(one, str) and len(one) > MOST_TEXT), "")
        if long:
            raise ConfigError(f"'{long}' is longer than {MOST_TEXT} characters.", "Say it shorter.")
        if kind == "budget":
            per_day = fields.get("per_day")
            if not isinstance(per_day, int | float) or not 0 <= per_day <= MOST_A_DAY or len(fields) > 1:
                raise ConfigError(f"'{per_day}' is no number of incidents a day.", "Give per_day, 0 for all of them.")
            return
        entry = entry_of(kind, fields)
        if isinstance(entry, Rule) and any(one.name == entry.name for one in self.rules() if one.kind != "maintenance"):
            raise ConfigError(f"There is a rule called '{entry.name}' already.", "Give this one a name of its own.")

    def undo(self, number: int, *, who: str) -> Setting:
        """Take back what was set.

        Raises
        ------
        ConfigError
            If there is none of that number.

        """
        with self._lock:
            return self._settings().undo(number, who=who)

    def as_json(self) -> dict[str, Any]:
        """Return all of it for programs."""
        budget = self.budget()
        return {
            "rules": [vars(one) for one in self.rules()],
            "budget": {**{name: value for name, value in vars(budget).items() if name != "those"}}
            | {"held_ids": [one.id for one in budget.those]},
        }

    def _settings(self) -> Settings:
        return Settings.load(beside(self._where, "rules"), clock=self._clock)
