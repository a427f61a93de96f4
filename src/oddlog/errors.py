"""Everything oddlog raises on purpose.

::

    OddlogError                   what was asked, what there is, what to type next
    ├── UserError                 exit 2: the caller can mend it
    │   ├── InputError            files, sources, standard input
    │   ├── FormatError           a format that is unknown or does not fit
    │   ├── ConfigError           an option or a line of the configuration
    │   ├── LabelError            labels that match nothing or say nothing
    │   ├── TooLittleDataError    nothing can be learned from so few lines
    │   ├── ModelError            a model that is missing, damaged or of another version
    │   └── MissingExtraError     an optional dependency that is not installed
    ├── SinkUnavailableError      an incident could not be handed over now: try again
    ├── SinkRefusedError          an incident was refused for good
    └── InternalError             exit 1: ours, please report it
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import metadata
from urllib.parse import unquote, urlsplit


class OddlogError(Exception):
    """Base of all errors: one line for a person, with a hint at what to do next.

    Parameters
    ----------
    message : str
        What was asked and what there is.
    hint : str
        What to type next; printed behind the message.

    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class UserError(OddlogError):
    """The caller can mend it."""

    exit_code = 2


class InputError(UserError):
    """A file, a source or standard input cannot be read, or holds no log lines."""


class FormatError(UserError):
    """A log format is unknown or does not fit the lines."""


class ConfigError(UserError):
    """An option or a line of the configuration makes no sense."""


class LabelError(UserError):
    """Labels match nothing, or say nothing."""


class TooLittleDataError(UserError):
    """Nothing can be learned from so few lines or windows."""


class ModelError(UserError):
    """A model is missing, damaged, or of another version."""


class MissingExtraError(UserError):
    """An optional dependency is not installed.

    Parameters
    ----------
    what : str
        What was asked for.
    extra : str
        The extra that brings it.

    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the extra '{extra}', which is not installed.",
            f"Install it with: {install(extra)}",
        )


def install(extra: str) -> str:
    """Return the command that installs an extra, from the folder that oddlog itself was installed from if there is one.

    That folder stands in ``direct_url.json`` (https://packaging.python.org/specifications/direct-url/).
    """
    try:
        told = json.loads(metadata.distribution("oddlog").read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        told = {}
    if "dir_info" not in told:
        return f"pip install 'oddlog[{extra}]'"
    folder = unquote(urlsplit(told["url"]).path)
    editable = "-e " if told["dir_info"].get("editable") else ""
    return f"pip install {editable}'{folder}[{extra}]'"


@contextmanager
def needing(what: str, extra: str) -> Iterator[None]:
    """Say which extra brings what an import inside does not find, for `what` was asked for."""
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(what, extra) from error


class SinkUnavailableError(OddlogError):
    """A sink cannot take an incident now.

    Parameters
    ----------
    message : str
        What happened.
    retry_after_s : float
        When to try again.

    """

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message, f"It is tried again in {retry_after_s:g} s.")
        self.retry_after_s = retry_after_s


class SinkRefusedError(OddlogError):
    """A sink will never take an incident: an address that is gone, a password that is wrong."""


class InternalError(OddlogError):
    """A state that should be impossible."""

    exit_code = 1


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the nearest known word and the others.

    >>> did_you_mean("jsn", ["json", "logfmt"])
    "Did you mean 'json'? There are: json, logfmt."
    """
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1)
    guess = f"Did you mean '{near[0]}'? " if near else ""
    return f"{guess}There are: {', '.join(known)}."
