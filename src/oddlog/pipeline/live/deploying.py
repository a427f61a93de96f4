"""What deployments brought, while lines come: by the functions of `detect`, whether the mark or the lines are first.

::

    a mark ──► what has come since (`lately`) ──┐
                                                ├──► its types, rates and windows ──► one incident: new, grown, over
    events ──► of its service, or in sessions ──┘    what they excuse makes no incidents of its own
               that pass through it

An incident that went on for something that turns out to be brought by a deployment is withdrawn, and told in its.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import polars as pl

from oddlog.feedback import Mark
from oddlog.model import Model
from oddlog.pipeline.events import Codes
from oddlog.pipeline.judging.closeups import Rereading
from oddlog.pipeline.judging.deployments import (
    Deployed,
    claimed,
    new_rows,
    us,
    with_times,
)
from oddlog.pipeline.judging.since_deploy import MOST_LINES, SinceDeploy, Telling
from oddlog.pipeline.learning.checkpointing import live_json, live_of
from oddlog.pipeline.live.followed import Followed, Place, deployed_from, deployed_state, place
from oddlog.pipeline.live.lately import NEW, Lately
from oddlog.pipeline.reading import LINE_COLUMNS
from oddlog.templates import Matcher
from oddlog.types import NO_TIME, OVERFLOW, RECORDS, Bool, LiveIncident, State, Tally, to_datetime

QUIET_US = 3_600_000_000  # a deployment is over for now after so long without a further new type
MOST_FOLLOWED = 200  # deployments, the last ones
FEW = 20  # lines of an excused type that are held, in case it is excused no more
FORGOTTEN = "deployment beyond 200 at once: no more is put down to it"


class Deploying:
    """Follows deployments.

    Attributes
    ----------
    since : SinceDeploy
        What they brought, for whoever judges.

    """

    def __init__(self, model: Model, matcher: Matcher, services: Codes, sources: Codes, tally: Tally) -> None:
        self.since = SinceDeploy()
        self._of = (model, matcher, services, sources)
        self._tally = tally
        self._lately = Lately()
        self._every: tuple[Mark, ...] | None = None  # None: they were not said yet
        self._marks: tuple[Mark, ...] = ()  # the last of them
        self._beyond = 0  # of them that were counted as beyond
        self._followed: dict[Place, Followed] = {}
        self._retired: list[Deployed] = []  # followed no more, but still excused
        self._gone: list[LiveIncident] = []  # of deployments that are marked no more
        self._ever: dict[int, int] = {}  # new type -> when it was seen first
        self._new: Bool = np.empty(0, np.bool_)
        self._held: dict[int, int] = {}  # excused type -> lines that were held
        self._texts = _Texts()
        self._answered: Callable[[int], bool] = lambda _row: False
        self._stirred = self._changed = False

    # -- what comes ------------------------------------------------------------------------------------------

    def mark(self, marks: Sequence[Mark]) -> None:
        """Go by these deployments from now on; what has come since they were made is looked up."""
        self._every, self._marks = tuple(marks), tuple(marks)[-MOST_FOLLOWED:]
        beyond = len(self._every) - len(self._marks)
        self._tally.add(FORGOTTEN, beyond - self._beyond)
        self._beyond = max(beyond, self._beyond)
        known = {place(one): one for one in self._marks}
        held = set(map(place, marks))
        for gone in [one for one in self._followed if one not in known]:
            one = self._followed.pop(gone)
            if gone in held and one.deployed is not None:
                self._retired = [*self._retired, one.deployed][-MOST_FOLLOWED:]
            if one.last is not None:
                change: Literal["over", "withdrawn"] = "over" if gone in held else "withdrawn"
                self._gone.append(replace(one.last, change=change, notable=True))
        self._retired = [one for one in self._retired if place(one.mark) in held]
        for known_as, one in self._followed.items():
            if one.mark.end != known[known_as].end:
                one.until(known[known_as], self._lately)
        self._follow()
        self._stirred = True

    def _follow(self) -> bool:
        """Follow the marks whose services have written; return whether that is another one."""
        names = self._of[2].names
        more = [one for one in self._marks if place(one) not in self._followed and one.service in names]
        for mark in more:
            one = Followed(mark, names.index(mark.service))
            since, until = us(mark.time), us(mark.end)
            one.before = self._lately.lines(one.service, since - (until - since), since)
            one.after = self._lately.lines(one.service, since, until)
            one.pass_through(self._lately.sessions(one.service, since, until))
            one.add_new(self._lately.new)
            self._followed[place(mark)] = one
        return bool(more)

    def add(self, events: pl.DataFrame) -> None:
        """Take in events with their sessions."""
        if len(self._followed) < len(self._marks):
            self._stirred |= self._follow()
        timed = events.select(NEW.names())
        if (timed["time_us"] == NO_TIME).any():
            timed = timed.filter(pl.col("time_us") != NO_TIME)
        if len(timed):
            is_new = self._is_new(timed["template"].to_numpy())
            # Mostly nothing is new: each look at all lines costs.
            new = timed.filter(is_new).cast(dict(NEW)) if is_new.any() else pl.DataFrame(schema=NEW)  # type: ignore[arg-type] # a schema is a mapping
            self._changed |= len(new) > 0
            self._stirred |= len(new) > 0 and self._note_first(new)
            for one in self._followed.values():
                self._stirred |= one.add(timed, new)
            self._lately.add(timed, new)

    def _is_new(self, template: np.ndarray) -> pl.Series:
        model, matcher, _, _ = self._of
        if len(self._new) < len(model.context.templates) + matcher.n_unseen:
            self._new = new_rows(model, matcher.n_unseen)
        there = template != OVERFLOW
        return pl.Series(there & self._new[np.where(there, template, 0)], dtype=pl.Boolean)

    def _note_first(self, new: pl.DataFrame) -> bool:
        """Note when types were seen first; return whether one that was known was seen earlier."""
        earlier = False
        for row, first in new.group_by("template").agg(pl.col("time_us").min()).iter_rows():
            before = self._ever.get(row)
            if before is None or first < before:
                self._ever[row] = first
                earlier |= before is not None
        return earlier

    def heed(self, answered: Callable[[int], bool]) -> None:
        """Put nothing down to deployments that somebody has called usual."""
        self._answered, self._stirred = answered, True

    def claim(self) -> bool:
        """Find which types are whose, if that may have changed; return whether other types are excused now."""
        if not self._stirred:
            return False
        self._stirred = False
        before = self.since.excused
        self._find()
        return self.since.excused != before

    def _find(self) -> None:
        """Have `since` say what deployments brought by now."""
        self._changed = False
        followed = list(self._followed.values())
        types = [
            one.types.with_columns(mark=pl.lit(i, pl.Int32)).filter(~_rows(one.types, self._answered))
            for i, one in enumerate(followed)
        ]
        rows = {row for frame in types for row in frame["template"].to_list()}
        ever = pl.DataFrame(
            [(row, self._ever[row]) for row in sorted(rows) if row in self._ever],
            schema={"template": pl.UInt32, "ever": pl.Int64},
            orient="row",
        )
        marks, services = [one.mark for one in followed], [one.service for one in followed]
        found = claimed(marks, services, ever, pl.concat(types)) if types else []
        for one, own in zip(followed, found, strict=True):
            one.claim(own)
        self.since = SinceDeploy([*(one.deployed for one in followed if one.deployed is not None), *self._retired])

    def few(self, odd: pl.DataFrame) -> tuple[Bool, Bool]:
        """Return which odd lines [x] are excused, and which are to be held: of excused types the first `FEW`."""
        excused = np.isin(odd["template"].to_numpy(), list(self.since.excused))
        held = ~excused
        for i in np.flatnonzero(excused).tolist():
            row = odd["template"][i]
            self._held[row] = self._held.get(row, 0) + 1
            held[i] = self._held[row] <= FEW
        return excused, held

    # -- what is told ----------------------------------------------------------------------------------------

    def changed(
        self, words: Bool, reading: Rereading, span_us: tuple[int, int], *, exact: bool = False
    ) -> list[LiveIncident]:
        """Return the incidents of deployments that are new, have grown, are over, or are none any more.

        `span_us` is the first and the last time of all that came. Further lines of types that are known are told when
        they are many more, or all of them if it is to be `exact`.
        """
        told, self._gone = self._gone, []
        if not self.since.found and not any(one.last for one in self._followed.values()):
            return told
        start, end = to_datetime(max(span_us[0], self._lately.from_us)), to_datetime(span_us[1])
        if start is None or end is None:
            return told
        if self._changed or exact:
            self._find()
        telling = Telling(*self._of, words)
        for one in self._followed.values():
            if one.deployed is None:
                told += [] if one.last is None else [replace(one.last, change="withdrawn", notable=True)]
                one.last = None
                continue
            grown, more = one.has_grown(), exact and one.last is not None
            is_over = span_us[1] - int(one.deployed.types["first"].to_numpy().max()) > QUIET_US
            if one.last is None and not grown:
                continue  # over, and nothing new has come since
            if grown or more or (is_over and one.last is not None):
                before, after = one.rates
                now = replace(one.deployed, before=before, after=after)
                incident = telling.incident(with_times(now, start, end), self._texts.of(reading))
                told.append(one.tell(incident, is_over=is_over and not grown))
        return told

    def abandon(self) -> list[LiveIncident]:
        """Return what goes on as over, because another model judges from now on."""
        going = (one.last for one in self._followed.values())
        return [*self._gone, *(replace(one, change="over", notable=True) for one in going if one is not None)]

    @property
    def going(self) -> set[str]:
        """Ids of incidents that were told and whose end was not."""
        last = (one.last for one in self._followed.values())
        return {one.incident.id for one in (*last, *self._gone) if one is not None}

    # -- state -----------------------------------------------------------------------------------------------

    def state(self) -> State:
        """Return what `restore` needs."""
        lately = self._lately.state()
        meta = {
            "lately": lately.meta,
            "ever": list(self._ever.items()),
            "held": list(self._held.items()),
            "texts": self._texts.state(),
            "followed": [one.state() for one in self._followed.values()],
            "retired": [deployed_state(one) for one in self._retired],
            "gone": list(map(live_json, self._gone)),
        }
        return State(lately.arrays, meta)

    def restore(self, state: State) -> None:
        """Go on where `state` was taken; marks may have been set before."""
        meta = state.meta
        self._lately.restore(State(state.arrays, meta["lately"]))
        self._ever, self._held = dict(meta["ever"]), dict(meta["held"])
        self._texts.restore(meta["texts"])
        followed = [Followed.from_state(one) for one in meta["followed"]]
        self._followed = {one.place: one for one in followed}
        self._retired = [deployed_from(one) for one in meta["retired"]]
        self._gone = list(map(live_of, meta["gone"]))
        self._find()
        if self._every is not None:
            self.mark(self._every)


class _Texts:
    """Lines that incidents show, also when they came long ago."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], list[Any]] = {}
        self._reading: Rereading | None = None

    def of(self, reading: Rereading) -> _Texts:
        """Return what reads lines `again`: those that are known, and those that `reading` knows."""
        self._reading = reading
        return self

    def again(self, wanted: Mapping[str, Collection[int]], columns: Sequence[str] = LINE_COLUMNS) -> pl.DataFrame:
        """See `Recent.again`."""
        rest = {source: [n for n in lines if (source, n) not in self._known] for source, lines in wanted.items()}
        if self._reading is not None and any(rest.values()):
            for row in self._reading.again(rest).iter_rows():
                self._known[row[0], row[1]] = list(row)
            while len(self._known) > MOST_FOLLOWED * MOST_LINES:
                del self._known[next(iter(self._known))]
        rows = [self._known[source, n] for source, lines in wanted.items() for n in lines if (source, n) in self._known]
        found = pl.DataFrame(rows, schema={name: RECORDS[name] for name in LINE_COLUMNS}, orient="row")
        return found.select(columns)

    def state(self) -> list[list[Any]]:
        """Return what `restore` needs."""
        return list(self._known.values())

    def restore(self, state: Sequence[Sequence[Any]]) -> None:
        """Go on where `state` was taken."""
        self._known = {(row[0], row[1]): list(row) for row in state}


def _rows(types: pl.DataFrame, holds: Callable[[int], bool]) -> pl.Series:
    return pl.Series([holds(row) for row in types["template"].to_list()], dtype=pl.Boolean)
