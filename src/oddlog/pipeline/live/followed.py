"""One deployment that is followed while lines come: what its service wrote before it and since, and what is new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Self

import polars as pl

from oddlog.feedback import Mark
from oddlog.pipeline.judging.deployments import ERROR, TYPES, Deployed, Rate, together, types_of, us
from oddlog.pipeline.learning.checkpointing import incident_json, incident_of
from oddlog.pipeline.live.lately import NEW, Lately
from oddlog.types import Incident, LiveIncident

MOST_ROWS = 5_000  # types that may be one deployment's
MOST_SESSIONS = 20_000  # that pass through a service, the last ones …
SESSIONS_NOTED = 5_000  # … and of them those that a restart knows
MOST_WAITING = 2_000  # lines of new types whose session may yet pass through
GROWN = 2  # told again at so many times the types …
MORE = 1.1  # … and noted at so many times the lines
Place = tuple[str, str, str]


@dataclass
class Followed:
    """A deployment, and what has come since."""

    mark: Mark
    service: int
    types: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=TYPES))
    before: tuple[int, int] = (0, 0)
    after: tuple[int, int] = (0, 0)
    through: dict[str, None] = field(default_factory=dict)  # sessions that passed through its service since
    waiting: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=NEW))
    deployed: Deployed | None = None  # as it was claimed last
    last: LiveIncident | None = None  # as it was told last
    weight: tuple[int, int] = (0, 0)  # types and lines then
    noted: int = 0  # types when it was told last to those who are told of notable changes only

    def add(self, events: pl.DataFrame, new: pl.DataFrame) -> bool:
        """Take in events, and those of `new` types among them; return whether a type is new here or graver than it was.

        See `deployments.Finding`: this is its pass over a log, in pieces.
        """
        since, until = us(self.mark.time), us(self.mark.end)
        low, high = events["time_us"].min(), events["time_us"].max()
        assert isinstance(low, int)
        assert isinstance(high, int)
        if low < until and high >= since - (until - since):
            own = events.filter(pl.col("service") == self.service)
            self.before = _sum(self.before, _lines(own, since - (until - since), since))
            self.after = _sum(self.after, _lines(own, since, until))
            passing = own.filter(pl.col("time_us").is_between(since, until, "left"))["session"].drop_nulls()
            self.pass_through(passing.unique(maintain_order=True).to_list())
        return self.add_new(new) if len(new) or len(self.waiting) else False

    def pass_through(self, sessions: Sequence[str]) -> None:
        """Note sessions that its service has written in."""
        for one in sessions:
            self.through.pop(one, None)
            self.through[one] = None
        for one in list(self.through)[: max(len(self.through) - MOST_SESSIONS, 0)]:
            del self.through[one]

    def add_new(self, new: pl.DataFrame) -> bool:
        """Take in lines of new types; return whether a type is new here or graver than it was."""
        late = pl.concat([self.waiting, new.filter(pl.col("time_us") >= us(self.mark.time))])
        passed = [one is not None and one in self.through for one in late["session"].to_list()]
        mine = (late["service"] == self.service) | pl.Series(passed, dtype=pl.Boolean)
        self.waiting = late.filter(~mine, pl.col("session").is_not_null()).tail(MOST_WAITING)
        if not mine.any():
            return False
        before = self.types
        self.types = _together([before, types_of(late.filter(mine))]).head(MOST_ROWS)
        grave = (int((frame["level"] >= ERROR).sum()) for frame in (before, self.types))
        return len(self.types) != len(before) or len(set(grave)) > 1

    def until(self, mark: Mark, lately: Lately) -> None:
        """Go on with the same deployment under a mark that ends earlier or later."""
        old, new = us(self.mark.end), us(mark.end)
        more = lately.lines(self.service, min(old, new), max(old, new))
        self.after = _sum(self.after, more, 1 if new > old else -1)
        self.mark = mark

    @property
    def place(self) -> Place:
        """Which deployment it is."""
        return place(self.mark)

    @property
    def rates(self) -> tuple[Rate, Rate]:
        """Lines and errors of its service before it and since."""
        return _rate(self.before), _rate(self.after)

    def claim(self, types: pl.DataFrame) -> None:
        """Put these of its types down to it, and no others."""
        n, keys = (0, []) if self.deployed is None else (self.deployed.n_windows, self.deployed.keys)
        self.deployed = Deployed(self.mark, types, *self.rates, n, keys) if len(types) else None

    def has_grown(self) -> bool:
        """Return whether there are more types than when it was told last, or while it goes on many more lines."""
        assert self.deployed is not None
        types, lines = _weight(self.deployed)
        return types > self.weight[0] or (self.last is not None and lines >= MORE * max(self.weight[1], 1))

    def tell(self, incident: Incident, *, is_over: bool) -> LiveIncident:
        """Return what has happened to it, and remember that it was told."""
        assert self.deployed is not None
        weight = _weight(self.deployed)
        change = "over" if is_over else "new" if self.last is None else "grown"
        notable = change != "grown" or weight[0] >= GROWN * self.noted
        live = LiveIncident(incident, change, provisional=False, notable=notable)  # type: ignore[arg-type] # one of the three
        self.last = None if is_over else live
        self.weight, self.noted = weight, weight[0] if notable else self.noted
        return live

    # -- state -----------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return what `from_state` needs."""
        deployed = self.deployed or Deployed(self.mark, self.types, *self.rates)
        return {
            **deployed_state(replace(deployed, mark=self.mark, types=self.types)),
            "service": self.service,
            "counts": [*self.before, *self.after],
            "through": list(self.through)[-SESSIONS_NOTED:],
            "waiting": self.waiting.to_dict(as_series=False),
            "last": None if self.last is None else [incident_json(self.last.incident), self.last.change],
            "weight": [*self.weight, self.noted],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Go on where `state` was taken."""
        deployed = deployed_from(state)
        before, after = tuple(state["counts"][:2]), tuple(state["counts"][2:])
        last = state["last"]
        return cls(
            deployed.mark,
            state["service"],
            deployed.types,
            (before[0], before[1]),
            (after[0], after[1]),
            dict.fromkeys(state["through"]),
            pl.DataFrame(state["waiting"], schema=NEW),
            deployed,
            None if last is None else LiveIncident(incident_of(last[0]), last[1], provisional=False),
            (state["weight"][0], state["weight"][1]),
            state["weight"][2],
        )


def place(mark: Mark) -> Place:
    """Return what tells a deployment from others."""
    return mark.service, mark.version, mark.time.isoformat()


def deployed_state(one: Deployed) -> dict[str, Any]:
    """Return what `deployed_from` needs: its rates are those of who follows it."""
    return {
        "mark": {**one.mark.record(), "time": one.mark.time.isoformat()},
        "types": one.types.to_dict(as_series=False),
        "windows": [one.n_windows, one.keys],
    }


def deployed_from(state: Mapping[str, Any]) -> Deployed:
    """Return what `deployed_state` was taken of."""
    types = pl.DataFrame(state["types"], schema=TYPES)
    return Deployed(Mark.from_record(state["mark"]), types, _rate((0, 0)), _rate((0, 0)), *state["windows"])


def _together(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    whole = pl.concat(parts).with_columns(mark=pl.lit(0, pl.Int32))
    return together(whole).sort("first", "template").select(TYPES.names()).cast(TYPES)


def _lines(own: pl.DataFrame, start_us: int, end_us: int) -> tuple[int, int]:
    some = own.filter(pl.col("time_us").is_between(start_us, end_us, "left"))
    if not len(some):
        return 0, 0
    return int(some["count"].sum()), int(some["count"].filter(some["level"] >= ERROR).sum())


def _sum(one: tuple[int, int], other: tuple[int, int], sign: int = 1) -> tuple[int, int]:
    return one[0] + sign * other[0], one[1] + sign * other[1]


def _rate(counted: tuple[int, int]) -> Rate:
    return Rate(counted[0], counted[1], timedelta(0))


def _weight(one: Deployed) -> tuple[int, int]:
    return len(one.types), int(one.types["n"].sum())
