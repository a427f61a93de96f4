"""The session key: named by the user, or found as the identifier that recurs across lines.

A session identifier stands on most lines, each value on several lines of different kinds, close together in time,
and the sessions it makes resemble each other. A host, a user or an address recurs too, but all through the log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from oddlog.errors import ConfigError, did_you_mean
from oddlog.windows.identifiers import shapes_of

LEAST_COVERAGE = 0.5  # lines without the identifier would stand in no window
LEAST_VALUES = 10
LEAST_TIED, LEAST_TOGETHER = 0.05, 2.0  # share of the lines, and lines a value, from which on a part is worth a word
LEAST_RECURRING = 0.35  # of the lines that carry one: OpenStack's requests, many of one line only, have .48
LARGEST_LIFETIME = 0.25  # corrected: blocks of HDFS .05 to .20, clients of a web server .30, its processes .31 to .40
LEAST_SCORE = 0.2
_NEARLY = 0.9  # scores this close are equal: the more telling kind is taken
_MASKED = r"[^\s=:,\[\]()'\x22]*[0-9][^\s=:,\[\]()'\x22]*"
_LONGEST = 400  # characters of a message that are compared
_ADDRESS = r"^\[?(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9a-fA-F]*:[0-9a-fA-F]*:[0-9a-fA-F:.]*)\]?(?::[0-9]+)?$"
_DATE = r"^[0-9]{4}[-./]?[0-9]{2}[-./]?[0-9]{2}\b|^[0-9]{1,2}:[0-9]{2}\b"

# words in the name of a field or key that say what it is: not one run of something, but who, where or how much
_WORDS = {
    "tells who or where": "ip addr address host hostname rhost client remote peer user username uid euid gid account"
    " tenant project customer node pod container server machine device location place zone region country city"
    " thread tid agent browser source src dst dest",
    "tells how much": "port size len length bytes status code time ms duration latency elapsed count total offset"
    " line version level date day hour minute second timestamp",
    "tells what kind": "path url uri route referer referrer method logger class component module file filename"
    " function category type state action event msgid stream service app application program tag alert",
}
_PROCESS = frozenset({"pid", "process", "procid"})
CANDIDATES = pl.Schema(
    {
        "candidate": pl.String(),
        "coverage": pl.Float64(),
        "values": pl.UInt32(),
        "lines_per_value": pl.Float64(),
        "recurring": pl.Float64(),
        "templates_per_value": pl.Float64(),
        "lifetime_share": pl.Float64(),
        "resemblance": pl.Float64(),
        "opening": pl.Float64(),
        "score": pl.Float64(),
        "why_not": pl.String(),
    }
)


@dataclass(frozen=True)
class SessionChoice:
    """What groups lines into sessions, and the evidence for it.

    Attributes
    ----------
    kind : {"field", "regex", "none"}
        A found field, a regular expression with one group on the message, or nothing.
    value : str
        The field's name or the expression.
    confidence : float
        0 to 1; 1 where the user named it.
    candidates : pl.DataFrame
        What was looked at, best first: ``coverage`` share of the lines that carry one; ``values`` distinct
        ones; ``lines_per_value``; ``recurring`` share of the lines whose value stands on lines of at least two
        kinds; ``templates_per_value`` kinds of line; ``lifetime_share`` how long a value lives, against one
        whose lines are strewn by chance over the log (1); ``resemblance`` how likely another session holds a
        kind of line that one holds; ``opening`` how much the first lines of values differ in kind from all;
        ``score`` = recurring x (1 - lifetime_share x (1 - opening x resemblance)) x (1 + resemblance) / 2;
        ``why_not`` empty for what could be taken.
    ties : (str, float, str) or None
        Where nothing was taken: what would tie a part of the lines together if these were alone, the share of the
        lines that carry it, and the source with most of them if its lines can be learned by themselves.

    """

    kind: Literal["field", "regex", "none"]
    value: str = ""
    confidence: float = 1.0
    candidates: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CANDIDATES))
    ties: tuple[str, float, str] | None = None


def find_session(records: pl.DataFrame, *, max_records: int = 200_000) -> SessionChoice:
    """Find the identifier that recurs across lines, or say that there is none.

    Parameters
    ----------
    records : pl.DataFrame [lines]
        As `types.RECORDS` with found fields ``f.*``; only ``message`` is required.
    max_records : int
        Looks at the first so many: sessions must stand in it whole.

    """
    records = records.head(max_records)
    if len(records) == 0:
        return SessionChoice("none")
    lines = records.select(
        template=pl.col("message").fill_null("").str.head(_LONGEST).str.replace_all(_MASKED, "*").hash(),
        at=_moment(records),
    )
    rows = [_evidence(name, lines, records[name]) for name in records.columns if name.startswith("f.")]
    shapes = shapes_of(records["message"])
    rows += [_evidence(shape, lines, records["message"].str.extract(shape)) for shape in shapes]
    found = pl.DataFrame(rows, schema=CANDIDATES)
    best = found.filter(why_not="")["score"].max()
    order = found.with_row_index("rank").sort(
        [pl.col("why_not") == "", pl.col("score").fill_null(0), pl.col("rank")], descending=[True, True, False]
    )
    if best is None:
        rejected = order.filter(~pl.col("why_not").str.starts_with("tells"))["score"].max() or 0.0
        ties = _ties_some(records, order)
        return SessionChoice("none", confidence=1 - float(str(rejected)), candidates=order.drop("rank"), ties=ties)
    near = order.filter(pl.col("why_not") == "", pl.col("score") >= _NEARLY * pl.lit(best))
    taken = near.sort("rank").row(0, named=True)
    order = order.sort(pl.col("rank") != taken["rank"], maintain_order=True).drop("rank")
    name, score = taken["candidate"], round(taken["score"], 3)
    return SessionChoice("field" if name.startswith("f.") else "regex", name, score, order)


def _ties_some(records: pl.DataFrame, rejected: pl.DataFrame) -> tuple[str, float, str] | None:
    """Return what stands on too few lines to tie all of them, but ties those; see `SessionChoice.ties`."""
    few = rejected.filter(
        pl.col("why_not").str.starts_with("stands on"),
        pl.col("coverage") >= LEAST_TIED,
        pl.col("lines_per_value") >= LEAST_TOGETHER,
        pl.col("values") >= LEAST_VALUES,
    ).sort("coverage", descending=True, maintain_order=True)
    if "source" not in records.columns:
        return None
    for name, coverage in few.select("candidate", "coverage").iter_rows():
        value = records[name] if name.startswith("f.") else records["message"].str.extract(name)
        carried = records.select("source").with_columns(there=value.is_not_null()).group_by("source")
        by = carried.agg(n=pl.col("there").sum(), share=pl.col("there").mean()).sort("n", "source", descending=True)
        source, _, share = by.row(0)
        if share >= LEAST_COVERAGE and len(by) > 1 and find_session(records.filter(source=source)).value == name:
            return name, coverage, source
    return None


def _moment(records: pl.DataFrame) -> pl.Expr:
    """Return when each line was written: its time where nearly all have one, else its place in the log."""
    if "time" in records.columns and records["time"].null_count() <= len(records) // 10:
        return pl.col("time").forward_fill().backward_fill().to_physical()
    return pl.int_range(pl.len(), dtype=pl.Int64)


def _evidence(name: str, lines: pl.DataFrame, value: pl.Series) -> dict[str, Any]:
    """Return the row of one candidate in the table; dear figures only while it can still be taken."""
    carried = lines.with_columns(value=_without_blanks(value)).drop_nulls("value")
    n, values = len(carried), carried["value"].n_unique()
    coverage = n / len(lines)
    why_not = _by_kind(name, carried["value"])
    row = {"candidate": name, "coverage": coverage, "values": values, "lines_per_value": n / max(1, values)}
    if n == 0 or (not why_not and (why_not := _by_count(coverage, values))):
        return {**dict.fromkeys(CANDIDATES), **row, "why_not": why_not}
    figures = _by_lines(carried, len(lines))
    # long lives are no objection where sessions begin alike and go alike: the log is short, not the thing eternal
    lifetime = figures["lifetime_share"] * (1 - figures["opening"] * figures["resemblance"])
    score = figures["recurring"] * (1 - lifetime) * (1 + figures["resemblance"]) / 2
    if _words(name) & _PROCESS:
        score /= 2  # a process that serves one session is one, one that serves all is not
    why_not = why_not or _by_evidence(figures["recurring"] / coverage, lifetime, score)
    return {**row, **figures, "score": score, "why_not": why_not}


def _by_kind(name: str, values: pl.Series) -> str:
    """Return why a name, or what its values look like, cannot identify a session."""
    words = _words(name)
    for reason, known in _WORDS.items():
        if words & set(known.split()):
            return reason
    sample = values.head(10_000).unique()
    for shape, reason in ((_ADDRESS, "tells who or where"), (_DATE, "tells when")):
        if len(sample) and float(str(sample.str.contains(shape).mean())) > 0.5:  # noqa: PLR2004 - most of them
            return reason
    return ""


def _words(name: str) -> set[str]:
    r"""Return the words of a field's name, or of the key in an expression.

    >>> sorted(_words("f.clientIp")), sorted(_words(r"\bTraceID[:=]([0-9a-f]+)"))
    (['client', 'ip'], ['id', 'trace'])
    """
    key = name[2:] if name.startswith("f.") else "".join(re.findall(r"^\\b\(?([A-Za-z_\-]+)", name))
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", key)
    return {part.lower() for part in parts}


def _by_count(coverage: float, values: int) -> str:
    if coverage < LEAST_COVERAGE:
        return f"stands on {coverage:.0%} of the lines"
    if values < LEAST_VALUES:
        return f"has {values} values"
    return ""


def _by_lines(carried: pl.DataFrame, n_lines: int) -> dict[str, float]:
    """Return how the values of a candidate recur, live and resemble each other."""
    span = max(1, int(str(carried["at"].max())) - int(str(carried["at"].min())))
    life = (pl.col("at").max() - pl.col("at").min()) / span
    each = carried.group_by("value").agg(
        n=pl.len().cast(pl.Float64),
        kinds=pl.col("template").n_unique().cast(pl.Float64),
        life=life,
        born=pl.col("at").min(),
        opens=pl.col("template").get(pl.col("at").arg_min()),
    )
    each = each.sort("value")  # sums of floats depend on the order, and groups come in any
    several = each.filter(pl.col("n") > 1)
    weight = float(several["n"].sum())
    if weight == 0:
        return {"recurring": 0.0, "templates_per_value": 1.0, "lifetime_share": 0.0, "resemblance": 0.0, "opening": 0.0}
    # n points strewn over [0, 1] span (n - 1) / (n + 1) on average
    chance = several.select((pl.col("n") * (pl.col("n") - 1) / (pl.col("n") + 1)).sum()).item()
    pairs = carried.join(several.select("value"), on="value", how="semi").select("value", "template").unique()
    holders = pairs.group_by("template").len()["len"].cast(pl.Int64)
    others = int((holders * (holders - 1)).sum()) / max(1, len(several) - 1)
    return {
        "recurring": float(several.filter(pl.col("kinds") > 1)["n"].sum()) / n_lines,
        "templates_per_value": each.select(pl.col("kinds").mean()).item(),
        "lifetime_share": min(1.0, several.select((pl.col("n") * pl.col("life")).sum()).item() / chance),
        "resemblance": others / max(1, len(pairs)),
        "opening": _opening(carried, several, span),
    }


def _opening(carried: pl.DataFrame, each: pl.DataFrame, span: int) -> float:
    """Return how much the lines that values begin with differ in kind from all lines (total variation, 0 to 1).

    Values seen in the first tenth may have begun before the log.
    """
    start = carried["at"].min()
    begun = each.filter(pl.col("born") > pl.lit(start) + span // 10)
    if len(begun) < LEAST_VALUES:
        return 0.0
    first = begun["opens"].value_counts(normalize=True, name="first").rename({"opens": "template"})
    usual = carried["template"].value_counts(normalize=True, name="usual")
    both = first.join(usual, on="template").sort("template")  # sums of floats depend on the order
    return float(both.select((pl.col("first") - pl.col("usual")).clip(0).sum()).item())


def _by_evidence(recurring: float, lifetime: float, score: float) -> str:
    if recurring < LEAST_RECURRING:
        return f"only {recurring:.0%} of its lines share their value with a line of another kind"
    if lifetime > LARGEST_LIFETIME:
        return "its values live long, and neither begin nor go alike"
    if score < LEAST_SCORE:
        return f"weak evidence: score {score:.2f}"
    return ""


_WITHOUT_BLANKS = pl.col("key").replace(["", "-", "null", "None"], [None] * 4)


def parse_session(option: str) -> SessionChoice | None:
    """Read the option ``--session``; None stands for ``auto``: use `find_session`.

    Parameters
    ----------
    option : str
        ``auto``, ``none``, the name of a found field (``f.`` may be left out), or a regular expression with
        one group around the identifier. What is a plain word is a field.

    Raises
    ------
    ConfigError
        A regular expression that is none, or that has no group or several.

    """
    if option == "auto":
        return None
    if option in {"none", ""}:
        return SessionChoice("none")
    if re.fullmatch(r"[\w.\-]+", option):
        return SessionChoice("field", option)
    try:
        groups = pl.Series([""]).str.extract_groups(option).struct.fields
    except pl.exceptions.PolarsError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ConfigError(
            f"The session {option!r} is no regular expression: {reason}.",
            r"Write one with a group around the identifier, such as '(order-\d+)', or a field's name.",
        ) from None
    if len(groups) != 1:
        raise ConfigError(
            f"The session {option!r} has {len(groups)} groups, and needs one.",
            "Put ( ) around the identifier, and write (?: ) for other groups.",
        )
    return SessionChoice("regex", option)


def session_keys(records: pl.DataFrame, choice: SessionChoice) -> pl.Series:
    """Return the session key of each record [lines] str; null where a record names none.

    Raises
    ------
    ConfigError
        The chosen field is not among those found.

    """
    if choice.kind == "none":
        return pl.Series("session", [None] * len(records), pl.String)
    if choice.kind == "regex":
        keys = records["message"].str.extract(*_whole_match(choice.value))
    else:
        names = [name for name in (choice.value, f"f.{choice.value}", f"n.{choice.value}") if name in records.columns]
        if not names:
            known = [c.removeprefix("f.") for c in records.columns if c.startswith("f.")]
            raise ConfigError(f"There is no field {choice.value!r}.", did_you_mean(choice.value, known))
        keys = records[names[0]].cast(pl.String)
    return _without_blanks(keys).alias("session")


def _whole_match(expression: str) -> tuple[str, int]:
    """Return an expression and the number of the group to take: none, where the group is all that matches.

    Without a group the automaton that finds a match suffices, which takes half the time.
    """
    whole = re.fullmatch(r"(\\b)?\(((?:[^()\[\]\\]|\\.|\[[^\[\]\\]*(?:\\.[^\[\]\\]*)*\])*)\)", expression)
    if whole is None or whole[2].startswith("?") or "|" in whole[2]:
        return expression, 1
    return f"{whole[1] or ''}{whole[2]}", 0


def _without_blanks(keys: pl.Series) -> pl.Series:
    """Return the keys with null where a log writes that it has none."""
    return keys.to_frame("key").select(_WITHOUT_BLANKS)["key"]
