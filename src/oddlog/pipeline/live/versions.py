"""Models beside each other, and which of them judges.

::

    models/
    ├── 3f2a9c0d11ab/       a model each, called by the beginning of its id
    ├── 91be44…/
    ├── current             a link to the one that judges; turned by a rename
    └── history.jsonl       which one was turned to, when and why

Answers and marks lie beside ``current`` and so hold for all of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from oddlog.errors import ModelError
from oddlog.model import MANIFEST, load

SHORT = 12  # digits of an id
CURRENT = "current"
_HISTORY = "history.jsonl"


@dataclass(frozen=True)
class Version:
    """A model that is there.

    Attributes
    ----------
    name : str
        Its folder's: the beginning of its id.
    lines : int
        Learned from.
    start, end : str
        The time of these, ISO 8601; empty if they had none.
    is_current : bool
        Whether it judges.
    used : str
        When it was last turned to; empty if never.
    why : str
        Why.

    """

    name: str
    lines: int
    start: str
    end: str
    is_current: bool
    used: str
    why: str


class Versions:
    """Keeps models, and turns from one to another in one step.

    Parameters
    ----------
    folder : Path
        Where they lie; made when the first comes.
    clock : callable
        Returns the time.

    """

    def __init__(self, folder: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.folder, self._clock = folder, clock

    @property
    def current(self) -> Path:
        """Where the model that judges is found; see `name`."""
        return self.folder / CURRENT

    @property
    def name(self) -> str:
        """The name of the one that judges; empty if there is none."""
        try:
            return self.current.readlink().name
        except OSError:
            return ""

    def place(self) -> Path:
        """Return where a model may be written that is not known yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f".new.{os.getpid()}"

    def add(self, model: Path, why: str, *, use: bool = True) -> str:
        """Take in a model written to `place`, and turn to it if it is to be used; return its name.

        Raises
        ------
        ModelError
            If it is no whole model, or cannot be moved.

        """
        name: str = load(model).id[:SHORT]
        there = self.folder / name
        try:
            if not (there / MANIFEST).is_file():
                model.rename(there)
        except OSError as error:
            raise ModelError(f"The model cannot be moved to {there}: {error.strerror}.", "Free some space.") from error
        if use:
            self.use(name, why)
        return name

    def use(self, name: str, why: str = "") -> str:
        """Turn to a model by its name or the beginning of it; return the whole name.

        Raises
        ------
        ModelError
            If there is no such model, or several.

        """
        found = [one for one in self._names() if one.startswith(name)] if name else []
        if len(found) != 1:
            what = f"Several models begin with {name}" if found else f"There is no model {name}"
            there = ", ".join(self._names()) or "none"
            raise ModelError(f"{what} in {self.folder}.", f"There are: {there}.")
        load(self.folder / found[0])  # a model that is damaged is found out before it judges
        aside = self.folder / f".{CURRENT}.{os.getpid()}"
        aside.unlink(missing_ok=True)
        aside.symlink_to(found[0])
        aside.replace(self.current)
        self._note({"model": found[0], "time": self._clock(), "why": why})
        return found[0]

    def rollback(self) -> str:
        """Turn back to the model that judged before the current one; return its name.

        Raises
        ------
        ModelError
            If none did.

        """
        before = self._before()
        if not before:
            raise ModelError(f"No other model has judged in {self.folder} before.", "Look with: oddlog models list")
        return self.use(before, f"back from {self.name}")

    def every(self) -> list[Version]:
        """Return all models, the last used first."""
        used = {one["model"]: one for one in self._history()}
        found = [self._version(name, used.get(name, {})) for name in self._names()]
        return sorted(found, key=lambda one: (one.is_current, one.used), reverse=True)

    def _version(self, name: str, used: dict[str, Any]) -> Version:
        training = orjson.loads((self.folder / name / "model.json").read_bytes())["training"]
        return Version(
            name,
            int(training["lines"]),
            training["start"] or "",
            training["end"] or "",
            name == self.name,
            str(used.get("time", "")),
            str(used.get("why", "")),
        )

    def _names(self) -> list[str]:
        found = (path.parent.name for path in self.folder.glob(f"*/{MANIFEST}"))
        return sorted(name for name in found if name != CURRENT and not name.startswith("."))

    def _before(self) -> str:
        """Return the model that the current one was turned to from; going back and back again goes on further back."""
        stack: list[str] = []
        for one in self._history():
            if one["why"].startswith("back from ") and len(stack) > 1:
                stack.pop()
            elif not stack or stack[-1] != one["model"]:
                stack.append(one["model"])
        there = set(self._names())
        return next((name for name in reversed(stack[:-1]) if name in there and name != self.name), "")

    def _history(self) -> list[dict[str, Any]]:
        try:
            lines = (self.folder / _HISTORY).read_bytes().splitlines()
        except FileNotFoundError:
            return []
        return [orjson.loads(line) for line in lines if line.endswith(b"}")]

    def _note(self, entry: dict[str, Any]) -> None:
        with (self.folder / _HISTORY).open("ab") as file:
            file.write(orjson.dumps(entry, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE))
            file.flush()
            os.fsync(file.fileno())
