"""GANFL's local model: sequences of fused event vectors, foretold and restored in embedding space."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from oddlog.detectors.sequences import Pieces, batches, ended, grid, mean_of_top, pieces, sampled, with_ends
from oddlog.detectors.trained import Drawn, Trained
from oddlog.errors import ConfigError
from oddlog.features.counts import RARE, UNSEEN, Columns, choose_columns
from oddlog.features.portable import TYPE, WIDTH, Portable
from oddlog.types import F32, F64, I64, Bool, Context, Scores, Windows

if TYPE_CHECKING:
    import torch

    from oddlog.detectors.deep.ganfl import FusedEncoder
    from oddlog.detectors.deep.recipes import Loss

MAX_TYPES = 1_024
"""Types told apart; the rest, the rarest, share one place in the embedding space."""
MAX_WINDOWS, MAX_VALIDATION = 20_000, 2_500
MAX_STEPS, WARM = 120, 24
"""Events a network sees at once, and those that a later piece of a longer window sees before the first it scores."""
LONGEST = MAX_STEPS + 2
"""With a step before the first event and one for the end."""
MAX_CELLS, MAX_LOGITS = 1 << 14, 1 << 22
"""Steps of a batch, and steps x types (16 MiB of float32)."""
BEGIN, CLOSE, HIDDEN = WIDTH, WIDTH + 1, WIDTH + 2
"""Columns behind those of the events: marks of begin and end, and what is hidden or lies before a piece."""
PATTERN = 4
"""Passes in which every fourth event is hidden, so that each is once."""


@dataclass(kw_only=True, eq=False, repr=False)
class Ganfl(Trained):
    """How little an event is expected by what came before it, and by what stands around it.

    Each event is a vector of text, level, service, numbers and times (`features.portable`), with a step before the
    first and one for the end of a window that is over. A transformer reads them twice: looking back only, it
    foretells the next event; looking both ways, it restores hidden ones. Both heads answer in embedding space, where
    each type of the site stands by its text, so that **no layer is sized by a site's types**, services or numbers:
    sites with other logs can share all weights. A third term draws the mean of a usual window's steps to a centre.

    An event's score is the mean of its two negative log-likelihoods. A window's is the mean of the highest one of
    each (its end among what is foretold), and `sphere` times its distance to the centre.

    Parameters
    ----------
    width, layers : int
        Sizes of the network; the width a multiple of 4.
    sphere : float
        How much the squared distance to the centre counts in training and in a window's score.
    rate, batch, steps, patience, seed, checkpoints, progress
        As of `trained.Trained`.

    Notes
    -----
    GANFL (the second paper): its local model embeds the template's text "BERT-style", fuses it with numbers and time,
    and encodes the sequence; layers, sizes and heads are not given. Chosen here: the frozen text encoder of
    `features.text`, one causal and one bidirectional pass of the same transformer (Vaswani et al. 2017, arXiv
    1706.03762), hidden events and the hypersphere of LogBERT (Guo, Yuan and Wu, IJCNN 2021, arXiv 2103.04475), and a
    likelihood over the site's own types in place of an output per type.

    Sites that learn together: `prepare` learns what stays at a site, then `get_weights`, `set_weights` and `train`.

    """

    name = "ganfl"
    reads = frozenset({"template", "order", "time", "level", "service", "numbers"})
    search: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "width": (32, 48, 64),
        "layers": (1, 2, 3),
        "rate": (1e-3, 2e-3, 3e-3),
        "batch": (32, 64, 128),
    }
    """What `oddlog tune` tries; the loss on the validation windows is alike for all of it."""

    width: int = 48
    layers: int = 2
    sphere: float = 0.1
    rate: float = 2e-3
    batch: int = 64
    steps: int = 800

    _portable: Portable = field(init=False)
    _columns: Columns = field(init=False)
    _types: F32 = field(init=False)  # [v, f']

    def _learn(self, usual: Windows, validation: Windows, context: Context, seed: int) -> None:
        self._begin(usual, context)
        self._train(
            self._network(),
            self._loss(),
            self._examples(usual, MAX_WINDOWS, seed),
            self._examples(validation, MAX_VALIDATION, seed),
            seed,
        )
        self._draw(self._graphs_of(self._weights))

    def _begin(self, windows: Windows, context: Context) -> None:
        """Learn what stays at a site."""
        self._portable = Portable.learn(windows, context)
        self._columns = choose_columns(windows, len(context.templates), MAX_TYPES)
        self._types = _table(self._portable, self._columns)

    def prepare(self, windows: Windows, context: Context) -> Self:
        """Learn from usual windows what stays at a site (yardsticks, its types' places) and begin with drawn weights.

        Equal seeds draw equal weights at every site.
        """
        self._require_extra()
        from oddlog.detectors.deep import weights  # noqa: PLC0415 - of the extra

        self._begin(windows, context)
        with weights.seeded(self._seed_in(context)):
            self._weights = weights.weights_of(self._network()())
        self.training = {"steps": 0, "best_step": 0, "loss": None, "stopped": "only prepared"}
        self._draw(self._graphs_of(self._weights))
        return self

    def get_weights(self) -> dict[str, F32]:
        """Return a copy of all weights, sorted by name; their shapes depend on `width` and `layers` only."""
        return {name: self._weights[name].copy() for name in sorted(self._weights)}

    def set_weights(self, weights: Mapping[str, F32]) -> None:
        """Take over weights of the same names and shapes.

        Raises
        ------
        ConfigError
            If names or shapes differ, or a weight is not a finite number.

        """
        _check(weights, self._weights)
        self._weights = {name: np.array(weights[name], np.float32) for name in self._weights}
        self._draw(self._graphs_of(self._weights))

    def train(self, windows: Windows, steps: int, seed: int, *, proximal: float = 0.0) -> int:
        """Go on from the weights for some steps; return how many were taken.

        Parameters
        ----------
        windows : Windows
            Usual ones.
        steps : int
            Of Adam, its rate falling linearly.
        seed : int
            Of batches and what is hidden.
        proximal : float
            How strongly the weights are held to those it began with: mu of FedProx (Li et al., MLSys 2020, equation
            2, arXiv 1812.06127).

        """
        from oddlog.detectors.deep import ganfl, recipes  # noqa: PLC0415 - of the extra

        if not len(windows) or not steps:
            return 0
        recipe = recipes.Recipe(rate=self.rate, batch=self.batch, steps=steps, seed=seed)
        examples = recipes.Examples(*self._examples(windows, MAX_WINDOWS, seed))
        self._weights, taken = ganfl.go_on(self._network()(), self._weights, self._loss(), examples, recipe, proximal)
        self._draw(self._graphs_of(self._weights))
        return taken

    def score(self, windows: Windows) -> Scores:
        """Return how surprising the most surprising steps of each window are, and each event."""
        event, end, restored, far = self._surprises(windows)
        foretold = mean_of_top(*with_ends(event, end, windows), 1)
        missed = np.nan_to_num(mean_of_top(restored.astype(np.float64), windows.offsets, 1))
        return Scores((foretold + missed) / 2 + self.sphere * far, (event + restored) / np.float32(2))

    def _arrays(self) -> dict[str, Any]:
        own = {"lookup": self._columns.lookup, "row": self._columns.row, "types": self._types}
        return {**self._portable.arrays(), **own}

    def _meta(self) -> dict[str, Any]:
        return {"portable": self._portable.meta()}

    def _take(self, arrays: Mapping[str, Any], meta: Mapping[str, Any], context: Context) -> None:  # noqa: ARG002
        self._portable = Portable.from_arrays(arrays, meta["portable"])
        self._columns, self._types = Columns(arrays["lookup"], arrays["row"]), arrays["types"]

    def _network(self) -> Callable[[], FusedEncoder]:
        from oddlog.detectors.deep import ganfl  # noqa: PLC0415 - of the extra

        return partial(ganfl.FusedEncoder, HIDDEN + 1, TYPE, self.width, self.layers, LONGEST)

    def _loss(self) -> Loss:
        from oddlog.detectors.deep import ganfl  # noqa: PLC0415 - of the extra

        return ganfl.loss_of(self._types, self.sphere)

    @staticmethod
    def _graphs_of(weights: dict[str, F32]) -> dict[str, bytes]:
        from oddlog.detectors.deep import ganfl  # noqa: PLC0415 - of the extra

        return {"next": ganfl.foretold(weights, LONGEST), "masked": ganfl.restored(weights, LONGEST)}

    def _examples(self, windows: Windows, most: int, seed: int) -> Drawn:
        """Return the windows' pieces, weighted by the square root of how many windows each stands for."""
        import torch  # noqa: PLC0415 - of the extra

        some = windows.take(sampled(windows.weight, most, seed))
        weight, over = np.sqrt(some.weight), ended(some)
        found = pieces(some.offsets, MAX_STEPS, WARM)
        found = found.take(sampled(weight[found.window], most, seed))

        def load(index: I64) -> tuple[torch.Tensor, ...]:
            x, lengths, targets, events, scored = self._batch(some, found.take(index), over)
            share = (scored / np.maximum(scored.sum(1, keepdims=True), 1)).astype(np.float32)
            return tuple(torch.from_numpy(array) for array in (x, lengths, targets, events, share))

        return found.length + 2, weight[found.window], load

    def _batch(self, windows: Windows, part: Pieces, over: Bool) -> tuple[F32, I64, I64, Bool, Bool]:
        """Return vectors [b, s, f], real steps [b], what follows each step, events, and what is scored, all [b, s].

        Step 0 is the begin (or what lies before a piece), step i + 1 event i of the piece, the step behind the last
        event the end, where the window is over.
        """
        length, closes = part.length, part.last & over[part.window]
        b, s = len(part), int(length.max()) + 2
        at, real = grid(part.start, length, s - 2)
        x = np.zeros((b, s, HIDDEN + 1), np.float32)
        begins = part.start == windows.offsets[part.window]
        x[:, 0, BEGIN], x[:, 0, HIDDEN] = begins, ~begins
        x[closes, length[closes] + 1, CLOSE] = 1
        targets = np.full((b, s), self._columns.width, np.int64)
        events, scored = np.zeros((b, s), np.bool_), np.zeros((b, s), np.bool_)
        if real.any():
            first = np.broadcast_to(windows.offsets[part.window][:, None], at.shape)
            x[:, 1:-1, :WIDTH][real] = self._portable.vectors(windows, first[real], at[real])
            targets[:, :-2] = np.where(real, self._columns.of(windows.template)[at], targets[:, :-2])
            events[:, 1:-1], scored[:, :-2] = real, real & (at >= part.fresh[:, None])
        scored[closes, length[closes]] = True
        return x, length + 1 + closes, targets, events, scored

    def _surprises(self, windows: Windows) -> tuple[F32, F64, F32, F64]:
        """Return how little each event [e] and end [w] was foretold, each event restored [e], and distances [w]."""
        event, restored = (np.zeros(len(windows.template), np.float32) for _ in range(2))
        end, far = np.full(len(windows), np.nan), np.zeros(len(windows))
        found, over = pieces(windows.offsets, MAX_STEPS, WARM), ended(windows)
        cells = max(LONGEST, min(MAX_CELLS, MAX_LOGITS // (self._columns.width + 1)))
        for index in batches(found.length + 2, cells=cells):
            part = found.take(index)
            x, lengths, targets, events, scored = self._batch(windows, part, over)
            at, real = grid(part.start, part.length, x.shape[1] - 2)
            counts = real & scored[:, :-2]
            (foretold,) = self._run("next", {"x": x, "table": self._types, "targets": targets})
            event[at[counts]] = foretold[:, :-2][counts]
            closes = part.last & over[part.window]
            end[part.window[closes]] = foretold[closes, part.length[closes]]
            missed, distance = self._restored(x, lengths, targets, events)
            restored[at[counts]] = missed[:, 1:-1][counts]
            np.maximum.at(far, part.window, distance)
        return event, end, restored, far

    def _restored(self, x: F32, lengths: I64, targets: I64, events: Bool) -> tuple[F32, F64]:
        """Return how little each hidden event [b, s] was expected, each hidden once, and the mean distance [b]."""
        here = np.concatenate([targets[:, :1], targets[:, :-1]], axis=1)
        missed, far = np.zeros(targets.shape, np.float32), np.zeros(len(x))
        blank = np.zeros(HIDDEN + 1, np.float32)
        blank[HIDDEN] = 1
        for turn in range(PATTERN):
            hidden = events & (np.arange(x.shape[1]) % PATTERN == turn)
            feed = {"x": np.where(hidden[:, :, None], blank, x), "table": self._types}
            found, distance = self._run("masked", {**feed, "targets": here, "lengths": lengths})
            missed[hidden] = found[hidden]
            far += distance / PATTERN
        return missed, far


def _table(portable: Portable, columns: Columns) -> F32:
    """Return the type columns of each slot [v, f']: rare types have their mean."""
    of_type = portable.of_type
    found = of_type[columns.row]
    rare = np.flatnonzero(columns.lookup[:-1] == columns.of_slot(np.array([RARE]))[0])
    found[columns.row == RARE] = of_type[rare].mean(0) if len(rare) else of_type[-1]
    found[columns.row == UNSEEN] = of_type[-1]
    return found


def _check(given: Mapping[str, F32], known: Mapping[str, F32]) -> None:
    if given.keys() != known.keys():
        missing = ", ".join(sorted(known.keys() ^ given.keys())[:3])
        raise ConfigError(f"These weights are of another network: {missing} are not in both.", "Use equal options.")
    for name, value in known.items():
        if given[name].shape != value.shape:
            raise ConfigError(
                f"The weight '{name}' is {given[name].shape}, here it is {value.shape}.",
                "Use the same width and layers at every site.",
            )
        if not np.isfinite(given[name]).all():
            raise ConfigError(f"The weight '{name}' holds what is not a number.", "Leave out that update.")
