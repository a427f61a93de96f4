"""The page of a report, section by section."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime
from importlib.resources import files
from itertools import groupby

from oddlog.cleaning import cleaning_table
from oddlog.explain import percent
from oddlog.incidents import SEVERITIES
from oddlog.model import Model
from oddlog.pipeline.judging.detection import Detection
from oddlog.pipeline.judging.overview import Overview
from oddlog.reports import charts, figures
from oddlog.reports.cards import MOST_CARDS, cards, reason_text, rows_of_rest, template, title
from oddlog.reports.elements import Child, Markup, element, page
from oddlog.reports.judging import Judged
from oddlog.reports.wording import length, listed, moment, plural, severity, span
from oddlog.types import NO_SERVICE, Incident

AT_A_GLANCE = 5
MOST_SOURCES = 20
MOST_CORRELATIONS = 15
MOST_NEWS = 100
MOST_CLEANED = 50


def render(found: Detection, overview: Overview, model: Model, judged: Judged | None) -> str:
    """Return the report as one HTML page."""
    drawn = figures.domain(overview)
    shown = found.incidents[:MOST_CARDS]
    rest = found.incidents[MOST_CARDS:]
    sections = [
        _glance(found.incidents),
        _section("time", "Over time", _times(found, overview, drawn)),
        _section("incidents", "Incidents", _incidents(shown, rest, overview, drawn)),
        _section("answered", "Called usual or muted", _answered(found.hidden)) if found.hidden else None,
        _section("labels", "Against labels", _labels(judged)) if judged is not None else None,
        _section("scores", "Scores", _scores(overview)),
        _section("new", "New since training", _news(overview)),
        _section("together", "What goes along with errors and measurements", _together(overview, drawn, model)),
        _section("cleaned", "What was cleaned", _cleaned(found)),
        _section("about", "What was judged, by what", _about(found, overview, model)),
    ]
    style = files("oddlog.reports").joinpath("style.css").read_text(encoding="utf-8")
    style_hash = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    body = [_head(found, overview, model), element("main", sections)]
    return page(f"oddlog: {headline(found.incidents, found.hidden)}", style, style_hash, body)


def headline(incidents: Sequence[Incident], hidden: Sequence[Incident] = ()) -> str:
    """Return the verdict in a few words; `hidden` is what was called usual or muted before.

    >>> headline(())
    'Nothing odd'
    """
    if not incidents:
        return "Nothing odd but what was answered before" if hidden else "Nothing odd"
    words = [severity(one) for one in incidents]
    worst = next(word for _, word in SEVERITIES if word in words)
    n, n_worst = len(words), words.count(worst)
    said = plural(n, "incident")
    if n == 1:
        return f"{said}, {worst}"
    return f"{said}, all {worst}" if n_worst == n else f"{said}, {n_worst:,} of them {worst}"


def _head(found: Detection, overview: Overview, model: Model) -> Markup:
    worst = severity(found.incidents[0]) if found.incidents else "fine"
    n_odd = int(found.scores["is_anomaly"].sum())
    nouns = listed(list(dict.fromkeys(found.nouns))) or "windows"
    tiles = [
        (f"{found.lines:,}", "lines", plural(len(overview.sources), "source")),
        (f"{len(found.scores):,}", nouns, f"{n_odd:,} odd ({percent(n_odd / max(len(found.scores), 1))})"),
        (f"{found.odd_lines:,}", "lines odd by themselves", ""),
        (f"{overview.n_news:,}", "message types never seen before", f"{len(model.context.templates):,} known"),
        (_lasted(found.start, found.end), "of logs", ""),
    ]
    items = [
        element("li", element("b", value), element("span", name), element("small", more) if more else None)
        for value, name, more in tiles
    ]
    return element(
        "header",
        element("p", "oddlog report", class_="brand"),
        element("h1", headline(found.incidents, found.hidden), ".", class_=worst),
        element("p", _sentence(found), class_="lead"),
        element("ul", items, class_="tiles"),
        _notes([*found.notes]),
        class_="top",
    )


def _sentence(found: Detection) -> list[Child]:
    when = f" of {span(found.start, found.end)} UTC" if found.start else ""
    said: list[Child] = [f"{found.lines:,} lines{when} were judged"]
    if not found.incidents and found.hidden:
        return [*said, ": what is odd was called usual or muted before."]
    if not found.incidents:
        return [*said, ": all of it looks like what the model has learned to be usual."]
    first = found.incidents[0]
    where = ["in " + ", ".join(first.place[:3])] if first.place else []
    at = [span(first.start, first.end)] if first.start else []
    return [*said, f". The most pressing incident: {', '.join(where + at)}." if where or at else "."]


def _lasted(start: datetime | None, end: datetime | None) -> str:
    return length((end - start).total_seconds()) if start and end else "no times"


def _notes(notes: Sequence[str]) -> Markup | None:
    return element("ul", [element("li", note) for note in notes], class_="notes", role="note") if notes else None


def _section(name: str, heading: str, content: Child) -> Markup:
    return element(
        "section", element("h2", heading, id=f"{name}-title"), content, id=name, aria_labelledby=f"{name}-title"
    )


def _glance(incidents: Sequence[Incident]) -> Markup | None:
    if not incidents:
        return None
    rows = [
        element(
            "li",
            element(
                "a",
                element("span", rank, class_=f"rank {severity(one)}"),
                element("span", reason_text(title(one)), class_="what"),
                element("span", ", ".join(one.place[:2]), class_="where"),
                element("span", span(one.start, None), class_="when"),
                href=f"#i{rank}",
            ),
        )
        for rank, one in enumerate(incidents[:AT_A_GLANCE], 1)
    ]
    return element("nav", element("ol", rows), aria_label="The most pressing incidents", class_="glance")


def _times(found: Detection, overview: Overview, drawn: figures.Domain | None) -> Child:
    if drawn is None:
        return element("p", "No line has a time, so nothing can be drawn over time.", class_="note")
    said = [
        f"{plural(drawn.outside, 'line')} far from all others in time are not drawn." if drawn.outside else "",
        f"{plural(overview.n_untimed, 'line')} have no time." if overview.n_untimed else "",
    ]
    counts = figures.hours_and_weekdays(found.scores)
    n = int(counts.sum())
    heat = element(
        "figure",
        element("figcaption", "Odd windows by hour and weekday, the more the stronger"),
        charts.heat_map(counts, f"{n:,} odd windows by hour and weekday, UTC", "odd windows"),
    )
    return [
        element("p", "All times are UTC. The numbers on top lead to the incidents below.", class_="note"),
        figures.time_line(found, overview, drawn, MOST_CARDS),
        element("p", " ".join(filter(None, said)), class_="note") if any(said) else None,
        element("div", _services(overview, drawn), heat if n else None, class_="two"),
    ]


def _services(overview: Overview, drawn: figures.Domain) -> Markup:
    rows = [
        element(
            "tr",
            element("th", one.name or NO_SERVICE, scope="row", class_="name"),
            element("td", charts.trend(one.trend, f"lines over time, {one.lines:,} in all")),
            element("td", f"{one.lines:,}", class_="n"),
            element("td", f"{one.errors:,}", class_="n"),
            element("td", percent(one.errors / max(one.lines, 1)) if one.errors else "", class_="n"),
        )
        for one in figures.services(overview, drawn)
    ]
    n = overview.rates["service"].n_unique()
    heading = "Services" if n <= len(rows) else f"Services: the {len(rows)} with most lines of {n:,}"
    table = _table(("service", "over time", "lines", "errors", "share"), rows, {"lines", "errors", "share"})
    return element("figure", element("figcaption", heading), table)


def _incidents(
    shown: Sequence[Incident], rest: Sequence[Incident], overview: Overview, drawn: figures.Domain | None
) -> Child:
    if not shown:
        return element("p", "There is none.", class_="note")
    words = [(word, len(list(group))) for word, group in groupby(sorted(map(severity, [*shown, *rest]), key=_by_worst))]
    said = ", ".join(f"{n:,} {word}" for word, n in words)
    order = "Most pressing first: how new it is × how grave the level × alarming words."
    return [
        element("p", f"{said}. {order}", class_="note"),
        cards(shown, overview.closeups, drawn),
        rows_of_rest(rest, len(shown) + 1) if rest else None,
    ]


def _answered(hidden: Sequence[Incident]) -> Markup:
    return rows_of_rest(hidden, 1, "incident answered before", "incidents answered before")


def _by_worst(word: str) -> int:
    return [name for _, name in SEVERITIES].index(word)


def _labels(judged: Judged) -> Child:
    if not judged.n:
        return element("p", "No label names a window that was judged.", class_="note")
    cells = [
        ("anomalous", judged.found, judged.missed, "hit", "miss"),
        ("usual", judged.false_alarms, judged.passed, "false", "pass"),
    ]
    head = element("tr", element("td"), element("th", "called odd", scope="col"), element("th", "not odd", scope="col"))
    rows = [
        element(
            "tr",
            element("th", name, scope="row"),
            element("td", f"{odd:,}", class_=f"n {one}"),
            element("td", f"{usual:,}", class_=f"n {other}"),
        )
        for name, odd, usual, one, other in cells
    ]
    confusion = element(
        "table",
        element("caption", "Labelled windows"),
        element("thead", head),
        element("tbody", rows),
        class_="confusion",
    )
    measures = [
        ("precision", judged.precision),
        ("recall", judged.found_share),
        ("F1", judged.f1),
        ("false alarms among usual", judged.false_share),
        ("area under the ROC curve", judged.auc),
    ]
    facts = [
        (element("dt", name), element("dd", f"{value:.4f}" if value == value else "not defined"))  # noqa: PLR0124 - NaN
        for name, value in measures
    ]
    curve = None
    if len(judged.recall):
        here = (judged.false_share, judged.found_share)
        label = (
            f"Receiver operating characteristic, area {judged.auc:.4f}; the threshold in use finds "
            f"{judged.found_share:.1%} of the anomalies at {judged.false_share:.1%} false alarms"
        )
        curve = element(
            "figure",
            element("figcaption", "Receiver operating characteristic"),
            charts.roc_curve(judged.false_rate, judged.recall, here, label),
        )
    return element("div", element("div", confusion, element("dl", facts, class_="measures")), curve, class_="two")


def _scores(overview: Overview) -> Child:
    boxes = []
    for view in overview.views:
        drawn = figures.distribution(view)
        if drawn is not None:
            caption = f"{view.name}: {len(view.score):,} judged, {view.n_odd:,} above the threshold"
            boxes.append(element("figure", element("figcaption", caption), drawn))
    note = "How far windows are from what is usual; logarithmic, so that single windows are seen next to thousands."
    return [element("p", note, class_="note"), element("div", boxes, class_="two")]


def _news(overview: Overview) -> Child:
    if not overview.n_news:
        return element("p", "Every message type was seen in training.", class_="note")
    shown = overview.news.head(MOST_NEWS)
    rows = [
        element(
            "tr",
            element("th", template(row["text"]), scope="row"),
            element("td", row["level"] if row["level"] != "UNKNOWN" else "", class_=f"level {row['level'].lower()}"),
            element("td", row["service"]),
            element("td", f"{row['n']:,}", class_="n"),
            element("td", moment(row["first"]), class_="when"),
        )
        for row in shown.iter_rows(named=True)
    ]
    table = _table(("message type", "level", "service", "lines", "first seen"), rows, {"lines"})
    hidden = overview.n_news - len(shown)
    return [
        table,
        element("p", f"{hidden:,} more are left out, less grave or rarer.", class_="note") if hidden else None,
    ]


def _table(head: Sequence[str], rows: Sequence[Markup], numeric: set[str] | frozenset[str] = frozenset()) -> Markup:
    columns = [element("th", name, scope="col", class_="n" if name in numeric else None) for name in head]
    table = element("table", element("thead", element("tr", columns)), element("tbody", rows))
    return element("div", table, class_="table")


def _together(overview: Overview, drawn: figures.Domain | None, model: Model) -> Child:
    if drawn is None:
        return element("p", "No line has a time.", class_="note")
    step, found = figures.correlations(overview, drawn, model.context.templates)
    per = length(step / 1e6).removeprefix("1 ")
    said = (
        f"Correlations of lines per {per} of each service (errors left out) with errors and measured numbers, after "
        "the slow rhythm was taken out. A correlation says that two things go along with each other, never that one "
        "causes the other. Shown is what is stronger than anything in 99 series whose blocks were shuffled."
    )
    note = element("p", said, class_="note")
    if not found:
        return [note, element("p", "Nothing stands out.", class_="note")]
    rows = [
        element(
            "tr",
            element("td", f"lines of {one.service}"),
            element("td", reason_text(one.other)),
            element("td", _lag(one.lag_us)),
            element("td", f"{one.r:+.2f}".replace("-", "−"), class_="n"),
            element("td", f"{one.n:,}", class_="n"),
        )
        for one in found[:MOST_CORRELATIONS]
    ]
    return [note, _table(("activity", "goes along with", "how much later", "r", "n"), rows, {"r", "n"})]


def _lag(lag_us: int) -> str:
    if not lag_us:
        return "at the same time"
    return f"{length(abs(lag_us) / 1e6)} {'later' if lag_us > 0 else 'earlier'}"


def _cleaned(found: Detection) -> Child:
    table = cleaning_table(found.tally)
    if not len(table):
        return element("p", "Nothing had to be cleaned, cut or passed over.", class_="note")
    rows = [
        element("tr", element("td", step), element("td", f"{n:,}", class_="n"), element("td", element("code", example)))
        for step, n, example in table.head(MOST_CLEANED).iter_rows()
    ]
    return _table(("what", "how often", "for example"), rows, {"how often"})


def _about(found: Detection, overview: Overview, model: Model) -> Child:
    training = model.training
    learned = f"{training['lines']:,} lines of {plural(len(model.reading['formats']), 'source')}"
    if training.get("start") and training.get("end"):
        learned += f", {span(datetime.fromisoformat(training['start']), datetime.fromisoformat(training['end']))} UTC"
    sources = [element("code", name) for name in overview.sources[:MOST_SOURCES]]
    more = len(overview.sources) - MOST_SOURCES
    facts: list[tuple[str, Child]] = [
        ("judged", found.says),
        ("sources", [_lines_of(sources), f"and {more:,} more" if more > 0 else None]),
        ("model", [element("code", model.id[:12]), f" made by oddlog {model.made_by}"]),
        ("learned from", learned),
        *(
            (f"view: {view.name}", training["views"][view.name]["says"])
            for view in model.views
            if view.name in training.get("views", {})
        ),
        ("message types known", f"{len(model.context.templates):,}"),
        ("sessions", str(model.reading["session"]["says"])),
    ]
    notes = [str(note) for note in training.get("notes", [])]
    rows = [(element("dt", name), element("dd", value)) for name, value in facts]
    return [element("dl", rows, class_="about"), _notes(notes)]


def _lines_of(pieces: Sequence[Markup]) -> list[Child]:
    return [(piece, element("br")) for piece in pieces]
