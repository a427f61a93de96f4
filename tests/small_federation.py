"""Three small sites that log the same work in other words."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np

from fake_federable import Layer, Transitions
from oddlog import testing
from oddlog.features.text import embed
from oddlog.federated.flower import InProcessGrid, client_app
from oddlog.federated.local import Local
from oddlog.federated.secagg import Identity
from oddlog.federated.site import Site

TEXTS = (
    ("begin request <*>", "write block <*>", "block written <*>", "retry block <*>", "request done", "unused"),
    (
        "begin request <*> now",
        "write block <*> to disk",
        "block written <*> ok",
        "retry of block <*>",
        "request done <*>",
        "x",
    ),
    ("begin a request", "write a block", "a block is written", "retry a block", "the request is done", "y"),
)


def local_of(i, n=200, seed=0, *, layered=False):
    context = testing.context(seed=seed)
    texts = TEXTS[i % len(TEXTS)]
    context = replace(context, templates=replace(context.templates, text=texts, embedding=embed(texts)))
    local = object.__new__(Local)
    detector = (Layer if layered else Transitions)(seed=seed)
    windows = testing.usual_windows(n, seed=10 + i)
    cut = [int(n * 0.7), int(n * 0.85)]
    detector.prepare(windows, context)
    learned, judged, held = (windows.take(np.arange(a, b)) for a, b in pairwise([0, *cut, n]))
    local.__init__(detector, learned, judged, held, context)
    return local


class Sites:
    """Sites by name, the grid they are reached by, and everything that was sent."""

    def __init__(self, n=3, *, signed=False, layered=False):
        names = [f"site{i}" for i in range(n)]
        identities = {name: Identity.new() for name in names}
        roster = {name: one.public for name, one in identities.items()} if signed else {}
        self.sites = {
            name: Site(name, partial(local_of, i, layered=layered), identities[name] if signed else None, roster)
            for i, name in enumerate(names)
        }
        self.sent, self.now, self.fate = [], 0.0, lambda _name, _kind, answer: answer
        app = client_app(lambda context: self.sites[context.node_config["site"]])
        nodes = {100 + i: {"site": name} for i, name in enumerate(names)}
        self.grid = InProcessGrid(app, nodes, clock=lambda: self.now, passing=self._pass)
        self.name = {node: config["site"] for node, config in nodes.items()}

    def _pass(self, asked, answer):
        self.sent.append((self.name[asked.metadata.dst_node_id], asked, answer))
        return self.fate(self.name[asked.metadata.dst_node_id], asked.metadata.message_type, answer)
