"""Tokens of messages that look like identifiers, each generalised to a small regular expression."""

from __future__ import annotations

import polars as pl

SAMPLE = 20_000  # messages looked at for the shapes; the shapes are then counted on all
MOST = 16  # of each kind, the most frequent ones
RAREST = 0.05  # share of the lines that must carry one

_UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_WORD = r"[A-Za-z][A-Za-z_\-]{1,29}"
_IS = r"""["']?\s?[=:]\s?["']?"""  # = or :, quoted on either side or not
# shape of a token -> how its fixed part is taken out, and the expression that the fixed part makes
_SHAPES: tuple[tuple[str, str, str], ...] = (
    # req-6f1c… and other uuids with a prefix
    (rf"\b[A-Za-z]{{2,12}}[\-_]{_UUID}\b", r"^([A-Za-z]+[\-_])", rf"\b(FIXED{_UUID})\b"),
    # blk_-16089, order-12345, attempt_2008_m_1: to the end of the first number, and the whole token
    (r"\b[A-Za-z]{2,20}[_\-]-?[0-9]+", r"^([A-Za-z]+[_\-])", r"\b(FIXED-?[0-9]+)"),
    (r"\b[A-Za-z]{2,20}[_\-]-?[0-9]+[_\-]\w[\w\-]*", r"^([A-Za-z]+[_\-])", r"\b(FIXED-?[0-9][\w\-]*)"),
    # user=17, "order": "A-17", TraceID: 6f1c…: the key tells, the value holds a digit
    (
        rf"\b{_WORD}{_IS}[\w\-]*[0-9][\w\-]*",
        rf"^({_WORD})",
        rf"\bFIXED{_IS}([\w\-]*[0-9][\w\-]*)",
    ),
    # uuids without a prefix
    (rf"\b{_UUID}\b", r"^()", rf"\b({_UUID})\b"),
    # 6f1c29ab and longer, at least one letter: runs of the same length
    (r"(?:^|[^\w\-])[0-9a-f]{8,64}(?:$|[^\w\-])", "", r"(?:^|[^\w\-])([0-9a-f]{FIXED})(?:$|[^\w\-])"),
)


def shapes_of(messages: pl.Series) -> list[str]:
    """Return regular expressions with one group that find identifier-like tokens, the most telling kinds first.

    Parameters
    ----------
    messages : pl.Series [lines] str

    """
    step = max(1, len(messages) // SAMPLE)
    sample = pl.DataFrame({"message": messages.gather_every(step)}).with_row_index("row")
    shapes: list[str] = []
    for token, fixed, shape in _SHAPES:
        tokens = sample.select("row", pl.col("message").str.extract_all(token).alias("token")).explode("token")
        part = pl.col("token").str.extract(fixed) if fixed else _hex_length()
        rows = tokens.select("row", part=part).drop_nulls().unique()
        counts = rows["part"].value_counts(name="lines").filter(pl.col("lines") >= RAREST * len(sample))
        names = counts.sort(["lines", "part"], descending=[True, False])["part"].head(MOST)
        shapes += [shape.replace("FIXED", name).replace("--?", "-") for name in names]
    return shapes


def _hex_length() -> pl.Expr:
    """Return the length of runs that hold a digit and a letter."""
    token = pl.col("token").str.extract("([0-9a-f]{8,64})")
    mixed = token.str.contains("[0-9]") & token.str.contains("[a-f]")
    return pl.when(mixed).then(token.str.len_bytes().cast(pl.String))
