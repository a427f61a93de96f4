"""Built-ins and third parties come in through the same door: entry points.

A package that brings a detector declares it in its own ``pyproject.toml`` and needs to import nothing of ours::

    [project.entry-points."oddlog.detectors"]
    my-detector = "my_package.module:MyDetector"
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from oddlog.errors import ConfigError, did_you_mean

Group = Literal["oddlog.detectors", "oddlog.formats"]


@cache
def found(group: Group) -> dict[str, EntryPoint]:
    """Return what is installed in `group`, by name; of two with one name the first by distribution wins."""
    by_name: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=group), key=lambda e: (e.name, e.value)):
        by_name.setdefault(entry.name, entry)
    return by_name


def load(group: Group, name: str) -> Any:
    """Import and return the object called `name`.

    Raises
    ------
    ConfigError
        If there is none of that name, or its package cannot be imported.

    """
    known = found(group)
    if name not in known:
        kind = group.removeprefix("oddlog.").removesuffix("s")
        raise ConfigError(f"There is no {kind} called '{name}'.", did_you_mean(name, known))
    try:
        return known[name].load()
    except ImportError as error:
        raise ConfigError(
            f"'{name}' ({known[name].value}) cannot be imported: {error}.",
            "Reinstall its package, or leave it out.",
        ) from error
