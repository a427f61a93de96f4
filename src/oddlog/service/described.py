"""What OpenAPI says of the endpoints of shippers: bodies that are no JSON of ours, and what they are answered."""

from __future__ import annotations

from typing import Any

_JSON = "application/json"
_TEXT = "text/plain"
_SAYS = {"type": "object", "properties": {"error": {"type": "string"}}}
_REFUSED = {
    400: "The body is not what it says it is; nothing of it was taken.",
    413: "The body is too large.",
    429: "Lines come faster than they are taken; see Retry-After.",
    503: "Nothing can be written to the disk; see Retry-After.",
}
_BODIES = {
    "/v1/lines": (_TEXT, "application/x-ndjson"),
    "/loki/api/v1/push": (_JSON, "application/x-protobuf"),
    "/v1/logs": (_JSON, "application/x-protobuf"),
    "/services/collector/raw": (_TEXT,),
}
_SILENT = ("/v1/lines", "/loki/api/v1/push")  # answered without a word


def push(path: str) -> dict[str, Any]:
    """Return what is said of an endpoint that takes lines, for `FastAPI.add_api_route`."""
    refused: dict[int | str, dict[str, Any]] = {
        status: {"description": says, "content": {_JSON: {"schema": _SAYS}}} for status, says in _REFUSED.items()
    }
    if path in _SILENT:
        taken: dict[int | str, dict[str, Any]] = {204: {"description": "The lines are on disk."}}
    else:
        kinds = (_JSON, "application/x-protobuf") if path == "/v1/logs" else (_JSON,)
        content: dict[str, Any] = {kind: {} for kind in kinds}
        taken = {200: {"description": "The lines are on disk.", "content": content}}
    bodies: dict[str, dict[str, Any]] = {key: {"schema": {}} for key in _BODIES.get(path, (_JSON,))}
    return {
        "status_code": 204 if path in _SILENT else 200,
        "responses": taken | refused,
        "openapi_extra": {"requestBody": {"content": bodies, "required": True}},
    }


def read(path: str) -> dict[str, Any]:
    """Return what is said of an endpoint that tells something."""
    if path == "/metrics":
        return {"responses": {200: {"content": {_TEXT: {}}, "description": "What Prometheus scrapes."}}}
    if path in ("/healthz", "/readyz"):
        told = {200: "All is well.", (500 if path == "/healthz" else 503): "Something is not; the text says what."}
        return {"responses": {status: {"content": {_TEXT: {}}, "description": says} for status, says in told.items()}}
    return {}
