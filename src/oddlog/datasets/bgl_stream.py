"""The second half of BGL as a stream of event types in order of time, windows of 100 lines.

The lines are made of the texts of the types, so they have neither time nor level nor service.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import polars as pl

from oddlog.datasets.folders import LINE_LABELS, LOGS, About, write_lines
from oddlog.datasets.raw import find

ABOUT = About(
    development=True,
    name="bgl-half2",
    title="The second half of BGL as event types in order of time, labelled by line, windows of 100 lines",
    format="json",
    session="none",
    window="100",
    terms="CC BY 4.0 (loghub); cite",
    cite="Zhu et al., ISSRE 2023 (loghub); Oliner and Stearley, DSN 2007",
)
WINDOW = 100
SOURCE = "bgl.json"


def write(raw: Path, to: Path) -> None:
    """Write whole windows from a folder with `bgl_half2.npz` and the templates of its types."""
    events, label, texts = read(raw)
    line = {event: orjson.dumps({"message": text}).decode() for event, text in texts.items()}
    lines = pl.Series(events.astype(np.int64)).replace_strict(list(line), list(line.values()), return_dtype=pl.String)
    write_lines(to / LOGS / SOURCE, lines)
    told = np.flatnonzero(label != 0)
    named = {"source": pl.repeat(SOURCE, len(told), eager=True), "line": told + 1, "label": label[told]}
    pl.DataFrame(named).write_csv(to / LINE_LABELS)


def read(raw: Path) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
    """Return event types and labels (1 alert, 0 usual, -1 unknown) of whole windows, and the text of each type."""
    with np.load(find(raw, ("bgl_half2.npz",))) as data:
        whole = len(data["event"]) // WINDOW * WINDOW
        events, label = data["event"][:whole], data["label"][:whole]
    texts = dict(pl.read_csv(find(raw, ("bgl_half2_templates.csv",))).select("event", "template").iter_rows())
    unread = (event for event in np.unique(events).tolist() if not (texts.get(event) or "").strip())
    # A type without a text gets a word of its own, without a digit: digits are masked.
    texts |= {event: "unread " + "".join(chr(97 + int(digit)) for digit in str(event)) for event in unread}
    return events, label, texts
