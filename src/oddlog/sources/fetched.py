"""What log stores were asked for, in temporary files, since it is read more than once: a file for each source."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from typing import BinaryIO

from oddlog.errors import InputError
from oddlog.sources.asking import fetch
from oddlog.sources.links import Links
from oddlog.sources.opening import STORES
from oddlog.types import Tally

MOST_SOURCES = 500  # files open at once
_OTHERS = "(others)"  # what comes from further sources


class Fetched:
    """Asks each URL once; see `asking.fetch`.

    Parameters
    ----------
    now, wait : callable
        Nanoseconds since the epoch; waits so many seconds.

    """

    def __init__(self, *, now: Callable[[], int] = time.time_ns, wait: Callable[[float], object] = time.sleep) -> None:
        self._now, self._wait = now, wait
        self._names: dict[str, list[str]] = {}  # URL -> sources
        self._files: dict[str, BinaryIO] = {}

    def names(self, url: str, tally: Tally) -> list[str]:
        """Return the sources that a URL has brought; the first time it is asked.

        Raises
        ------
        InputError
            If the store refuses, or has no entry.
        ConfigError
            If the URL makes no sense.

        """
        if url not in self._names:
            store = STORES[url.partition(":")[0]](url)
            before = set(self._files)
            for entries in fetch(store, tally, most_lines=store.most, now=self._now, wait=self._wait):
                for source, text in entries:
                    self._file(source, store.name).write(text.replace("\n", " ").encode() + b"\n")
            self._names[url] = [name for name in self._files if name not in before]
            if not self._names[url]:
                raise InputError(
                    f"{store.name} has no entry that fits.", "Look at query=, and at since= (24h if not given)."
                )
        return self._names[url]

    @property
    def links(self) -> Links:
        """Leads incidents back to what was asked."""
        return Links(list(self._names))

    def file(self, source: str) -> BinaryIO | None:
        """Return what a source has brought, from its beginning; None where it is none of these."""
        file = self._files.get(source)
        if file is not None:
            file.seek(0)
        return file

    def close(self) -> None:
        """Forget all of it."""
        for file in self._files.values():
            file.close()
        self._files.clear()
        self._names.clear()

    def __del__(self) -> None:
        self.close()

    def _file(self, source: str, store: str) -> BinaryIO:
        if source not in self._files:
            if len(self._files) >= MOST_SOURCES:
                source = f"{store}/{_OTHERS}"
            if source not in self._files:
                self._files[source] = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
        return self._files[source]
