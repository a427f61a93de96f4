"""Plain text: every line is a message, and nothing more is known of it."""

from __future__ import annotations

import polars as pl

from oddlog.formats.layout import finish, lines_of


class Plain:
    """What is left when nothing else fits; never refuses a line."""

    name = "plain"

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:  # noqa: ARG002 -- Format's signature
        """Return each line as its own message."""
        return finish(lines_of(text).with_columns(ok=pl.lit(value=True), message="text"))
