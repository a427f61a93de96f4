"""The first pass over the lines of a fit: count the message types, store the events of each view."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from oddlog.errors import TooLittleDataError
from oddlog.features.text import embed
from oddlog.incidents import alarming
from oddlog.pipeline.events import Codes, EventStore, event_columns
from oddlog.pipeline.judging.views import Cut
from oddlog.pipeline.planning import group_of, look, plan
from oddlog.pipeline.reading import Reading
from oddlog.pipeline.watching import NumberColumns, choose_numbers
from oddlog.rates import Counting, Origin, Wrote
from oddlog.templates import Masked, mask, mine, with_embedding
from oddlog.types import F64, I64, NO_TIME, Context, Number, Tally, Templates
from oddlog.windows import SessionChoice

MOST_TYPES = 2_000_000  # distinct masked texts: 337 MB measured
COMPACT_ROWS = 500_000
EVERY = 64  # one time in so many is kept for quantiles …
MOST_TIMES = 1_000_000  # … until there are so many: then every second of them is forgotten, and one in 128 is kept
FOLDS = 5


class Collected(ExitStack):
    """What a first pass collects, block by block.

    Attributes
    ----------
    stores : list of EventStore
        One for each view, in the plan's order; `key` (u64) stands where `template` will.
    services, sources, hosts : Codes
        Names met so far.
    start_us, end_us : int
        First and last time; `NO_TIME` if no record has one.
    counting : Counting or None
        Lines by minute, for the rates view; `key` is their type.
    wrote : Wrote
        Which source wrote lines of what.

    """

    def __init__(
        self,
        plan: list[tuple[str, Cut]],
        numbers: Sequence[Number],
        tally: Tally,
        counting: Counting | None = None,
        services: Sequence[str] = ("",),
        hosts: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.counting = counting
        self.wrote = Wrote()
        self.plan = plan
        self._numbers = NumberColumns(numbers)
        self.tally = tally
        self.services = Codes(services, what="services", tally=tally)
        self.sources = Codes(what="sources", tally=tally)
        self.hosts = Codes(hosts, what="hosts", tally=tally)
        self.start_us: int = NO_TIME
        self.end_us: int = NO_TIME
        self.records = 0
        self._types: list[pl.DataFrame] = []
        self._type_rows = 0
        self._known_types = 0
        self._times: list[I64] = []
        self._n_times = 0
        self._every = EVERY

    def __enter__(self) -> Self:
        super().__enter__()
        self.stores = [self.enter_context(EventStore(by=cut.partition())) for _, cut in self.plan]
        return self

    def add(self, records: pl.DataFrame) -> None:
        """Take in one block of records."""
        masked = mask(records["message"])
        shared = event_columns(records, self.services, self.sources, self.hosts)
        shared = shared.with_columns(pl.Series("key", masked.key), *self._numbers.of(records, masked))
        self.records += len(records)
        self._count_types(masked.distinct_key, masked.distinct_text, masked.inverse, shared)
        self._note_times(shared["time_us"].to_numpy())
        self.wrote.add(shared)
        if self.counting is not None:
            self.counting.add(records, shared.rename({"key": "type"}), words_of(masked))
        for i, ((name, cut), store) in enumerate(zip(self.plan, self.stores, strict=True)):
            events = shared.with_columns(group_of(records, name, cut))
            # The first view's store keeps every line: single lines are judged from it too.
            store.add(events if i == 0 else events.filter(pl.col("session").is_not_null()))

    def _count_types(self, key: np.ndarray, text: pl.Series, inverse: np.ndarray, shared: pl.DataFrame) -> None:
        counted = (
            pl.DataFrame({"at": inverse, "level": shared["level"], "count": shared["count"]})
            .group_by("at", "level")
            .agg(n=pl.col("count").sum().cast(pl.Int64))
        )
        texts = pl.DataFrame({"key": key, "text": text}).with_row_index("at")
        self._types.append(counted.join(texts, on="at").select("key", "text", "level", "n"))
        self._type_rows += len(counted)
        if self._type_rows > COMPACT_ROWS + self._known_types:
            self._compact()

    def _compact(self) -> None:
        types = pl.concat(self._types).group_by("key", "level").agg(text=pl.col("text").min(), n=pl.col("n").sum())
        types = types.select("key", "text", "level", "n").sort("n", "key", descending=[True, False])
        if len(types) > MOST_TYPES:
            self.tally.add(f"rare distinct messages beyond {MOST_TYPES:,}", len(types) - MOST_TYPES)
            types = types.head(MOST_TYPES)
        self._types = [types]
        self._known_types = self._type_rows = len(types)

    def origins(self) -> tuple[Origin, ...]:
        """Return which source wrote what; none if there is too much to be noted."""
        return self.wrote.origins(self.sources.names, self.services.names, self.hosts.names)

    def types(self) -> pl.DataFrame:
        """Return the distinct masked texts: ``key text level n`` (lines, the most frequent level), by key."""
        self._compact()
        return (
            self._types[0]
            .sort("key", "n", "level", descending=[False, True, False])
            .group_by("key", maintain_order=True)
            .agg(pl.col("text").first(), pl.col("level").first(), pl.col("n").sum())
        )

    def _note_times(self, time_us: I64) -> None:
        timed = time_us[time_us != NO_TIME]
        if not len(timed):
            return
        self.start_us = int(timed.min()) if self.start_us == NO_TIME else min(self.start_us, int(timed.min()))
        self.end_us = max(self.end_us, int(timed.max()))
        self._times.append(timed[:: self._every].copy())
        self._n_times += len(self._times[-1])
        if self._n_times > MOST_TIMES:
            self._times = [np.concatenate(self._times)[::2].copy()]
            self._n_times = len(self._times[0])
            self._every *= 2

    def recall_times(self, times_again: Callable[[int], I64], n: int) -> None:
        """Add the times of `n` lines that an older model remembers, as densely as those of the lines read here."""
        again = times_again(n // self._every)
        self._times += [again] if len(again) else []

    def quantiles(self, n: int) -> F64:
        """Return `n` quantiles of the times of all lines; none if they have no times."""
        every = np.concatenate([np.empty(0, np.int64), *self._times])
        return np.quantile(every, np.linspace(0, 1, n)) if len(every) else np.empty(0)

    def fold_edges(self) -> I64:
        """Return the times that cut the lines into `FOLDS` stretches of about as many lines each."""
        if not self._times:
            return np.empty(0, np.int64)
        shares = np.arange(1, FOLDS) / FOLDS
        return np.quantile(np.concatenate(self._times), shares, method="higher").astype(np.int64)


def words_of(masked: Masked) -> pl.Series:
    """Return which lines hold a word of trouble [lines], looked for in their distinct texts only."""
    return pl.Series("alarming", alarming(masked.distinct_text)[masked.inverse])


def folds(time_us: I64, edges: I64) -> I64:
    """Return the fold [x] of each time; without any times, `FOLDS` runs in the order given."""
    if not len(edges):
        return np.arange(len(time_us)) * FOLDS // max(len(time_us), 1)
    return np.searchsorted(edges, time_us, side="right").astype(np.int64)


@dataclass(frozen=True)
class First:
    """What the first pass over the records leaves: events in stores, templates, how windows are to be cut."""

    collected: Collected
    context: Context
    cuts: list[tuple[str, Cut]]
    choice: SessionChoice
    judged: list[dict[str, Any]]
    reading: Reading


@contextmanager
def first_pass(
    paths: str | Path | Sequence[str | Path],
    reading: Reading,
    session: str,
    entity: str,
    window: str,
    seed: int,
    say: Callable[[str, int], None],
    *,
    rates: bool,
    watch: bool = True,
) -> Iterator[First]:
    """Read everything once; the stores live as long as the block, the `reading` is for the caller to close.

    Numbers are kept where somebody will `watch` them.
    """
    head, records = look(reading, paths)
    if not len(head):
        raise TooLittleDataError("No record is left to learn from.", "Loosen --exclude, --since and --until.")
    cuts, choice = plan(head, session, entity, window)
    numbers, judged = choose_numbers(head)
    numbers = numbers if watch else ()
    del head  # 80 MB of lines that have served
    counting = Counting(reading.tally, entity) if rates else None
    with Collected(cuts, numbers, reading.tally, counting) as collected:
        for block in records:
            collected.add(block)
        say("mining templates", 0)
        templates = _templates(collected, reading.tally)
        context = Context(templates, numbers, tuple(collected.services.names), seed)
        yield First(collected, context, cuts, choice, judged, reading)


def _templates(collected: Collected, tally: Tally) -> Templates:
    types = collected.types()
    templates = mine(
        types["key"].to_numpy(), types["text"], types["n"].to_numpy(), types["level"].to_numpy(), tally=tally
    )
    return with_embedding(templates, embed)
