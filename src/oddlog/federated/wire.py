"""What is sent between server and sites: facts and arrays as one string of bytes.

::

    4 bytes length | facts as JSON | arrays as safetensors

Nothing in it is executed when it is read. Flower carries it as one value of a `ConfigRecord`; what a test of secrets
looks through is exactly this, before TLS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import orjson
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

PROTOCOL = 3
"""Server and sites must speak the same."""
_HEAD = 4
MOST_BYTES = 1 << 30


class DamagedNoteError(ValueError):
    """Bytes that are no note."""


@dataclass(frozen=True)
class Note:
    """One message.

    Attributes
    ----------
    facts : mapping
        Numbers and fixed words, as JSON.
    arrays : mapping of arrays
        Everything large.

    Examples
    --------
    >>> Note.read(Note({"round": 3}, {"update": np.float32([1, 2])}).written()).facts
    {'round': 3}

    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def written(self) -> bytes:
        """Return the note as bytes, the same for equal notes."""
        head = orjson.dumps(dict(self.facts), option=orjson.OPT_SORT_KEYS)
        arrays = {name: np.ascontiguousarray(self.arrays[name]) for name in sorted(self.arrays)}
        return len(head).to_bytes(_HEAD, "little") + head + save(arrays)

    @classmethod
    def read(cls, content: bytes) -> Self:
        """Return the note that `content` holds.

        Raises
        ------
        DamagedNoteError
            If it holds none.

        """
        if not _HEAD <= len(content) <= MOST_BYTES:
            raise DamagedNoteError(f"{len(content)} bytes are no note")
        ends = _HEAD + int.from_bytes(content[:_HEAD], "little")
        try:
            facts = orjson.loads(content[_HEAD:ends])
            arrays = load(content[ends:])
        except (orjson.JSONDecodeError, SafetensorError, ValueError, KeyError) as error:
            raise DamagedNoteError("bytes that are no note") from error
        if not isinstance(facts, dict):
            raise DamagedNoteError("facts that are no object")
        return cls(facts, arrays)

    def bytes_of(self, name: str) -> bytes:
        """Return an array of bytes as bytes."""
        return self.arrays[name].tobytes()


def as_array(content: bytes) -> NDArray[np.uint8]:
    """Return bytes as an array [x], to be sent in a note."""
    return np.frombuffer(content, np.uint8)
