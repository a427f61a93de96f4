"""Records → events while they come: types, services and sources by number; what is new gets a further one.

Beside the numbers it knows what all of them together tell: their first and last time, and which types hold words of
trouble.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from oddlog.incidents import alarming
from oddlog.model import Model
from oddlog.pipeline.events import Codes, typed
from oddlog.pipeline.watching import NumberColumns
from oddlog.templates import Masked, Matcher
from oddlog.types import NO_TIME, Bool, State, Tally


class Encoding:
    """Makes events of records.

    Parameters
    ----------
    model : Model
        Whose types, services and numbers.
    max_unseen : int
        Types never seen in training that are told apart.
    tally : Tally
        Takes what has no number of its own.

    Attributes
    ----------
    matcher : Matcher
        Knows the types.
    services, sources : Codes
        Know the others.
    number_fields : frozenset of str
        Fields that the model watches the numbers of.
    words : ndarray of bool [k + unseen]
        Which types hold words of trouble.
    span_us : tuple of int
        The first and the last time of all that came (us); `NO_TIME` before there is one.

    """

    def __init__(self, model: Model, max_unseen: int, tally: Tally) -> None:
        context = model.context
        self.matcher = Matcher(context.templates, max_unseen=max_unseen)
        self.services = Codes(context.services, what="services", tally=tally)
        self.sources = Codes(what="sources", tally=tally)
        self._numbers = NumberColumns(context.numbers)
        self.number_fields = self._numbers.fields
        self.words: Bool = alarming(context.templates.text)
        self.span_us = (NO_TIME, NO_TIME)

    def events(self, records: pl.DataFrame, hosts: Codes | None) -> tuple[pl.DataFrame, Masked]:
        """Return what `pipeline.events.typed` says of records."""
        events, masked = typed(records, self.matcher, self._numbers, self.services, self.sources, hosts)
        self._note_times(events["time_us"])
        self._know_words()
        return events, masked

    def _note_times(self, time_us: pl.Series) -> None:
        times = time_us.to_numpy()
        timed = times[times != NO_TIME]
        if len(timed):
            low, high = int(timed.min()), int(timed.max())
            start, end = self.span_us
            self.span_us = (low if start == NO_TIME else min(start, low), max(end, high))

    def _know_words(self) -> None:
        """Look for words of trouble in the types that are new."""
        known, now = len(self.words), len(self.matcher.templates) + self.matcher.n_unseen
        if now > known:
            more = alarming([self.matcher.text_of(row) for row in range(known, now)])
            self.words = np.concatenate([self.words, more])

    def state(self) -> State:
        """Return everything `restore` needs."""
        unseen = self.matcher.state().meta
        names = {"services": self.services.names, "sources": self.sources.names}
        return State(meta={"unseen": unseen, **names, "span": self.span_us})

    def restore(self, state: State) -> None:
        """Go on where `state` was taken; there may be more in it."""
        meta = state.meta
        self.matcher.restore(State(meta=meta["unseen"]))
        for codes, names in ((self.services, meta["services"]), (self.sources, meta["sources"])):
            codes.of(pl.Series(names, dtype=pl.String))
        self.span_us = (meta["span"][0], meta["span"][1])
        self._know_words()
