"""How many lines of a window are errors: what a grep would find."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Literal, Self

import numpy as np

from oddlog.detectors.usual import usual_only
from oddlog.errors import ConfigError, did_you_mean
from oddlog.features.keywords import GROUPS, keywords
from oddlog.types import I8, LEVELS, U8, Bool, Context, Scores, State, Windows

WORDS = ("failure", "exception")
"""Groups of words (see `features.keywords`) that make an error of a line that states no level."""
MAX_UNSEEN = 100_000
"""Types unseen by the model whose words are looked at."""


class ErrorCount:
    """How many lines of a window are at least of a level, ERROR if nothing else is said.

    A line that states no level is an error where its template speaks of a failure or an exception. An event's score is
    1 for an error, else 0. Nothing is learned: what is usual is for the calibration to say.

    Parameters
    ----------
    least : str
        Least level that counts, such as "WARNING".

    Notes
    -----
    No paper's method, but what each has to beat: on OpenStack it finds failed runs of Cinder better than any network.
    It is blind where a log writes its failures as INFO or WARN, as HDFS does.

    """

    name = "error-count"
    reads = frozenset({"template", "level", "text"})
    needs: Literal["usual", "labels"] = "usual"
    requires: tuple[str, ...] = ()

    _speaks: U8  # [k + 1] whether the text of each row speaks of an error; the last entry serves every unseen type
    _all: U8  # with rows k and on

    def __init__(self, least: str = "ERROR") -> None:
        if least not in LEVELS:
            raise ConfigError(f"There is no level '{least}'.", did_you_mean(least, LEVELS))
        self.least = least

    def fit(
        self,
        windows: Windows,
        context: Context,
        labels: I8 | None = None,
        *,
        validation: Windows | None = None,  # noqa: ARG002 - of the contract; nothing here is stopped early
    ) -> Self:
        """Look which templates speak of errors."""
        usual_only(windows, labels)
        self._speaks = self._all = np.append(_speak(context.templates.text), 0).astype(np.uint8)
        return self

    def with_texts(self, texts: Sequence[str]) -> Self:
        """Return a detector that knows the words of types unseen by the model, of rows k and on [x], too."""
        knowing = copy(self)
        further = _speak(texts[:MAX_UNSEEN])
        knowing._all = np.concatenate([self._speaks[:-1], further, self._speaks[-1:]])  # noqa: SLF001 - a copy of its own
        return knowing

    def score(self, windows: Windows) -> Scores:
        """Return how many errors each window holds, and which events are errors."""
        error = self._errors(windows)
        window = np.bincount(windows.window_of_event, error, minlength=len(windows)).astype(np.float64)
        return Scores(window, error.astype(np.float32))

    def _errors(self, windows: Windows) -> Bool:
        speaks = self._all[np.minimum(windows.template, len(self._all) - 1)] > 0
        error: Bool = np.where(windows.level > 0, windows.level >= LEVELS.index(self.least), speaks)
        return error

    def state(self) -> State:
        """Return which templates speak of errors."""
        return State({"speaks": self._speaks}, {"least": self.least})

    @classmethod
    def from_state(cls, state: State, context: Context) -> Self:  # noqa: ARG003 - of the contract
        """Rebuild a fitted detector."""
        self = cls(least=str(state.meta["least"]))
        self._speaks = self._all = state.arrays["speaks"]
        return self


def _speak(texts: Sequence[str]) -> U8:
    """Return whether each text [x] speaks of an error."""
    groups = [list(GROUPS).index(group) for group in WORDS]
    speaks: U8 = np.any(keywords(texts)[:, groups], axis=1).astype(np.uint8)
    return speaks
