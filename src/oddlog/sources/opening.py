"""From what a person writes to a source: a path, a glob, or a URL of something that is asked for lines.

::

    app.log  /var/log/app/  '*.log'       files that grow
    journald://?unit=nginx.service        the journal
    loki+http://HOST:3100/?query={…}      Grafana Loki
    es+http://HOST:9200/INDEX?query=…     Elasticsearch, OpenSearch
    kafka://HOST:9092/TOPIC?group=…       Kafka (extra ``kafka``)
"""

from __future__ import annotations

import glob
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from oddlog.errors import ConfigError, did_you_mean
from oddlog.sources.asking import Asked
from oddlog.sources.elastic import Elastic
from oddlog.sources.journald import Journald, options_of
from oddlog.sources.loki import Loki
from oddlog.sources.tail import Tail
from oddlog.types import Batch, Tally

STORES: dict[str, type[Loki | Elastic]] = {
    "loki+http": Loki,
    "loki+https": Loki,
    "es+http": Elastic,
    "es+https": Elastic,
}
_log = logging.getLogger("oddlog")
LIVE = ("journald", "kafka", *STORES)
"""What a URL may begin with."""


class Resumable(Protocol):
    """A `types.Source` that says where to go on, and can be closed."""

    def poll(self, max_lines: int, timeout_s: float) -> Batch:
        """See `types.Source`."""
        ...

    def commit(self, position: Any) -> None:
        """See `types.Source`."""
        ...

    def state(
        self, places: Mapping[str, tuple[int, int]] | None = None, earliest: int | None = None, /
    ) -> dict[str, Any]:
        """Return a position to go on from, as JSON: behind everything handed over, or before it.

        `places` gives (position, line) behind the last line of each source that has been dealt with, `earliest` the
        first position that has not, where all sources have one order; some lines behind that are handed over again,
        under the same positions.
        """
        ...

    def close(self) -> None:
        """Let go of whatever is open."""
        ...


def is_url(text: str) -> bool:
    """Return whether a text is a URL, not a path.

    >>> is_url("journald://"), is_url("logs/a.log"), is_url("/var/log/*.log")
    (True, False, False)
    """
    return "://" in text and urlsplit(text).scheme.replace("+", "").isalnum()


def is_store(text: str) -> bool:
    """Return whether a text is the URL of a log store, which can be asked for what it holds already.

    >>> is_store("es+http://127.0.0.1:9200/web"), is_store("journald://")
    (True, False)
    """
    return is_url(text) and urlsplit(text).scheme in STORES


def open_url(
    url: str, tally: Tally, *, position: Mapping[str, Any] | None = None, from_start: bool = False
) -> Resumable:
    """Return the source that a URL names, going on behind a position that another handed over.

    Raises
    ------
    ConfigError
        If it names none, or sets what the source does not have.
    InputError
        If what it names cannot be reached.

    """
    scheme = urlsplit(url).scheme
    if scheme == "journald":
        return Journald(tally, options_of(url), position=position, from_start=from_start)
    if scheme in STORES:
        return Asked(STORES[scheme](url), tally, position=position, from_start=from_start)
    if scheme == "kafka":
        from oddlog.sources.kafka import Kafka  # noqa: PLC0415 - of an extra

        return Kafka(url, tally, position=position, from_start=from_start)
    raise ConfigError(f"'{urlsplit(url).scheme}://…' names no source.", did_you_mean(scheme, LIVE))


def open_sources(
    texts: Sequence[str], tally: Tally, *, position: Mapping[str, Any] | None = None, from_start: bool = False
) -> Resumable:
    """Return the source that paths and globs name together, or a URL alone; raises as `open_url` does."""
    urls = [text for text in texts if is_url(text)]
    if not urls:
        _tell_missing(texts)
        return Tail(texts, tally, from_start=from_start, places=position)
    if len(texts) > 1:
        raise ConfigError(f"{urls[0]} is read alone.", "Give all of them to oddlog serve, each with --source.")
    return open_url(urls[0], tally, position=position, from_start=from_start)


def _tell_missing(paths: Sequence[str]) -> None:
    """Say what is waited for: a slip of the pen would be waited for in silence, for ever."""
    for path in paths:
        if Path(path).exists():
            continue
        if not glob.has_magic(path):
            _log.warning("%s is not there yet: it is waited for.", path)
        elif not glob.glob(path, recursive=True):  # noqa: PTH207 - Path.glob takes no absolute pattern
            _log.warning("No file is called %s yet: it is waited for.", path)
