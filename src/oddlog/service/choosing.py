"""Which model is to judge: what has drifted, what a challenger makes of the same lines, what is to be done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from oddlog.errors import ConfigError
from oddlog.feedback import Standing
from oddlog.incidents import severity_word
from oddlog.pipeline.live.versions import Version, Versions
from oddlog.service.challenging import Challenging
from oddlog.service.comparing import compare
from oddlog.service.worker import Worker
from oddlog.store import Store
from oddlog.types import place_of

WORDS = ("learn", "challenge", "promote", "drop", "use", "rollback")
MOST_COMPARED = 500  # incidents of each model, the latest
MOST_SAID = 200


class Choosing:
    """What people see of the models of one tenant's service, and do about them.

    Parameters
    ----------
    worker : Worker
        Judges its lines.
    standing : callable
        Returns the answers that hold.

    """

    def __init__(self, worker: Worker, standing: Callable[[], Standing]) -> None:
        self._worker, self._standing = worker, standing
        self._store: Store = worker.store

    @property
    def _versions(self) -> Versions | None:
        models = self._worker.models
        return None if models is None or models.beginning is None else models.versions

    @property
    def _challenging(self) -> Challenging | None:
        models = self._worker.models
        return None if models is None else models.challenging

    def drift(self) -> dict[str, Any]:
        """Return what has drifted; nothing where the model knows nothing of drift, or nothing was judged yet."""
        drift = self._worker.drift
        return {} if drift is None else drift.as_dict()

    def versions(self) -> list[Version]:
        """Return all models, the one that judges first; none where one was named."""
        return [] if self._versions is None else self._versions.every()

    def challenger(self) -> dict[str, Any]:
        """Return how far a challenger is and, once it judges, what it says beside the current model."""
        challenging = self._challenging
        if challenging is None:
            return dict(_NONE)
        stream = challenging.stream
        progress = challenging.collecting.progress
        told = _NONE | {
            "phase": challenging.phase,
            "says": challenging.says,
            "asked": bool(self._versions is not None and self._versions.is_learning_asked),
            "kept": progress.lines,
            "is_enough": progress.is_enough,
        }
        if stream is None:
            return told
        since = challenging.since
        told |= {
            "model": stream.model.id[:12],
            "since": since,
            "lines": stream.lines,
            "windows": stream.windows,
            "odd_windows": stream.odd_windows,
            "missed": challenging.missed,
        }
        return told | {"compared": self._compared(stream.model.id, since)} if since else told

    def _compared(self, model: str, since: str) -> dict[str, Any]:
        # What goes on from before is not for the challenger to find.
        both = self._store.both(model, datetime.fromisoformat(since), MOST_COMPARED)
        found = compare(both.current, both.challenger, self._answer_of())
        return {
            "since": both.since.isoformat(),
            "is_cut": both.is_cut,
            "totals": asdict(found.totals),
            "days": [{"day": day, **asdict(counts)} for day, counts in found.days.items()],
            "only_current": [_short(one) for one in found.only_current],
            "only_challenger": [_short(one) for one in found.only_challenger],
            "rejudged": [asdict(one) for one in found.rejudged],
        }

    def _answer_of(self) -> Callable[[str], tuple[str, str]]:
        of_pattern = self._standing().of_pattern

        def found(pattern: str) -> tuple[str, str]:
            given = of_pattern.get(pattern, ())
            return (given[-1].answer, given[-1].says) if given else ("", "")

        return found

    def do(self, word: str, model: str = "") -> str:
        """Have another model learned, judge beside, or judge; return what comes of it, in words.

        Raises
        ------
        OddlogError
            If it cannot be done.

        """
        versions = self._versions
        if versions is None:
            raise ConfigError(
                "The model was named when the service was started, and stays.", "Start it without -m to turn to others."
            )
        ways: dict[str, Callable[[], str]] = {
            "learn": lambda: _learn(versions),
            "challenge": lambda: f"{versions.challenge(model)} judges beside from now on, and tells nobody.",
            "promote": lambda: f"{versions.promote()} judges from now on.",
            "drop": versions.drop,
            "use": lambda: f"{versions.use(model, 'asked for')} judges from now on.",
            "rollback": lambda: f"{versions.rollback()} judges again.",
        }
        if word not in ways:
            raise ConfigError(
                f"'{word[:40]}' is nothing that can be done with models.", f"There are: {', '.join(WORDS)}."
            )
        return ways[word]()


_NONE: dict[str, Any] = {
    "phase": "",
    "says": "",
    "asked": False,
    "kept": 0,
    "is_enough": False,
    "model": "",
    "since": "",
    "lines": 0,
    "windows": 0,
    "odd_windows": 0,
    "missed": 0,
    "compared": None,
}


def _learn(versions: Versions) -> str:
    versions.ask_learning()
    return "A challenger is learned from lines that are kept, as soon as there are enough of them."


def _short(told: Mapping[str, Any]) -> dict[str, Any]:
    reasons = told["reasons"]
    return {
        "id": told["id"],
        "pattern": told["pattern"],
        "start": told["start"],
        "end": told["end"],
        "services": list(told["services"]),
        "place": place_of(told["services"], told["hosts"], [line["source"] for line in told["lines"]]),
        "severity": severity_word(told["severity"], told.get("urgency") or "alert"),
        "says": (reasons[0]["text"] if reasons else told["key"])[:MOST_SAID],
    }
