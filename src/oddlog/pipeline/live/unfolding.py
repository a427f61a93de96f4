"""Incidents while they happen: grouped anew by the very functions of `detect` whenever something odd is added.

::

    odd windows ─┐  held while their incident goes on     Merging ──► incidents ──► new · grown · over · withdrawn
    odd lines  ──┘  (an hour without anything more ends it)

An incident keeps its id while it grows: that of the first thing that told of it, a line or a window.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl

from oddlog.incidents import pattern_of
from oddlog.model import Model
from oddlog.pipeline.events import Codes
from oddlog.pipeline.judging.answering import Judged, Overlay
from oddlog.pipeline.judging.closeups import Closeup, Closeups
from oddlog.pipeline.judging.episodes import Episode
from oddlog.pipeline.judging.episodes import incident_of as incident_of_episode
from oddlog.pipeline.judging.merging import Merging
from oddlog.pipeline.judging.odd import OddWindows
from oddlog.pipeline.judging.views import View
from oddlog.pipeline.learning.checkpointing import (
    incident_json,
    incident_of,
    under,
    within,
)
from oddlog.pipeline.live.held import Held
from oddlog.pipeline.live.rating import Looked
from oddlog.pipeline.live.recent import Recent
from oddlog.pipeline.live.stretching import Stretching
from oddlog.pipeline.rates import Judged as RatesJudged
from oddlog.templates import Matcher
from oddlog.types import Bool, Incident, LiveIncident, State, Tally, Windows

QUIET_US = 3_600_000_000  # an incident is over after so much event time without anything more
ENTITIES = "entities"  # the view of those who do something
GROWN = 2.0  # an incident is told again once it has so many times the windows or the weight
MOST_NAMES = 20_000  # of what has told of incidents; beyond it, and beyond twice what is held, the others are forgotten
_SHARED = ("t:", "p:")  # names that several incidents have, one after the other: types, patterns
_OWN = ("w:", "e:")  # names that no two incidents share: windows, episodes
_LINE_BITS = 44  # of a place in one number: beside the source's 16
FORGOTTEN = "odd window or line forgotten: too many are part of what goes on"


@dataclass
class _Told:
    """An incident that was told."""

    last: LiveIncident
    seen_us: int  # event time of the last of it
    weight: tuple[float, int]  # severity and windows when it was told last


class Unfolding:
    """Keeps what is odd, and tells of incidents that are new, have grown, or are over."""

    def __init__(
        self, model: Model, matcher: Matcher, services: Codes, sources: Codes, tally: Tally, *, lateness_us: int = 0
    ) -> None:
        self._of = (model, matcher, services, sources)
        self._quiet_us = QUIET_US + lateness_us  # so much later windows are over: more of an incident may still come
        self._tally = tally
        self._held = Held()
        self._stretching = Stretching(len(model.context.templates))
        self._open_keys: dict[tuple[str, str], bool] = {}  # (view, key) of held windows -> provisional
        self._rank: dict[str, tuple[int, int]] = {}  # what tells of an incident -> its turn
        self._first: dict[str, tuple[str, int]] = {}  # … -> source, line
        self._id: dict[str, str] = {}  # … -> the id of the incident it told of
        self._told: dict[str, _Told] = {}
        self._pending: dict[int, str] = {}  # odd lines whose window is still open
        self._closeups: Closeups | None = None  # of the incidents as they were grouped last, by their ids there
        self._near: dict[str, str] = {}  # the id that was told -> the id there
        self._episodes: tuple[RatesJudged, list[Episode], list[str], list[Episode]] | None = None
        self._episode_of: dict[str, str] = {}  # id of an incident as it was grouped -> name of the episode in it
        self._over: set[str] = set()  # names of episodes that were told as over
        self._turn = 0
        self._most_names = MOST_NAMES
        self._stirred = False

    def stir(self) -> None:
        """Have the incidents looked at again, because the answers have changed."""
        self._stirred = True

    def set_episodes(self, looked: Looked, overlay: Overlay) -> None:
        """Take in what the rates view says now, in place of what it said before."""
        model = self._of[0]
        told = [incident_of_episode(one, looked.judged, model.context.templates, model.id) for one in looked.episodes]
        rated = overlay.rates(looked.episodes, told, looked.judged.scores)
        names = {id(one): name for one, name in zip(looked.episodes, looked.names, strict=True)}
        self._over &= set(looked.names)
        shown = [one for one in rated.shown if names[id(one)] not in self._over]
        if shown or rated.hidden or self._episodes is not None:
            self._stirred = True
        self._episodes = None
        if shown or rated.hidden:
            self._episodes = (looked.judged, shown, [names[id(one)] for one in shown], rated.hidden)

    def add_windows(self, view: View, windows: Windows, judged: Judged, *, provisional: bool) -> None:
        """Take in what was found of `windows`; their final verdict replaces a provisional one."""
        again = [key for key in windows.key.to_list() if (view.name, key) in self._open_keys]
        if again:
            self._drop(view.name, set(again))
        self._stirred |= self._held.add_windows(view.name, judged)
        if view.name == self._of[0].views[0].name and not provisional:
            self._settle(windows)
        if view.name == ENTITIES and not provisional:
            self._stretching.add(windows)
        for key in judged.deployed.windows.key.to_list():
            self._open_keys[view.name, key] = provisional
        self._name(view.name, judged.shown.windows, provisional=provisional)

    def _name(self, view: str, one: Windows, *, provisional: bool) -> None:
        """Note what windows tell of an incident by."""
        for i, key in enumerate(one.key.to_list()):
            self._open_keys[view, key] = provisional
            events = slice(int(one.offsets[i]), int(one.offsets[i + 1]))
            pairs = zip(one.source[events].tolist(), one.line[events].tolist(), strict=True)
            places = [self._place(*pair) for pair in pairs]
            # A window is told of by its first odd line, if it has one: by whichever of the two it is noticed first.
            known = [name for name in map(_line_name, places) if name in self._rank]
            first = min(known, key=self._rank.__getitem__, default=None)
            if first is None:
                self._note([f"w:{key}"], (1, self._next()), places[0])
            else:
                self._note([f"w:{key}"], self._rank[first], self._first[first])

    def resort(self, overlay: Overlay) -> None:
        """Have the incidents looked at again, because deployments explain something else; windows are counted there."""
        self._stirred = True
        now, no_longer = self._held.resort(overlay.becomes)
        for odd in no_longer:
            overlay.deployed.give_back(self._final(odd).windows)
            for i, key in enumerate(odd.windows.key.to_list()):
                provisional = self._open_keys.get((odd.view.name, key), False)
                self._name(odd.view.name, odd.windows.take(np.array([i])), provisional=provisional)
        for odd in now:
            overlay.deployed.take(self._final(odd).windows)

    def _final(self, odd: OddWindows) -> OddWindows:
        """Return those that are not open any more."""
        keys = odd.windows.key.to_list()
        return odd.take(np.flatnonzero([not self._open_keys.get((odd.view.name, key), False) for key in keys]))

    def add_lines(self, odd: pl.DataFrame) -> None:
        """Take in lines that are odd by themselves, as `verdicts.line_verdicts` returns them."""
        if not len(odd):
            return
        model, matcher, _, _ = self._of
        self._held.add_lines(odd)
        self._stirred = True
        by_session = model.views[0].cut.by == "session"
        for template, source, line, session in odd.select("template", "source", "line", "session").iter_rows():
            key, place = matcher.key_of(template), self._place(source, line)
            self._note([_line_name(place), f"t:{key:016x}", f"p:{pattern_of([key])}"], (0, self._next()), place)
            if session is not None or not by_session:
                self._pending[source << _LINE_BITS | line] = _line_name(place)

    def _note(self, names: Sequence[str], rank: tuple[int, int], place: tuple[str, int]) -> None:
        for name in names:
            self._rank.setdefault(name, rank)
            self._first.setdefault(name, place)

    def _settle(self, windows: Windows) -> None:
        """Note that the windows of odd lines were closed."""
        if self._pending:
            place = windows.source.astype(np.int64) << _LINE_BITS | windows.line.astype(np.int64)
            closed = place[np.isin(place, np.fromiter(self._pending, np.int64))].tolist()
            for one in closed:
                self._pending.pop(one, None)
            self._stirred = self._stirred or bool(closed)

    def changed(self, overlay: Overlay, words: Bool, recent: Recent, now_us: int) -> list[LiveIncident]:
        """Return the incidents that are new, have grown, are over or were withdrawn, most pressing first."""
        told: list[LiveIncident] = []
        if self._stirred:
            self._stirred = False
            let_go = self._bound()
            open_lines = set(self._pending.values())
            here: set[str] = set()
            # In order of time: what many share, a type, leads on to the last of them, as it does when looked at often.
            for incident in sorted(self._grouped(overlay, words, recent), key=_start_s):
                id_ = self._id_of(incident, here)
                here.add(id_)
                live = self._tell(id_, incident, open_lines, now_us)
                told += [] if live is None else [live]
            gone = [id_ for id_ in self._told if id_ not in here]
            for id_ in gone:  # what was let go is over, as far as anybody will hear: it did not turn out usual
                over: Literal["over", "withdrawn"] = "over" if id_ in let_go else "withdrawn"
                told.append(replace(self._told.pop(id_).last, change=over, notable=True))
        told = sorted(told, key=lambda one: -one.incident.severity) + self._end(now_us)
        self._forget_names()
        return told

    def closeups(self, recent: Recent) -> dict[str, Closeup]:
        """Return the most pressing of the incidents that go on, from near, by id."""
        if self._closeups is None:
            return {}
        found = self._closeups.read(recent)
        return {id_: found[there] for id_, there in self._near.items() if there in found}

    @property
    def going(self) -> set[str]:
        """Ids of incidents that were told and go on."""
        return set(self._told)

    def abandon(self) -> list[LiveIncident]:
        """Return all incidents as over, because another model judges from now on."""
        return [replace(one.last, change="over", notable=True) for one in self._told.values()]

    # -- state -----------------------------------------------------------------------------------------------

    def state(self) -> State:
        """Return everything `restore` needs."""
        arrays = self._held.arrays() | within("stretches", self._stretching.arrays())
        told = [
            {
                "incident": incident_json(one.last.incident),
                "change": one.last.change,
                "provisional": one.last.provisional,
                "seen": one.seen_us,
                "weight": one.weight,
            }
            for one in self._told.values()
        ]
        meta = {
            "open": [[view, key, provisional] for (view, key), provisional in self._open_keys.items()],
            "names": [[name, *rank, *self._first[name]] for name, rank in self._rank.items()],
            "ids": self._id,
            "pending": [[str(place), name] for place, name in self._pending.items()],
            "turn": self._turn,
            "told": told,
            "over": sorted(self._over),
            "most_names": self._most_names,
        }
        return State(arrays, meta)

    def restore(self, state: State) -> None:
        """Go on where `state` was taken; this one must be new."""
        meta, arrays = state.meta, state.arrays
        self._held.restore(arrays, self._of[0].views)
        self._stretching.restore(under("stretches", arrays))
        self._open_keys = {(view, key): provisional for view, key, provisional in meta["open"]}
        self._rank = {name: (kind, turn) for name, kind, turn, _, _ in meta["names"]}
        self._first = {name: (source, line) for name, _, _, source, line in meta["names"]}
        self._id = dict(meta["ids"])
        self._pending = {int(place): name for place, name in meta["pending"]}
        self._turn = meta["turn"]
        self._over = set(meta.get("over", ()))
        self._most_names = meta.get("most_names", MOST_NAMES)
        for one in meta["told"]:
            live = LiveIncident(incident_of(one["incident"]), one["change"], one["provisional"])
            self._told[live.incident.id] = _Told(live, one["seen"], (one["weight"][0], one["weight"][1]))
        self._stirred = True

    # -- grouping --------------------------------------------------------------------------------------------

    def _grouped(self, overlay: Overlay, words: Bool, recent: Recent) -> list[Incident]:
        """Return the incidents of all that is held, as `detect` would."""
        _, matcher, _, sources = self._of
        self._closeups, self._near = Closeups(matcher.text_of, sources), {}
        merging, covered = Merging(*self._of, words, self._closeups), Merging(*self._of, words)
        for one in (merging, covered):
            one.add_stretches(ENTITIES, self._stretching.sums)
        for one, held in ((merging, self._held.shown), (covered, self._held.hidden)):
            for parts in held.values():
                for odd in parts:
                    one.add_windows(odd)
        if self._held.lines:
            usual = Windows.concat(self._held.usual)
            lines = pl.concat(self._held.lines)
            told = [odd.windows for held in (self._held.shown, self._held.hidden) for p in held.values() for odd in p]
            _, shown, hidden = overlay.lines(lines, usual)
            merging.add_lines(shown, Windows.concat(told))
            covered.add_lines(hidden, Windows.empty())
        if self._episodes is not None:
            judged, episodes, names, calm = self._episodes
            merging.add_episodes(episodes, judged, names)
            covered.add_episodes(calm, judged)
        found, _ = overlay.incidents(merging.incidents(recent), ())
        self._episode_of = merging.episode_of
        return found

    def _tell(self, id_: str, incident: Incident, open_lines: set[str], now_us: int) -> LiveIncident | None:
        """Return the incident if it is new or has grown enough to be told again."""
        for name in self._names(incident):
            self._id[name] = id_
        self._near[id_] = incident.id
        provisional = incident.id not in self._episode_of and self._rests_on_what_is_open(incident, open_lines)
        live = LiveIncident(replace(incident, id=id_), "new", provisional)
        before = self._told.get(id_)
        if before is not None and incident.id in self._episode_of:
            live = replace(live, incident=_since(live.incident, before.last.incident))
        # Of what has no times nothing tells when it happened but that it has just come.
        seen_us = now_us if incident.end is None else round(incident.end.timestamp() * 1e6)
        if before is None:
            self._told[id_] = _Told(live, seen_us, (incident.severity, incident.n_windows))
            return live
        last, before.seen_us = before.last, max(before.seen_us, seen_us)
        live = replace(live, change="grown", notable=_is_weightier(incident, before.weight) or _differs(live, last))
        if not live.notable and _size(incident) == _size(last.incident):
            return None
        before.last = live
        if live.notable:
            before.weight = (incident.severity, incident.n_windows)
        return live

    def _rests_on_what_is_open(self, incident: Incident, open_lines: set[str]) -> bool:
        if incident.n_windows:
            return all(self._open_keys.get((view, key), True) for view in self._views() for key in incident.keys)
        return all(_line_name((one.source, one.line)) in open_lines for one in incident.lines)

    def _id_of(self, incident: Incident, taken: set[str]) -> str:
        """Return the id that an incident was told by, or is to be told by; `taken` are those of other ones."""
        names = [name for name in self._names(incident) if name in self._rank or name.startswith("e:")]
        names = [name for name in names if self._id.get(name) not in taken and self._leads_to(name, incident)]
        known = {self._id[name] for name in names if name in self._id}
        if known:  # by its own windows rather than by types, which others have too
            own = {self._id.get(name) for name in names if name.startswith(_OWN)}
            return min(known, key=lambda id_: (id_ not in own, id_ not in self._told, id_))
        # By what is its own: a type may have been seen first days ago, in an incident that is over.
        lines = [] if incident.n_windows else [_line_name((one.source, one.line)) for one in incident.lines]
        ranked = [name for name in (*names, *lines) if name in self._rank]
        if not ranked:
            return incident.id
        first = min(ranked, key=lambda name: (name.startswith(_SHARED), self._rank[name], name))
        source, line = self._first[first]
        id_ = self._id_by(source, line)
        return id_ if id_ not in taken else self._id_by(source, line, first)

    def _leads_to(self, name: str, incident: Incident) -> bool:
        """Return whether what is known by a name may be this incident: by a type only what is not hours apart from it.

        While much is caught up with at once, lines of a type are told before windows of hours ago are judged.
        """
        told = self._told.get(self._id.get(name, ""))
        if told is None or name.startswith(_OWN) or incident.start is None or incident.end is None:
            return True
        start = told.last.incident.start
        start_us, end_us = (round(one.timestamp() * 1e6) for one in (incident.start, incident.end))
        from_us = told.seen_us if start is None else round(start.timestamp() * 1e6)
        return from_us - end_us <= QUIET_US and start_us - told.seen_us <= self._quiet_us

    def _id_by(self, *first: str | int) -> str:
        """Return an id made of the model and the first thing that told of an incident."""
        said = "\n".join(map(str, (self._of[0].id, *first)))
        return hashlib.blake2b(said.encode(), digest_size=8).hexdigest()

    def _names(self, incident: Incident) -> list[str]:
        """Return what may have told of an incident."""
        if incident.id in self._episode_of:
            windows = (key for key in incident.keys if any((view, key) in self._open_keys for view in self._views()))
            return [f"e:{self._episode_of[incident.id]}", *(f"w:{key}" for key in windows)]
        if incident.n_windows:
            return [*(f"w:{key}" for key in incident.keys), *(f"t:{key}" for key in incident.new_types)]
        return [f"p:{incident.pattern}", *(f"t:{key}" for key in incident.new_types)]

    def _views(self) -> Iterable[str]:
        return (view.name for view in self._of[0].views)

    # -- forgetting ------------------------------------------------------------------------------------------

    def _end(self, now_us: int) -> list[LiveIncident]:
        """End the incidents that nothing was added to for long, and forget what they were made of."""
        over = {id_ for id_, told in self._told.items() if now_us - told.seen_us > self._quiet_us}
        if not over:
            return []
        names = {name for name, id_ in self._id.items() if id_ in over}
        keys = {name.removeprefix("w:") for name in names if name.startswith("w:")}
        for view in list(self._views()):
            self._held.drop_lines_of(view, keys)  # their type may go on elsewhere
            self._drop(view, keys)
        types = {name.removeprefix("t:") for name in names if name.startswith("t:")}
        patterns = {name.removeprefix("p:") for name in names if name.startswith("p:")}
        self._held.drop_types(types, patterns, self._of[1].key_of)
        self._end_episodes({name.removeprefix("e:") for name in names if name.startswith("e:")})
        self._forget(names)
        return [replace(self._told.pop(id_).last, change="over", notable=True) for id_ in sorted(over)]

    def _end_episodes(self, gone: set[str]) -> None:
        """Let go of episodes that are over; the counts they were found in are still there."""
        self._over |= gone
        if self._episodes is not None:
            judged, episodes, names, calm = self._episodes
            kept = [(one, name) for one, name in zip(episodes, names, strict=True) if name not in gone]
            self._episodes = (judged, [one for one, _ in kept], [name for _, name in kept], calm)

    def _drop(self, view: str, keys: set[str]) -> None:
        """Let go of the windows of these keys."""
        self._stirred |= self._held.drop(view, keys)
        for key in keys:
            self._open_keys.pop((view, key), None)

    def _forget(self, names: set[str]) -> None:
        for name in names:
            for known in (self._rank, self._first, self._id):
                known.pop(name, None)

    def _forget_names(self) -> None:
        """Forget the names of what is neither held nor part of anything told, once they are many."""
        if len(self._rank) + len(self._id) <= self._most_names:
            return
        held = {f"w:{key}" for _, key in self._open_keys}
        for row, source, line in self._held.places():
            key = self._of[1].key_of(row)
            held |= {_line_name(self._place(source, line)), f"t:{key:016x}", f"p:{pattern_of([key])}"}
        names = self._rank.keys() | self._id.keys()
        self._forget({name for name in names - held if self._id.get(name) not in self._told})
        self._most_names = max(2 * (len(self._rank) + len(self._id)), MOST_NAMES)

    def _bound(self) -> set[str]:
        """Forget the oldest of what is held beyond the limits; return the ids of the incidents that it was part of."""
        let_go: set[str | None] = set()
        for view, keys in self._held.windows_beyond():
            self._tally.add(FORGOTTEN, len(keys))
            let_go.update(self._id.get(f"w:{key}") for key in keys)
            self._drop(view, keys)
        for gone in self._held.lines_beyond():
            self._tally.add(FORGOTTEN, len(gone))
            let_go.update(self._id.get(f"t:{self._of[1].key_of(row):016x}") for row in {row for row, _, _ in gone})
            for _, source, line in gone:
                self._pending.pop(source << _LINE_BITS | line, None)
        return {id_ for id_ in let_go if id_ is not None}

    # -- names -----------------------------------------------------------------------------------------------

    def _next(self) -> int:
        self._turn += 1
        return self._turn

    def _place(self, source: int, line: int) -> tuple[str, int]:
        return self._of[3].names[source], line


def _is_weightier(incident: Incident, weight: tuple[float, int]) -> bool:
    return bool(incident.severity >= GROWN * weight[0] or incident.n_windows >= GROWN * max(weight[1], 1))


def _differs(one: LiveIncident, last: LiveIncident) -> bool:
    return (one.provisional, one.incident.answer) != (last.provisional, last.incident.answer)


def _start_s(incident: Incident) -> float:
    return float("-inf") if incident.start is None else incident.start.timestamp()


def _since(incident: Incident, before: Incident) -> Incident:
    """Return an incident of counts with its first beginning, also when the counts of then are forgotten."""
    starts = [one.start for one in (incident, before) if one.start is not None]
    return replace(incident, start=min(starts, default=None))


def _size(incident: Incident) -> tuple[object, ...]:
    return incident.n_windows, incident.start, incident.end, len(incident.lines), incident.severity


def _line_name(place: tuple[str, int]) -> str:
    return f"l:{place[0]}:{place[1]}"
