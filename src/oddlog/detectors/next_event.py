"""LSTM that foretells the next event, begin and end of a window included."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from oddlog.detectors.sequences import (
    MAX_CELLS,
    Pieces,
    batches,
    ended,
    grid,
    mean_of_top,
    pieces,
    spread,
    with_ends,
)
from oddlog.detectors.tokened import MAX_TYPES, MAX_VALIDATION, MAX_WINDOWS, Tokened
from oddlog.features.counts import RARE, UNSEEN, Columns, choose_columns
from oddlog.types import F32, F64, I64, U32, Context, Scores, Windows

if TYPE_CHECKING:
    from torch import nn

MAX_STEPS = 256
"""Events a network sees at once; longer windows are cut into pieces."""
WARM = 32
"""Events that a later piece sees before the first that it scores."""
MAX_LOGITS = 1 << 22
"""Steps x types of a batch (16 MiB of float32)."""


@dataclass(frozen=True)
class Expectations:
    """What was expected where each window surprised most.

    Attributes
    ----------
    window, event : I64 [x]
        Positions in the windows that were given; event -1: the end came instead of another event.
    expected : U32 [x, 3]
        Template rows, likeliest first; k stands for an unseen or rare type, k + 1 for the end of the window.
    probability : F32 [x, 3]
        How likely they were.
    seen : F32 [x]
        How likely what came was.

    """

    window: I64
    event: I64
    expected: U32
    probability: F32
    seen: F32


@dataclass(kw_only=True, eq=False, repr=False)
class NextEvent(Tokened):
    """How little a network that has read a window so far expects what comes next.

    Each event is a token (its type; one slot for the rarest types, one for unseen ones), with a mark before the
    first and, in windows that are over, one after the last. An LSTM learns the probability of each next token from
    the distinct usual windows, weighted by the square root of how many they stand for. An event's score is its
    negative log-likelihood; a window's is its highest, its end included.

    Parameters
    ----------
    embedding, width, layers : int
        Sizes of the network.
    top : int
        How many of a window's most surprising steps make its score, the mean of their negative log-likelihoods.
    rate, batch, steps, patience, seed, checkpoints, progress
        As of `trained.Trained`.

    Notes
    -----
    Du, Li, Zheng and Srikumar, "DeepLog", CCS 2017 (doi 10.1145/3133956.3134015), with marks of begin
    and end and the likelihood instead of a rank among the first g. Windows longer than 256 events are cut into
    pieces, each of which sees the 32 events before its first.

    """

    name = "next-event"
    cut = (MAX_STEPS, WARM)
    marks = 1
    search: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "embedding": (16, 32, 64),
        "width": (32, 64, 96, 128),
        "layers": (1, 2),
        "rate": (1e-3, 3e-3, 5e-3, 1e-2),
        "batch": (32, 64, 128),
    }
    """What `oddlog tune` tries; the loss on the validation windows is alike for all of it."""

    prefix = ""

    embedding: int = 64
    width: int = 96
    layers: int = 1
    steps: int = 1_500
    top: int = 1

    def _learn(self, usual: Windows, validation: Windows, context: Context, seed: int) -> None:
        from oddlog.detectors.deep import next_event  # noqa: PLC0415 - of the extra: scoring needs none

        self._columns = self._chosen(usual, context)
        self._train(
            self._network(context),
            next_event.loss_of(self._dropped),
            self._examples(usual, MAX_WINDOWS, seed),
            self._examples(validation, MAX_VALIDATION, seed),
            seed,
        )
        self._draw(self._graphs_of(self._weights))

    def _chosen(self, usual: Windows, context: Context) -> Columns:
        """Return the slots of the types."""
        return choose_columns(usual, len(context.templates), MAX_TYPES)

    def _graphs_of(self, weights: dict[str, F32]) -> dict[str, bytes]:
        """Return the graphs that score and that explain."""
        from oddlog.detectors.deep import export  # noqa: PLC0415 - of the extra

        counted = self._counted
        return {"surprise": export.surprise(weights, counted), "expected": export.expected(weights, counted)}

    @property
    def _counted(self) -> int:
        """How many of the last events are counted by type besides; 0: the network does not count."""
        return 0

    @property
    def _dropped(self) -> int | None:
        """The token that some events are taken for while training."""
        return self._columns.width - 1

    def _network(self, context: Context) -> Callable[[], nn.Module]:  # noqa: ARG002 - for who reads texts
        """Return what makes the network, with weights as torch draws them."""
        from oddlog.detectors.deep.networks import NextEvent as Network  # noqa: PLC0415 - of the extra

        return partial(Network, self._begin + 1, self._begin, self.embedding, self.width, self.layers)

    def score(self, windows: Windows) -> Scores:
        """Return how surprising each window's most surprising steps are, and each event."""
        first, inverse = self._alike(windows)
        distinct = windows.take(first)
        event, end = self._surprise(distinct)
        steps, offsets = with_ends(event, end, distinct)
        window = mean_of_top(steps, offsets, self.top)[inverse]
        return Scores(window, spread(event, distinct, inverse, windows))

    def expectations(self, windows: Windows) -> Expectations:
        """Return what was expected in place of each window's most surprising step."""
        event, end = self._surprise(windows)
        steps, offsets = with_ends(event, end, windows)
        window = np.flatnonzero(np.diff(offsets))
        order = np.lexsort((steps, np.repeat(np.arange(len(windows)), np.diff(offsets))))
        worst = order[offsets[1:][window] - 1] - offsets[window]  # rank within its window
        at_end = worst == windows.lengths[window]
        found = self._expected(windows, window, worst, at_end)
        return Expectations(window, np.where(at_end, -1, windows.offsets[window] + worst), *found)

    @property
    def _begin(self) -> int:
        return self._columns.width + 1

    def _tensors(self, windows: Windows, part: Pieces) -> tuple[Any, ...]:
        tokens, targets, scored = self._batch(windows, part)
        return tokens, targets, (scored / np.maximum(scored.sum(1, keepdims=True), 1)).astype(np.float32)

    def _batch(self, windows: Windows, part: Pieces) -> tuple[I64, I64, Any]:
        """Return tokens, targets and which steps count of each piece, all [b, t].

        Step i of a piece reads the event before its i-th (the begin mark, for a window's first) and foretells the
        i-th; one more step foretells the end, which counts only where the window is over.
        """
        length = part.length
        at, real = grid(part.start, length, int(length.max()) + 1)
        event = self._columns.of(windows.template) if len(windows.template) else np.zeros(1, np.int64)
        begins = part.start == windows.offsets[part.window]
        before = np.where(begins, self._begin, event[np.maximum(part.start - 1, 0)])
        targets = np.where(real, event[at], self._end)
        tokens = np.concatenate([before[:, None], targets[:, :-1]], axis=1)
        rank = np.arange(targets.shape[1])
        counts = real & (at >= part.fresh[:, None])
        last = (part.last & ended(windows)[part.window])[:, None] & (rank == length[:, None])
        return tokens, targets, counts | last

    def _surprise(self, windows: Windows) -> tuple[F32, F64]:
        """Return the negative log-likelihood of each event [e] and of each window's end [w], NaN where none is due."""
        event = np.zeros(len(windows.template), np.float32)
        end = np.full(len(windows), np.nan)
        found = pieces(windows.offsets, MAX_STEPS, WARM)
        cells = max(MAX_STEPS + 1, min(MAX_CELLS, MAX_LOGITS // self._begin))
        over = ended(windows)
        for index in batches(found.length + 1, cells=cells):
            part = found.take(index)
            tokens, targets, counts = self._batch(windows, part)
            (nll,) = self._run("surprise", {"tokens": tokens, "targets": targets})
            at, real = grid(part.start, part.length, tokens.shape[1])
            event[at[real & counts]] = nll[real & counts]
            closes = part.last & over[part.window]
            end[part.window[closes]] = nll[closes, part.length[closes]]
        return event, end

    def _expected(self, windows: Windows, window: I64, rank: I64, at_end: Any) -> tuple[U32, F32, F32]:
        """Return expected rows [x, 3], their probabilities [x, 3] and that of what came [x]."""
        expected, probability = np.zeros((len(window), 3), np.uint32), np.zeros((len(window), 3), np.float32)
        seen = np.zeros(len(window), np.float32)
        # what leads to each step: the events before it, as in the piece that scored it
        first = windows.offsets[window]
        nth = np.maximum(-(-(rank + 1 - MAX_STEPS) // (MAX_STEPS - WARM)), 0)
        nth = np.where(at_end, np.maximum(-(-(rank - MAX_STEPS) // (MAX_STEPS - WARM)), 0), nth)
        start = first + nth * (MAX_STEPS - WARM)
        part = Pieces(window, start, first + rank + ~at_end, start, at_end)
        rows = np.append(self._columns.row, self._columns.k + 1)  # the last slot is the end
        rows = np.where((rows == RARE) | (rows == UNSEEN), self._columns.k, rows)
        for index in batches(part.length + 1):
            one = part.take(index)
            tokens, targets, _ = self._batch(windows, one)
            at = first[index] + rank[index] - one.start
            target = targets[np.arange(len(index)), at]
            feed = {"tokens": tokens, "at": at, "target": target}
            p, slots, came = self._run("expected", feed)
            expected[index], probability[index], seen[index] = rows[slots].astype(np.uint32), p, came
        return expected, probability, seen
