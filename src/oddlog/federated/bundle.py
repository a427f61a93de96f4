"""The folder that `flwr run` sends to a SuperLink: two names in two files, since oddlog is installed at every site."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from oddlog.errors import ConfigError

PYPROJECT = """\
# Written by `oddlog federate app`. Values below are defaults; another run: flwr run . --run-config 'rounds=20'
[project]
name = "oddlog-federation"
version = "1.0.0"
dependencies = []  # oddlog is installed at the server and at every site; nothing is fetched at run time

[tool.flwr.app]
publisher = "oddlog"

[tool.flwr.app.components]
serverapp = "apps:server"
clientapp = "apps:site"

[tool.flwr.app.config]
"""
APPS = '''\
"""Written by `oddlog federate app`: what server and sites run."""

from oddlog.federated import deployed

server = deployed.server
site = deployed.site
'''


def write_app(folder: Path, work: Path, sites: int = 2, wait_s: float = 300.0) -> None:
    """Write the app to `folder`; the server keeps checkpoint and report in `work` and waits for so many sites.

    Raises
    ------
    ConfigError
        If there is something in `folder` already.

    """
    from oddlog.federated.plan import Plan  # noqa: PLC0415 - needs the extra

    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise ConfigError(f"{folder} is there already.", "Give a folder that is not.")
    folder.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {"folder": str(work.absolute()), "sites": sites, "wait_s": wait_s}
    config |= {one.name: "secagg" if one.name == "mode" else one.default for one in fields(Plan)}
    lines = [f"{name} = {json.dumps(value)}" for name, value in config.items()]
    (folder / "pyproject.toml").write_text(PYPROJECT + "\n".join(lines) + "\n", encoding="utf-8")
    (folder / "apps.py").write_text(APPS, encoding="utf-8")
