"""What a site has and does by itself: windows of its logs, training, how good a network is, the member in the end.

::

    70 % of the usual windows, by time   learned from
    15 %                                 utility of updates; which network is kept in the end
    15 %                                 for calibration alone: `pooling` and the site's model
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any, cast

import numpy as np

from oddlog import detectors
from oddlog.calibration import Tail, lowest_rate
from oddlog.errors import ConfigError
from oddlog.federated.aggregation import pulled_back
from oddlog.federated.choosing import Judged, clearly_better
from oddlog.federated.layers import Layers, names_of
from oddlog.federated.layout import Layout
from oddlog.federated.pooling import ALIKE, COARSE, RATE, Pool, blurred, closeness, counted
from oddlog.federated.privacy import Veil
from oddlog.pipeline.learning.corrupting import corrupted
from oddlog.pipeline.learning.members import HELD_OUT, LEARNED_FROM, STOPPED_BY, Calibrated, shares
from oddlog.pipeline.learning.usual import Told, usual_and_told, usual_windows
from oddlog.types import F32, F64, Context, Detector, Federable, Windows

BUCKETS = 64
"""Of the histogram of message types: the signs of the first six components of the frozen text embedding, so that
types of different systems fall together where their words do, and no bucket belongs to one type."""
MOST_JUDGED = 500
"""Validation windows that utility is measured on; each has a corrupted twin of every kind."""
GAIN = 0.02
"""By so much another network's utility must be higher for a site to keep it in place of the common one, as candidates
must gain to join a verdict. Without it fine-tuning was kept by chance, and cost AUC (HDFS, development)."""
STRETCHES = 4
"""Of a round's training, with a proximal step after each (FedProx)."""
OWN_PARTS = ("head", "norm")
"""What is fine-tuned at a site in the end: the weights with these words in their names, all if there are none."""


