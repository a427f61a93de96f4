"""More of what is rare at a site: feature vectors drawn by a Wasserstein GAN with gradient penalty, if they help.

::

    critic       x ⊕ kind → a number without bounds (no sigmoid, no batch norm)
    generator    noise ⊕ kind → x
    critic loss  E[critic(drawn)] - E[critic(real)] + 10 · E[(‖∇ critic(between)‖ - 1)²]       5 steps of it,
    generator    -E[critic(drawn)]                                                             then one of this

Gulrajani et al., "Improved training of Wasserstein GANs", NeurIPS 2017, algorithm 1 (arXiv 1704.00028); Adam 1e-4 with
betas (0, .9) and penalty 10 as there.

**What is corrected.** The paper trains the generator on a site's *usual* data and calls what it draws anomalous: once
it has converged it draws usual data, and a head that learns from it ranks worse than chance. Here it learns from rare
windows, each kind by itself (a labelled class, or one way of spoiling windows), and a drawn vector is taken only if it
lies outside the region of 99 % of the usual ones. ``fidelity="paper"`` keeps the paper's reading.

It is used only where an ablation on validation data says so (`ablation`), beside SMOTE and noise, which cost nothing.
The generator never leaves the site.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from oddlog.errors import MissingExtraError, TooLittleDataError
from oddlog.federated.choosing import auc
from oddlog.federated.quality import Fidelity
from oddlog.types import F32, I64, Bool

try:
    import torch
    from sklearn.ensemble import ExtraTreesClassifier
    from torch import Tensor, nn

    from oddlog.detectors.deep.weights import deterministic, seeded
except ImportError as error:
    raise MissingExtraError("The generator of rare windows", "train") from error

Way = Literal["none", "smote", "jitter", "wgan"]
WAYS: tuple[Way, ...] = ("none", "smote", "jitter", "wgan")
USUAL_SHARE = 0.99
FEWEST_RARE = 4
MOST_COMPARED = 2_000
NEIGHBOURS = 5
NOISE = 0.1
TREES = 100
REPEATS = 5


@dataclass(frozen=True)
class Recipe:
    """How the two networks learn.

    Attributes
    ----------
    steps : int
        Of the generator; each is preceded by `critic_steps` of the critic.
    penalty : float
        Weight of the gradient penalty.
    rate : float
        Of Adam, with betas (0, .9).
    hidden, noise, batch : int
        Widths of both networks, of what is drawn from, and vectors of a step.
    seed : int
        Of weights and draws.

    """

    steps: int = 500
    critic_steps: int = 5
    penalty: float = 10.0
    rate: float = 1e-4
    hidden: int = 128
    noise: int = 16
    batch: int = 64
    seed: int = 0


@dataclass(frozen=True)
class Generator:
    """Draws vectors like those it has learned from.

    Attributes
    ----------
    network : Module
        Takes noise and kind.
    middle, spread : F32 [d]
        Of what it has learned from.
    share : F32 [kinds]
        How often each kind was met.
    distances : list of float
        What the critic told the two apart by, step by step (an estimate of their distance).

    """

    network: nn.Module
    middle: F32
    spread: F32
    share: F32
    recipe: Recipe
    distances: list[float] = field(default_factory=list)

    def drawn(self, n: int, seed: int) -> F32:
        """Return `n` vectors [n, d], kinds as often as they were met."""
        draw = np.random.default_rng([self.recipe.seed, seed])
        kind = draw.choice(len(self.share), n, p=self.share.astype(np.float64) / self.share.sum())
        noise = draw.normal(size=(n, self.recipe.noise)).astype(np.float32)
        with torch.no_grad():
            x = self.network(_joined(torch.from_numpy(noise), torch.from_numpy(kind), len(self.share))).numpy()
        return np.asarray(x * self.spread + self.middle, np.float32)


def learn(x: F32, kind: I64, recipe: Recipe | None = None) -> Generator:
    """Return a generator of vectors like `x` [r, d] of kinds [r].

    Raises
    ------
    TooLittleDataError
        If there are too few to learn from.

    """
    recipe = recipe or Recipe()
    if len(x) < FEWEST_RARE:
        raise TooLittleDataError(f"{len(x)} rare windows are too few to learn from (at least {FEWEST_RARE}).")
    middle, spread = x.mean(0), x.std(0) + np.float32(0.05)
    real = torch.from_numpy((x - middle) / spread)
    kinds, d = int(kind.max()) + 1, x.shape[1]
    with deterministic(), seeded(recipe.seed):
        generator = _network(recipe.noise + kinds, recipe.hidden, d)
        critic = _network(d + kinds, recipe.hidden, 1)
        pair = _Pair(generator, critic, real, torch.from_numpy(kind), kinds, recipe)
        distances = [pair.step() for _ in range(recipe.steps)]
    return Generator(generator, middle, spread, np.bincount(kind).astype(np.float32), recipe, distances)


class _Pair:
    """Critic and generator, and their steps."""

    def __init__(
        self, generator: nn.Module, critic: nn.Module, real: Tensor, kind: Tensor, kinds: int, recipe: Recipe
    ) -> None:
        self.generator, self.critic, self.real, self.kind = generator, critic, real, kind
        self.kinds, self.recipe = kinds, recipe
        self.random = torch.Generator().manual_seed(recipe.seed)
        self.adam = [
            torch.optim.Adam(one.parameters(), lr=recipe.rate, betas=(0.0, 0.9)) for one in (generator, critic)
        ]

    def step(self) -> float:
        """Take the critic's steps and one of the generator; return the last estimate of the distance."""
        distance = 0.0
        for _ in range(self.recipe.critic_steps):
            real, kind = self._some()
            drawn = self._drawn(kind).detach()
            apart = self._judged(drawn, kind).mean() - self._judged(real, kind).mean()
            self._down(1, apart + self.recipe.penalty * self._slope(real, drawn, kind))
            distance = -float(apart.detach())
        _, kind = self._some()
        self._down(0, -self._judged(self._drawn(kind), kind).mean())
        return distance

    def _slope(self, real: Tensor, drawn: Tensor, kind: Tensor) -> Tensor:
        """Return how far the critic's slope between real and drawn is from 1, squared."""
        at = torch.rand((len(real), 1), generator=self.random)
        between = (at * real + (1 - at) * drawn).requires_grad_()
        (slope,) = torch.autograd.grad(self._judged(between, kind).sum(), between, create_graph=True)
        penalty: Tensor = ((slope.norm(dim=1) - 1) ** 2).mean()
        return penalty

    def _some(self) -> tuple[Tensor, Tensor]:
        index = torch.randint(len(self.real), (self.recipe.batch,), generator=self.random)
        return self.real[index], self.kind[index]

    def _drawn(self, kind: Tensor) -> Tensor:
        noise = torch.randn((len(kind), self.recipe.noise), generator=self.random)
        out: Tensor = self.generator(_joined(noise, kind, self.kinds))
        return out

    def _judged(self, x: Tensor, kind: Tensor) -> Tensor:
        out: Tensor = self.critic(_joined(x, kind, self.kinds))
        return out

    def _down(self, which: int, loss: Tensor) -> None:
        self.adam[which].zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        self.adam[which].step()


