"""Labels a person brings: a CSV of window keys, some of them known to be anomalous."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

from oddlog.errors import LabelError
from oddlog.types import I8, Windows

ANOMALOUS = frozenset({"1", "anomaly", "anomalous", "abnormal", "true", "yes", "failure", "fail", "attack"})
USUAL = frozenset({"0", "normal", "usual", "benign", "false", "no", "ok", "success", "-"})
UNKNOWN = -1
_EXAMPLE = "Give a CSV with the columns key,label."


@dataclass(frozen=True)
class Labels:
    """Which window keys are anomalous (1) and which usual (0)."""

    key: pl.Series
    label: I8

    def of(self, windows: Windows) -> I8:
        """Return the label [w] of each window, `UNKNOWN` where its key is not named.

        A session that was cut into several windows ("key#2") has the label of its key, unless it has its own.
        """
        return self.of_keys(windows.key)

    def of_keys(self, key: pl.Series) -> I8:
        """Return the label [w] of each window's key; see `of`."""
        named = self._named(key)
        base = self._named(key.str.replace(r"#\d+$", ""))
        return np.where(named == UNKNOWN, base, named)

    def _named(self, key: pl.Series) -> I8:
        label = key.replace_strict(self.key, pl.Series(self.label), default=UNKNOWN, return_dtype=pl.Int8)
        return label.to_numpy()


def read_labels(path: Path) -> Labels:
    """Read a CSV with the columns `key` and `label` (or whose first two columns are these).

    Raises
    ------
    LabelError
        If it cannot be read or holds a label that means nothing.

    """
    if path.is_dir():
        raise LabelError(f"The labels {path} are a folder.", _EXAMPLE)
    try:
        frame = pl.read_csv(path, infer_schema=False)
    except (OSError, PolarsError) as error:
        why = getattr(error, "strerror", None) or str(error).splitlines()[0]
        why = why.split(" (os error")[0]  # Polars repeats the path behind it
        raise LabelError(f"The labels {path} cannot be read: {why}.", _EXAMPLE) from error
    if len(frame.columns) < 2:  # noqa: PLR2004 - a key and a label
        raise LabelError(f"{path} has no two columns.", _EXAMPLE)
    if not len(frame):
        raise LabelError(f"{path} holds no label: there is nothing under its first line.", _EXAMPLE)
    names = ("key", "label") if {"key", "label"} <= set(frame.columns) else frame.columns[:2]
    key, word = frame[names[0]], frame[names[1]].str.strip_chars().str.to_lowercase()
    anomalous, usual = word.is_in(list(ANOMALOUS)), word.is_in(list(USUAL))
    strange = word.filter(~(anomalous | usual)).drop_nulls().unique(maintain_order=True)
    if len(strange):
        raise LabelError(
            f"{path} holds the label '{strange[0]}', which is neither usual nor anomalous.",
            "Write 0 or 1, or usual or anomalous.",
        )
    label = np.where(anomalous.fill_null(value=False), 1, np.where(usual.fill_null(value=False), 0, UNKNOWN))
    unique = pl.DataFrame({"key": key, "label": label.astype(np.int8)}).unique("key", keep="first", maintain_order=True)
    return Labels(unique["key"], unique["label"].to_numpy())


def to_learn(path: Path) -> tuple[Labels, str]:
    """Read labels for a fit; return them, and what is to be said before it begins.

    Raises
    ------
    LabelError
        If they cannot be read, or none is anomalous.

    """
    labels = read_labels(path)
    said = _one_kind(labels, path)
    if not said:
        return labels, ""
    if not (labels.label == 1).any():
        raise LabelError(f"{said}.", "Labels help only with both kinds; leave --labels out to learn without.")
    return labels, f"{said}: what they name leaves the training data, but the threshold is that without labels."


def to_judge(path: Path) -> tuple[Labels, str]:
    """Read labels to compare verdicts with; return them, and what is to be said first; raises as `read_labels`."""
    labels = read_labels(path)
    said = _one_kind(labels, path)
    left = "recall" if (labels.label == 1).any() else "the share of false alarms"
    return labels, said and f"{said}: {left} can be told, precision, F1 and a ROC curve cannot."


def _one_kind(labels: Labels, path: Path) -> str:
    """Return that all labels are of one kind, nothing if both are there."""
    anomalous, usual = (int((labels.label == one).sum()) for one in (1, 0))
    if anomalous and usual:
        return ""
    if not anomalous and not usual:
        raise LabelError(f"{path} holds keys, but no label.", _EXAMPLE)
    n, kind = (anomalous, "anomalous") if anomalous else (usual, "usual")
    return f"All {n:,} labels in {path} are {kind}" if n > 1 else f"The one label in {path} is {kind}"


def require_match(labels: Labels, matched: int, n_anomalous: int, example: str, path: Path) -> None:
    """Raise LabelError if the labels name no window, or no anomalous one."""
    if not matched:
        raise LabelError(
            f"None of the {len(labels.key):,} keys in {path} (such as '{next(iter(labels.key.drop_nulls()), '')}') "
            f"is the key of a window (such as '{example}').",
            "Check what --session ties lines together by.",
        )
    if not n_anomalous:
        raise LabelError(
            f"{matched:,} keys of {path} are windows here, but none of those is labelled anomalous.",
            "Labels help only with both kinds; leave --labels out to learn without.",
        )
