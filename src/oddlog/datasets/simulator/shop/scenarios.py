"""What users do in the shop: each scenario is one request, one trace, 4 to 15 lines or a little more."""

from __future__ import annotations

from dataclasses import dataclass

from oddlog.datasets.simulator.steps import Step
from oddlog.datasets.simulator.steps import step as _s


@dataclass(frozen=True)
class Scenario:
    """One kind of request."""

    name: str
    weight: int  # requests of this kind in 10,000
    method: str
    path: str
    steps: tuple[Step, ...]
    pays: bool = False  # charges a card, so it fails when the payment processor cannot be reached
    tries: int = 1  # the same user comes 1 to `tries` times within a minute or two

    @property
    def mean_lines(self) -> float:
        """Lines per drawn start on average."""
        return sum(step.mean_lines for step in self.steps) * (1 + self.tries) / 2


def _request() -> tuple[Step, ...]:
    return _s("gateway.request", 0), _s("gateway.tls", 0.4, 30)


def _done(status: int = 200) -> tuple[Step, ...]:
    return _s("gateway.compressed", 0.6, 20), _s("gateway.done", 1.2, status=status)


def _failed(upstream: str, status: int = 500) -> tuple[Step, ...]:
    return (_s("gateway.failed", 1.5, upstream=upstream, status=status),)


_USER = (_s("auth.valid", 2.5),)
_ANYONE = (Step("auth.anonymous", 1, 60, otherwise="auth.valid"),)
_BUYER = (Step("auth.valid", 2.5, 83, otherwise="auth.guest"),)
_READ = (_s("catalog.miss", 0.5), _s("db.read", 6))
_PRODUCT = (_s("catalog.recommend", 4, 45), _s("catalog.fallback", 160, 6), _s("catalog.product", 3))
_CART = (_s("cart.loaded", 3), _s("cart.stale", 1, 5), _s("cart.priced", 5))
_ORDER = (_s("orders.created", 8), _s("inventory.reserved", 12), _s("inventory.low", 2, 8))
_CHARGE = (_s("payments.charge", 5), _s("payments.fraud", 9, 30))
_PAID = (
    _s("payments.challenge", 900, 22),
    _s("payments.authorised", 240),
    _s("payments.captured", 60),
)
_CONFIRMED = (
    _s("orders.split", 2, 12, page=2),
    _s("db.lock", 30, 8),
    _s("db.commit", 5),
    _s("orders.confirmed", 3),
    _s("cart.emptied", 2, 40),
)
_MAIL = (
    _s("mailer.queued", 25),
    _s("mailer.deferred", 300, 6),
    _s("mailer.confirmation", 420),
)
_UNDO = (_s("payments.voided", 30, 40), _s("inventory.released", 8))


def _attempt(number: int, status: int = 502) -> tuple[Step, ...]:
    return (
        _s("payments.failed", 310, attempt=number, status=status),
        _s("payments.retry", 1, backoff=200 * 2 ** (number - 1)),
    )


def _rolledback(cause: str) -> tuple[Step, ...]:
    return _s("db.rollback", 4, 60), _s("orders.rolledback", 3, cause=cause)


