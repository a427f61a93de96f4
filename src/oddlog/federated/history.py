"""What happened in a federation, round by round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import orjson

from oddlog.errors import InputError
from oddlog.federated.wire import Note

REPORT = "report.json"
GONE = "gone"
"""Why a site did not answer that was there when it was asked, and then no longer."""


@dataclass(frozen=True)
class Asked:
    """What came of asking sites.

    Attributes
    ----------
    came : mapping of Note
        Answers, by address.
    failed : mapping of str
        Why others did not answer, by address.
    up, down : int
        Bytes that the sites sent, and were sent, before TLS.
    up_by, down_by : mapping of int
        The same by address.
    seconds : float
        Until the last answer.

    """

    came: Mapping[str, Note]
    failed: Mapping[str, str]
    up: int = 0
    down: int = 0
    seconds: float = 0.0
    up_by: Mapping[str, int] = field(default_factory=dict)
    down_by: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Round:
    """One round; 0 is the one before learning, the one behind the last is the end.

    Attributes
    ----------
    counted : mapping of float
        How much each site's update counted; NaN where only the sites know.
    quality, utility : mapping of float
        Of each site's update; in mode secagg the weighted mean of all as "all".
    loss : mapping of float
        Mean score of each site's usual validation windows after its update; nothing in mode secagg.
    f1 : mapping of float
        Over the labelled windows of each site that has some, after its update; at the end by the network it kept.
    bytes : mapping of pair of int
        That each site sent, and was sent.
    dropped : mapping of str
        Why a site is not in it.
    refused : mapping of int
        Updates that were refused, by reason.
    lengthened : float
        What the mean of the updates was multiplied by.
    length : float
        Of the updates: root of the weighted mean of squares; 0 where nothing was learned.
    joined : list of str
        Sites that came late, and are in it for the first time.
    kept : mapping of str
        At the end: the network that each site kept.
    up, down : int
        Bytes of all sites.
    failed : str
        Why nothing was learned, if so.

    """

    number: int
    counted: dict[str, float] = field(default_factory=dict)
    quality: dict[str, float] = field(default_factory=dict)
    utility: dict[str, float] = field(default_factory=dict)
    loss: dict[str, float] = field(default_factory=dict)
    f1: dict[str, float] = field(default_factory=dict)
    bytes: dict[str, list[int]] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    lengthened: float = 1.0
    length: float = 0.0
    joined: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    up: int = 0
    down: int = 0
    seconds: float = 0.0
    failed: str = ""

    def says(self) -> str:
        """Return the round in a line.

        >>> Round(3, {"a": 0.6, "b": 0.4}, dropped={"c": "learn: no answer in 5 s"}).says()
        'round 3: a .60, b .40; without c (learn: no answer in 5 s)'
        >>> Round(4, {"a": 1.0}, kept={"a": "common"}).says()
        'end: a 1.00'
        """
        which = "end" if self.kept else f"round {self.number}"
        parts = [", ".join(_weight(site, value) for site, value in self.counted.items())]
        parts += [f"{site} has joined" for site in self.joined]
        parts += [f"without {site} ({why})" for site, why in self.dropped.items()]
        return f"{which}: {'; '.join(filter(None, [*parts, self.failed])) or 'nothing'}"

    @property
    def mean_utility(self) -> float:
        """Of all sites' updates, each as it counted; NaN where nothing was learned."""
        if not self.counted or self.kept:
            return float("nan")
        if "all" in self.utility:
            return self.utility["all"]
        weight = {site: self.counted[site] for site in self.utility if site in self.counted}
        total = sum(weight.values())
        return sum(self.utility[site] * one for site, one in weight.items()) / total if total else float("nan")

    def add(self, asked: Asked, name: Mapping[str, str]) -> None:
        """Add bytes and seconds of what was asked, given the site of each address."""
        self.up += asked.up
        self.down += asked.down
        self.seconds += asked.seconds
        for address in {*asked.up_by, *asked.down_by}:
            one = self.bytes.setdefault(name.get(address, address), [0, 0])
            one[0] += asked.up_by.get(address, 0)
            one[1] += asked.down_by.get(address, 0)

    def hear(self, answers: Mapping[str, Note]) -> None:
        """Note the F1 that sites with labels tell, a number between 0 and 1."""
        for site, note in answers.items():
            f1 = note.facts.get("f1")
            if isinstance(f1, int | float) and 0 <= f1 <= 1:
                self.f1[site] = float(f1)

    def facts(self) -> dict[str, Any]:
        """Return it as JSON."""
        found = asdict(self)
        found["counted"] = {site: None if value != value else value for site, value in self.counted.items()}  # noqa: PLR0124 - NaN
        return found

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """Rebuild from what `facts` returned."""
        counted = {site: float("nan") if value is None else value for site, value in facts["counted"].items()}
        return cls(**{**facts, "counted": counted})


def enough(history: Sequence[Round], target: float, patience: int) -> str:
    """Return why no further round is needed, "" if one is.

    Parameters
    ----------
    history : sequence of Round
        Round 0 first.
    target, patience : float, int
        As in a plan.

    Examples
    --------
    >>> rounds = [Round(i, {"a": 1.0}, utility={"a": value}) for i, value in enumerate((0.0, 0.7, 0.9, 0.9, 0.8))]
    >>> enough(rounds[:3], 0.85, 0), enough(rounds[:4], 0.95, 2), enough(rounds, 0.95, 2)
    ('utility .900 has reached the target .850', '', 'no higher utility than .900 in 2 rounds')

    """
    found = [one.mean_utility for one in history[1:]]
    found = [value for value in found if value == value]  # noqa: PLR0124 - not NaN
    if not found:
        return ""
    best = max(found)
    if target and best >= target:
        return f"utility {_short(best)} has reached the target {_short(target)}"
    if patience and len(found) - 1 - found.index(best) >= patience:
        return f"no higher utility than {_short(best)} in {patience} rounds"
    return ""


def _short(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def write_report(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write down what came of a federation: ``plan rounds models left_out``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REPORT).write_bytes(orjson.dumps(facts, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY))


def read_report(folder: str | Path) -> dict[str, Any]:
    """Return what was written down about a federation.

    Raises
    ------
    InputError
        If there is none.

    """
    path = Path(folder) / REPORT
    try:
        found: dict[str, Any] = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise InputError(
            f"There is no report of a federation in {folder}.",
            "Give the folder of oddlog federate simulate -m, or that of a server.",
        ) from error
    return found


def _weight(site: str, value: float) -> str:
    return site if value != value else f"{site} {value:.2f}".replace(" 0.", " .")  # noqa: PLR0124 - NaN
