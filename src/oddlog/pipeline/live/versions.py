"""Models beside each other, and which of them judges.

::

    models/
    ├── 3f2a9c0d11ab/       a model each, called by the beginning of its id
    ├── 91be44…/
    ├── current             a link to the one that judges; turned by a rename
    ├── challenger          a link to the one that judges beside it and tells nobody, if there is one
    ├── drift.json          what has drifted since the current one was learned
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
CURRENT, CHALLENGER = "current", "challenger"
DRIFT = "drift.json"
LEARN = ".learn-on"  # is there while somebody waits for a challenger to be learned
NOT_LEARNED = "No challenger is learned any more."
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
    is_current, is_challenger : bool
        Whether it judges, and whether it judges beside the one that does.
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
    is_challenger: bool
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
        found = self._found(name)
        self._link(CURRENT, found)
        self._note({"model": found, "time": self._clock(), "why": why})
        return found

    def _found(self, name: str) -> str:
        found = [one for one in self._names() if one.startswith(name)] if name else []
        if len(found) != 1:
            what = f"Several models begin with {name}" if found else f"There is no model {name}"
            there = ", ".join(self._names()) or "none"
            raise ModelError(f"{what} in {self.folder}.", f"There are: {there}.")
        load(self.folder / found[0])  # a model that is damaged is found out before it judges
        return found[0]

    def _link(self, link: str, name: str) -> None:
        aside = self.folder / f".{link}.{os.getpid()}"
        aside.unlink(missing_ok=True)
        aside.symlink_to(name)
        aside.replace(self.folder / link)

    # -- a challenger ----------------------------------------------------------------------------------------

    @property
    def challenger(self) -> str:
        """The name of the model that judges beside the current one; empty if there is none."""
        try:
            name = (self.folder / CHALLENGER).readlink().name
        except OSError:
            return ""
        return name if name != self.name and (self.folder / name / MANIFEST).is_file() else ""

    def challenge(self, name: str) -> str:
        """Have a model, by its name or the beginning of it, judge beside the current one; return the whole name.

        Raises
        ------
        ModelError
            If there is no such model, several, or it judges already.

        """
        found = self._found(name)
        if found == self.name:
            raise ModelError(f"The model {found} judges already.", "Name another: oddlog models list")
        self._link(CHALLENGER, found)
        return found

    def promote(self) -> str:
        """Turn to the challenger; return its name.

        Raises
        ------
        ModelError
            If there is none.

        """
        name = self._require_challenger()
        self.use(name, f"promoted, after it judged beside {self.name}")
        (self.folder / CHALLENGER).unlink(missing_ok=True)
        return name

    def drop(self) -> str:
        """Have no challenger: one that judges beside judges no more, one that is asked for is not learned; say which.

        The model stays. A learning that runs is stopped by the service that runs.

        Raises
        ------
        ModelError
            If there is none, and none is asked for.

        """
        is_asked = self.is_learning_asked
        name = self.challenger if is_asked else self._require_challenger()
        self.end_learning()
        (self.folder / CHALLENGER).unlink(missing_ok=True)
        said = (f"{name} judges beside no more." if name else "", NOT_LEARNED if is_asked else "")
        return " ".join(filter(None, said))

    def note_drift(self, drift: dict[str, Any]) -> None:
        """Note what has drifted, for whoever looks from outside."""
        aside = self.folder / f".{DRIFT}.{os.getpid()}"
        aside.write_bytes(orjson.dumps(drift | {"noted": self._clock()}, option=orjson.OPT_UTC_Z))
        aside.replace(self.folder / DRIFT)

    @property
    def drift(self) -> dict[str, Any]:
        """What has drifted, as the service noted it last; nothing if it never has."""
        try:
            found: dict[str, Any] = orjson.loads((self.folder / DRIFT).read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return {}
        return found

    def _require_challenger(self) -> str:
        if not (name := self.challenger):
            raise ModelError(f"No model challenges the one that judges in {self.folder}.", "Try: oddlog models learn")
        return name

    @property
    def is_learning_asked(self) -> bool:
        """Whether somebody waits for a challenger to be learned."""
        return (self.folder / LEARN).exists()

    def ask_learning(self) -> None:
        """Ask for a challenger that goes on from the current model; the service that runs learns it.

        Raises
        ------
        ModelError
            If there is no model to go on from.

        """
        if not self.name:
            raise ModelError(
                f"There is no model in {self.folder} to go on from.", "The first one is learned by itself."
            )
        (self.folder / LEARN).touch()

    def end_learning(self) -> None:
        """Ask no more."""
        (self.folder / LEARN).unlink(missing_ok=True)

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
            name == self.challenger,
            str(used.get("time", "")),
            str(used.get("why", "")),
        )

    def _names(self) -> list[str]:
        found = (path.parent.name for path in self.folder.glob(f"*/{MANIFEST}"))
        return sorted(name for name in found if name not in (CURRENT, CHALLENGER) and not name.startswith("."))

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
