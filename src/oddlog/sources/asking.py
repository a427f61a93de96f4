"""Log stores that are asked for lines by HTTP: a page at a time, never too often, from where reading stopped.

::

    loki+http://HOST/?query=…  ─┐              ┌─► `fetch`   a stretch of time, into files: detect, fit, backtest
                                ├─► Store.page ┤
    es+http://HOST/INDEX?query=… ┘              └─► `Asked`   what comes from now on: watch, serve

A place in a store is a time up to which all entries have been handed over. Stores show an entry some time after it was
written, so nothing is asked for that is younger than `settle` (5 s).
"""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, Protocol

import orjson
import polars as pl

from oddlog.errors import InputError, OddlogError
from oddlog.sources.cursors import Cursors
from oddlog.types import LINES, Batch, Tally

TIMEOUT_S = 30.0
MOST_BYTES = 256 << 20  # of an answer
STEP_NS = 6 * 3_600_000_000_000  # of time asked for at once: stores refuse longer ranges, or take long
AGAIN_S = 2.0  # first wait after a failure; then ever longer
LONGEST_AGAIN_S = 60.0
EVERY_S = 5.0  # between looks for new entries
TRIES = 5  # of a fetch
_TOO_MANY, _FAULTS = 429, 500

FAILED = "log store did not answer: asked again"
CROWDED = "entry of a log store not read: too many have one and the same time"


class StoreFailedError(OddlogError):
    """A log store does not answer, or answers that it cannot.

    Parameters
    ----------
    message : str
        What happened.
    retry_after_s : float
        When to ask again; 0 where it would not help.

    """

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message, "Look at the address and the query.")
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class Page:
    """Entries of a log store in order of time.

    Attributes
    ----------
    entries : list of (str, str)
        Source and text.
    next_ns : int
        All entries before this time have been handed over.
    more : bool
        Whether there may be more before the time that was asked for.
    crowded : int
        Entries that could not be read: more than a page of them have one time.

    """

    entries: list[tuple[str, str]]
    next_ns: int
    more: bool
    crowded: int = 0


class Store(Protocol):
    """A log store that answers queries.

    Attributes
    ----------
    name : str
        What its sources' names begin with; holds no password.
    settle_s, rate : float
        How old an entry must be to be asked for; requests a second.
    since_ns, until_ns : callable
        The stretch of time that its URL asks for.

    """

    name: str
    settle_s: float
    rate: float

    def since_ns(self, now_ns: int) -> int:
        """Return where to begin."""
        ...

    def until_ns(self, now_ns: int) -> int:
        """Return where to end."""
        ...

    def page(self, begin_ns: int, end_ns: int) -> Page:
        """Return entries from a time on, before another; raises `StoreFailedError`."""
        ...

    def link(self, start_ns: int, end_ns: int) -> str:
        """Return a URL that shows the entries of a stretch of time."""
        ...


class Asked:
    """Follows a log store. A `types.Source`.

    Parameters
    ----------
    store : Store
        Is asked.
    tally : Tally
        Takes failures, and what could not be read.
    position : mapping, optional
        What another handed over, to go on behind it.
    from_start : bool
        Begin with what the URL's ``since`` names, not with what comes from now on.
    clock, now, wait : callable
        Seconds that never go back; nanoseconds since the epoch; waits so many seconds.

    Raises
    ------
    InputError
        If the store refuses the query.

    """

    def __init__(
        self,
        store: Store,
        tally: Tally,
        *,
        position: Mapping[str, Any] | None = None,
        from_start: bool = False,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], int] = time.time_ns,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self.store = store
        self._tally, self._clock, self._now, self._wait = tally, clock, now, wait
        if position is None:
            begin = store.since_ns(now()) if from_start else now() - round(store.settle_s * 1e9)
            position = {"line": 0, "cursor": str(begin)}
        self._cursors = Cursors(position["line"], position["cursor"])
        self._line: int = position["line"]
        self._begin = int(position["cursor"])
        self._held: list[tuple[str, str]] = []
        self._ask_s = clock()
        self._failures = 0
        self._try()

    def poll(self, max_lines: int, timeout_s: float) -> Batch:  # noqa: ARG002 - a page is handed over whole
        """Return entries that have come; see `types.Source`. Asks at most once."""
        if not self._held:
            left = self._ask_s - self._clock()
            if left > 0:
                self._wait(min(left, timeout_s))
            if left <= timeout_s:
                self._try()
        # A page is handed over whole: between its entries there is no place to go on from.
        entries, self._held = self._held, []
        frame = as_frame(entries, self._line + 1)
        self._line += len(frame)
        if len(frame) or self._cursors.last[1] != str(self._begin):
            self._cursors.note(self._line, str(self._begin))
        return Batch(frame, self._cursors.place())

    def commit(self, position: Any) -> None:
        """Forget what leads to places before this one."""
        self._cursors.forget(position["line"])

    def state(
        self, _places: Mapping[str, tuple[int, int]] | None = None, earliest: int | None = None
    ) -> dict[str, Any]:
        """Return a position to go on from; see `opening.Resumable`."""
        return self._cursors.place(earliest)

    def close(self) -> None:
        """Do nothing: a question leaves nothing open."""

    def _try(self) -> None:
        """Ask, unless it is not yet time to."""
        if self._clock() < self._ask_s:
            return
        end = self._now() - round(self.store.settle_s * 1e9)
        if end <= self._begin:
            self._ask_s = self._clock() + EVERY_S
            return
        try:
            page = self.store.page(self._begin, min(end, self._begin + STEP_NS))
        except StoreFailedError as error:
            if not error.retry_after_s and not self._line:
                raise InputError(error.message, error.hint) from error
            self._tally.add(FAILED, example=error.message)
            again = min(AGAIN_S * 2**self._failures, LONGEST_AGAIN_S)
            self._failures = min(self._failures + 1, 10)
            self._ask_s = self._clock() + max(error.retry_after_s, again)
            return
        self._failures = 0
        self._tally.add(CROWDED, page.crowded, example=self.store.name)
        self._held, self._begin = page.entries, page.next_ns
        behind = page.more or page.next_ns < end
        self._ask_s = self._clock() + (1 / self.store.rate if behind else EVERY_S)