def outside(x: F32, usual: F32, share: float = USUAL_SHARE) -> Bool:
    """Return which vectors [x] lie outside the region of the usual ones.

    That is farther from the nearest usual vector than `share` of the usual vectors are from theirs.
    """
    usual = usual[:: max(1, len(usual) // MOST_COMPARED)]
    among = np.sqrt(np.partition(_squares(usual, usual), 1, axis=1)[:, 1])  # the nearest is itself
    nearest = np.sqrt(_squares(x, usual).min(1))
    return np.asarray(nearest > np.quantile(among, share), np.bool_)


def more(
    way: Way,
    rare: F32,
    kind: I64,
    usual: F32,
    n: int,
    seed: int = 0,
    fidelity: Fidelity = "corrected",
    recipe: Recipe | None = None,
) -> F32:
    """Return up to `n` further rare vectors [n, d], made in one of the ways; "none" makes none.

    Of the generator's, those within the usual region are left out, so that there may be fewer.
    """
    draw, recipe = np.random.default_rng(seed), replace(recipe or Recipe(), seed=seed)
    if way == "none":
        return rare[:0]
    if way == "jitter":
        noise = draw.normal(0, NOISE, (n, rare.shape[1])) * (rare.std(0) + 1e-3)
        return np.asarray(rare[draw.integers(len(rare), size=n)] + noise, np.float32)
    if way == "smote":
        return _smote(rare, n, draw)
    if fidelity == "paper":
        return learn(usual, np.zeros(len(usual), np.int64), recipe).drawn(n, seed)
    drawn = learn(rare, kind, recipe).drawn(4 * n, seed)
    taken: F32 = drawn[outside(drawn, usual)][:n]
    return taken


@dataclass(frozen=True)
class Ablation:
    """Which way of making more helps, on data that was not learned from.

    Attributes
    ----------
    gains : mapping of tuple of float
        By way: mean and standard deviation of the ROC AUC over the repeats.
    chosen : str
        The way to take: the generator only where it beats nothing, SMOTE and noise by more than chance.

    """

    gains: Mapping[Way, tuple[float, float]]
    chosen: Way


def ablation(
    usual: F32,
    rare: F32,
    kind: I64,
    n: int = 200,
    repeats: int = REPEATS,
    seed: int = 0,
    recipe: Recipe | None = None,
) -> Ablation:
    """Compare the ways: learn from half of the rare and 70 % of the usual vectors, judge by the others.

    Extremely randomised trees tell the two apart; every repeat draws the halves anew, alike for all ways.

    Raises
    ------
    TooLittleDataError
        If there are fewer than eight rare vectors.

    """
    if len(rare) < 2 * FEWEST_RARE:
        raise TooLittleDataError(f"{len(rare)} rare windows are too few to compare by (at least {2 * FEWEST_RARE}).")
    found: dict[Way, list[float]] = {way: [] for way in WAYS}
    for repeat in range(repeats):
        draw = np.random.default_rng([seed, repeat])
        order, of_usual = draw.permutation(len(rare)), draw.permutation(len(usual))
        cut, until = len(rare) // 2, int(0.7 * len(usual))
        learned, judged = rare[order[:cut]], rare[order[cut:]]
        some, others = usual[of_usual[:until]], usual[of_usual[until:]]
        for way in WAYS:
            made = more(way, learned, kind[order[:cut]], some, n, repeat, recipe=recipe)
            judge = trees(some, np.concatenate([learned, made]), repeat)
            found[way].append(auc(judge(others), judge(judged), np.ones(len(others)), np.ones(len(judged))))
    gains = {way: (float(np.mean(values)), float(np.std(values))) for way, values in found.items()}
    rivals = [way for way in WAYS if way != "wgan"]
    best: Way = max(rivals, key=lambda way: gains[way][0])
    ahead = np.array(found["wgan"]) - np.array(found[best])
    wins = bool(ahead.mean() > 2 * ahead.std() / np.sqrt(repeats) and ahead.mean() > 0)
    return Ablation(gains, "wgan" if wins else best)


def trees(usual: F32, rare: F32, seed: int) -> Callable[[F32], np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    """Return what scores vectors [x, d] by how rare they look, learned from both."""
    judge = ExtraTreesClassifier(TREES, class_weight="balanced", random_state=seed, n_jobs=1)
    label = np.repeat([0, 1], [len(usual), len(rare)])
    judge.fit(np.concatenate([usual, rare]), label)
    return lambda x: np.asarray(judge.predict_proba(x)[:, 1], np.float64)


def _smote(rare: F32, n: int, draw: np.random.Generator) -> F32:
    """Return points between rare vectors and near ones: Chawla et al., "SMOTE", JAIR 2002, figure 3."""
    near = np.argsort(_squares(rare, rare), axis=1)[:, 1 : NEIGHBOURS + 1]
    one = draw.integers(len(rare), size=n)
    other = near[one, draw.integers(near.shape[1], size=n)]
    return (rare[one] + draw.random((n, 1)) * (rare[other] - rare[one])).astype(np.float32)


def _squares(x: F32, y: F32) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the squared distances of all pairs [x, y]."""
    a, b = x.astype(np.float64), y.astype(np.float64)
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return np.asarray(np.maximum(squares, 0.0), np.float64)


def _network(n_in: int, hidden: int, n_out: int) -> nn.Sequential:
    first, second, third = nn.Linear(n_in, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, n_out)
    return nn.Sequential(first, nn.LeakyReLU(0.2), second, nn.LeakyReLU(0.2), third)


def _joined(x: Tensor, kind: Tensor, kinds: int) -> Tensor:
    return torch.cat([x, nn.functional.one_hot(kind, kinds).float()], dim=1)
