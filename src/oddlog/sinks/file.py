"""Incidents as lines of JSON in a file."""

from __future__ import annotations

import os
from pathlib import Path

import orjson

from oddlog.errors import SinkUnavailableError
from oddlog.sinks.told import as_json
from oddlog.types import LiveIncident

RETRY_S = 30.0


class FileSink:
    """Appends a line for each change of an incident, durable before `send` returns.

    Parameters
    ----------
    path : Path
        The file; its folder must be there.

    """

    def __init__(self, path: Path) -> None:
        self.name = f"file:{path}"
        self._path = path

    def send(self, live: LiveIncident) -> None:
        """Append it; see `types.Sink`."""
        option = orjson.OPT_UTC_Z | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
        content = orjson.dumps(as_json(live), option=option)
        try:
            with self._path.open("ab") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise SinkUnavailableError(f"{self._path} cannot be written: {error.strerror}.", RETRY_S) from error
