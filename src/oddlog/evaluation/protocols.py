"""What is learned from, and what is judged: named ways of splitting a set that cannot leak.

========================  ==========================================================================================
name                      learns from                                     judges
========================  ==========================================================================================
`time`                    all lines before a time                         cases that begin after it, and after a gap
`time-usual`              of these the usual cases, by label              the same
`random`                  a random half of the usual cases                all others
`random-labelled`         a random half of all cases, with their labels   all others
`landauer`                1 % of the whole data's usual cases             all others
`ganfl`, `ganfl-20`       30 % (20 %) of the usual cases                  all others
`70-15-15`                85 % of the cases by time, the last 15 of them  the last 15 %
                          choose the threshold where labels may
`contaminated`            a random half of the cases, 3 % anomalous       all others
`leave-one-system-out`    all systems but one                             that one
`given`                   the part that the set gives to learn from       the rest
========================  ==========================================================================================

Each is a function of a `Catalogue` and a seed that returns rows of lines; what becomes of them is up to the product,
which reads the two parts as two logs. So nothing that is learned (vocabulary, scales, thresholds, calibration) can
come from the part that is judged. Options stand behind a colon: ``time:share=0.2,gap=0``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from oddlog.errors import ConfigError, TooLittleDataError, did_you_mean
from oddlog.evaluation.catalogue import Catalogue
from oddlog.types import I64, Bool

Labels = Literal["none", "cleaning", "learning"]


@dataclass(frozen=True)
class Split:
    """Rows of lines.

    Attributes
    ----------
    train, test : I64
        Ascending; no row, and no case, is in both.
    labels : "none", "cleaning" or "learning"
        Who sees labels of the training part: nobody; whoever made the split, to leave anomalous cases out; or also
        detectors that need them, and the choice of their threshold.
    says : str
        What was done, in words.
    weigh : bool
        Whether usual cases have left what is judged for what is learned from, and anomalous ones have not: then
        figures are weighted back to the proportion that both have in the data.

    """

    train: I64
    test: I64
    labels: Labels
    says: str
    weigh: bool = False


Protocol = Callable[..., Split]


def by_time(
    of: Catalogue, seed: int = 0, *, share: float = 0.5, gap: float = 0.01, learn: Literal["all", "usual"] = "all"
) -> Split:
    """Learn from the first share of the lines; judge the cases that begin after them and after a gap.

    Cases that have begun before and go on are neither: what was learned of them is cut off where the part ends, as
    for a user who learns today, and their rest is not judged. Lines of the gap serve nobody.

    Parameters
    ----------
    of : Catalogue
        The set.
    seed : int
        Changes nothing.
    share, gap : float
        Of the lines.
    learn : "all" or "usual"
        `usual` leaves out lines of cases that are not usual by label: anomalous ones, and those that are neither, such
        as faults that changed nothing. Lines of no case stay.

    """
    del seed
    _require_share(share, gap)
    time = of.time_us
    ordered = np.sort(time)
    cut, after = (ordered[min(int(len(time) * part), len(time) - 1)] for part in (share, share + gap))
    start = of.cases["start"].to_numpy()
    if not of.timed and len(start):  # no case stands on both sides of a row
        cut, after = (start[min(np.searchsorted(start, bound), len(start) - 1)] for bound in (cut, after))
    train = time < cut
    if learn == "usual":
        train &= ~_lines_of(of, of.case_label != 0)
    judged = start >= after
    judged &= ~_cases_of(of, train)
    labels: Labels = "cleaning" if learn == "usual" else "learning"
    alone = (of.case < 0) & (time >= after)
    of_usual = " of usual cases" if learn == "usual" else ""
    says = f"learned from the first {share:.0%} of the lines{of_usual}, a gap of {gap:.1%}, judged what begins after it"
    return _split(of, train, alone | _lines_of(of, judged), labels, says)


def by_time_usual(of: Catalogue, seed: int = 0, *, share: float = 0.5, gap: float = 0.01) -> Split:
    """As `by_time`, only usual cases learned from."""
    return by_time(of, seed, share=share, gap=gap, learn="usual")


def random_cases(of: Catalogue, seed: int = 0, *, share: float = 0.5) -> Split:
    """Learn from a random share of the usual cases, judge all others. Knows the future: never a headline."""
    _require_share(share)
    usual = np.flatnonzero(of.case_label == 0)
    n = round(len(usual) * share)
    return _usual_at_random(of, seed, n, f"learned from {n:,} random usual cases, {share:.0%}")


def random_labelled(of: Catalogue, seed: int = 0, *, share: float = 0.5) -> Split:
    """Learn from a random share of all cases, labels seen where a detector needs them; judge all others.

    For detectors that learn from labels what `random` is for the others, and as little of a headline.
    """
    _require_share(share)
    known = np.flatnonzero(_known(of))
    chosen = np.zeros(len(of.cases), np.bool_)
    chosen[np.random.default_rng(seed).permutation(known)[: round(len(known) * share)]] = True
    n, m = (int((chosen & (of.case_label == label)).sum()) for label in (0, 1))
    says = f"learned from {n:,} usual and {m:,} anomalous random cases, {share:.0%}, with their labels"
    return _split(of, _lines_of(of, chosen), _lines_of(of, _known(of) & ~chosen), "learning", says)


def landauer(of: Catalogue, seed: int = 0, *, share: float = 0.01) -> Split:
    """Learn from 1 % of the usual cases of the whole data.

    Landauer, Skopik and Wurzenberger, "A critical review of common log data sets used for evaluation of
    sequence-based anomaly detection techniques", FSE 2024, section 4 (doi 10.1145/3660768). Of a sample it is as many
    as 1 % of the whole are, so that as much is learned; HDFS: 5,582 of 558,223.
    """
    _require_share(share)
    usual = int((of.case_label == 0).sum())
    n = round((of.whole[0] or usual) * share)
    return _usual_at_random(of, seed, n, f"learned from {n:,} random usual cases, {share:.2%} of the whole data's")


def ganfl(of: Catalogue, seed: int = 0, *, share: float = 0.3) -> Split:
    """Learn from 30 % of the usual cases, scaled to the set.

    The second paper trains on a number of sessions of HDFS that is 30 % of its 558,223 usual ones, and calls it
    20 %. `ganfl-20` takes it by its word.
    """
    _require_share(share)
    n = round(int((of.case_label == 0).sum()) * share)
    return _usual_at_random(of, seed, n, f"learned from {n:,} random usual cases, {share:.0%} of the set's")


def ganfl_20(of: Catalogue, seed: int = 0) -> Split:
    """As `ganfl`, with the 20 % that the paper says."""
    return ganfl(of, seed, share=0.2)


def seventy_fifteen_fifteen(of: Catalogue, seed: int = 0) -> Split:
    """Learn from 70 % of the cases, choose on 15 %, judge 15 %: in order of time.

    Learned from are the cases that begin in the first 85 %; the product takes the last 15 % of that time to choose
    thresholds by labels, where a detector may see labels.
    """
    whole = by_time(of, seed, share=0.85, gap=0.0)
    return Split(whole.train, whole.test, "learning", "by time: 85 % learned from and chosen on, 15 % judged")


def contaminated(of: Catalogue, seed: int = 0, *, share: float = 0.5, anomalous: float = 0.03) -> Split:
    """Learn from a random share of all cases, anomalies left in, and no label seen.

    Of the anomalous cases so many are taken that they are 3 % of those learned from, at most `share` of them.
    """
    _require_share(share)
    draw = np.random.default_rng(seed)
    usual, odd = (draw.permutation(np.flatnonzero(of.case_label == label)) for label in (0, 1))
    n = round(len(usual) * share)
    m = min(round(n * anomalous / (1 - anomalous)), round(len(odd) * share))
    chosen = np.zeros(len(of.cases), np.bool_)
    chosen[usual[:n]] = chosen[odd[:m]] = True
    says = f"learned from {n:,} usual and {m:,} anomalous random cases ({m / max(n + m, 1):.1%})"
    return _split(of, _lines_of(of, chosen), _lines_of(of, _known(of) & ~chosen), "none", says)


def leave_one_system_out(of: Catalogue, seed: int = 0, *, system: str = "") -> Split:
    """Learn from all systems but one; the seed says which, if none is named."""
    systems = sorted(of.cases["system"].drop_nulls().unique().to_list())
    if len(systems) < 2:  # noqa: PLR2004 - one to learn from, one to judge
        there = f"only '{systems[0]}'" if systems else "none"
        raise TooLittleDataError(
            f"Leaving one system out needs two, and {of.name} has {there}.", "Name systems in labels.csv, or by folder."
        )
    if system and system not in systems:
        raise ConfigError(f"{of.name} has no system '{system}'.", did_you_mean(system, systems))
    left = system or systems[seed % len(systems)]
    out = (of.cases["system"] == left).fill_null(value=False).to_numpy()
    says = f"learned from {len(systems) - 1} systems, judged '{left}'"
    return _split(of, _lines_of(of, ~out), _lines_of(of, out), "learning", says)


def given(of: Catalogue, seed: int = 0) -> Split:
    """Learn from the sources that the set gives to learn from, judge the others."""
    del seed
    first = np.array([source.startswith(of.trained_on) for source in of.sources], np.bool_)
    if first.all() or not first.any():
        raise TooLittleDataError(
            f"{of.name} gives nothing to learn from apart from what is judged (sources under '{of.trained_on}').",
            "Try: --protocol time",
        )
    train = first[of.lines["source"].to_numpy()]
    return _split(
        of, train, ~train & ~_lines_of(of, _cases_of(of, train)), "learning", f"parts as {of.name} gives them"
    )


PROTOCOLS: dict[str, Protocol] = {
    "time": by_time,
    "time-usual": by_time_usual,
    "random": random_cases,
    "random-labelled": random_labelled,
    "landauer": landauer,
    "ganfl": ganfl,
    "ganfl-20": ganfl_20,
    "70-15-15": seventy_fifteen_fifteen,
    "contaminated": contaminated,
    "leave-one-system-out": leave_one_system_out,
    "given": given,
}
"""By the name that they are asked for."""


def split(of: Catalogue, protocol: str, seed: int = 0) -> Split:
    """Return the split that a protocol, with options behind a colon, makes.

    Raises
    ------
    ConfigError
        If there is no such protocol, or it has no such option.
    TooLittleDataError
        If the set cannot be split in that way.

    """
    name, options = parse(protocol)
    return PROTOCOLS[name](of, seed, **options)


def parse(protocol: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the options of what was asked for.

    >>> parse("time:share=0.2,gap=0")
    ('time', {'share': 0.2, 'gap': 0.0})
    """
    name, _, rest = protocol.partition(":")
    if name not in PROTOCOLS:
        raise ConfigError(f"There is no protocol '{name}'.", did_you_mean(name, PROTOCOLS))
    takes = {
        key: one for key, one in inspect.signature(PROTOCOLS[name]).parameters.items() if key not in ("of", "seed")
    }
    options: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        key, _, value = part.partition("=")
        if key not in takes:
            hint = did_you_mean(key, takes) if takes else "It has none."
            raise ConfigError(f"The protocol '{name}' has no option '{key}'.", hint)
        try:
            options[key] = float(value) if isinstance(takes[key].default, float) else value
        except ValueError as error:
            raise ConfigError(
                f"'{value}' is no number, as {name}'s {key} must be.", f"Write {name}:{key}=0.2"
            ) from error
    return name, options


