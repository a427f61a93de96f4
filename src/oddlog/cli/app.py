"""The commands, and what they share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from oddlog.cli import (
    backtest,
    bench,
    datasets,
    demo,
    detect,
    drift,
    federate_machines,
    feedback,
    fit,
    look,
    maintenance,
    mark,
    models,
    report,
    serve,
    simulate,
    token,
    tune,
    update,
    watch,
)

app = typer.Typer(
    name="oddlog",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"auto_envvar_prefix": "ODDLOG", "help_option_names": ["-h", "--help"]},
)
app.command("fit")(fit.fit)
app.command("tune")(tune.tune)
app.command("detect")(detect.detect)
app.command("drift")(drift.drift)
app.command("watch")(watch.watch)
app.command("serve")(serve.serve)
app.command("backtest")(backtest.backtest)
app.command("update")(update.update)
app.add_typer(feedback.app, name="feedback")
app.add_typer(federate_machines.app, name="federate")
app.command("report")(report.report)
app.add_typer(mark.app, name="mark")
app.add_typer(maintenance.app, name="maintenance")
app.add_typer(models.app, name="models")
app.add_typer(token.app, name="token")
app.add_typer(bench.app, name="bench")
app.add_typer(datasets.app, name="datasets")
app.command("templates")(look.templates)
app.command("inspect")(look.inspect)
app.command("formats")(look.formats)
app.command("simulate")(simulate.simulate)
app.command("demo")(demo.demo)


def _say_version(asked: bool) -> None:
    if asked:
        from oddlog import __version__

        typer.echo(f"oddlog {__version__}")
        raise typer.Exit


@app.callback(epilog="Example: oddlog fit /var/log/app/ -m app.model && oddlog detect today.log -m app.model")
def oddlog(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(help="TOML file with a table per command; its names are the options' names.")
    ] = None,
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Say the version and stop.", is_eager=True, callback=_say_version)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Learn without labels what is usual in logs; say which lines and sequences are odd, how odd, and why."""
    # `debug` was taken off the command line before it gets here, so that it may stand anywhere; `version` has
    # been answered, since it needs no command.
    del debug, version
    if config is not None:
        context.default_map = _defaults(config, context)


def _defaults(path: Path, context: typer.Context) -> dict[str, Any]:
    from oddlog.config import load_config

    commands: Any = context.command
    known = {
        name: {param.name for param in command.params if param.param_type_name == "option"}
        for name, command in commands.commands.items()
    }
    return load_config(path, known)