def _checkout(name: str, weight: int, *middle: Step, who: tuple[Step, ...] = _USER) -> Scenario:
    steps = (*_request(), *who, *_CART, *_ORDER, *middle)
    return Scenario(name, weight, "POST", "/checkout", steps, pays=True)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "front page", 900, "GET", "/",
        (*_request(), *_ANYONE, _s("catalog.home", 18), *_done()),
    ),
    Scenario(
        "product, cached", 1500, "GET", "/products/{product}",
        (*_request(), *_ANYONE, _s("catalog.hit", 1), *_PRODUCT, *_done()),
    ),
    Scenario(
        "product, not cached", 620, "GET", "/products/{product}",
        (*_request(), *_ANYONE, *_READ, *_PRODUCT, *_done()),
    ),
    Scenario(
        "listing", 400, "GET", "/categories/{category}",
        (*_request(), *_ANYONE, _s("catalog.listing", 22), _s("db.read", 7, 50), *_done()),
    ),
    # A usual sight that no one has mended: many ERROR lines, and yet nothing is wrong.
    Scenario(
        "listing with missing thumbnails", 1150, "GET", "/categories/{category}",
        (
            *_request(), *_ANYONE, _s("catalog.listing", 22),
            _s("catalog.thumbnail", 2, most=9), *_done(),
        ),
    ),
    Scenario(
        "search", 1150, "GET", "/search",
        (*_request(), _s("gateway.limit", 0.3, 12), *_ANYONE, _s("catalog.search", 35), _s("db.read", 8, 35), *_done()),
    ),
    Scenario(
        "search without result", 130, "GET", "/search",
        (*_request(), *_ANYONE, _s("catalog.nothing", 30), *_done()),
    ),
    Scenario(
        "add to cart", 830, "POST", "/cart",
        (
            *_request(), *_USER, _s("cart.created", 3, 35), _s("cart.loaded", 2, 65), _s("catalog.hit", 2),
            _s("cart.added", 4), _s("db.commit", 4, 50), *_done(201),
        ),
    ),
    Scenario(
        "remove from cart", 160, "DELETE", "/cart/{product}",
        (*_request(), *_USER, _s("cart.loaded", 2), _s("cart.removed", 3), *_done(204)),
    ),
    Scenario("view cart", 420, "GET", "/cart", (*_request(), *_USER, *_CART, *_done())),
    Scenario(
        "log-in", 520, "POST", "/login",
        (
            *_request(), _s("auth.lookup", 4), _s("db.read", 3, 30), _s("auth.login", 85),
            _s("auth.issued", 2), *_done(),
        ),
    ),
    Scenario(
        "log-in, password mistyped", 200, "POST", "/login",
        (*_request(), _s("auth.lookup", 4), _s("db.read", 3, 30), _s("auth.wrong", 85), *_done(401)),
        tries=3,
    ),
    Scenario("log-out", 150, "POST", "/logout", (*_request(), *_USER, _s("auth.logout", 2), *_done(204))),
    Scenario(
        "session expired", 110, "GET", "/account",
        (*_request(), _s("auth.expired", 2), _s("auth.anonymous", 1), *_done(401)),
    ),
    Scenario(
        "token refreshed", 260, "POST", "/token",
        (*_request(), _s("auth.valid", 2), _s("auth.refreshed", 3), *_done()),
    ),
    Scenario(
        "registration", 70, "POST", "/register",
        (
            *_request(), _s("auth.registered", 95), _s("db.commit", 4), *_done(201),
            _s("mailer.queued", 20), _s("mailer.welcome", 380),
        ),
    ),
    Scenario(
        "registration refused", 36, "POST", "/register",
        (*_request(), _s("db.read", 4), _s("auth.taken", 3), *_done(409)),
    ),
    Scenario(
        "password reset", 80, "POST", "/password",
        (
            *_request(), _s("auth.reset", 6), _s("db.commit", 4), *_done(202),
            _s("mailer.queued", 20), _s("mailer.bounced", 500, 25), _s("mailer.resetlink", 350),
        ),
    ),
    Scenario(
        "password changed", 40, "PUT", "/password",
        (*_request(), *_USER, _s("auth.changed", 90), _s("db.commit", 4), *_done(204)),
    ),
    _checkout("checkout", 620, *_CHARGE, *_PAID, *_CONFIRMED, *_done(201), *_MAIL),
    _checkout(
        "checkout with voucher", 110,
        _s("cart.voucher", 4), *_CHARGE, *_PAID, *_CONFIRMED, *_done(201), *_MAIL,
    ),
    _checkout(
        "guest checkout", 190, *_CHARGE, *_PAID, *_CONFIRMED, *_done(201), *_MAIL, who=(_s("auth.guest", 3),)
    ),
    Scenario(
        "checkout by invoice", 120, "POST", "/checkout",
        (*_request(), *_USER, *_CART, *_ORDER, *_CONFIRMED, *_done(201), *_MAIL),
    ),
    _checkout(
        "checkout, charged at the second attempt", 70,
        *_CHARGE, *_attempt(1), *_PAID, *_CONFIRMED, *_done(201), *_MAIL,
    ),
    _checkout(
        "checkout, charged at the third attempt", 30,
        *_CHARGE, *_attempt(1), *_attempt(2), *_PAID, *_CONFIRMED, *_done(201), *_MAIL,
    ),
    _checkout(
        "checkout, card declined", 90,
        *_CHARGE, _s("payments.declined", 260), _s("inventory.released", 8),
        *_rolledback("payment failed"), *_done(402),
    ),
    Scenario(
        "checkout, out of stock", 90, "POST", "/checkout",
        (
            *_request(), *_USER, *_CART, _s("orders.created", 8), _s("inventory.short", 12),
            *_rolledback("out of stock"), *_done(409),
        ),
    ),
    Scenario(
        "order status", 330, "GET", "/orders/{order}",
        (*_request(), *_USER, _s("orders.status", 6), _s("db.read", 5, 60), *_done()),
    ),
    Scenario(
        "order cancelled", 70, "DELETE", "/orders/{order}",
        (
            *_request(), *_USER, _s("orders.cancelled", 6), _s("payments.refunded", 280),
            _s("payments.voided", 30, 40),
            _s("inventory.released", 8), _s("db.commit", 4), *_done(204),
        ),
    ),
    Scenario(
        "refund given up", 30, "DELETE", "/orders/{order}",
        (
            *_request(), *_USER, _s("orders.cancelled", 6), *_attempt(1, 504),
            _s("payments.gaveup", 420, attempt=2), *_failed("payments", 503),
        ),
    ),
    Scenario(
        "card saved", 48, "POST", "/cards",
        (*_request(), *_USER, _s("payments.verify", 6), _s("payments.saved", 230), *_done(201)),
    ),
    Scenario(
        "card could not be verified", 32, "POST", "/cards",
        (
            *_request(), *_USER, _s("payments.verify", 6), *_attempt(1),
            _s("payments.gaveup", 300, attempt=2), *_failed("payments", 502),
        ),
    ),
    Scenario(
        "invoice download", 90, "GET", "/invoices/{order}",
        (*_request(), *_USER, _s("db.read", 5), _s("orders.invoice", 140), *_done()),
    ),
    Scenario(
        "address changed", 40, "PUT", "/account/address",
        (*_request(), *_USER, _s("orders.address", 7), _s("db.commit", 4), *_done(204)),
    ),
    Scenario(
        "review written", 60, "POST", "/products/{product}/reviews",
        (
            *_request(), *_USER, _s("catalog.review", 9), _s("catalog.spam", 3, 30), _s("db.commit", 4),
            *_done(201),
        ),
    ),
    Scenario("wish list", 80, "POST", "/wishes", (*_request(), *_USER, _s("cart.wish", 5), *_done(201))),
    Scenario(
        "tell me when it is back", 45, "POST", "/products/{product}/watch",
        (*_request(), *_USER, _s("inventory.watch", 5), *_done(202)),
    ),
    Scenario(
        "newsletter", 40, "POST", "/newsletter",
        (*_request(), _s("auth.anonymous", 1), _s("mailer.newsletter", 9), *_done(202)),
    ),
    Scenario(
        "shipment handed over", 100, "POST", "/hooks/shipment",
        (
            *_request(), _s("orders.shipped", 7), _s("db.commit", 4), *_done(204),
            _s("mailer.queued", 22), _s("mailer.tracking", 390),
        ),
    ),
    Scenario(
        "shipment delivered", 80, "POST", "/hooks/shipment",
        (*_request(), _s("orders.delivered", 7), _s("db.commit", 4), *_done(204)),
    ),
    Scenario(
        "prices imported", 30, "POST", "/admin/prices",
        (*_request(), *_USER, _s("catalog.imported", 60), _s("catalog.price", 4, most=6), *_done()),
    ),
    # Single 500s: they come every day, one at a time, and no one is woken for them.
    Scenario(
        "product query timed out", 60, "GET", "/products/{product}",
        (*_request(), *_READ, _s("db.slow", 2000, 40), _s("catalog.timeout", 1000), *_failed("catalog")),
    ),
    Scenario(
        "cart could not be saved", 40, "POST", "/cart",
        (*_request(), *_USER, _s("cart.loaded", 2), _s("cart.stale", 3), _s("cart.conflict", 40),
         *_failed("cart")),
    ),
    Scenario(
        "order could not be saved", 36, "POST", "/checkout",
        (
            *_request(), *_USER, *_CART, _s("orders.created", 8), _s("inventory.reserved", 12),
            _s("db.deadlock", 900), _s("orders.deadlock", 3), _s("inventory.released", 8),
            *_rolledback("deadlock"), *_failed("orders"),
        ),
    ),
    Scenario(
        "slow but answered", 45, "GET", "/account/orders",
        (*_request(), *_USER, _s("db.slow", 1800), _s("orders.status", 6, most=3),
         _s("gateway.slow", 2, upstream="orders"), *_done()),
    ),
    Scenario(
        "connection reset, second instance answered", 36, "GET", "/account",
        (*_request(), _s("gateway.reset", 30, upstream="auth"), *_USER, _s("orders.status", 6), *_done()),
    ),
)  # fmt: skip
"""Usual traffic."""

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}

STORM = Scenario(
    "checkout fails", 0, "POST", "/checkout",
    (
        *_request(), *_BUYER, *_CART, *_ORDER, *_CHARGE, *_attempt(1), *_attempt(2),
        _s("payments.failed", 310, attempt=3, status=502), _s("payments.gaveup", 1, attempt=3), *_UNDO,
        *_rolledback("payment failed"), *_failed("orders"),
    ),
    tries=5,
)  # fmt: skip
"""Every line of it also stands in usual traffic; together, and so often, they never do."""

ATTACK = BY_NAME["log-in, password mistyped"]
"""The attack has no line of its own: only who does it, and how often, is odd."""