def shows_labels(protocol: str) -> bool:
    """Return whether detectors that need labels may see those of the training part."""
    name, options = parse(protocol)
    return name in _LEARNING and options.get("learn", "all") != "usual"


_LEARNING = frozenset({"time", "random-labelled", "70-15-15", "leave-one-system-out", "given"})


def _usual_at_random(of: Catalogue, seed: int, n: int, says: str) -> Split:
    usual = np.flatnonzero(of.case_label == 0)
    if n >= len(usual):
        raise TooLittleDataError(
            f"{n:,} usual cases are to be learned from, and {of.name} has {len(usual):,}.",
            "Leave some to judge: a smaller share, such as --protocol random:share=0.5",
        )
    chosen = np.zeros(len(of.cases), np.bool_)
    chosen[np.random.default_rng(seed).permutation(usual)[:n]] = True
    parts = _split(of, _lines_of(of, chosen), _lines_of(of, _known(of) & ~chosen), "cleaning", says)
    return replace(parts, weigh=True)


def _known(of: Catalogue) -> Bool:
    known: Bool = of.case_label >= 0
    return known


def _lines_of(of: Catalogue, cases: Bool) -> Bool:
    """Return which lines [x] belong to some of the cases."""
    return np.append(cases, False)[of.case]  # -1, of no case, finds the last


def _cases_of(of: Catalogue, lines: Bool) -> Bool:
    """Return which cases some of the lines belong to."""
    found = np.zeros(len(of.cases) + 1, np.bool_)
    found[of.case[lines]] = True
    return found[:-1]


def _split(of: Catalogue, train: Bool, test: Bool, labels: Labels, says: str) -> Split:
    made = Split(np.flatnonzero(train), np.flatnonzero(test), labels, says)
    for rows, what in ((made.train, "learn from"), (made.test, "judge")):
        if not len(rows):
            raise TooLittleDataError(f"This split of {of.name} leaves no line to {what}.", "Try another share.")
    return made


def _require_share(*shares: float) -> None:
    for share in shares:
        if not 0 <= share < 1:
            raise ConfigError(f"{share} is no share of the lines.", "Write a number from 0 to below 1, such as 0.5.")
