"""What a text speaks of, by its words: a flag for each group."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from oddlog.types import Bool

GROUPS = {
    "failure": "abort|bad|cannot|corrupt|could not|crash|critical|error|fail|fatal|fault|invalid|panic|unable|wrong",
    "exception": "exception|traceback|unhandled|uncaught|assert",
    "refusal": "blocked|den(?:y|ied)|forbid|not allowed|refus|reject|unauthori",
    "waiting": "delay|expir|late|slow|stall|tim(?:e|ed) ?out|timeout|wait",
    "loss": "disconnect|drop|gone|lost|miss|no such|not found|unreachable|unavailable",
    "again": "again|attempt|reconnect|resend|repeat|retr(?:y|ies)",
    "begin": "accept|add|begin|boot|creat|init|open|receiv|request|start",
    "finish": "clos|complet|delet|done|end|exit|finish|remov|shut|stop|success|terminat",
    "access": "auth|credential|log(?:ged)?[- ]?(?:in|on)|password|permission|privilege|session|user",
}
"""Beginnings of words, as alternatives of a regular expression, by what they speak of."""


def keywords(texts: Sequence[str] | pl.Series) -> Bool:
    """Return which groups each text speaks of [k, 9], a word beginning after anything but a letter.

    >>> keywords(["Login refused: timeOut", "unfailing"])[0].nonzero()[0].tolist()
    [2, 3, 8]
    """
    series = pl.Series("text", texts, dtype=pl.String)
    # A word begins after anything but a letter, or where camelCase puts a capital.
    spaced = series.str.replace_all(r"([a-z0-9])([A-Z])", "$1 $2").str.to_lowercase()
    found = [spaced.str.contains(rf"(?:^|[^a-z])(?:{words})").fill_null(value=False) for words in GROUPS.values()]
    flags: Bool = np.stack([flag.to_numpy() for flag in found], axis=1).astype(np.bool_)
    return flags