@dataclass
class Local:
    """A site's windows and its copy of the network.

    Attributes
    ----------
    detector : Federable
        With the weights last set.
    learned, judged, held : Windows
        To learn from, to measure by, and the last 15 %, for calibration.
    context : Context
        Of the site: its own templates.
    pool : Pool, optional
        Usual scores of all sites by the network that is set, once they are known.
    together : mapping of Detector
        Members that read counts, fitted to the usual windows of all sites, where these show them.
    veil : Veil, optional
        Hides single windows in whatever is sent.
    told : Told, optional
        Labelled windows that nobody learns from: all anomalous ones, and the usual ones of the last 15 %. They tell how
        well it goes, and change nothing.

    """

    detector: Federable
    learned: Windows
    judged: Windows
    held: Windows
    context: Context
    pool: Pool | None = None
    together: Mapping[str, Detector] = field(default_factory=dict)
    veil: Veil | None = None
    told: Told | None = None

    def __post_init__(self) -> None:
        """Keep what the network standardises by where this site is alone."""
        self.own = self.moments

    @classmethod
    def of(
        cls,
        paths: str | Path | Sequence[str | Path],
        name: str,
        *,
        seed: int = 0,
        labels: Path | None = None,
        **reading: Any,
    ) -> Local:
        """Read the logs at `paths` and return the site with an untrained network called `name`."""
        if labels is None:
            windows, context = usual_windows(paths, seed=seed, **reading)
            return cls.of_windows(windows, context, name, seed=seed)
        windows, context, told = usual_and_told(paths, labels, seed=seed, **reading)
        made = cls.of_windows(windows, context, name, seed=seed)
        made.told = _not_judged_by(told, made.held)
        return made

    @classmethod
    def of_windows(cls, windows: Windows, context: Context, name: str, *, seed: int = 0) -> Local:
        """Return the site with these usual windows [w], in order of time."""
        share = shares(windows.weight)
        learned = windows.take(share == LEARNED_FROM)
        detector = detectors.create(name, seed)
        if not hasattr(detector, "get_weights"):
            raise ConfigError(f"The detector '{name}' cannot be trained by several sites.", "Take one that can: ganfl.")
        if hasattr(detector, "prepare"):
            detector.prepare(learned, context)
        judged, held = windows.take(share == STOPPED_BY), windows.take(share == HELD_OUT)
        return cls(cast("Federable", detector), learned, judged, held, context)

    @property
    def layout(self) -> Layout:
        """How the weights stand in a vector."""
        return Layout.of(self.detector.get_weights())

    @property
    def layers(self) -> Layers | None:
        """The layers of the network, None if it cannot tell what goes into them."""
        return Layers.of(self.layout, names_of(self.detector))

    def inputs(self, layers: Layers, seed: int) -> F32:
        """Return second moments of what goes into each layer by the network that is set, packed."""
        return layers.packed(cast("Any", self.detector).get_inputs(self.learned, seed))

    @property
    def vector(self) -> F32:
        """The weights [p]."""
        weights = self.detector.get_weights()
        return Layout.of(weights).vector(weights)

    def set_vector(self, vector: F32) -> None:
        """Take over weights [p]."""
        self.detector.set_weights(self.layout.weights(vector))

    def trained(
        self, vector: F32, steps: int, seed: int, prox: float = 0.0, taken: tuple[int, int] | None = None
    ) -> F32:
        """Return the weights [p] after `steps` steps from `vector`; `prox` pulls them back to it (FedProx).

        `taken` are the steps of earlier rounds, and after how many the learning rate is half: so networks that learn
        apart drift apart by less from round to round. Without it a stretch of training has its own schedule.
        """
        self.set_vector(vector)
        later = {"taken": taken} if taken and "taken" in signature(self.detector.train).parameters else {}
        if self.veil is not None:
            return self._trained_behind(self.veil, vector, steps, seed)
        stretches = STRETCHES if prox else 1
        if prox and "proximal" in signature(self.detector.train).parameters:  # it holds itself back in every step
            cast("Any", self.detector).train(self.learned, steps, seed * STRETCHES, proximal=prox, **later)
            return self.vector
        for i, part in enumerate(np.diff(np.linspace(0, steps, stretches + 1).astype(int))):
            cast("Any", self.detector).train(self.learned, int(part), seed * STRETCHES + i, **later)
            if "taken" in later:
                later["taken"] = (later["taken"][0] + int(part), later["taken"][1])
            if prox:
                self.set_vector(pulled_back(self.vector, vector, prox))
        return self.vector

    def _trained_behind(self, veil: Veil, vector: F32, steps: int, seed: int) -> F32:
        if not hasattr(self.detector, "train_privately"):
            raise ConfigError(f"'{self.detector.name}' cannot be trained with differential privacy.", "Take spoken.")
        asked, of = f"update {seed}", self.learned
        veil.steps(asked, steps)
        draw = veil.noise(asked, vector, of.template, of.offsets, of.level)
        windows = max(float(self._types_behind(veil).sum()), 1.0)  # how many there are is only known with noise
        noise, rate = veil.privacy.of_training(round(windows))
        hidden = {"rate": rate, "clip": veil.privacy.clip, "noise": noise, "expected": rate * windows, "draw": draw}
        cast("Any", self.detector).train_privately(self.learned, steps, hidden)
        return self.vector

    def utility(self, vector: F32, seed: int = 0) -> float:
        """Return how well corrupted windows of the validation share are told from usual ones: the mean ROC AUC.

        .5 is as good as chance; a site without enough windows to judge by says .5, and so does one behind a veil.
        """
        return 0.5 if self.veil is not None else self.judging(vector, seed).utility()

    def judging(self, vector: F32, seed: int = 0) -> Judged:
        """Return how weights [p] score the validation share and its corrupted twins."""
        self.set_vector(vector)
        every = max(1, len(self.judged) // MOST_JUDGED)
        usual = self.judged.take(np.arange(0, len(self.judged), every))
        twins = corrupted(usual, self.learned, seed, len(self.context.templates))
        scored = [(self.detector.score(spoiled).window, of) for spoiled, of in twins.values() if len(spoiled)]
        return Judged(self.detector.score(usual).window, usual.weight, scored)

    def loss(self, vector: F32) -> float:
        """Return the mean score of usual validation windows by weights [p]; NaN without any."""
        self.set_vector(vector)
        every = max(1, len(self.judged) // MOST_JUDGED)
        usual = self.judged.take(np.arange(0, len(self.judged), every))
        score = np.nan_to_num(self.detector.score(usual).window, nan=0.0)
        return float(np.average(score, weights=usual.weight)) if len(usual) else float("nan")

    def f1(self, vector: F32) -> float | None:
        """Return F1 over the labelled windows by weights [p], None without any, or behind a veil.

        What is odd is what 1 usual window in 1,000 exceeds by the tail that this site goes by: that of all sites once
        it is known and decides, else of its own middle 15 %; at a higher rate where these are too few for that. The
        usual windows that are counted are the last 15 %: a threshold set by the very windows that it is tried on makes
        no false alarms. (In the tail of all sites they are, among those of all.)
        """
        if self.told is None or self.veil is not None:
            return None
        self.set_vector(vector)
        own = self.judged
        pooled = self.pool if self.pool is not None and self.pool.decides() else None
        tail = pooled.tail if pooled else Tail.fit(self.detector.score(own).window, own.weight)
        rate = max(RATE, lowest_rate(pooled.n_usual if pooled else float(own.weight.sum())))
        odd = self.detector.score(self.told.windows).window > tail.quantile(rate)
        anomalous = self.told.label == 1
        found = float((odd & anomalous).sum())
        return 2 * found / max(float(odd.sum() + anomalous.sum()), 1.0)

    def histogram(self) -> F64:
        """Return how often each bucket of message types is met, scaled so that it sums to the windows [64]."""
        windows = self.learned
        if self.veil is not None:
            return np.maximum(self._types_behind(self.veil), 0.0)
        counted = windows.template < len(self.context.templates)
        weight = windows.weight[windows.window_of_event][counted]
        of_type = buckets(self.context.templates.embedding)
        count = np.bincount(of_type[windows.template[counted]], weight, minlength=BUCKETS).astype(np.float64)
        return np.asarray(count * windows.weight.sum() / max(count.sum(), 1e-12), np.float64)

    def _types_behind(self, veil: Veil) -> F64:
        """Return the histogram of which each window is 1 in all, at most, with noise; some of it may be below 0."""
        windows = self.learned
        counted = windows.template < len(self.context.templates)  # a table that is full leaves types without a row
        of_type = buckets(self.context.templates.embedding)
        share = 1 / np.maximum(windows.lengths, 1)[windows.window_of_event]
        count = np.bincount(of_type[windows.template[counted]], share[counted], minlength=BUCKETS).astype(np.float64)
        return veil.hidden("histogram", count, veil.privacy.of_histogram)

    def sums(self) -> F64:
        """Return what is summed over all sites before learning: the histogram, then the moments of the network [s].

        A network that standardises by moments of all sites has ``get_sums`` and ``set_sums``.
        """
        own = self.detector.get_sums() if hasattr(self.detector, "get_sums") else np.empty(0)
        own = own if self.veil is None else np.zeros(len(own))  # features have a public scale then
        return np.concatenate([self.histogram(), np.asarray(own, np.float64)])

    def counted(self, vector: F32) -> F64:
        """Return this site's usual scores by weights [p], counted into the public grid: of windows not learned from.

        The middle 15 % too: they only say which update counts by how much. Half the windows make thresholds swing far
        more than that choice can bend them (HDFS, development).
        """
        self.set_vector(vector)
        windows = Windows.concat([self.judged, self.held])
        scores = self.detector.score(windows).window
        if self.veil is None:
            return counted(scores, windows.weight)
        count, noise = blurred(counted(scores, np.ones(len(windows)))), self.veil.privacy.of_scores
        hidden = self.veil.hidden("scores", count[COARSE // 2 :: COARSE], noise, vector)
        count[COARSE // 2 :: COARSE] = hidden
        return count

    def set_pool(self, everyone: F64, sums: F64, alike: str = "auto") -> None:
        """Take over the usual scores of all sites, given the sums of all of them [s]; an empty array is none."""
        own = float(self.judged.weight.sum() + self.held.weight.sum())
        near = self.nearness(sums, alike)
        self.pool = Pool(np.asarray(everyone, np.float64), near, own) if len(everyone) else None

    @property
    def for_fit(self) -> Detector | Calibrated:
        """What `oddlog.fit` takes as trained: the network, with the tail of all sites where it goes by that."""
        if self.pool is None or not self.pool.decides():
            return self.detector
        return Calibrated(self.detector, self.pool.tail, self.pool.n_usual)

    def members(self, chosen: Sequence[str] | None) -> dict[str, Detector | Calibrated]:
        """Return the members that were trained together, of those that a verdict is to have (None: the default)."""
        wanted = detectors.DEFAULT if chosen is None else chosen
        together = {name: one for name, one in self.together.items() if name in wanted}
        return {self.detector.name: self.for_fit, **together}

    def set_sums(self, everyone: F64) -> None:
        """Take over the sums of all sites [s]."""
        if self.veil is not None and hasattr(self.detector, "public_sums"):
            cast("Any", self.detector).set_sums(self.detector.public_sums())
        elif hasattr(self.detector, "set_sums"):
            self.detector.set_sums(everyone[BUCKETS:])

    @property
    def moments(self) -> F64:
        """What the network standardises by now [s]; nothing where it has no such sums."""
        return self.detector.get_sums() if hasattr(self.detector, "get_sums") else np.empty(0)

    def put(self, vector: F32, moments: F64) -> None:
        """Take over weights [p] and what goes with them."""
        if len(moments):
            cast("Any", self.detector).set_sums(moments)
        self.set_vector(vector)

    def alone(self, initial: F32, steps: int, seed: int) -> F32:
        """Return weights [p] that have learned here only, by this site's own moments."""
        self.put(initial, self.own)
        return self.trained(initial, steps, seed)

    def alike(self, sums: F64, alike: str = "auto") -> bool:
        """Return whether this site's message types are those of the others, given the sums of all [s]."""
        return self.nearness(sums, alike) >= ALIKE

    def nearness(self, sums: F64, alike: str = "auto") -> float:
        """Return how near its message types are to the others'; 1 or 0 where the plan says "yes" or "no"."""
        said = {"yes": 1.0, "no": 0.0}
        return said[alike] if alike in said else closeness(self.histogram(), sums[:BUCKETS])

    def chosen(self, found: Mapping[str, tuple[F32, F64]], gain: float = GAIN) -> tuple[str, dict[str, float]]:
        """Return whose weights and moments to keep, and the utility of each: the first, unless one is clearly better.

        Utility is of this site's own windows. Where sites are of one system that is a poor guide (what is usual to the
        others will come here, too), so the common network is the first, and a `gain` is asked for beyond what chance
        makes; where this site is of another the first is its own. And whoever goes by the thresholds of all sites keeps
        the network that these are of: his own windows are too few to know how high another's scores go.
        """
        judged = {}
        for name, (vector, moments) in found.items():
            self.put(vector, moments)
            judged[name] = self.judging(vector)
        utility = {name: one.utility() for name, one in judged.items()}
        first, best = next(iter(utility)), max(utility, key=lambda name: utility[name])
        bound = self.pool is not None and self.pool.decides()
        other = best != first and not bound and clearly_better(judged[best], judged[first], gain)
        return (best if other else first), utility

    def fine_tuned(self, vector: F32, steps: int, seed: int) -> F32:
        """Return weights [p] of which only those of head and normalisation have learned on here."""
        layout = self.layout
        own = [name for name in layout.names if any(word in name for word in OWN_PARTS)] or list(layout.names)
        begun, after = layout.weights(vector), layout.weights(self.trained(vector, steps, seed))
        return layout.vector({**begun, **{name: after[name] for name in own}})


def _not_judged_by(told: Told, held: Windows) -> Told | None:
    """Return the labelled windows but the usual ones before the last 15 %; None if one kind is left."""
    since = held.start.min(initial=np.iinfo(np.int64).max)
    kept = (told.label == 1) | (told.windows.start >= since)
    if len(np.unique(told.label[kept])) < 2:  # noqa: PLR2004 - usual and anomalous
        return None
    return Told(told.windows.take(kept), told.label[kept])


def buckets(embedding: F32) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the bucket of each embedded text [k]: the signs of its first six components."""
    if not embedding.shape[1]:
        return np.zeros(len(embedding), np.int64)
    signs = embedding[:, : BUCKETS.bit_length() - 1] > 0
    return np.asarray(signs @ (1 << np.arange(signs.shape[1])), np.int64)
