"""Fetches a file of a public record: goes on where it was cut off, and takes nothing that is not what it should be.

::

    NAME.part   what has come so far; asked for from there on (RFC 9110, 14.2), as often as it takes
    NAME        whole: length and checksum are right
    pins.json   SHA-256 of each file as it first came; another one later is refused
"""

from __future__ import annotations

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import orjson

from oddlog import __version__
from oddlog.errors import InputError

Say = Callable[[int, int], None]  # bytes that have come, of how many (0: unknown)
Wait = Callable[[float], None]

BLOCK = 1 << 20
TRIES = 5  # without a byte of progress
WAIT_S = 2.0  # before the second try; twice as long before each further one
TIMEOUT_S = 60.0
PINS = "pins.json"
TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Record:
    """A file of a public record.

    Attributes
    ----------
    url, name : str
        Where it is, and what it is called.
    md5 : str
        What the record says of it; empty if that is not known.
    size : int
        Bytes; 0 if that is not known.
    licence : str
        Its terms.

    """

    url: str
    name: str
    md5: str = ""
    size: int = 0
    licence: str = ""


def fetch(record: Record, to: Path, *, say: Say | None = None, wait: Wait = time.sleep) -> Path:
    """Fetch a file into the folder `to`, unless it is there and whole, and return it.

    Raises
    ------
    InputError
        If it cannot be reached, or what came is not what it should be; the latter is removed.

    """
    path = to / record.name
    to.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        part = to / f"{record.name}.part"
        _complete(record, part, say or (lambda _come, _of: None), wait)
        _check(record, part, to)
        part.replace(path)
    else:
        _check(record, path, to)
    return path


def _complete(record: Record, part: Path, say: Say, wait: Wait) -> None:
    """Have the rest of a file come, over as many connections as it takes."""
    tries = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        if record.size and before == record.size:
            return
        try:
            if _more(record, part, before, say):
                return
            why = "the connection was cut off"
        except urllib.error.HTTPError as error:
            if error.code not in TEMPORARY:
                raise InputError(f"{record.url} answers {error.code} {error.reason}.", _HINT) from error
            why = f"it answers {error.code}"
        except (OSError, http.client.HTTPException) as error:
            why = str(getattr(error, "reason", error)) or type(error).__name__
        after = part.stat().st_size if part.exists() else 0
        tries = 0 if after > before else tries + 1
        if tries == TRIES:
            raise InputError(
                f"{record.url} cannot be fetched: {why}.",
                f"{after:,} bytes have come and are kept: type the same again to go on. {_HINT}",
            )
        wait(WAIT_S * 2 ** max(tries - 1, 0))


_HINT = "Or fetch it in another way and put it there."


def _more(record: Record, part: Path, begin: int, say: Say) -> bool:
    """Append what comes to what has come; return whether the file is whole as far as its length tells."""
    if not record.url.startswith(("https://", "http://")):
        raise InputError(f"{record.url} is no address of the web.", "It begins with https://.")
    asked = urllib.request.Request(record.url, headers={"User-Agent": f"oddlog/{__version__}"})  # noqa: S310 - see above
    if begin:
        asked.add_header("Range", f"bytes={begin}-")
    try:
        answer = urllib.request.urlopen(asked, timeout=TIMEOUT_S)  # noqa: S310 - see above
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        # More has come than there is: it is another file, or a damaged one.
        part.unlink(missing_ok=True)
        return False
    with answer:
        goes_on = answer.status == http.HTTPStatus.PARTIAL_CONTENT and _starts_at(answer, begin)
        come = begin if goes_on else 0
        length = answer.headers.get("Content-Length")
        whole = come + int(length) if length else record.size
        with part.open("ab" if goes_on else "wb") as file:
            while block := answer.read(BLOCK):
                file.write(block)
                come += len(block)
                say(come, whole)
    return (bool(whole) and come >= whole) or not whole


def _starts_at(answer: http.client.HTTPResponse, begin: int) -> bool:
    return (answer.headers.get("Content-Range") or "").startswith(f"bytes {begin}-")


def _check(record: Record, path: Path, to: Path) -> None:
    """Refuse a file whose length or checksum is not the record's, or not the one of the first time."""
    size = path.stat().st_size
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            md5.update(block)
            sha256.update(block)
    pins = _pins(to)
    pinned = pins.get(record.name, {}).get("sha256", "")
    for what, is_, should in (
        ("length", str(size), str(record.size or size)),
        ("MD5", md5.hexdigest(), record.md5 or md5.hexdigest()),
        ("SHA-256", sha256.hexdigest(), pinned or sha256.hexdigest()),
    ):
        if is_ != should:
            path.unlink()
            since = f", as of the first time (see {to / PINS})" if what == "SHA-256" else ""
            raise InputError(
                f"What came from {record.url} is not what it should be: its {what} is {is_}, not {should}{since}.",
                "It was removed; type the same again. If it stays so, the record has changed.",
            )
    if not pinned:
        pins[record.name] = {"sha256": sha256.hexdigest(), "md5": md5.hexdigest(), "size": size, "url": record.url}
        (to / PINS).write_bytes(orjson.dumps(pins, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))


def _pins(to: Path) -> dict[str, dict[str, str | int]]:
    path = to / PINS
    try:
        found: dict[str, dict[str, str | int]] = orjson.loads(path.read_bytes()) if path.exists() else {}
    except (OSError, orjson.JSONDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}.", "Mend it, or remove it to pin anew.") from error
    return found
