"""ONNX Runtime as every network is run by it: one thread, so that a score never depends on the machine's load."""

from __future__ import annotations

import onnxruntime as ort

ort.disable_telemetry_events()  # for a runtime that somebody has imported before us; see `oddlog.detectors` for ours


def session(graph: bytes) -> ort.InferenceSession:
    """Return a session of `graph` on one thread of the processor."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
