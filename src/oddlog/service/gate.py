"""Who may do what: stands before the applications of all tenants, and hands each request to that of whoever asks.

::

    request ──► host? ──► from another site? ──► open to all? ──► token or session ──► scope ──► the tenant's
                 400          403                     │               401, sign in      403      application
                                                      └──► health, static files

``ingest`` pushes, ``read`` sees, ``admin`` answers and marks. What no rule names needs ``admin``. At ``/`` shippers
ask who this is and browsers get the page: it is decided here which of them asks, before what they may. While the store
cannot be asked, tokens that it knew last push on, and open nothing else: lines are kept, nobody revoked sees any.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from http.cookies import CookieError, SimpleCookie
from typing import Any, TypeVar, TypeVarTuple
from urllib.parse import parse_qsl, quote, urlsplit

from oddlog.errors import MissingExtraError
from oddlog.service.api import token_in
from oddlog.service.watching import Who
from oddlog.store import Store, StoreUnavailableError
from oddlog.store.tokens import Token

try:
    from anyio import CapacityLimiter, move_on_after, to_thread
    from starlette.datastructures import Headers
    from starlette.responses import JSONResponse, RedirectResponse, Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
except ImportError as error:
    raise MissingExtraError("The service", "service") from error

SESSION_S = 12 * 3_600
KNOWN_S = 2.0  # so long a token that was looked up is known: a revoked one opens nothing after that
MOST_KNOWN = 1_000
ANSWERS_S = 5.0  # so long the store has to say what a token opens
AGAIN_S = 10.0
MOST_ASKING = 40
MOST_FORM = 16_384
_HEALTH = ("/healthz", "/readyz", "/services/collector/health")
_OPEN = (*_HEALTH, "/login")
_SAFE = ("GET", "HEAD", "OPTIONS")
FRONT = "/now"  # what browsers get at `/`
_PUSH = ("/v1/lines", "/v1/logs")
_FORM = b"application/x-www-form-urlencoded"
_OF_AN_INDEX = re.compile(r"/[^/]+/_(bulk|refresh)")
_PUSHES = frozenset({"ingest"})
EVERYTHING = frozenset({"ingest", "read", "admin"})
Found = TypeVar("Found")
Asks = TypeVarTuple("Asks")
SignIn = Callable[[str, str], Response]
"""Makes the page to sign in at, from what went wrong and where to go afterwards."""


class Gate:
    """An ASGI application before others.

    Parameters
    ----------
    apps : mapping
        The application of each tenant; the default one is called "".
    store : Store
        Where tokens are.
    sign_in : callable
        Makes the page to sign in at.
    token : str
        One that is valid besides those of the store, for everything of the default tenant; empty for none.
    is_open : bool
        Whether nobody needs a token as long as there is none.
    hosts : sequence of str
        Names that the service may be called by while it is open: another site's page that has its own name point here
        is refused. Empty for any.
    is_secure : bool
        Whether it is reached by TLS, so that cookies never go without.
    clock : callable
        Seconds since the epoch.

    """

    def __init__(
        self,
        apps: Mapping[str, ASGIApp],
        store: Store,
        sign_in: SignIn,
        *,
        token: str = "",
        is_open: bool = True,
        hosts: Sequence[str] = (),
        is_secure: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._apps, self._store, self._sign_in = apps, store, sign_in
        self._token, self._is_open, self._hosts = token, is_open and not token, frozenset(hosts)
        self._cookie = "__Host-oddlog" if is_secure else "oddlog"
        self._is_secure, self._clock = is_secure, clock
        self._secret = store.setting("secret", lambda: secrets.token_hex(32)).encode()
        self._known: dict[str, tuple[float, Token | None]] = {}
        self._asking = CapacityLimiter(MOST_ASKING)
        self._silent_s = float("-inf")  # when the store did not answer
        self._any: tuple[float, bool] = (float("-inf"), False)  # whether there are tokens, and when that was found

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await next(iter(self._apps.values()))(scope, receive, send)
            return
        scope = _meant(scope)
        try:
            await self._handle(scope, receive, send)
        except StoreUnavailableError as error:
            if _wants_page(Headers(scope=scope), scope["method"]):
                refused = self._sign_in(str(error), _local(scope["path"]))
                refused.status_code = 503
            else:
                refused = _refusal(503, str(error))
            await refused(scope, receive, send)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        path, method = scope["path"], scope["method"]
        # Whoever asks whether it is alive is answered whatever has become of the store.
        needs_token = not self._is_open or (self._any[1] if path in _HEALTH else await self._has_tokens())
        refused = self._wrong(headers, method, check_host=not needs_token)
        if refused is not None:
            await refused(scope, receive, send)
        elif path == "/login":
            await self._login(scope, receive, send)
        elif path == "/readyz":
            await self._ready(scope, receive, send)
        elif path in _OPEN or path.startswith("/static/"):
            await self._default(scope, receive, send)
        elif not needs_token:
            scope["who"] = Who()
            await self._default(scope, receive, send)
        else:
            await self._checked(scope, receive, send, headers)

    @property
    def _default(self) -> ASGIApp:
        return self._apps[""]

    # -- where it is from --------------------------------------------------------------------------------------

    def _wrong(self, headers: Headers, method: str, *, check_host: bool) -> Response | None:
        """Return the refusal of what another site's page sends in the name of whoever looks at it."""
        host = headers.get("host", "")
        if check_host and self._hosts and _name(host) not in self._hosts:
            return _refusal(400, f"This service is not called {_name(host)[:80]!r}: see --allow-host.")
        if method in _SAFE:
            return None
        origin = headers.get("origin")
        elsewhere = origin is not None and urlsplit(origin).netloc.lower() != host.lower()
        # Fetch Metadata (W3C): browsers say themselves whether another site's page sends something.
        if elsewhere or headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return _refusal(403, "This came from another site's page.")
        return None

    # -- who it is ---------------------------------------------------------------------------------------------

    async def _checked(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        path, method = scope["path"], scope["method"]
        who = await self._who(headers)
        if who is None:
            await self._unknown(scope, headers)(scope, receive, send)
            return
        if who.csrf and method not in _SAFE:
            own, receive = await _proves(headers, receive, who.csrf)
            if not own:
                await _refusal(403, "The form is not from this session: load the page anew.")(scope, receive, send)
                return
        if path == "/logout" and method == "POST":
            await self._forgotten()(scope, receive, send)
            return
        wanted = scopes_for(path, method)
        if not wanted & who.scopes:
            said = f"This needs a token of the scope {' or '.join(sorted(wanted))}."
            await _refusal(403, said)(scope, receive, send)
            return
        app = self._apps.get(who.tenant)
        if app is None:
            await _refusal(403, "The tenant of this token is not served here.")(scope, receive, send)
            return
        scope["who"] = who
        await app(scope, receive, send)

    async def _who(self, headers: Headers) -> Who | None:
        said = token_in(headers.get("authorization", ""))
        if said:
            if self._token and hmac.compare_digest(said.encode(), self._token.encode()):
                return Who("", EVERYTHING)
            found = await self._look_up(said)
            return None if found is None else Who(found.name, found.scopes, found.tenant)
        return await self._session(headers)

    async def _ask(self, ask: Callable[[*Asks], Found], *words: *Asks) -> Found:
        """Return what the store says; one that has just not answered is not asked by each request anew."""
        if abs(self._clock() - self._silent_s) > AGAIN_S:
            with move_on_after(ANSWERS_S):
                return await to_thread.run_sync(ask, *words, abandon_on_cancel=True, limiter=self._asking)
            self._silent_s = self._clock()
        raise StoreUnavailableError("Nothing can be read: the store does not answer.", "See its own log.")

    async def _look_up(self, said: str) -> Token | None:
        key = hashlib.sha256(said.encode()).hexdigest()
        then, known = self._known.get(key, (float("-inf"), None))
        if abs(self._clock() - then) <= KNOWN_S:
            return known
        if known is not None and known.scopes == _PUSHES:
            self._known[key] = (self._clock(), known)  # other pushes go by it while the store is asked
        try:
            found = await self._ask(self._store.token, said)
        except StoreUnavailableError:
            if known is None or "ingest" not in known.scopes:
                raise
            return replace(known, scopes=_PUSHES)
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[key] = (self._clock(), found)
        return found

    async def _has_tokens(self) -> bool:
        then, known = self._any
        if abs(self._clock() - then) <= KNOWN_S:
            return known
        was_asked = then > float("-inf")
        if was_asked:
            self._any = (self._clock(), known)  # other requests go by it while the store is asked
        try:
            self._any = (self._clock(), await self._ask(self._store.has_tokens))
        except StoreUnavailableError:
            if not was_asked:
                raise
        return self._any[1]

    def _unknown(self, scope: Scope, headers: Headers) -> Response:
        if not _wants_page(headers, scope["method"]):
            said = {"error": "A token is needed, and this is none: Authorization: Bearer oddlog_…"}
            return JSONResponse(said, 401, headers={"WWW-Authenticate": 'Bearer realm="oddlog"'})
        query = scope["query_string"].decode("latin-1")
        wanted = scope["path"] + (f"?{query}" if query else "")
        return RedirectResponse(f"/login?next={quote(wanted, safe='')}", 303)

    # -- sessions of the page ----------------------------------------------------------------------------------

    async def _login(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in _SAFE:
            wanted = dict(parse_qsl(scope["query_string"].decode("latin-1"))).get("next", "/")
            await self._sign_in("", _local(wanted))(scope, receive, send)
            return
        body, _ = await _whole(receive)
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        said, wanted = form.get("token", "").strip(), _local(form.get("next", "/"))
        found = await self._look_up(said)
        if self._token and hmac.compare_digest(said.encode(), self._token.encode()):
            id_ = "0" * 12
        elif found is not None and "read" in found.scopes | ({"read"} if "admin" in found.scopes else set()):
            id_ = found.id
        else:
            says = "This token opens no page." if found is not None else "This is no token that holds."
            refused = self._sign_in(says, wanted)
            refused.status_code = 401
            await refused(scope, receive, send)
            return
        answer = RedirectResponse(wanted, 303)
        self._remember(answer, id_)
        await answer(scope, receive, send)

    def _remember(self, answer: Response, id_: str) -> None:
        said = f"{id_}.{int(self._clock()) + SESSION_S}.{secrets.token_urlsafe(16)}"
        value = f"{said}.{self._sign('session', said)}"
        answer.set_cookie(
            self._cookie, value, max_age=SESSION_S, path="/", secure=self._is_secure, httponly=True, samesite="strict"
        )

    def _forgotten(self) -> Response:
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(self._cookie, path="/", secure=self._is_secure, httponly=True, samesite="strict")
        return answer

    async def _session(self, headers: Headers) -> Who | None:
        value = _cookie(headers.get("cookie", ""), self._cookie)
        said, _, signed = value.rpartition(".")
        parts = said.split(".")
        if len(parts) != 3 or not hmac.compare_digest(signed, self._sign("session", said)):  # noqa: PLR2004 - see `_remember`
            return None
        id_, until, _ = parts
        if int(until) < self._clock():
            return None
        csrf = self._sign("csrf", said)
        if id_ == "0" * 12:
            return Who("", EVERYTHING, "", csrf, is_session=True) if self._token else None
        found = await self._ask(self._store.token_by_id, id_)
        return None if found is None else Who(found.name, found.scopes, found.tenant, csrf, is_session=True)

    def _sign(self, what: str, said: str) -> str:
        # The static token is part of it, so that sessions end with it.
        signed = hmac.new(self._secret, f"{what}\n{self._token}\n{said}".encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(signed).decode().rstrip("=")

    # -- of all tenants ----------------------------------------------------------------------------------------

    async def _ready(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell what the first tenant's application tells that is not ready, else what the last one does."""
        told: list[Message] = []
        for app in self._apps.values():
            told = []

            async def keep(message: Message, told: list[Message] = told) -> None:
                told.append(message)

            await app(dict(scope), receive, keep)
            if told[0]["status"] != 200:  # noqa: PLR2004 - OK
                break
        for message in told:
            await send(message)


def scopes_for(path: str, method: str) -> frozenset[str]:
    """Return which scopes, any one of them, allow a request.

    >>> sorted(scopes_for("/v1/lines", "POST")), sorted(scopes_for("/v1/incidents", "GET"))
    (['ingest'], ['admin', 'read'])
    """
    is_elastic = path.startswith("/_") or _OF_AN_INDEX.fullmatch(path) is not None
    if method in _SAFE:
        # Elasticsearch's clients ask who this is before they push; of pages `/` is none: see `_meant`.
        return EVERYTHING if path == "/" or is_elastic else frozenset({"read", "admin"})
    pushes = path in _PUSH or path.startswith(("/loki/", "/services/collector")) or is_elastic
    return _PUSHES if pushes else frozenset({"admin"})


def _meant(scope: Scope) -> Scope:
    """Return a request with the address of the page where a browser asks for it at ``/``."""
    if scope["path"] == "/" and scope["method"] == "GET" and _wants_page(Headers(scope=scope), "GET"):
        return {**scope, "path": FRONT, "raw_path": FRONT.encode()}
    return scope


def _wants_page(headers: Headers, method: str) -> bool:
    return "text/html" in headers.get("accept", "") and method in _SAFE


def _name(host: str) -> str:
    """Return a host without its port.

    >>> _name("127.0.0.1:8514"), _name("[::1]:8514"), _name("Localhost")
    ('127.0.0.1', '[::1]', 'localhost')
    """
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() and not host.endswith("]") else host
    return name.lower()


def _local(wanted: str) -> str:
    """Return an address of this service, whatever somebody has put there.

    >>> _local("/incidents?a=1"), _local("//evil.example"), _local("https://evil.example")
    ('/incidents?a=1', '/', '/')
    """
    plain = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable()
    return wanted if plain and "\\" not in wanted else "/"


def _cookie(header: str, name: str) -> str:
    try:
        found = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return "" if found is None else found.value


async def _proves(headers: Headers, receive: Receive, csrf: str) -> tuple[bool, Receive]:
    """Return whether a request brings what only a page of its own session knows; and its body, to be read again."""
    said = headers.get("x-csrf")
    if said is not None or not headers.get("content-type", "").encode().startswith(_FORM):
        return hmac.compare_digest((said or "").encode(), csrf.encode()), receive
    body, again = await _whole(receive)
    form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    return hmac.compare_digest(form.get("csrf", "").encode(), csrf.encode()), again


async def _whole(receive: Receive) -> tuple[bytes, Receive]:
    """Return a body, cut where it is longer than any form of ours, and what gives it once more."""
    body = bytearray()
    more = True
    while more and len(body) <= MOST_FORM:
        message = await receive()
        if message["type"] != "http.request":
            break
        body += message.get("body", b"")
        more = message.get("more_body", False)
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": bytes(body), "more_body": more}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return bytes(body[:MOST_FORM]), again


def _refusal(status: int, said: str) -> Response:
    return JSONResponse({"error": said}, status, headers={"X-Content-Type-Options": "nosniff"})
