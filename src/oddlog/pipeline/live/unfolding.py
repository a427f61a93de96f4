"""Incidents while they happen: grouped anew by the very functions of `detect` whenever something odd is added.

::

    odd windows ─┐  held while their incident goes on     Merging ──► incidents ──► new · grown · over · withdrawn
    odd lines  ──┘  (an hour without anything more ends it)

An incident keeps its id while it grows: that of the first thing that told of it, a line or a window (`naming`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from oddlog.model import Model
from oddlog.pipeline.events import Codes
from oddlog.pipeline.judging.answering import Judged, Overlay
from oddlog.pipeline.judging.closeups import Closeup, Closeups
from oddlog.pipeline.judging.episodes import Episode
from oddlog.pipeline.judging.episodes import incident_of as incident_of_episode
from oddlog.pipeline.judging.merging import Merging
from oddlog.pipeline.judging.odd import OddWindows
from oddlog.pipeline.judging.views import View
from oddlog.pipeline.learning.checkpointing import under, within
from oddlog.pipeline.live import naming
from oddlog.pipeline.live.held import Held
from oddlog.pipeline.live.naming import EPISODE, PATTERN, TYPE, WINDOW, Naming, Spot, bare
from oddlog.pipeline.live.rating import Looked
from oddlog.pipeline.live.recent import Recent
from oddlog.pipeline.live.stretching import Stretching
from oddlog.pipeline.live.told import QUIET_US, Told
from oddlog.pipeline.rates import Judged as RatesJudged
from oddlog.templates import Matcher
from oddlog.types import Bool, Incident, LiveIncident, State, Tally, Windows

ENTITIES = "entities"  # the view of those who do something
_LINE_BITS = 44  # of a place in one number: beside the source's 16
FORGOTTEN = "odd window or line forgotten: too many are part of what goes on"


@dataclass
class _Odd:
    """What the rates view said last: episodes that are shown, each with its name, and those that answers hide."""

    judged: RatesJudged
    shown: list[Episode]
    names: list[str]
    hidden: list[Episode]


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
        self._naming = Naming(model.id)
        self._open_keys: dict[tuple[str, str], bool] = {}  # (view, key) of held windows -> provisional
        self._told: dict[str, Told] = {}  # what goes on, by id
        self._pending: dict[int, str] = {}  # odd lines whose window is still open -> their names
        self._closeups: Closeups | None = None  # of the incidents as they were grouped last, by their ids there
        self._near: dict[str, str] = {}  # the id that was told -> the id there
        self._rates: _Odd | None = None
        self._episode_of: dict[str, str] = {}  # id of an incident as it was grouped -> name of the episode in it
        self._over: set[str] = set()  # names of episodes that were told as over
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
        if shown or rated.hidden or self._rates is not None:
            self._stirred = True
        self._rates = None
        if shown or rated.hidden:
            self._rates = _Odd(looked.judged, shown, [names[id(one)] for one in shown], rated.hidden)

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
            self._naming.add_window(key, [self._spot(*pair) for pair in pairs])

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
            spot = self._spot(source, line)
            self._naming.add_line(spot, matcher.key_of(template))
            if session is not None or not by_session:
                self._pending[source << _LINE_BITS | line] = naming.of_line(spot)

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
                id_ = self._naming.id_of(incident, self._names(incident), here, self._told, self._quiet_us)
                here.add(id_)
                live = self._tell(id_, incident, open_lines, now_us)
                told += [] if live is None else [live]
            for id_ in [id_ for id_ in self._told if id_ not in here]:
                # What was let go is over, as far as anybody will hear: it did not turn out usual.
                told.append(self._told.pop(id_).end("over" if id_ in let_go else "withdrawn"))
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
        return [one.end() for one in self._told.values()]

    # -- state -----------------------------------------------------------------------------------------------

    def state(self) -> State:
        """Return everything `restore` needs."""
        arrays = self._held.arrays() | within("stretches", self._stretching.arrays())
        meta = {
            **self._naming.state(),
            "open": [[view, key, provisional] for (view, key), provisional in self._open_keys.items()],
            "pending": [[str(place), name] for place, name in self._pending.items()],
            "told": [one.state() for one in self._told.values()],
            "over": sorted(self._over),
        }
        return State(arrays, meta)

    def restore(self, state: State) -> None:
        """Go on where `state` was taken; this one must be new."""
        meta, arrays = state.meta, state.arrays
        self._held.restore(arrays, self._of[0].views)
        self._stretching.restore(under("stretches", arrays))
        self._open_keys = {(view, key): provisional for view, key, provisional in meta["open"]}
        self._naming.restore(meta)
        self._pending = {int(place): name for place, name in meta["pending"]}
        self._over = set(meta.get("over", ()))
        told = map(Told.from_state, meta["told"])
        self._told = {one.last.incident.id: one for one in told}
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
        if (rates := self._rates) is not None:
            merging.add_episodes(rates.shown, rates.judged, rates.names)
            covered.add_episodes(rates.hidden, rates.judged)
        found, _ = overlay.incidents(merging.incidents(recent), ())
        self._episode_of = merging.episode_of
        return found

    def _tell(self, id_: str, incident: Incident, open_lines: set[str], now_us: int) -> LiveIncident | None:
        """Return the incident if it is new or has grown enough to be told again."""
        self._naming.lead(self._names(incident), id_)
        self._near[id_] = incident.id
        is_episode, before = incident.id in self._episode_of, self._told.get(id_)
        provisional = not is_episode and self._rests_on_what_is_open(incident, open_lines)
        live = LiveIncident(replace(incident, id=id_), "new", provisional)
        if before is not None and is_episode:
            live = replace(live, incident=_since(live.incident, before.last.incident))
        # Of what has no times nothing tells when it happened but that it has just come.
        seen_us = now_us if incident.end is None else round(incident.end.timestamp() * 1e6)
        if before is not None:
            return before.again(live, seen_us)
        self._told[id_] = Told.first(live, seen_us)
        return live

    def _rests_on_what_is_open(self, incident: Incident, open_lines: set[str]) -> bool:
        if incident.n_windows:
            return all(self._open_keys.get((view, key), True) for view in self._views() for key in incident.keys)
        return all(naming.of_line((one.source, one.line)) in open_lines for one in incident.lines)

    def _names(self, incident: Incident) -> list[str]:
        """Return what may have told of an incident; see `naming`."""
        types = [TYPE + key for key in incident.new_types]
        if incident.id in self._episode_of:
            windows = (key for key in incident.keys if any((view, key) in self._open_keys for view in self._views()))
            return [EPISODE + self._episode_of[incident.id], *(WINDOW + key for key in windows)]
        if incident.n_windows:
            return [*(WINDOW + key for key in incident.keys), *types]
        return [PATTERN + incident.pattern, *types]

    def _views(self) -> Iterable[str]:
        return (view.name for view in self._of[0].views)

    # -- forgetting ------------------------------------------------------------------------------------------

    def _end(self, now_us: int) -> list[LiveIncident]:
        """End the incidents that nothing was added to for long, and forget what they were made of."""
        over = {id_ for id_, told in self._told.items() if now_us - told.seen_us > self._quiet_us}
        if not over:
            return []
        names = self._naming.leading(over)
        keys = bare(WINDOW, names)
        for view in self._views():
            self._held.drop_lines_of(view, keys)  # their type may go on elsewhere
            self._drop(view, keys)
        # Lines that an episode told of end with it: told anew, as what they are alone, they would bear its id.
        counted = {self._naming.led(name) for name in names if name.startswith(EPISODE)}
        told = {one for id_ in over & counted for one in self._told[id_].last.incident.patterns}
        self._held.drop_types(bare(TYPE, names), bare(PATTERN, names) | told, self._of[1].key_of)
        self._end_episodes(bare(EPISODE, names))
        self._naming.forget(names)
        return [self._told.pop(id_).end() for id_ in sorted(over)]

    def _end_episodes(self, gone: set[str]) -> None:
        """Let go of episodes that are over; the counts they were found in are still there."""
        self._over |= gone
        if (rates := self._rates) is not None:
            kept = [(one, name) for one, name in zip(rates.shown, rates.names, strict=True) if name not in gone]
            rates.shown, rates.names = [one for one, _ in kept], [name for _, name in kept]

    def _drop(self, view: str, keys: set[str]) -> None:
        """Let go of the windows of these keys."""
        self._stirred |= self._held.drop(view, keys)
        for key in keys:
            self._open_keys.pop((view, key), None)

    def _forget_names(self) -> None:
        """Forget the names of what is neither held nor part of anything told, once they are many."""
        if not self._naming.are_many:
            return
        held = {WINDOW + key for _, key in self._open_keys}
        for row, source, line in self._held.places():
            key = self._of[1].key_of(row)
            held |= {naming.of_line(self._spot(source, line)), naming.of_type(key), naming.of_pattern_of(key)}
        self._naming.keep(held, self._told)

    def _bound(self) -> set[str]:
        """Forget the oldest of what is held beyond the limits; return the ids of the incidents that it was part of."""
        let_go: set[str | None] = set()
        for view, keys in self._held.windows_beyond():
            self._tally.add(FORGOTTEN, len(keys))
            let_go.update(self._naming.led(WINDOW + key) for key in keys)
            self._drop(view, keys)
        for gone in self._held.lines_beyond():
            self._tally.add(FORGOTTEN, len(gone))
            types = {naming.of_type(self._of[1].key_of(row)) for row in {row for row, _, _ in gone}}
            let_go.update(map(self._naming.led, types))
            for _, source, line in gone:
                self._pending.pop(source << _LINE_BITS | line, None)
        return {id_ for id_ in let_go if id_ is not None}

    def _spot(self, source: int, line: int) -> Spot:
        return self._of[3].names[source], line


def _start_s(incident: Incident) -> float:
    return float("-inf") if incident.start is None else incident.start.timestamp()


def _since(incident: Incident, before: Incident) -> Incident:
    """Return an incident of counts with its first beginning, also when the counts of then are forgotten."""
    starts = [one.start for one in (incident, before) if one.start is not None]
    return replace(incident, start=min(starts, default=None))
