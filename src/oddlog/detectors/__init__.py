"""What learns which windows are usual, and scores the others.

Built-ins and third parties are found alike, by entry points of the group ``oddlog.detectors``.
"""

from __future__ import annotations

import inspect
import os
from importlib.util import find_spec
from typing import Any

from oddlog import plugins
from oddlog.errors import ConfigError, did_you_mean, install
from oddlog.types import Detector

# Since 1.29 ONNX Runtime sends what it runs to Microsoft unless it is told not to, and before it is first imported:
# here, since only this room imports it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

DEFAULT = ("snn", "dae", "ocsvm", "new-event")
"""The members of the default verdict (measured best on HDFS and OpenStack, see docs/detectors.md)."""
NOT_OPTIONS = ("seed", "checkpoints", "progress")
"""Parameters of constructors that say how fitting runs, not what the detector is."""

CANDIDATES = ("lstm", "next-event", "values")
"""Members that are fitted and shown, and join the verdict where the rule of `pipeline.learning.joining` says so."""


def create(name: str, seed: int = 0, **options: Any) -> Detector:
    """Return a new, unfitted detector.

    Parameters
    ----------
    name : str
        What it is found by.
    seed : int
        Goes to detectors that take one.
    **options
        Go to the constructor as they are: ``create("lstm", width=48)``.

    Raises
    ------
    ConfigError
        If there is no detector of that name, or it does not take an option.

    """
    cls = plugins.load("oddlog.detectors", name)
    takes = inspect.signature(cls).parameters
    for option in options:
        if option not in takes:
            settable = [known for known in takes if known not in NOT_OPTIONS]
            has = did_you_mean(option, settable) if settable else "It has none."
            raise ConfigError(f"The detector '{name}' has no option '{option}'.", has)
    detector: Detector = cls(**{"seed": seed, **options}) if "seed" in takes else cls(**options)
    return detector


def takes(name: str, parameter: str) -> bool:
    """Return whether the constructor of a detector has this parameter."""
    return parameter in inspect.signature(plugins.load("oddlog.detectors", name)).parameters


def installed(names: tuple[str, ...] = DEFAULT) -> tuple[tuple[str, ...], str]:
    """Return those of `names` that can be fitted here, and what the missing ones need ("" if none is missing).

    A detector says what it imports while fitting in its class attribute ``requires``.
    """
    missing = [name for name in names if any(find_spec(module) is None for module in _requires(name))]
    present = tuple(name for name in names if name not in missing)
    if not missing:
        return present, ""
    return present, (
        f"Without the extra 'train' there is no {', no '.join(missing)}; {' and '.join(present)} do the work. "
        f"Install it with: {install('train')}"
    )


def _requires(name: str) -> tuple[str, ...]:
    return tuple(getattr(plugins.load("oddlog.detectors", name), "requires", ()))
