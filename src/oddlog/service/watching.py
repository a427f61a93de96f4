"""One tenant's service as people and programs see it: how it does, what its model is, what was answered and marked."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oddlog.errors import ConfigError
from oddlog.feedback import Answer, Answers, Mark, Marks, beside, written
from oddlog.model import Model
from oddlog.pipeline.learning.checkpointing import incident_of
from oddlog.service.choosing import Choosing
from oddlog.service.ruling import Ruling
from oddlog.service.worker import Worker
from oddlog.store import Asked, Page, Store, StoreUnavailableError
from oddlog.templates import Matcher
from oddlog.types import LEVELS

FEWEST_FOR_LATE, LATE_SHARE = 1_000, 0.1  # lines since the start, and the share of late ones that is worth a word
MOST_COUNTED = 100  # reasons that are shown
MOST_SAID = 200
_log = logging.getLogger("oddlog")


@dataclass(frozen=True)
class Who:
    """Who asks.

    Attributes
    ----------
    name : str
        What answers are signed with; empty where nobody has to say who they are.
    scopes : frozenset of str
        What they may do: "ingest", "read", "admin".
    tenant : str
        Whose logs they see.
    csrf : str
        What a form must bring to be taken for theirs; empty for programs, which bring their token each time.
    is_session : bool
        Whether they have signed in on the page, and can sign out.

    """

    name: str = ""
    scopes: frozenset[str] = frozenset({"ingest", "read", "admin"})
    tenant: str = ""
    csrf: str = ""
    is_session: bool = False


@dataclass(frozen=True)
class Status:
    """How the service does.

    Attributes
    ----------
    alive : bool
        Whether lines are being judged.
    trouble : str
        What is wrong, in words; empty if nothing is.
    learning : str
        How far learning a first model is; empty once there is one.
    late : str
        How many lines came too late to be judged well, in words; empty while they are few.
    behind : int
        Lines that are durable and not judged yet.
    counts : mapping
        ``lines windows odd_windows odd_lines told windows_open spool_bytes`` since it was started.
    counted : mapping
        By reason how often something was cut, dropped, repaired or let go, with an example.
    letters : mapping
        How many letters to sinks are "waiting" and "dead".

    """

    alive: bool = True
    trouble: str = ""
    learning: str = ""
    late: str = ""
    behind: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    counted: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    letters: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class KnownType:
    """A message type that the model has learned: `key` in hex, `lines` of it in training."""

    key: str
    text: str
    level: str
    lines: int


class Watching:
    """What is shown of one tenant's service, and what is said of it.

    Parameters
    ----------
    worker : Worker
        Judges its lines.
    model : Path
        The folder of its model, or the link that is turned to it: answers and marks lie beside.
    name : str
        The tenant's; empty for the only one.
    clock : callable
        Returns the time.

    """

    def __init__(
        self,
        worker: Worker,
        model: Path,
        *,
        name: str = "",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.name, self.worker, self.now = name, worker, clock
        self.store: Store = worker.store
        self._where = model
        self._lock = threading.Lock()  # several may answer at once
        self.ruling = Ruling(worker, model, clock)
        self._types: tuple[str, tuple[KnownType, ...]] = ("", ())
        self._written: tuple[int, int, int] | None = None
        self._is_behind = False  # whether that could not be written the last time
        self.choosing = Choosing(worker, lambda: self._answers().standing(self.now()))
        self.heed_answers()

    # -- how it does -----------------------------------------------------------------------------------------

    def require_answers(self) -> None:
        """Raise StoreUnavailableError if the store does not answer: nobody is to wait for it."""
        if self.worker.hangs:
            raise StoreUnavailableError("Nothing can be read: the store does not answer.", "See its own log.")

    def status(self) -> Status:
        """Return how it does."""
        worker, stream = self.worker, self.worker.stream
        counts = {"spool_bytes": worker.spool.n_bytes}
        for name, attribute in _COUNTS.items():
            counts[name] = 0 if stream is None else int(getattr(stream, attribute))
        counted = {}
        if stream is not None:
            several = sorted(stream.tally.counts.items(), key=lambda one: -one[1])[:MOST_COUNTED]
            counted = {reason: (n, stream.tally.examples.get(reason, "")) for reason, n in several}
        letters = {state: self.store.count_letters(state) for state in ("waiting", "dead")}
        return Status(
            worker.alive, self._trouble(), self._learning(), self._late(), worker.behind, counts, counted, letters
        )

    def _trouble(self) -> str:
        worker = self.worker
        if worker.failure is not None:
            return f"No lines are judged any more: {worker.failure}. Lines are still kept; start the service anew."
        trouble = worker.trouble or (f"lines cannot be kept: {worker.spool.failing}" if worker.spool.failing else "")
        return f"{trouble[0].upper()}{trouble[1:]}. It is tried again." if trouble else ""

    def _learning(self) -> str:
        models = getattr(self.worker, "models", None)
        return "" if models is None or self._model is not None else str(models.says)

    def _late(self) -> str:
        """Say that lines of before come after lines of later, as when whole files are pushed one after the other."""
        stream = self.worker.stream
        if stream is None or stream.lines < FEWEST_FOR_LATE or (share := stream.late_share) < LATE_SHARE:
            return ""
        return (
            f"{share:.0%} of the lines came after others of a later time had been judged: what is said of them is "
            "unreliable. Push in the order of time, not one file after the other; whole files: oddlog detect."
        )

    @property
    def _model(self) -> Model | None:
        stream = self.worker.stream
        return None if stream is None else stream.model

    # -- the model -------------------------------------------------------------------------------------------

    def model(self) -> dict[str, Any]:
        """Return what the model is and was learned from; nothing while there is none."""
        stream = self.worker.stream
        if stream is None:
            return {}
        model = stream.model
        training, reading = model.training, model.reading
        return {
            "id": model.id,
            "where": str(self._where),
            "made_by": model.made_by,
            "lines": int(training["lines"]),
            "sources": len(reading["formats"]),
            "start": training["start"],
            "end": training["end"],
            "formats": list(reading["format_shares"]),
            "session": reading["session"]["says"],
            "types": len(model.context.templates),
            "services": list(model.context.services),
            "rates": training.get("rates", {}).get("says", "not watched"),
            "notes": list(training["notes"]),
            "threshold": stream.threshold,
            "views": [_view(model, i) for i in range(len(model.views))],
        }

    def types(self) -> Sequence[KnownType]:
        """Return the message types of the model."""
        model = self._model
        if model is None:
            return ()
        if self._types[0] != model.id:
            templates, matcher = model.context.templates, Matcher(model.context.templates)
            rows = zip(templates.text, templates.level.tolist(), templates.count.tolist(), strict=True)
            known = (
                KnownType(f"{matcher.key_of(row):016x}", text, LEVELS[level], lines)
                for row, (text, level, lines) in enumerate(rows)
            )
            self._types = (model.id, tuple(known))
        return self._types[1]

    # -- incidents -------------------------------------------------------------------------------------------

    def incidents(self, asked: Asked) -> Page:
        """Return a page of incidents, by the answers that hold now; see `Store.page`."""
        self.heed_answers()
        return self.store.page(asked)

    # -- answers and marks -----------------------------------------------------------------------------------

    def answers(self) -> list[tuple[int, Answer, str]]:
        """Return all answers, the latest first, with numbers and states: "holds", "over", "replaced" or "undone"."""
        given = self._answers()
        now = self.now()
        standing = given.standing(now)
        found = []
        for number, one in enumerate(given.given, 1):
            last = [standing.last(pattern) for pattern in one.covers]
            state = "undone" if one.name in given.undone else "holds" if one.holds(now) else "over"
            if state == "holds" and not any(other is not None and other.name == one.name for other in last):
                state = "replaced"
            found.append((number, one, state))
        return found[::-1]

    def answer(self, id_: str, word: str, *, who: str, note: str = "", until: datetime | None = None) -> int:
        """Give an answer to an incident; return its number.

        Raises
        ------
        ConfigError
            If there is no such incident, or the answer makes no sense.

        """
        found = self.store.incident(id_)
        if found is None:
            raise ConfigError("There is no such incident.", "It may have been forgotten.")
        one = incident_of(found.incident)
        says = one.reasons[0].text[:MOST_SAID] if one.reasons else one.key
        of = (one.id, one.patterns, one.new_types)
        given = Answer(word, one.pattern, self.now(), *of, until, note, who, says, one.company)
        with self._lock:
            number = self._answers().add(given)
        self.heed_answers()
        return number

    def undo(self, number: int, *, who: str) -> Answer:
        """Take back an answer.

        Raises
        ------
        ConfigError
            If there is none.

        """
        with self._lock:
            undone = self._answers().undo(str(number), who=who)
        self.heed_answers()
        return undone

    def heed_answers(self) -> None:
        """Note in the store which answers hold, if they have changed: those given by commands too.

        While nothing can be stored, what held before does.
        """
        # A mute that has run out may uncover an earlier answer: looked at anew each minute.
        stand = (*written(beside(self._where, "answers")), int(self.now().timestamp() // 60))
        if stand == self._written:
            return
        holding: dict[str, tuple[str, float | None]] = {}
        for pattern, given in self._answers().standing(self.now()).of_pattern.items():
            until = given[-1].until
            holding[pattern] = (given[-1].answer, None if until is None else until.timestamp())
        try:
            self.store.set_answers(holding)
        except StoreUnavailableError as error:
            if not self._is_behind:
                _log.warning("Which answers hold is not noted yet: %s", error)
            self._is_behind = True
            return
        self._written, self._is_behind = stand, False

    def marks(self) -> list[tuple[int, Mark]]:
        """Return the deployments that were marked, with their numbers, the latest first."""
        marks = self._marks()
        given = [(number, one) for number, one in enumerate(marks.given, 1) if one.name not in marks.undone]
        return sorted(given, key=lambda pair: pair[1].time, reverse=True)

    def mark(self, mark: Mark) -> int:
        """Mark a deployment; return its number.

        Raises
        ------
        ConfigError
            If it is marked already.

        """
        with self._lock:
            return self._marks().add(mark)

    def unmark(self, number: int, *, who: str) -> Mark:
        """Take back a mark.

        Raises
        ------
        ConfigError
            If there is none of that number.

        """
        with self._lock:
            return self._marks().undo(number, who=who)

    def _answers(self) -> Answers:
        return Answers.load(beside(self._where, "answers"), clock=self.now)

    def _marks(self) -> Marks:
        return Marks.load(beside(self._where, "marks"), clock=self.now)


_COUNTS = {
    "lines": "lines",
    "windows": "windows",
    "odd_windows": "odd_windows",
    "odd_lines": "odd_lines",
    "told": "told",
    "windows_open": "n_open",
}


def _view(model: Model, i: int) -> dict[str, Any]:
    view = model.views[i]
    facts = model.training["views"][view.name]
    return {
        "name": view.name,
        "noun": view.cut.noun,
        "usual": int(facts["usual"]),
        "trimmed": int(facts["trimmed"]),
        "voting": list(view.voting),
        "shown": list(view.shown),
        "rate": float(view.rate),
        "threshold": float(view.threshold),
    }
