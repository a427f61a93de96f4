"""From verdicts to what is told: incidents of whatever kind, heeding what people have said, marked and set.

::

    odd windows, lines, counts ──► Unfolding ──┐
    new types since a mark ──────► Deploying ──┤
    records ─────────────────────► Rules, Quiet, Newcomers ──► answers ──► Gate ──► told: new, grown, over
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl

from oddlog.feedback import Answers, Mark, Standing
from oddlog.model import Model
from oddlog.pipeline.judging.answering import Overlay
from oddlog.pipeline.judging.newcomers import Newcomers
from oddlog.pipeline.judging.since_deploy import after_deploy
from oddlog.pipeline.learning.checkpointing import live_json, live_of, under, within
from oddlog.pipeline.live.deploying import Deploying
from oddlog.pipeline.live.encoding import Encoding
from oddlog.pipeline.live.gate import ENDED, Gate
from oddlog.pipeline.live.quiet import Quiet
from oddlog.pipeline.live.recent import Recent
from oddlog.pipeline.live.rulebook import RuleBook
from oddlog.pipeline.live.rules import Rules
from oddlog.pipeline.live.unfolding import Unfolding
from oddlog.types import Bool, LiveIncident, State, Tally, to_datetime


class Teller:
    """Tells of incidents, wherever they come from.

    Parameters
    ----------
    model : Model
        What is usual.
    encoding, tally
        Those of the stream.
    answers : Answers or None
        What people have said of earlier incidents.
    rules : RuleBook
        Traditional rules.
    gate : Gate
        What of the incidents is told.
    lateness_us : int
        How long is waited for lines that are out of order.

    Attributes
    ----------
    overlay : Overlay
        What people have said, for whoever judges.
    told : int
        Incidents that were told.

    """

    def __init__(
        self,
        model: Model,
        encoding: Encoding,
        tally: Tally,
        *,
        answers: Answers | None,
        rules: RuleBook,
        gate: Gate,
        lateness_us: int = 0,
    ) -> None:
        self._matcher = encoding.matcher
        codes = encoding.matcher, encoding.services, encoding.sources
        self.unfolding = Unfolding(model, *codes, tally, lateness_us=lateness_us)
        self.deploying = Deploying(model, *codes, tally)
        self.newcomers = Newcomers(model, encoding.services, tally)
        self.quiet = Quiet(model.id, tally)
        self.rules = Rules(rules, model.id)
        self.gate = gate
        self._unruled: list[LiveIncident] = []  # of rules that are none any more
        self._marks: tuple[Mark, ...] = ()
        self.told = 0
        self._answer(_standing(answers))

    def _answer(self, standing: Standing) -> None:
        self.overlay = Overlay(standing, self._matcher, newcomers=self.newcomers)
        self.deploying.heed(self.overlay.answered)

    # -- what people say -------------------------------------------------------------------------------------

    def heed(self, answers: Answers) -> None:
        """Judge from now on by these answers."""
        self._answer(_standing(answers))
        self.put_down()
        self.unfolding.stir()

    def mark(self, marks: Sequence[Mark]) -> None:
        """Put what is new down to these deployments from now on, also what came before they were marked."""
        self._marks = tuple(marks)
        self.deploying.mark(marks)
        self.put_down()

    def rule(self, book: RuleBook, per_day: float | None, now_us: int) -> None:
        """Go by these rules and maintenance windows, and by this budget a day, from now on."""
        self._unruled += self.rules.turn_to(book, now_us)
        self.gate.turn_to(per_day, book.maintenance)

    # -- what comes ------------------------------------------------------------------------------------------

    def add_records(self, records: pl.DataFrame, events: pl.DataFrame, end_us: int) -> None:
        """Take in records and their events, `end_us` being the latest time of all: for rules, silence, newcomers."""
        self.rules.add(records)
        self.newcomers.add(events)
        self.quiet.add(records, end_us)

    def add(self, events: pl.DataFrame) -> None:
        """Take in events with their sessions: deployments may have brought some of them."""
        self.deploying.add(events)
        self.put_down()

    def put_down(self) -> None:
        """Have excused what deployments brought, and what was told for it withdrawn."""
        changed = self.deploying.claim()
        self.overlay.deployed = self.deploying.since
        if changed:
            self.unfolding.resort(self.overlay)

    def lines(self, odd: pl.DataFrame) -> pl.DataFrame:
        """Take in odd lines; return those that nothing excuses."""
        if self.newcomers:
            odd = odd.filter(~pl.Series(self.newcomers.excuses(odd["service"].to_numpy(), odd["template"].to_numpy())))
        excused, held = self.deploying.few(odd)
        self.unfolding.add_lines(odd.filter(pl.Series(held)))
        return odd.filter(pl.Series(~excused))

    # -- what is told ----------------------------------------------------------------------------------------

    def changed(
        self, words: Bool, recent: Recent, span_us: tuple[int, int], now_us: int, clock_s: float, *, exact: bool
    ) -> list[LiveIncident]:
        """Return the incidents that are new or have changed since they were last asked for, most pressing first.

        `span_us` is the first and the last time of all that came, `now_us` the time that has been reached by the
        clock of the lines and `clock_s` by that of the stream; for `exact` see `Deploying.changed`.
        """
        changed = self.unfolding.changed(self.overlay, words, recent, span_us[1])
        now = to_datetime(now_us) or datetime.now(UTC)
        ruled, self._unruled = self._unruled, []
        ruled += [*self.rules.changed(now_us), *self.newcomers.changed(now_us)]
        ruled += self.quiet.changed(clock_s, now)
        changed += self._unanswered(ruled)
        changed = [after_deploy(one, self._marks) for one in changed]
        changed += self._unanswered(self.deploying.changed(words, recent, span_us, exact=exact))
        self.overlay.deployed = self.deploying.since
        changed = [self.gate.through(one, now) for one in changed] + self.gate.after(now)
        self.told += sum(one.change == "new" for one in changed)
        return changed

    def _unanswered(self, found: list[LiveIncident]) -> list[LiveIncident]:
        return [one for one in found if one.change in ENDED or self.overlay.incidents([one.incident], ())[0]]

    @property
    def going(self) -> set[str]:
        """Ids of incidents that were told and whose end is not told yet: none but what somebody here will end."""
        parts = (self.unfolding, self.deploying, self.newcomers, self.rules, self.quiet)
        return {one.incident.id for one in self._unruled}.union(*(part.going for part in parts))

    def abandon(self) -> list[LiveIncident]:
        """Return what goes on by this model as over, because another one judges from now on; for the rest `inherit`."""
        return [*self.unfolding.abandon(), *self.deploying.abandon()]

    # -- state -----------------------------------------------------------------------------------------------

    def state(self) -> State:
        """Return what `restore` needs."""
        unfolding, deploying = self.unfolding.state(), self.deploying.state()
        meta = {
            "unfolding": unfolding.meta,
            "deploying": deploying.meta,
            "newcomers": self.newcomers.state(),
            "told": self.told,
            "lasting": {
                "rules": self.rules.state().meta,
                "unruled": list(map(live_json, self._unruled)),
                "gate": self.gate.state(),
                "quiet": self.quiet.state(),
            },
        }
        return State({**within("unfolding", unfolding.arrays), **within("deploying", deploying.arrays)}, meta)

    def restore(self, state: State) -> None:
        """Go on where `state` was taken; types, services and sources are known by then."""
        meta = state.meta
        self.unfolding.restore(State(under("unfolding", state.arrays), meta["unfolding"]))
        self.deploying.restore(State(under("deploying", state.arrays), meta["deploying"]))
        self.put_down()
        self.newcomers.restore(meta["newcomers"])
        self.told = meta["told"]
        self.inherit(state)

    def inherit(self, state: State) -> None:
        """Take over what is no model's from `state`, which may be of another one: rules, silence, what was told."""
        lasting = state.meta["lasting"]
        self.rules.restore(State(meta=lasting["rules"]))
        self._unruled += map(live_of, lasting["unruled"])
        self.gate.restore(lasting["gate"])
        self.quiet.restore(lasting["quiet"])


def _standing(answers: Answers | None) -> Standing:
    return Answers().standing() if answers is None else answers.standing()
