"""Differential privacy: what a site sends says little of any one window, whoever reads it.

::

    histogram of message types   a window adds 1 in all              Gaussian noise, once     ┐ of windows
    updates                      DP-SGD (detectors.deep.private)     in every step            ┘ learned from
    usual scores                 a window adds 1 in one step         Gaussian noise, once       of the other 30 %
    moments, utility, quality    not sent: features have a public scale, sites count by their (noisy) size or alike

Two logs are neighbours if *one window* of a site is in one of them and not in the other; its split by time stands. For
all that the site sends in a federation, then, with ε and δ: P(sent | one) ≤ e^ε · P(sent | other) + δ, both ways round.
(A window that holds something else is one taken away and one added: up to twice ε.) How many windows there are is
itself known with noise only: training goes by the sum of the noisy histogram. What templates there are and what is
trimmed are taken as given. The noise is the site's own (`noise`), so the promise holds against the server and all other
sites, in both modes. Accounted by Rényi divergences with Opacus, whose neighbours are the same (Mironov, CSF 2017;
Mironov, Talwar and Zhang, arXiv 1908.10530, for steps that draw their windows).

Nor need the server be honest: what it may ask is pinned by what it asked first (`Veil`), and what is answered is
counted.
"""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from oddlog.errors import ConfigError, MissingExtraError
from oddlog.types import F64

if TYPE_CHECKING:
    from oddlog.federated.noise import Noise
    from oddlog.federated.wire import Note

Spent = Sequence[tuple[float, float, int]]  # (noise multiplier, chance of a window to take part, how often)

ONCE = 0.25
"""Share of ε that the histogram of message types would cost alone; training has what is left."""
BATCH = 256.0
"""Windows of a step of DP-SGD, on average: large batches drown the noise, which is the same for any."""
MOST_NOISE = 1e6
ORDERS = (*range(64, 128, 8), *range(128, 513, 32))
"""Rényi divergences of these orders are looked at beside Opacus' own, which end at 63: by those alone no noise makes
all that a site sends cost less than ε = .41 at δ = 10⁻⁵. The bound of each order holds, so the least of more of them
does."""
CLIP = 0.1
PROMISE = ("epsilon", "delta", "clip", "rounds", "steps")
"""What of a plan a promise is made of."""
PINNED = (*PROMISE, "seed")
"""What a server cannot ask otherwise once it has been promised something."""
SAID: Mapping[str, frozenset[str]] = {
    "begin": frozenset({"round", "sums", "masked", "commitment"}),
    "learn": frozenset({"round", "utility", "update", "masked", "commitment"}),
    "calibrate": frozenset({"round", "count", "masked", "commitment"}),
    "finish": frozenset({"kept"}),
}
"""All that may stand in an answer behind a veil: sums and updates with noise, and what is the same at every site."""


class TooLittlePrivacyError(ConfigError):
    """A server asks for more than the site is willing to give away."""


def require_hidden(kind: str, note: Note) -> None:
    """Raise where an answer holds what nobody has shown to be hidden: a figure that is new here stays at the site."""
    if told := sorted({*note.facts, *note.arrays} - SAID.get(kind, frozenset())):
        raise ConfigError(f"Nothing hides single windows in {', '.join(told)}.", "Leave out epsilon, or that.")


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
        if self.epsilon < (least := least_epsilon(self.delta)):
            raise ConfigError(
                f"ε = {self.epsilon:g} cannot be promised: at δ = {self.delta:g} what a site sends costs {least:.3f} "
                "at least, however much noise there is.",
                f"Write an epsilon of {math.ceil(least * 100) / 100:g} or more, or a larger delta.",
            )
        self.of_training(1)  # all windows in every step: what takes most noise
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

    @property
    def says(self) -> str:
        """It in words."""
        return f"epsilon {self.epsilon:g} at delta {self.delta:g}"

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Privacy | None:
        """Return what the facts of a message promise; None if nothing."""
        if not facts.get("epsilon"):
            return None
        rounds, steps = int(facts["rounds"]), int(facts["steps"])
        return cls(float(facts["epsilon"]), float(facts["delta"]), rounds * steps, float(facts["clip"])).checked()


