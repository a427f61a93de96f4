"""Differential privacy: what a site sends says little of any one window, whoever reads it.

::

    histogram of message types   a window adds 1 in all              Gaussian noise, once     ┐ of windows
    updates                      DP-SGD (detectors.deep.private)     in every step            ┘ learned from
    usual scores                 a window adds 1 in one step         Gaussian noise, once       of the other 30 %
    moments, utility, quality    not sent: features have a public scale, sites count by their (noisy) size or alike

Two logs are neighbours if they differ in what *one window* of a site holds; its split by time stands. For all that the
site ever sends, then, with ε and δ: P(sent | one) ≤ e^ε · P(sent | other) + δ. What templates there are and what is
trimmed are taken as given. The noise is the site's own, so the promise holds against the server and all other sites,
in both modes. Accounted by Rényi divergences with Opacus (Mironov, CSF 2017; Mironov, Talwar and Zhang, arXiv
1908.10530, for steps that draw their windows).
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from oddlog.errors import ConfigError, MissingExtraError
from oddlog.types import F32, F64

Spent = Sequence[tuple[float, float, int]]  # (noise multiplier, chance of a window to take part, how often)

ONCE = 0.25
"""Share of ε that the histogram of message types would cost alone; training has what is left."""
BATCH = 256.0
"""Windows of a step of DP-SGD, on average: large batches drown the noise, which is the same for any."""
MOST_NOISE = 1e6
CLIP = 0.1
PROMISE = ("epsilon", "delta", "clip", "rounds", "steps")
"""What of a plan a promise is made of."""


@dataclass(frozen=True)
class Privacy:
    """What a site promises for each of its windows.

    Attributes
    ----------
    epsilon, delta : float
        For everything it sends in a federation.
    steps : int
        Of training in all rounds together.
    clip : float
        Length that a window's gradient is cut to.

    """

    epsilon: float
    delta: float
    steps: int
    clip: float

    def checked(self) -> Privacy:
        """Return it, or raise a ConfigError that says what of it promises nothing."""
        if not (self.epsilon > 0 and math.isfinite(self.epsilon)):
            raise ConfigError(f"ε = {self.epsilon:g} promises nothing.", "Write a positive number, such as 8, 3 or 1.")
        if not 0 < self.delta < 1:
            raise ConfigError(f"δ = {self.delta:g} is no chance.", "Write one well below 1 / windows, such as 1e-5.")
        if not (self.clip > 0 and math.isfinite(self.clip)):
            raise ConfigError(f"Gradients cannot be cut to the length {self.clip:g}.", "Write a positive number.")
        return self

    @property
    def of_histogram(self) -> float:
        """Standard deviation of the noise of the histogram of message types."""
        return least_noise(self.epsilon * ONCE, self.delta, lambda noise: [(noise, 1.0, 1)])

    @property
    def of_scores(self) -> float:
        """Standard deviation of the noise of the counted scores: of windows that nothing else is sent of."""
        return least_noise(self.epsilon, self.delta, lambda noise: [(noise, 1.0, 1)])

    def of_training(self, windows: int) -> tuple[float, float]:
        """Return the noise of a step, in lengths of a clipped gradient, and the chance of a window to be in it."""
        return _of_training(self, windows)

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Privacy | None:
        """Return what the facts of a message promise; None if nothing."""
        if not facts.get("epsilon"):
            return None
        rounds, steps = int(facts["rounds"]), int(facts["steps"])
        return cls(float(facts["epsilon"]), float(facts["delta"]), rounds * steps, float(facts["clip"])).checked()


@dataclass
class Veil:
    """A site's privacy at work: noise that is the same if the same is asked again, and no second answer to a round.

    Attributes
    ----------
    privacy : Privacy
        What is promised.
    secret : bytes
        What the noise comes from; nobody else's.
    federation : str
        Which federation it is.
    given : dict of str
        By what was asked (a round, or one of the sums), the digest of the weights it was asked for.

    """

    privacy: Privacy
    secret: bytes
    federation: str = ""
    given: dict[str, str] = field(default_factory=dict)

    def seed(self, asked: str, weights: F32 | None = None) -> int:
        """Return the seed of the noise of an answer.

        Raises
        ------
        ConfigError
            If the same round was answered for other weights: the two answers would be worth more than was promised.

        """
        digest = "" if weights is None else hashlib.sha256(weights.tobytes()).hexdigest()
        if self.given.setdefault(asked, digest) != digest:
            raise ConfigError(f"'{asked}' was answered before, for other weights.", "Begin a new federation.")
        text = f"{self.federation}|{asked}|{digest}".encode()
        return int.from_bytes(hashlib.blake2b(text, key=self.secret[:64], digest_size=8).digest(), "little") >> 1

    def hidden(self, asked: str, values: F64, noise: float, weights: F32 | None = None) -> F64:
        """Return values with noise of the standard deviation `noise`."""
        draw = np.random.default_rng(self.seed(asked, weights))
        return np.asarray(values + draw.normal(0.0, noise, values.shape), np.float64)


@lru_cache(maxsize=64)  # asked again in every round
def _of_training(privacy: Privacy, windows: int) -> tuple[float, float]:
    rate, once = min(1.0, BATCH / max(windows, 1)), (privacy.of_histogram, 1.0, 1)
    return least_noise(privacy.epsilon, privacy.delta, lambda noise: [once, (noise, rate, privacy.steps)]), rate


def spent(releases: Spent, delta: float) -> float:
    """Return the ε of these releases together.

    >>> round(spent([(1.0, 1.0, 1)], 1e-5), 2)  # one sum with noise as large as what one window adds
    4.73
    >>> 1.9 < spent([(1.1, 256 / 60_000, 10_000)], 1e-5) < 3.1  # an often quoted setting of DP-SGD
    True
    """
    try:
        from opacus.accountants import RDPAccountant  # noqa: PLC0415 - of the extra: it imports torch
    except ImportError as error:
        raise MissingExtraError("Differential privacy", "federated") from error
    accountant = RDPAccountant()
    accountant.history = [one for one in releases if one[2]]
    if not accountant.history:
        return 0.0
    with warnings.catch_warnings():  # that a bound at the end of its range of orders could be tighter: it holds
        warnings.simplefilter("ignore", UserWarning)
        return float(accountant.get_epsilon(delta=delta))


def least_noise(epsilon: float, delta: float, releases: Callable[[float], Spent]) -> float:
    """Return the least noise, within one percent, with which `releases` cost at most `epsilon`.

    Raises
    ------
    ConfigError
        If no noise is enough.

    """
    low, high = 0.0, 1.0
    while spent(releases(high), delta) > epsilon:
        low, high = high, 2 * high
        if high > MOST_NOISE:
            raise ConfigError(
                f"No noise makes so many steps cost ε = {epsilon:g}.", "Take fewer rounds, or a larger ε."
            )
    while high - low > 0.01 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if spent(releases(middle), delta) > epsilon else (low, middle)
    return high
