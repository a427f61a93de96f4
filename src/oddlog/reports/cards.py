"""Incidents: a card for each of the most pressing ones, a row for the others."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

import polars as pl

from oddlog.explain import percent
from oddlog.pipeline.judging.closeups import TRACE, Closeup, Difference
from oddlog.reports import charts
from oddlog.reports.elements import Child, Markup, element
from oddlog.reports.figures import Domain
from oddlog.reports.wording import NUMBER, VARIABLE, length, plural, probability, severity, span
from oddlog.templates import mask
from oddlog.types import Incident, Reason

MOST_CARDS = 50
MOST_ROWS = 3_000
OPEN_CARDS = 3  # whose lines are shown at once
MOST_CHARACTERS = 400  # of a line
MOST_TRACE_CHARACTERS = 160
MOST_NAMES = 6
MOST_REASONS = 6
_VARIABLE = re.compile(f"({re.escape(VARIABLE)}|{re.escape(NUMBER)})")
_QUOTED = re.compile("(“[^”]*”)")
_KINDS = {
    "unseen_template": "never seen before",
    "missing_event": "missing",
    "unexpected_event": "unexpected",
    "count_off": "count",
}


def cards(incidents: Sequence[Incident], closeups: Mapping[str, Closeup], drawn: Domain | None) -> Markup:
    """Return a card for each incident, in their order."""
    every = [_card(rank, one, closeups.get(one.id), drawn) for rank, one in enumerate(incidents, 1)]
    return element("div", every, class_="cards")


def _card(rank: int, incident: Incident, closeup: Closeup | None, drawn: Domain | None) -> Markup:
    word = severity(incident)
    head = element(
        "header",
        element("span", rank, class_=f"rank {word}"),
        element("span", word, class_=f"severity {word}"),
        element("span", span(incident.start, incident.end), class_="when"),
        element("span", _lasted(incident), class_="lasted"),
        element("span", probability(incident.p_value), class_="p", title="How often usual windows score as high"),
    )
    in_table = closeup is not None and bool(closeup.differences)
    reasons = [
        element("li", reason_text(reason.text))
        for reason in incident.reasons[1:MOST_REASONS]
        if not (in_table and _is_count(reason))
    ]
    body = [
        head,
        element("h3", reason_text(title(incident)), id=f"i{rank}-title"),
        element("div", _where(incident, closeup), _spark(incident, closeup, drawn, word), class_="facts"),
        element("ul", reasons, class_="reasons") if reasons else None,
        _differences(closeup),
        _lines(incident, closeup, is_open=rank <= OPEN_CARDS),
        [element("p", note, class_="known") for note in incident.notes],
        _footer(incident),
    ]
    return element("article", body, class_=f"card {word}", id=f"i{rank}", aria_labelledby=f"i{rank}-title")


def _is_count(reason: Reason) -> bool:
    """Return whether a reason says no more in words than the table of types says in numbers."""
    return reason.kind in _KINDS and set(reason.numbers) <= {"seen", "usual", "usual_share", "usual_p99"}


def _footer(incident: Incident) -> Markup:
    answered = f" · called {incident.answer} before" if incident.answer else ""
    answer = element("code", f"oddlog feedback {incident.id} usual|anomalous|mute -m MODEL")
    return element("footer", "pattern ", element("code", incident.pattern), answered, " · answer it: ", answer)


def title(incident: Incident) -> str:
    """Return what an incident is called: its first reason."""
    return incident.reasons[0].text if incident.reasons else incident.key


def reason_text(text: str) -> list[Child]:
    """Return a reason with the message types it quotes set apart from its words."""
    return [
        element("q", template(part[1:-1])) if _QUOTED.fullmatch(part) else part for part in _QUOTED.split(text) if part
    ]


def template(text: str) -> Markup:
    """Return a template with its variables dimmed."""
    said = {VARIABLE: ("‹›", "a variable part"), NUMBER: ("‹number›", "the number that is meant")}
    pieces = [
        element("i", said[part][0], title=said[part][1]) if part in said else part for part in _VARIABLE.split(text)
    ]
    return element("code", pieces, class_="template")


def _lasted(incident: Incident) -> str:
    if incident.start is None or incident.end is None or incident.start == incident.end:
        return ""
    return length((incident.end - incident.start).total_seconds())


def _where(incident: Incident, closeup: Closeup | None) -> Markup:
    noun = closeup.noun if closeup is not None else ""
    windows = plural(incident.n_windows, noun.removesuffix("s") or "window") if incident.n_windows else ""
    rows = [
        ("services", _names(incident.services)),
        ("hosts", _names(incident.hosts)),
        ("odd", windows or "single lines"),
    ]
    return element("dl", [(element("dt", name), element("dd", value)) for name, value in rows if value])


def _names(names: Sequence[str]) -> list[Child]:
    shown: list[Child] = [element("span", name, class_="chip") for name in names[:MOST_NAMES]]
    more = len(names) - MOST_NAMES
    return (
        [*shown, element("span", f"+{more}", class_="more", title=", ".join(names[MOST_NAMES:]))] if more > 0 else shown
    )


def _spark(incident: Incident, closeup: Closeup | None, drawn: Domain | None, word: str) -> Markup | None:
    if drawn is None or incident.start is None:
        return None
    own = incident.start.timestamp() * 1e6, (incident.end or incident.start).timestamp() * 1e6
    starts = closeup.starts if closeup is not None else None
    n = 0 if starts is None else len(starts)
    label = f"When in the whole log: {plural(n, 'time') if n else 'once'}, {span(incident.start, incident.end)}"
    if starts is None:
        return charts.spark(pl.Series([], dtype=pl.Int64).to_numpy(), (drawn.low, drawn.high), own, label, word)
    return charts.spark(starts, (drawn.low, drawn.high), own, label, word)


def _differences(closeup: Closeup | None) -> Markup | None:
    if closeup is None or not closeup.differences:
        return None
    noun = closeup.noun
    head = ("message type", "", "here", "expected", f"usual {noun} with it")
    titles = (None, None, "how often it is here", "how often, in the most similar usual one", None)
    columns = [
        element("th", text, scope="col", title=said, class_="n" if i > 1 else None)
        for i, (text, said) in enumerate(zip(head, titles, strict=True))
    ]
    rows = [_difference(one) for one in closeup.differences]
    caption = element("caption", "Expected against seen, in ", element("code", closeup.key))
    table = element("table", caption, element("thead", element("tr", columns)), element("tbody", rows))
    return element("div", table, class_="table differences")


def _difference(one: Difference) -> Markup:
    share = percent(one.share) if one.usual or one.share else "none"
    more = f", at most {one.p99:,} each" if one.p99 > 1 else ""
    return element(
        "tr",
        element("th", template(one.text), scope="row"),
        element("td", element("span", _KINDS.get(one.kind, one.kind.replace("_", " ")), class_=f"kind {one.kind}")),
        element("td", f"{one.seen:,}", class_="n seen"),
        element("td", f"{one.usual:,}", class_="n"),
        element("td", f"{share}{more}", class_="n"),
    )


def _lines(incident: Incident, closeup: Closeup | None, *, is_open: bool) -> Markup | None:
    if closeup is not None and len(closeup.lines):
        rows = _context(closeup.lines)
        n_odd = int(closeup.lines["odd"].sum())
        all_of_it = len(closeup.lines) == closeup.n_lines
        some = f"{plural(len(closeup.lines), 'line')} of {closeup.n_lines:,}"
        near = f"all {plural(closeup.n_lines, 'line')} of it" if all_of_it else f"{some} of it"
        what = f"{plural(n_odd, 'odd line')}; shown: {near if closeup.key else 'lines before and after'}"
    elif incident.lines:
        rows = [
            _row(f"{_base(one.source)}:{one.line}", one.source, None, "", "", message(one.text), odd=True)
            for one in incident.lines
        ]
        what = plural(len(rows), "line")
    else:
        return None
    head = [element("th", name, scope="col") for name in ("where", "time", "level", "service", "message")]
    table = element("table", element("thead", element("tr", head)), element("tbody", rows), class_="lines")
    summary = element("summary", "Lines in context ", element("small", what))
    return element("details", summary, element("div", table, class_="table"), open=is_open)


def _context(lines: pl.DataFrame) -> list[Markup]:
    """Return a row for each line, and one where lines were left out."""
    texts = lines["message"].fill_null("")
    variables = mask(texts).variables().to_list() if len(texts) else []
    rows: list[Markup] = []
    for line, found in zip(lines.iter_rows(named=True), variables, strict=True):
        if line["gap"]:
            gap = f"⋯ {plural(line['gap'], 'line')} left out"
            rows.append(element("tr", element("td", gap, colspan="5"), class_="gap"))
        if line["message"] is None:
            continue  # the line does not exist, or is told as part of the record before it
        where = f"{_base(line['source'])}:{line['line']}"
        level = line["level"] if line["level"] != "UNKNOWN" else ""
        service = line["service"] or line["host"] or ""
        text = [message(line["message"], found), _trace(line["text"]) if line["odd"] else None]
        rows.append(_row(where, line["source"], line["time"], level, service, text, odd=line["odd"], host=line["host"]))
    return rows


def _row(
    where: str,
    source: str,
    time: datetime | None,
    level: str,
    service: str,
    text: Child,
    *,
    odd: bool,
    host: str | None = None,
) -> Markup:
    said = element("span", "odd: ", class_="unseen") if odd else None
    return element(
        "tr",
        element("td", where, class_="where", title=source),
        element("td", f"{time:%H:%M:%S}.{time.microsecond // 1000:03d}" if time else "", class_="time"),
        element("td", level, class_=f"level {level.lower()}"),
        element("td", service, class_="service", title=host),
        element("td", said, element("bdi", text), class_="message"),
        class_="odd" if odd else None,
    )


def _trace(text: str) -> Markup | None:
    """Return the lines of a record behind its first, a stack trace, cut where it is long."""
    lines = text.split("\n")[1:]
    if not lines:
        return None
    shown = [one if len(one) <= MOST_TRACE_CHARACTERS else f"{one[:MOST_TRACE_CHARACTERS]}…" for one in lines[:TRACE]]
    return element("span", [f"\n{one}" for one in shown], class_="trace")


def message(text: str, variables: Sequence[str] = ()) -> list[Child]:
    """Return a message with its variables dimmed, cut where it is long."""
    pieces: list[Child] = []
    shown, rest = text[:MOST_CHARACTERS], len(text) - MOST_CHARACTERS
    at = 0
    for variable in variables:
        found = shown.find(variable, at) if variable else -1
        if found < 0:
            continue
        pieces += [shown[at:found], element("i", variable)]
        at = found + len(variable)
    pieces.append(shown[at:])
    if rest > 0:
        pieces.append(element("em", f" … {plural(rest, 'more character')}"))
    return pieces


def _base(source: str) -> str:
    return "stdin" if source == "-" else source.rsplit("/", 1)[-1]


def rows_of_rest(
    incidents: Sequence[Incident], first_rank: int, noun: str = "less pressing incident", many: str = ""
) -> Markup:
    """Return a table of incidents that get no card."""
    shown = incidents[:MOST_ROWS]
    head = ("#", "severity", "when", "what", "where", "windows")
    columns = [element("th", text, scope="col", class_="n" if text in "#windows" else None) for text in head]
    rows = [
        element(
            "tr",
            element("td", rank, class_="n"),
            element("td", element("span", severity(one), class_=f"severity {severity(one)}")),
            element("td", span(one.start, one.end), class_="when"),
            element("td", reason_text(title(one))),
            element("td", ", ".join(one.place[:3])),
            element("td", f"{one.n_windows:,}" if one.n_windows else "–", class_="n"),
        )
        for rank, one in enumerate(shown, first_rank)
    ]
    table = element("table", element("thead", element("tr", columns)), element("tbody", rows), class_="rest")
    hidden = len(incidents) - len(shown)
    left_out = (
        element(
            "p",
            f"{plural(hidden, 'more incident')} of less weight left out; oddlog detect --json has all.",
            class_="note",
        )
        if hidden
        else None
    )
    summary = element("summary", plural(len(incidents), noun, many), " in a table")
    return element(
        "details", summary, element("div", table, class_="table"), left_out, class_="more-incidents", id="rest"
    )
