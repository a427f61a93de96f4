"""`oddlog federate`: sites learn together without sharing a log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Let sites learn together without sharing a log.",
    epilog="Example: oddlog federate simulate --sites siteA/ siteB/ siteC/ --rounds 10 -m fed.models",
)


@app.command("simulate")
def simulate(
    more: Annotated[list[str] | None, typer.Argument(help="Further folders of raw logs, one a site.")] = None,
    sites: Annotated[list[str] | None, typer.Option(help="Folders of raw logs, one a site: A/ B/ C/.")] = None,
    models: Annotated[Path, typer.Option("-m", "--models", help="Where to write a model for each site.")] = Path(
        "fed.models"
    ),
    rounds: Annotated[int, typer.Option(help="How often sites learn and updates are combined.", min=1)] = 10,
    steps: Annotated[int, typer.Option(help="Steps of training at each site in a round.", min=1)] = 100,
    detector: Annotated[str, typer.Option(help="What the sites train together.")] = "spoken",
    detectors: Annotated[str, typer.Option(help="Members of each site's verdict; the default ones if not given.")] = "",
    mode: Annotated[str, typer.Option(help="secagg: the server sees sums only; visible: each update.")] = "secagg",
    rule: Annotated[str, typer.Option(help="What becomes of updates: layers, mean, median, trimmed.")] = "layers",
    weigh: Annotated[str, typer.Option(help="What a site counts by: quality, data, equal.")] = "quality",
    fidelity: Annotated[str, typer.Option(help="Quality corrected, or as in the paper (visible only).")] = "corrected",
    temperature: Annotated[float, typer.Option(help="Of the softmax; low trusts the best site.")] = 1.0,
    prox: Annotated[float, typer.Option(help="Pull towards the common network (FedProx); 0 is FedAvg.")] = 0.0,
    decay: Annotated[
        int, typer.Option(help="Steps after which the learning rate is half; 0: each round begins as the first.", min=0)
    ] = 300,
    bits: Annotated[int, typer.Option(help="Of a number of a visible update: 8, 4, 2; 0 is float32.")] = 0,
    threshold: Annotated[int, typer.Option(help="Sites a secure sum needs at least; 0: just above half.")] = 0,
    tune_steps: Annotated[int, typer.Option(help="Steps of fine-tuning at each site in the end; 0: none.")] = 0,
    local_steps: Annotated[
        int, typer.Option(help="Steps of a network of each site's own, kept where it is better; 0: none is trained.")
    ] = 0,
    alike: Annotated[
        str, typer.Option(help="Whether what is usual at one site may come at the others: auto, yes, no.")
    ] = "auto",
    target: Annotated[float, typer.Option(help="End once the sites' mean utility is as high; 0: never.")] = 0.0,
    patience: Annotated[int, typer.Option(help="End after so many rounds without a higher one; 0: never.")] = 0,
    epsilon: Annotated[
        float,
        typer.Option(help="Differential privacy of each window, at delta 1e-5; takes --weigh data; 0: none.", min=0),
    ] = 0.0,
    session: Annotated[
        str, typer.Option(help="What ties lines together: auto, none, a field, or a regex with one group.")
    ] = "auto",
    window: Annotated[str, typer.Option(help="Where there are no sessions: 60s or 100 lines.")] = "",
    format: Annotated[str, typer.Option(help="Format of the lines; found per source if not given.")] = "",  # noqa: A002 - the option's name
    labels: Annotated[
        Path | None,
        typer.Option(help="Folder with SITE.csv (key,label) for sites that have some: their F1 is reported."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Same logs and seed, same models.", min=0, max=2**32 - 1)] = 0,
    *,
    patterns: Annotated[
        bool, typer.Option("--patterns", help="Sites show each other their usual windows, sealed from the server.")
    ] = False,
    extrapolate: Annotated[bool, typer.Option(help="Lengthen the mean of updates that point apart (FedExP).")] = True,
    json: Annotated[bool, typer.Option("--json", help="Print what happened as JSON.")] = False,
) -> None:
    """Run a whole federation on this machine: from folders of raw logs to a model for each site.

    [dim]Example: oddlog federate simulate --sites siteA/ siteB/ siteC/ --rounds 10 -m fed.models[/dim]
    """
    import polars as pl  # noqa: F401 - before `prepare`, see there

    from oddlog.cli import prepare, show
    from oddlog.errors import ConfigError
    from oddlog.federated.plan import Plan
    from oddlog.federated.simulate import simulate as run

    prepare()
    named = [*(sites or []), *(more or [])]
    if len(named) < 2:  # noqa: PLR2004 - one site has nobody to learn with
        raise ConfigError(f"{len(named)} sites were named.", "Name at least two folders: --sites siteA/ siteB/")
    options: Any = {"mode": mode, "rule": rule, "alike": alike, "weigh": weigh, "fidelity": fidelity, "bits": bits}
    plan = Plan(
        rounds=rounds,
        steps=steps,
        temperature=temperature,
        prox=prox,
        extrapolate=extrapolate,
        decay=decay,
        threshold=threshold,
        tune_steps=tune_steps,
        local_steps=local_steps,
        epsilon=epsilon,
        target=target,
        patience=patience,
        patterns=patterns,
        seed=seed,
        **options,
    )
    with show.progress() as progress:
        done = run(
            named,
            models,
            plan,
            detector=detector,
            detectors=[name.strip() for name in detectors.split(",") if name.strip()] or None,
            session=session,
            window=window,
            format=format,
            labels=labels,
            progress=progress,
        )
    tell(done.facts(), json=json)


@app.command("report")
def report(
    models: Annotated[Path, typer.Argument(help="Folder of oddlog federate simulate -m, or of a server.")],
    *,
    sites: Annotated[bool, typer.Option("--sites", help="A line for each site in each round.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Say what happened in a federation: who counted how much, who dropped out, bytes, seconds, what was kept.

    [dim]Example: oddlog federate report fed.models[/dim]
    """
    from oddlog.federated.history import read_report

    tell(read_report(models), json=json, sites=sites)


