"""LogBERT: hidden message types told from those around them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from oddlog.detectors.sequences import (
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
from oddlog.features.counts import choose_columns
from oddlog.features.hashing import mix
from oddlog.types import F32, F64, I64, Bool, Context, Scores, Windows

MAX_STEPS, WARM = 120, 24
LONGEST = MAX_STEPS + 2
MAX_CELLS, MAX_LOGITS = 1 << 14, 1 << 22
PATTERN = 4
"""Passes in which every fourth step is hidden, so that each is once."""


@dataclass(kw_only=True, eq=False, repr=False)
class LogBert(Tokened):
    """How little a type is expected among those around it, and how far a window lies from the usual ones.

    A transformer reads a window's types, both ways, and tells those that are hidden; a second term draws what it makes
    of the step before the first (DIST) to a centre. In scoring, each type, and the end of a window that is over, is
    hidden once; its score is its negative log-likelihood. A window's is its highest, and `sphere` times the distance.

    Parameters
    ----------
    paper : bool
        Score as the paper does: as large a share is hidden as in training, a type is missed that is none of the g
        likeliest, and a window's score is how many are, divided by r; above 1 is the paper's verdict.
    g, r : int
        How many of the likeliest types pass for usual, and how many misses do.
    hidden : float
        Share of the types that is hidden in training.
    sphere : float
        How much the squared distance to the centre counts.
    width, layers : int
        Sizes of the network; the width a multiple of 4.
    rate, batch, steps, patience, seed, checkpoints, progress
        As of `trained.Trained`.

    Notes
    -----
    Guo, Yuan and Wu, "LogBERT: Log anomaly detection via BERT", IJCNN 2021 (arXiv 2103.04475); read in the first
    author's thesis of that name (Utah State University, 2021): masked keys (its section 4.4.1, equations 4.4 and 4.5),
    hypersphere (4.4.2, equation 4.6), their weighted sum (4.7; the weight is not told, here .1), detection by
    candidates (4.5: as many are masked as in training, g and r tuned on a validation set). Ours differs: each step is
    hidden once, in four passes, in place of one random draw; the end is a type; likelihoods in place of a count.
    ``paper=True`` keeps the count; what it hides is drawn from the places in the window, so that a score can be
    repeated, and g and r are what you say. Two layers as there (5.3), 48 wide where inputs have 50 and hidden ones 256.

    """

    name = "logbert"
    cut = (MAX_STEPS, WARM)
    marks = 2
    search: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "width": (32, 48, 64),
        "layers": (1, 2, 3),
        "hidden": (0.15, 0.3, 0.5),
        "rate": (1e-3, 2e-3, 3e-3),
    }
    """What `oddlog tune` tries; the loss on the validation windows is alike for all of it."""

    paper: bool = False
    g: int = 9
    r: int = 1
    hidden: float = 0.3
    sphere: float = 0.1
    width: int = 48
    layers: int = 2
    rate: float = 2e-3
    batch: int = 64

    def _learn(self, usual: Windows, validation: Windows, context: Context, seed: int) -> None:
        from oddlog.detectors.deep import logbert  # noqa: PLC0415 - of the extra

        self._columns = choose_columns(usual, len(context.templates), MAX_TYPES)
        self._train(
            partial(logbert.MaskedKeys, self._mask + 1, self._end + 1, self.width, self.layers, LONGEST),
            logbert.loss_of(self._mask, self.hidden, self.sphere),
            self._examples(usual, MAX_WINDOWS, seed),
            self._examples(validation, MAX_VALIDATION, seed),
            seed,
        )
        self._draw({"masked": logbert.graph(self._weights, LONGEST)})

    @property
    def verdict_above(self) -> float | None:
        """The score above which the paper calls a window odd; without `paper` it has none."""
        return 1.0 if self.paper else None

    def score(self, windows: Windows) -> Scores:
        """Return how surprising each window's most surprising step is, and each event."""
        first, inverse = self._alike(windows)
        distinct = windows.take(first)
        event, end, far = self._missed(distinct) if self.paper else self._surprises(distinct)
        if self.paper:
            missed = np.where(np.nan_to_num(event) > 1, 1.0, 0.0)
            window = np.bincount(distinct.window_of_event, missed, minlength=len(distinct)) / self.r
        else:
            window = mean_of_top(*with_ends(event, end, distinct), 1) + self.sphere * far
        return Scores(window[inverse], spread(event, distinct, inverse, windows))

    @property
    def _mask(self) -> int:
        """The token of what is hidden, behind the end and the step before the first (DIST)."""
        return self._columns.width + 2

    def _tensors(self, windows: Windows, part: Pieces) -> tuple[Any, ...]:
        return self._batch(windows, part)[:3]

    def _batch(self, windows: Windows, part: Pieces) -> tuple[I64, I64, Bool, Bool, I64]:
        """Return tokens [b, s], real steps [b], which may be hidden [b, s], which are events [b, s - 2], and which."""
        closes = part.last & ended(windows)[part.window] & (not self.paper)
        length = part.length
        b, s = len(part), int(length.max()) + 2
        at, real = grid(part.start, length, s - 2)
        tokens = np.full((b, s), self._end, np.int64)
        tokens[:, 0] = self._end + 1
        if real.any():
            tokens[:, 1:-1] = np.where(real, self._columns.of(windows.template)[at], self._end)
        steps = np.zeros((b, s), np.bool_)
        steps[:, 1:-1] = real
        steps[closes, length[closes] + 1] = True
        return tokens, length + 1 + closes, steps, real & (at >= part.fresh[:, None]), at

    def _surprises(self, windows: Windows) -> tuple[F32, F64, F64]:
        """Return the surprise at each event [e] and end [w] when hidden, and each window's distance [w]."""
        event = np.zeros(len(windows.template), np.float32)
        end, far = np.full(len(windows), np.nan), np.zeros(len(windows))
        for part, (tokens, lengths, steps, fresh, at) in self._batches(windows):
            missed = np.zeros(tokens.shape, np.float32)
            for turn in range(PATTERN):
                hidden = steps & (np.arange(tokens.shape[1]) % PATTERN == turn)
                surprise, _, distance = self._missing(tokens, lengths, hidden)
                missed[hidden] = surprise[hidden]
                np.maximum.at(far, part.window, distance.astype(np.float64))
            event[at[fresh]] = missed[:, 1:-1][fresh]
            closes = np.flatnonzero(steps[np.arange(len(part)), part.length + 1])
            end[part.window[closes]] = missed[closes, part.length[closes] + 1]
        return event, end, far

    def _missed(self, windows: Windows) -> tuple[F32, F64, F64]:
        """Return the rank of each hidden event among what was likelier, divided by g [e]; NaN where none is hidden."""
        event = np.full(len(windows.template), np.nan, np.float32)
        for part, (tokens, lengths, steps, fresh, at) in self._batches(windows):
            place = at - windows.offsets[part.window][:, None]
            drawn = mix(place.astype(np.uint64)) < np.uint64(min(self.hidden, 1 - 1e-9) * 2**64)
            hidden = np.zeros(tokens.shape, np.bool_)
            hidden[:, 1:-1] = steps[:, 1:-1] & (drawn | (place == 0))  # a window of one event has one hidden
            _, rank, _ = self._missing(tokens, lengths, hidden)
            rank = np.where(tokens == self._columns.width - 1, max(self._end, self.g) + 1, rank)
            told = fresh & hidden[:, 1:-1]
            event[at[told]] = rank[:, 1:-1][told] / self.g
        nothing = np.zeros(len(windows))
        return event, nothing, nothing

    def _batches(self, windows: Windows) -> Iterator[tuple[Pieces, tuple[I64, I64, Bool, Bool, I64]]]:
        """Return pieces of like length, and their batch; at most so many steps x types at once."""
        found = pieces(windows.offsets, MAX_STEPS, WARM)
        cells = max(LONGEST, min(MAX_CELLS, MAX_LOGITS // self._mask))
        for index in batches(found.length + 2, cells=cells):
            part = found.take(index)
            yield part, self._batch(windows, part)

    def _missing(self, tokens: I64, lengths: I64, hidden: Bool) -> tuple[F32, F32, F32]:
        targets = np.minimum(tokens, self._end)  # the step before the first is no type: it is never asked for
        feed = {"tokens": np.where(hidden, self._mask, tokens), "lengths": lengths, "targets": targets}
        surprise, rank, far = self._run("masked", feed)
        return surprise, rank, far
