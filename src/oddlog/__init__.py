"""oddlog: what is odd in the logs of a distributed system, how odd, and why."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oddlog.model import Model as Model
    from oddlog.model import load as load
    from oddlog.pipeline import fit as fit
    from oddlog.pipeline import update as update

__version__ = "0.1.0"
__all__ = ["Model", "__version__", "fit", "load", "update"]

_WHERE = {"fit": "oddlog.pipeline", "load": "oddlog.model", "Model": "oddlog.model", "update": "oddlog.pipeline"}


def __getattr__(name: str) -> object:
    """Import on first use (PEP 562), so that ``oddlog --help`` does not pay for Polars."""
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'oddlog' has no attribute {name!r}")
