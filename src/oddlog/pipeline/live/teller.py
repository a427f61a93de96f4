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
from oddlog.pipeline.events import Codes
from oddlog.pipeline.judging.answering import Overlay
from oddlog.pipeline.judging.newcomers import Newcomers
from oddlog.pipeline.judging.since_deploy import after_deploy
from oddlog.pipeline.learning.checkpointing import under, within
from oddlog.pipeline.live.deploying import Deploying
from oddlog.pipeline.live.gate import ENDED, Gate
from oddlog.pipeline.live.quiet import Quiet
from oddlog.pipeline.live.recent import Recent
from oddlog.pipeline.live.rulebook import RuleBook
from oddlog.pipeline.live.rules import Rules
from oddlog.pipeline.live.unfolding import Unfolding
from oddlog.templates import Matcher
from oddlog.types import Bool, LiveIncident, State, Tally, to_datetime


class Teller:
    """Tells of incidents, wherever they come from.

    Parameters
    ----------
    model : Model
        What is usual.
    matcher, services, sources, tally
        Those of the stream.
    answers : Answers or None
        What people have said of earlier incidents.
    rules : RuleBook
        Traditional rules.
    gate : Gate
        What of the incidents is told.

    Attributes
    ----------
    overlay : Overlay
        What people have said, for whoever judges.
    told : int
        Incidents that were told.
    going : set of str
        Ids of those that were told and go on.

    """

    def __init__(
        self,
        model: Model,
        matcher: Matcher,
        services: Codes,
        sources: Codes,
        tally: Tally,
        *,
        answers: Answers | None,
        rules: RuleBook,
        gate: Gate,
    ) -> None:
        self._matcher = matcher
        self.unfolding = Unfolding(model, matcher, services, sources, tally)
        self.deploying = Deploying(model, matcher, services, sources, tally)
        self.newcomers = Newcomers(model, services, tally)
        self.quiet = Quiet(model.id)
        self.rules = Rules(rules, model.id)
        self.gate = gate
        self._unruled: list[LiveIncident] = []  # of rules that are none any more
        self._marks: tuple[Mark, ...] = ()
        self.told = 0
        self.going: set[str] = set()
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
        ruled += [*self.rules.changed(now_us), *self.newcomers.changed()]
        ruled += self.quiet.changed(clock_s, now)
        changed += self._unanswered(ruled)
        changed = [after_deploy(one, self._marks) for one in changed]
        changed += self._unanswered(self.deploying.changed(words, recent, span_us, exact=exact))
        self.overlay.deployed = self.deploying.since
        changed = [self.gate.through(one, now) for one in changed] + self.gate.after(now)
        self.told += sum(one.change == "new" for one in changed)
        for one in changed:
            (self.going.discard if one.change in ENDED else self.going.add)(one.incident.id)
        return changed

    def _unanswered(self, found: list[LiveIncident]) -> list[LiveIncident]:
        return [one for one in found if one.change in ENDED or self.overlay.incidents([one.incident], ())[0]]

    def abandon(self) -> list[LiveIncident]:
        """Return what goes on as over, because another model judges from now on."""
        return [*self.unfolding.abandon(), *self.deploying.abandon()]

    # -- state -----------------------------------------------------------------------------------------------

    def state(self) -> State:
        """Return what `restore` needs."""
        unfolding, deploying = self.unfolding.state(), self.deploying.state()
        meta = {
            "unfolding": unfolding.meta,
            "deploying": deploying.meta,
            "rules": self.rules.state().meta,
            "gate": self.gate.state(),
            "newcomers": self.newcomers.state(),
            "quiet": self.quiet.state(),
            "told": self.told,
            "going": sorted(self.going),
        }
        return State({**within("unfolding", unfolding.arrays), **within("deploying", deploying.arrays)}, meta)

    def restore(self, state: State) -> None:
        """Go on where `state` was taken; types, services and sources are known by then."""
        meta = state.meta
        self.unfolding.restore(State(under("unfolding", state.arrays), meta["unfolding"]))
        self.deploying.restore(State(under("deploying", state.arrays), meta["deploying"]))
        self.put_down()
        self.rules.restore(State(meta=meta["rules"]))
        self.gate.restore(meta["gate"])
        self.newcomers.restore(meta["newcomers"])
        self.quiet.restore(meta["quiet"])
        self.told, self.going = meta["told"], set(meta["going"])


def _standing(answers: Answers | None) -> Standing:
    return Answers().standing() if answers is None else answers.standing()
