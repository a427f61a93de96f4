"""Teach oddlog a way of writing lines that it does not know.

A format is one class with a name and `parse`, which turns lines into columns. It says of each line whether it is of
its kind (`ok`) and never raises. Once registered it is found like the built-in ones, and `fit` uses it.
Run it with: python examples/own_format.py
"""

from __future__ import annotations

import polars as pl

from oddlog.formats import detect_format, parse_lines, register
from oddlog.types import LEVEL, LINES, TIME

LINES_OF_A_FURNACE = [
    "2026-03-02 07:24:08|furnace-3|W|temperature 1214 C is above the set point",
    "2026-03-02 07:24:09|furnace-1|I|door closed after 12 s",
    "2026-03-02 07:24:11|furnace-3|E|burner 2 does not answer",
]
LETTERS = {"I": "INFO", "W": "WARNING", "E": "ERROR"}


class Furnace:
    """``time|host|letter|message``."""

    name = "furnace"

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:  # noqa: ARG002 - the lines write their year
        """Return one row per line."""
        part = pl.col("text").str.splitn("|", 4).struct
        time = part.field("field_0").str.strptime(pl.Datetime("us"), "%Y-%m-%d %H:%M:%S", strict=False)
        letter = part.field("field_2")
        return pl.DataFrame({"text": text}).select(
            ok=time.is_not_null() & letter.is_in(list(LETTERS)) & part.field("field_3").is_not_null(),
            time=time.dt.replace_time_zone("UTC").cast(TIME),
            level=letter.replace_strict(LETTERS, default=None).cast(LEVEL),
            service=pl.lit("furnace"),
            host=part.field("field_1"),
            message=part.field("field_3"),
        )


def main() -> None:
    """Register the format, see it found, and read lines with it."""
    register(Furnace())
    n = len(LINES_OF_A_FURNACE)
    lines = pl.DataFrame(
        {
            "source": ["furnace.log"] * n,
            "position": range(n),
            "line": range(1, n + 1),
            "text": LINES_OF_A_FURNACE,
            "count": [1] * n,
        },
        schema=LINES,
    )
    detected = detect_format(lines["text"], year=2026)
    print(f"format {detected.format.name}, confidence {detected.confidence:.2f}")
    records = parse_lines(lines, detected, year=2026)
    print(records.select("time", "level", "host", "message"))


if __name__ == "__main__":
    main()