def tell(facts: dict[str, Any], *, json: bool, sites: bool = False) -> None:
    """Print the rounds as a table, then what each site has kept."""
    import polars as pl

    from oddlog.cli import show

    with show.until_nobody_reads():
        if show.wants_json(json):
            show.print_json(facts)
            return
        plan = facts["plan"]
        rows = rows_of(facts["rounds"], sites=sites)
        title = f"{plan['rounds']} rounds of {plan['steps']} steps, mode {plan['mode']}, {_rule(plan)}"
        show.print_frame(pl.DataFrame(rows), title, right=_RIGHT)
        kept = facts["rounds"][-1]["kept"] if facts["rounds"] else {}
        for site, what in kept.items():
            where = f": {facts['models'][site]}" if site in facts["models"] else ""
            which = _KEPT.get(what, "network, and does not say which")
            show.console().print(f"{show.plain(site)} has kept its {which}{show.plain(where)}")
        for site, why in facts["left_out"].items():
            show.console().print(f"{show.plain(site)} was left out: {show.plain(why)}")
        for who, times in facts.get("turned_away", {}).items():
            show.console().print(f"Turned away {times:,} times: {show.plain(who)}")
        if plan.get("epsilon"):
            promise = f"epsilon {plan['epsilon']:g} at delta {plan['delta']:g}"
            show.console().print(f"Privacy of each window at each site, all rounds together: {promise}")
        if facts.get("ended"):
            show.console().print(f"Ended before the last round: {facts['ended']}")


_RIGHT = ("quality", "utility", "weight", "loss", "F1", "up KB", "down KB", "seconds")
_KEPT = {
    "common": "share of the common network as it is",
    "tuned": "share of the common network, fine-tuned there",
    "local": "own network, which is better there",
}


def _rule(plan: dict[str, Any]) -> str:
    if plan["rule"] in {"median", "trimmed"}:
        return str(plan["rule"])
    merged = "mean" if plan["rule"] == "mean" or plan.get("epsilon") else "layers"
    return f"{merged} by {plan['weigh']} ({plan['fidelity']})"


def rows_of(rounds: list[dict[str, Any]], *, sites: bool) -> list[dict[str, Any]]:
    """Return the rows of the report; F1 is among them where a site has labels."""
    labelled = any(one.get("f1") for one in rounds)
    return [row for one in rounds for row in (_by_site(one, labelled) if sites else [_row(one, labelled)])]


def _row(one: dict[str, Any], labelled: bool) -> dict[str, Any]:
    counted = ", ".join(
        site if weight is None else f"{site} {weight:.2f}".replace(" 0.", " .")
        for site, weight in one["counted"].items()
    )
    utility = [value for site, value in one["utility"].items() if "/" not in site]
    f1 = list(one.get("f1", {}).values())
    dropped = "; ".join(f"{site}: {why}" for site, why in one["dropped"].items())
    return {
        "round": "end" if one["kept"] else str(one["number"]),
        "sites": counted,
        "utility": f"{sum(utility) / len(utility):.3f}" if utility else "",
        **({"F1": f"{sum(f1) / len(f1):.3f}" if f1 else ""} if labelled else {}),
        "up KB": f"{one['up'] / 1e3:,.0f}",
        "down KB": f"{one['down'] / 1e3:,.0f}",
        "seconds": f"{one['seconds']:.1f}",
        "not in it": dropped or one["failed"],
    }


def _by_site(one: dict[str, Any], labelled: bool) -> list[dict[str, Any]]:
    """Return a row for each site of a round: what the server knows of it."""
    names = sorted({*one["counted"], *one["dropped"], *one.get("bytes", {})})
    return [
        {
            "round": "end" if one["kept"] else str(one["number"]),
            "site": site,
            **{name: _short(one.get(name, {}).get(site)) for name in ("quality", "utility")},
            "weight": _short(one["counted"].get(site)),
            "loss": _short(one.get("loss", {}).get(site)),
            **({"F1": _short(one.get("f1", {}).get(site))} if labelled else {}),
            **{f"{way} KB": f"{sent / 1e3:,.1f}" for way, sent in _sent(one, site).items()},
            "not in it": one["dropped"].get(site, ""),
        }
        for site in names
    ]


def _sent(one: dict[str, Any], site: str) -> dict[str, int]:
    return dict(zip(("up", "down"), one.get("bytes", {}).get(site, (0, 0)), strict=True))


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
