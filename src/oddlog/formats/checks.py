"""What every format must keep to, as functions that any format can be put through.

For third parties they are to be had as `oddlog.testing.check_format`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from oddlog.formats.layout import RECORD, type_of_field
from oddlog.formats.registry import Bindable
from oddlog.types import Format

Case = Mapping[str, Any]
"""A line with what must come of it: text, ok, time (ISO 8601 or null), level, service, host, message, fields."""

FEWEST_CASES = 20
YEAR = 2024  # given to formats that do not write one
NASTY = (
    "",
    " ",
    "\t",
    "\x00",
    "\\",
    '"',
    "{",
    "[",
    "<",
    "=",
    "|",
    "a" * 70_000,
    "[" * 5_000,
    '{"a":' * 2_000,
    '{"*":1,"^a$":2,"":3,"ok":true,"time":{"time":[1]}}',
    "\ud7ff\ue000\U0010ffff\u202e",
    "0000-00-00 00:00:00 INFO",
    "9999-12-31 23:59:59.999999999 +14:00 INFO x: y",
    "99999999999999999999 1 2 3 4 5 6 7 8 9",
    "<999999999999>1 - - - - - -",
)
"""Texts that break what was not written with them in mind."""


def read_cases(path: Path) -> list[Case]:
    """Return the cases of a corpus: one JSON object per line."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def bound(tested: Format, text: pl.Series, *, year: int = YEAR) -> Format:
    """Return the format ready for the source that `text` [lines] is from."""
    return (tested.bind(text, year=year) or tested) if isinstance(tested, Bindable) else tested


def check_format(tested: Format, cases: Sequence[Case] = ()) -> None:
    """Raise AssertionError where a format breaks its contract or reads a case otherwise than written.

    Parameters
    ----------
    tested : Format
        The format.
    cases : sequence of Case
        Lines with what must come of them, all of one source, at least 20 of them; none to check the contract
        alone.

    """
    assert tested.name, "a format has a name"
    check_contract(tested, pl.Series("text", [], dtype=pl.String))
    check_contract(tested, pl.Series("text", NASTY))
    for text in NASTY:
        check_contract(tested, pl.Series("text", [text]))
    if cases:
        assert len(cases) >= FEWEST_CASES, f"{tested.name}: {len(cases)} cases, wanted {FEWEST_CASES}"
        check_cases(tested, cases)


def check_contract(tested: Format, text: pl.Series, *, year: int = YEAR) -> pl.DataFrame:
    """Check height, columns and types of what comes of `text` [lines]; return it."""
    records = tested.parse(text, year=year)
    where = f"{tested.name} on {text.head(3).to_list()!r:.200}"
    assert len(records) == len(text), f"{where}: {len(records)} rows for {len(text)} lines"
    assert records.columns[:1] == ["ok"], f"{where}: no column 'ok'"
    assert records["ok"].dtype == pl.Boolean, f"{where}: 'ok' is {records['ok'].dtype}"
    assert not records["ok"].null_count(), f"{where}: 'ok' is null somewhere"
    for name, dtype in RECORD.items():
        assert records.schema.get(name) == dtype, f"{where}: '{name}' is {records.schema.get(name)}, not {dtype}"
    for name in set(records.columns) - {"ok", *RECORD}:
        wanted = type_of_field.get(name[:2])
        assert wanted is not None, f"{where}: '{name}' is neither n.NAME nor f.NAME"
        assert records.schema[name] == wanted, f"{where}: '{name}' is {records.schema[name]}, not {wanted}"
    refused = records.filter(~pl.col("ok"))
    kept = text.cast(pl.String).filter(~records["ok"])
    assert refused["message"].to_list() == kept.to_list(), f"{where}: a refused line lost its text"
    others = [name for name in refused.columns if name not in {"ok", "message"}]
    assert all(refused[name].null_count() == len(refused) for name in others), f"{where}: a refused line says more"
    return records


def check_cases(tested: Format, cases: Sequence[Case]) -> None:
    """Check that every case is read as written, all of them in one block."""
    text = pl.Series("text", [case["text"] for case in cases], dtype=pl.String)
    records = check_contract(bound(tested, text), text)
    for case, row in zip(cases, records.to_dicts(), strict=True):
        got = as_case(case["text"], row)
        for name, value in case.items():
            assert got[name] == value, f"{tested.name}: {case['text']!r}: {name} is {got[name]!r}, wanted {value!r}"


def as_case(text: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return one record in the form of a case."""
    time: datetime | None = row["time"]
    written = None if time is None else time.astimezone(UTC).isoformat().replace("+00:00", "Z")
    fields = {k: v for k, v in sorted(row.items()) if k[:2] in type_of_field and v is not None}
    named = {name: row[name] for name in ("ok", "level", "service", "host", "message")}
    return {"text": text, "time": written, **named, "fields": fields}