@dataclass(frozen=True)
class Bound:
    """The most that a site gives away in all federations that it remembers together; ε and δ add up.

    Attributes
    ----------
    epsilon, delta : float
        No more than these.

    """

    epsilon: float
    delta: float = 1e-5

    def checked(self) -> Bound:
        """Return it, or raise a ConfigError where no federation can keep to it."""
        Privacy(self.epsilon, self.delta, 1, CLIP).checked()
        return self

    def require(self, asked: Privacy | None, before: Sequence[Sequence[float]]) -> None:
        """Raise where a server asks for more, given what other federations were promised before."""
        given = f"this site gives no more than epsilon {self.epsilon:g} at delta {self.delta:g}"
        if asked is None:
            raise TooLittlePrivacyError(f"The server asks without differential privacy, and {given}.", _LEAVE)
        epsilon, delta = (sum(of) for of in zip((asked.epsilon, asked.delta), *before, strict=True))
        if epsilon > self.epsilon * (1 + 1e-9) or delta > self.delta * (1 + 1e-9):
            more = f", which makes {epsilon:g} and {delta:g} with earlier federations" if before else ""
            hint = f"{_LEAVE} Or give more: --epsilon {epsilon:g} --delta {delta:g}"
            raise TooLittlePrivacyError(f"The server asks for {asked.says}{more}, and {given}.", hint)


_LEAVE = "Ask the server's administrator for another plan."


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
        By what was asked (a round, or one of the sums), the digest of what it was asked for and answered from; and
        by round how many steps of training were taken.

    """

    privacy: Privacy
    secret: bytes
    federation: str = ""
    given: dict[str, str] = field(default_factory=dict)

    def noise(self, asked: str, *of: NDArray[Any]) -> Noise:
        """Return the noise of an answer that is made from these arrays.

        Raises
        ------
        ConfigError
            If the same was answered for other weights or from other windows: the two answers would be worth more than
            was promised.

        """
        from oddlog.federated.noise import KEY_BYTES, Noise  # noqa: PLC0415 - of the extra

        digest = _digest(of)
        if self.given.setdefault(asked, digest) != digest:
            raise ConfigError(
                f"'{asked}' was answered before, for other weights or windows.", "Begin a new federation."
            )
        text = json.dumps([self.federation, asked, digest]).encode()
        return Noise(
            hashlib.blake2b(text, key=self.secret[:64], digest_size=KEY_BYTES, person=b"oddlog noise").digest()
        )

    def steps(self, asked: str, steps: int) -> None:
        """Count steps of training; those of an answer that is given again count once.

        Raises
        ------
        ConfigError
            If they are more than was promised.

        """
        name = f"{_STEPS}{asked}"
        taken = sum(int(of) for key, of in self.given.items() if key.startswith(_STEPS) and key != name)
        if taken + steps > self.privacy.steps or self.given.setdefault(name, str(steps)) != str(steps):
            raise ConfigError(
                f"{taken + steps} steps of training were asked for, {self.privacy.steps} promised.",
                "Begin a new federation.",
            )

    def hidden(self, asked: str, values: F64, noise: float, *of: NDArray[Any]) -> F64:
        """Return values with noise of the standard deviation `noise`; `of` is what else they are answered for."""
        return np.asarray(values + noise * self.noise(asked, values, *of).normal(values.shape), np.float64)


_STEPS = "steps of "


def _digest(arrays: Sequence[NDArray[Any]]) -> str:
    found = hashlib.sha256()
    for one in arrays:
        found.update(f"{one.dtype.str}{one.shape}".encode())
        found.update(np.ascontiguousarray(one).tobytes())
    return found.hexdigest()


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
        return float(accountant.get_epsilon(delta=delta, alphas=[*accountant.DEFAULT_ALPHAS, *ORDERS]))


@lru_cache(maxsize=64)
def least_epsilon(delta: float) -> float:
    """Return the least ε that a federation can promise: what its accounting costs with as much noise as there may be.

    >>> round(least_epsilon(1e-5), 3)
    0.033
    """
    return spent([(MOST_NOISE, 1.0, 1)], delta) / ONCE


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
