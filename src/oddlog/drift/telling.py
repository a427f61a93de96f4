"""What has drifted, in words, with the numbers that a reader can compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import polars as pl

from oddlog.drift.blocks import ALL, Measured
from oddlog.drift.following import ODD_SHARE, Following
from oddlog.drift.usual import Usual
from oddlog.types import F64, NO_SERVICE, Bool

LASTS_HOURS = 24.0  # from then on it is proposed to learn on: every hour of the day has been there once
MOST_NAMED = 3  # types of one subject
LEAST_CHANGE, LEAST_TIMES = 0.02, 1.5  # a share that has changed by less is not worth a word, however sure …
LEAST_UNSEEN = 0.005
LEAST_LEVEL = 0.01
LEAST_RATE = 1.5  # … nor a number of lines within so many times what is usual …
LEAST_VALUE = 1.25  # … nor values within so many times theirs
LEAST_ODD = 2.0  # … nor scores of which fewer than so many times as many as usual are high
MOST_TEXT = 100


@dataclass(frozen=True)
class Drifted:
    """A figure that has drifted.

    Attributes
    ----------
    service : str
        Of which service; empty for all of them.
    of : str
        What: "types", "unseen", "levels", "lines", "values" or "scores".
    says : str
        In words.
    since : datetime
        When the stretch began that differs from training.
    hours : float
        How long ago that was.
    now, usual : float
        The figure that says most: a share, lines a minute, a typical value.

    """

    service: str
    of: str
    says: str
    since: datetime
    hours: float
    now: float
    usual: float

    @property
    def lasts(self) -> bool:
        """Whether it has lasted so long that it is proposed to learn on."""
        return self.hours >= LASTS_HOURS


@dataclass(frozen=True)
class Figures:
    """What a service is like now, beside training: shares of lines, and lines a minute."""

    service: str
    lines: float
    usual_lines: float
    unseen: float
    usual_unseen: float
    errors: float
    usual_errors: float


class Told:
    """Puts what was followed into words.

    Parameters
    ----------
    following : Following
        What is known.
    services : sequence of str
        Names of the codes.
    text_of : callable
        Returns the text of a type by its row.
    without : frozenset of str
        Services of which sources are absent: of these, and of all together, nothing is told.

    """

    def __init__(
        self,
        following: Following,
        services: Sequence[str],
        text_of: Callable[[int], str],
        without: frozenset[str] = frozenset(),
    ) -> None:
        self._usual: Usual = following.usual
        self._plan, self._now, self._views = following.usual.plan, following.now, following.views
        self._services, self._text_of = services, text_of
        self._without = without

    def drifted(self) -> list[Drifted]:
        """Return what has drifted, what lasts longest first."""
        found = []
        for x in np.flatnonzero(self._now.bets.drifts & self.heard).tolist():
            aspect, i = self._usual.of[x]
            since = int(self._now.bets.since[x])
            some = self._now.measured.take(self._now.measured.block >= since)
            if len(some.block):
                said = getattr(self, f"_{aspect}")(i, some)
                service = self._plan.values[i][0] if aspect == "values" else int(self._plan.services[i])
                found += self._made(aspect, self._name(service), since, said)
        for i in np.flatnonzero(self._now.of_scores.drifts).tolist():
            since = int(self._now.of_scores.since[i])
            found += self._made("scores", "", since, self._scores(i, since))
        # What a service has drifted in shows in all of them, too; said once is enough.
        of_services = {one.of for one in found if one.service}
        found = [one for one in found if one.service or one.of not in of_services]
        return sorted(found, key=lambda one: (one.since, one.service, one.of))

    def figures(self) -> list[Figures]:
        """Return what all services together, and each one that is followed, are like now."""
        measured = self._now.measured
        if not len(measured.block):
            return []
        lines, minutes = measured.lines, self._plan.minutes
        expected = self._usual.centre.expected(measured, self._plan)
        total = np.maximum(lines.sum(0), 1.0)
        columns = (
            lines.mean(0) / minutes,
            expected.mean(0) / minutes,
            measured.unseen.sum(0) / total,
            self._usual.unseen,
            measured.levels[:, :, 2].sum(0) / total,
            self._usual.centre.levels[:, 2],
        )
        return [
            Figures(self._name(code), *(float(one[i]) for one in columns))
            for i, code in enumerate(self._plan.services.tolist())
            if self._is_heard(code)
        ]

    @property
    def heard(self) -> Bool:
        """Of which figures [x] it is told: not of those that lack sources."""
        codes = (
            self._plan.values[i][0] if aspect == "values" else int(self._plan.services[i])
            for aspect, i in self._usual.of
        )
        return np.array([self._is_heard(code) for code in codes], np.bool_)

    def _is_heard(self, code: int) -> bool:
        return not self._without or (code != ALL and self._known(code) not in self._without)

    def _name(self, code: int) -> str:
        return "" if code == ALL else self._known(code) or NO_SERVICE

    def _known(self, code: int) -> str:
        return self._services[code] if 0 <= code < len(self._services) else ""

    def _made(self, of: str, service: str, since: int, said: tuple[str, float, float] | None) -> list[Drifted]:
        if said is None:
            return []
        minutes = self._plan.minutes
        began = datetime.fromtimestamp(since * minutes * 60, UTC)
        says, now, usual = said
        return [Drifted(service, of, says, began, (self._now.block - since) * minutes / 60, now, usual)]

    # -- what is said of each aspect: words, now and usual; None where it is not worth a word --------------------

    def _types(self, i: int, some: Measured) -> tuple[str, float, float] | None:
        now = _share(some.types[:, i].sum(0))[:-1]
        usual = self._usual.centre.types[i][:-1]
        apart = np.abs(now - usual)
        low, high = self._usual.types[:, i, :-1]
        worth = (apart >= LEAST_CHANGE) & (apart >= (LEAST_TIMES - 1) * usual) & ((now < low) | (now > high))
        order = [int(t) for t in np.argsort(-apart, kind="stable") if worth[t]][:MOST_NAMED]
        if not order:
            return None
        named = [
            f'"{_short(self._text_of(int(self._plan.types[i, t])))}": {_both(float(usual[t]), float(now[t]))}'
            for t in order
        ]
        return "; ".join(named), float(now[order[0]]), float(usual[order[0]])

    def _unseen(self, i: int, some: Measured) -> tuple[str, float, float] | None:
        now = float(some.unseen[:, i].sum() / max(some.lines[:, i].sum(), 1.0))
        usual = float(self._usual.unseen[i])
        if now < usual + LEAST_UNSEEN:
            return None
        rows, n = np.unique(some.strange[:, i][some.strange[:, i] >= 0], return_counts=True)
        most = f', most of them "{_short(self._text_of(int(rows[np.argmax(n)])))}"' if len(rows) else ""
        return f"lines of types never seen: {_both(usual, now)}{most}", now, usual

    def _levels(self, i: int, some: Measured) -> tuple[str, float, float] | None:
        now, usual = _share(some.levels[:, i].sum(0)), self._usual.centre.levels[i]
        low, high = self._usual.levels[:, i]
        apart = np.where((now < low) | (now > high), np.abs(now - usual), 0.0)[1:]
        worst = int(np.argmax(apart)) + 1
        if apart[worst - 1] < LEAST_LEVEL or apart[worst - 1] < (LEAST_TIMES - 1) * usual[worst]:
            return None
        level = "lines of WARNING" if worst == 1 else "lines of ERROR and worse"
        was, is_now = float(usual[worst]), float(now[worst])
        return f"{level}: {_both(was, is_now)}", is_now, was

    def _lines(self, i: int, some: Measured) -> tuple[str, float, float] | None:
        minutes = self._plan.minutes
        now = float(some.lines[:, i].mean()) / minutes
        usual = float(self._usual.centre.expected(some, self._plan)[:, i].mean()) / minutes
        if 1 / LEAST_RATE < (now + 1e-9) / (usual + 1e-9) < LEAST_RATE:
            return None
        return f"lines a minute: usual {_plain(usual)} at these hours, now {_plain(now)}", now, usual

    def _values(self, i: int, some: Measured) -> tuple[str, float, float] | None:
        n = float(some.values[:, i].sum())
        now = float(np.sinh(some.asinh[:, i].sum() / max(n, 1.0)))
        usual = float(np.sinh(self._usual.centre.values[i]))
        low, high = sorted((abs(now), abs(usual)))
        if not n or (high < LEAST_VALUE * low and now * usual >= 0):
            return None
        return f"values of {self._plan.values[i][1]}: typically {_plain(usual)}, now {_plain(now)}", now, usual

    def _scores(self, i: int, since: int) -> tuple[str, float, float] | None:
        rows = self._now.scores.filter((pl.col("view") == i) & (pl.col("block") >= since))
        n = float(rows["n"].sum())
        now = float((rows["odd"] * rows["n"]).sum()) / max(n, 1.0)
        if now < LEAST_ODD * ODD_SHARE:
            return None
        says = f"{self._views[i]} that score as high as {_percent(ODD_SHARE)} usually do: now {_percent(now)}"
        return says, now, ODD_SHARE


def proposal(drifted: Sequence[Drifted]) -> str:
    """Return in words why it should be learned on; empty if nothing has drifted for long enough."""
    lasting = [one for one in drifted if one.lasts]
    if not lasting:
        return ""
    where = list(dict.fromkeys(one.service for one in lasting if one.service))
    of = f" of {', '.join(where[:MOST_NAMED])}{' and others' if len(where) > MOST_NAMED else ''}" if where else ""
    n = len(lasting)
    said = f"{n} figure{'' if n == 1 else 's'}{of} {'has' if n == 1 else 'have'} drifted for a day and more"
    since = min(one.since for one in lasting)
    return f"{said}, since {since:%Y-%m-%d %H:%M}: is this how the system is now? Then learn on."


def _share(counts: F64) -> F64:
    shares: F64 = counts / max(float(counts.sum()), 1.0)
    return shares


def _short(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 1]}…"


def _both(usual: float, now: float) -> str:
    return f"usual {_percent(usual)}, now {_percent(now)}"


def _percent(share: float) -> str:
    """Return a share in words.

    >>> _percent(0.314), _percent(0.004), _percent(0.0)
    ('31 %', '0.4 %', '0 %')
    """
    digits = 0 if share >= 0.1 or share == 0 else 1  # noqa: PLR2004 - two digits
    return f"{100 * share:.{digits}f} %"


def _plain(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"  # noqa: PLR2004 - three digits