def fetch(
    store: Store,
    tally: Tally,
    *,
    most_lines: int,
    now: Callable[[], int] = time.time_ns,
    wait: Callable[[float], object] = time.sleep,
) -> Iterator[list[tuple[str, str]]]:
    """Yield the entries of the stretch of time that a store's URL names, page by page: source and text.

    Raises
    ------
    InputError
        If the store refuses, or does not answer after five tries.

    """
    begin, end = store.since_ns(now()), store.until_ns(now())
    left = most_lines
    while begin < end and left > 0:
        page = _asked(store, begin, min(end, begin + STEP_NS), wait)
        tally.add(CROWDED, page.crowded, example=store.name)
        yield page.entries[:left]
        left -= len(page.entries)
        begin = page.next_ns
        wait(1 / store.rate)
    if left <= 0:
        tally.add(f"log store read only up to {most_lines:,} entries (most=)", example=store.name)


def _asked(store: Store, begin: int, end: int, wait: Callable[[float], object]) -> Page:
    for tried in range(TRIES):
        try:
            return store.page(begin, end)
        except StoreFailedError as error:
            if not error.retry_after_s or tried == TRIES - 1:
                raise InputError(error.message, error.hint) from error
            wait(max(error.retry_after_s, AGAIN_S * 2**tried))
    raise AssertionError("unreachable")  # pragma: no cover


def as_frame(entries: Sequence[tuple[str, str]], first: int) -> pl.DataFrame:
    """Return entries as `LINES`, numbered from `first` on; empty ones are left out."""
    kept = [(source, text) for source, text in entries if text.strip()]
    columns = {"source": [source for source, _ in kept], "text": [text for _, text in kept]}
    number = pl.int_range(first, first + pl.len(), dtype=pl.UInt64)
    frame = pl.DataFrame(columns, schema={"source": pl.String, "text": pl.String})
    return frame.with_columns(position=number, line=number, count=pl.lit(1, pl.UInt32)).select(LINES.names())


class Http:
    """Asks by HTTP: JSON in, JSON out.

    Parameters
    ----------
    base : str
        Scheme, host and path.
    name : str
        What messages call it; holds no password.
    headers : mapping
        Sent with every request.

    """

    def __init__(self, base: str, name: str, headers: Mapping[str, str]) -> None:
        self._base, self._name, self._headers = base.rstrip("/"), name, dict(headers)

    def ask(self, path: str, body: Any = None) -> Any:
        """Return the answer to a GET, or to a POST of `body`.

        Raises
        ------
        StoreFailedError
            If there is none, or none that makes sense.

        """
        content = None if body is None else orjson.dumps(body)
        headers = self._headers | ({} if body is None else {"Content-Type": "application/json"})
        request = urllib.request.Request(f"{self._base}{path}", content, headers)  # noqa: S310 - http only, by `parse`
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - the same
                raw = answer.read(MOST_BYTES + 1)
        except urllib.error.HTTPError as error:
            with error:
                raise self._answered(error) from error
        except (OSError, HTTPException) as error:
            why = getattr(error, "reason", error)
            raise StoreFailedError(f"{self._name} cannot be reached: {why}.", AGAIN_S) from error
        if len(raw) > MOST_BYTES:
            raise StoreFailedError(f"{self._name} answers more than {MOST_BYTES >> 20} MiB: make limit= smaller.", 0.0)
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise StoreFailedError(f"{self._name} answers no JSON: is it one?", 0.0) from error

    def _answered(self, error: urllib.error.HTTPError) -> StoreFailedError:
        said = error.read(300).decode("utf-8", "replace").strip().replace("\n", " ")
        asked = error.headers.get("Retry-After", "")
        passing = error.code == _TOO_MANY or error.code >= _FAULTS
        wait = min(float(asked), LONGEST_AGAIN_S) if asked.isdecimal() else AGAIN_S
        return StoreFailedError(f"{self._name} answered {error.code}: {said}", wait if passing else 0.0)


def secret(path: str) -> str:
    """Return what a file with a token or key holds.

    Raises
    ------
    InputError
        If it cannot be read.

    """
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The token in {path} cannot be read: {error}.", "Check the path and who may read it."
        ) from error


def cut_at(entries: Iterable[tuple[int, str, str]], limit: int, end_ns: int) -> tuple[Page, int | None]:
    """Return the page of whole moments among entries (time, source, text) in order of time.

    Of a full page the entries of its last moment are left for the next one, which begins with them: there may be more
    of them. If the page holds nothing but one moment, that moment is returned beside it.

    >>> cut_at([(1, "a", "x"), (2, "a", "y")], 2, 9)[0]
    Page(entries=[('a', 'x')], next_ns=2, more=True, crowded=0)
    """
    held = list(entries)
    if len(held) < limit:
        return Page([(source, text) for _, source, text in held], end_ns, more=False), None
    last = held[-1][0]
    whole = [(source, text) for at, source, text in held if at < last]
    if whole:
        return Page(whole, last, more=True), None
    return Page([(source, text) for _, source, text in held], last + 1, more=True), last
