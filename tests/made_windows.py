"""Windows made by hand from lists of template rows."""

from __future__ import annotations

import numpy as np
import polars as pl

from oddlog.types import Windows


def windows_of(bags: list[list[int]], weight: list[float] | None = None, start: list[int] | None = None) -> Windows:
    """Return a finished window for each bag of templates; windows start one after the other unless `start` says when."""
    n = sum(map(len, bags))
    zeros = np.zeros(n, np.int64)
    return Windows(
        key=pl.Series("key", [f"s{i}" for i in range(len(bags))], dtype=pl.String),
        start=np.array(range(len(bags)) if start is None else start, np.int64),
        end=np.arange(len(bags), dtype=np.int64),
        closed_by=np.ones(len(bags), np.uint8),
        weight=np.array(weight or [1.0] * len(bags)),
        offsets=np.concatenate([[0], np.cumsum([len(b) for b in bags])]).astype(np.int64),
        template=np.array([t for b in bags for t in b], np.uint32),
        time_us=zeros,
        level=zeros.astype(np.uint8),
        service=zeros.astype(np.uint16),
        source=zeros.astype(np.uint16),
        line=np.arange(n, dtype=np.uint64),
        numbers=np.empty((n, 0), np.float32),
    )
