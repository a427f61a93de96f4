"""Texts as arrays, for states that hold nothing but arrays."""

from __future__ import annotations

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
