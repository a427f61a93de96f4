"""Texts as arrays, for states that hold nothing but arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray


def text_arrays(name: str, texts: list[str]) -> dict[str, NDArray[Any]]:
    """Return texts [x] as UTF-8 bytes one after the other, and where each begins [x + 1]."""
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    return {f"{name}.bytes": np.frombuffer(b"".join(encoded), np.uint8), f"{name}.offsets": offsets}


def texts_of(name: str, arrays: Mapping[str, NDArray[Any]]) -> list[str]:
    """Return the texts that `text_arrays` stored under `name`."""
    whole, offsets = arrays[f"{name}.bytes"].tobytes(), arrays[f"{name}.offsets"].tolist()
    return [whole[a:b].decode() for a, b in pairwise(offsets)]


def digest(text: str) -> int:
    """Return a number for a text, the same for ever: BLAKE2b-64 (RFC 7693), little-endian.

    Of 400,000 keys two have the same one in one of 200 million cases.
    """
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
