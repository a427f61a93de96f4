"""What the shop's services write: every message type, in one list.

``{name}`` is a value (see `values`). Level and service stand in front, found fields behind. A value in
``fields`` is written as a JSON field of that name; `NUMERIC` ones without quotes.
"""

from __future__ import annotations

from oddlog.datasets.simulator.messages import Message, named

HOSTS: dict[str, tuple[str, ...]] = {
    "gateway": ("gateway-1", "gateway-2", "gateway-3"),
    "auth": ("auth-1", "auth-2"),
    "catalog": ("catalog-1", "catalog-2", "catalog-3"),
    "cart": ("cart-1", "cart-2"),
    "orders": ("orders-1", "orders-2"),
    "payments": ("payments-1", "payments-2", "payments-3"),
    "inventory": ("inventory-1", "inventory-2"),
    "mailer": ("mailer-1",),
    "db": ("db-1", "db-2"),
}
"""The services and where each of them runs."""
SERVICES = tuple(HOSTS)

NUMERIC = frozenset({"status", "duration_ms", "bytes"})
FIELD_VALUE = {"duration_ms": "elapsed"}
"""Fields whose value has another name; all others are called like their value."""

_WEB = ("client", "method", "path")
_DONE = (*_WEB, "status", "duration_ms", "bytes")

MESSAGES: dict[str, Message] = {
    **named(
        "gateway",
        request=("INFO", "{method} {path} from {client}", *_WEB),
        done=("INFO", "answered {status} in {elapsed} ms, {bytes} bytes", *_DONE),
        failed=("ERROR", "{upstream} failed: answered {status} after {elapsed} ms", *_DONE),
        slow=("WARNING", "slow upstream {upstream}: {elapsed} ms for {method} {path}", "client"),
        tls=("DEBUG", "TLS session resumed for {client}, ticket {ticket}", "client"),
        limit=("INFO", "rate limit: {client} used {used} of 600 requests this minute", "client"),
        reset=("WARNING", "connection to {upstream} was reset by peer, trying the next instance"),
        compressed=("DEBUG", "response compressed from {big} to {bytes} bytes"),
        health=("DEBUG", "health check of {peer}: ok in {small} ms"),
        connections=("INFO", "{used} open connections, {small} waiting, {many} accepted since start"),
        certificate=("WARNING", "certificate of shop.example.com expires in {days} days"),
        routes=("INFO", "route table reloaded: {small} routes, 0 changed"),
    ),
    **named(
        "auth",
        valid=("INFO", "session of user {user} is valid for another {minutes} min", "user"),
        anonymous=("DEBUG", "no session cookie, request is anonymous"),
        lookup=("DEBUG", "account {user} found in realm customers", "user"),
        wrong=("WARNING", "log-in failed for user {user} from {client}: wrong password", "user", "client"),
        login=("INFO", "user {user} logged in from {client}", "user", "client"),
        issued=("INFO", "token {token} issued to user {user}, expires in 3600 s", "user"),
        refreshed=("INFO", "token {token} of user {user} was refreshed", "user"),
        logout=("INFO", "user {user} logged out, {small} tokens revoked", "user"),
        expired=("INFO", "session of user {user} expired {minutes} min ago", "user"),
        guest=("INFO", "guest token {token} issued to {client}", "client"),
        registered=("INFO", "account {user} created, confirmation pending", "user"),
        taken=("INFO", "registration refused: address of user {user} is already known", "user"),
        reset=("INFO", "password reset {ticket} requested for user {user}", "user"),
        changed=("INFO", "password of user {user} was changed", "user"),
        keys=("INFO", "signing key {ticket} rotated, {small} older keys kept"),
        purge=("INFO", "purged {many} expired sessions in {took} ms"),
        clock=("WARNING", "clock differs from time server by {small} ms"),
        hashpool=("DEBUG", "hash pool: {small} workers busy, queue 0"),
    ),
    **named(
        "catalog",
        hit=("DEBUG", "cache hit for {product}, age {age} s"),
        miss=("DEBUG", "cache miss for {product}, asking the database"),
        product=("INFO", "product {product} shown, price {amount} EUR, {used} in stock"),
        home=("INFO", "front page built from {small} teasers in {took} ms"),
        listing=("INFO", "category {category} listed: page {page}, {small} products"),
        search=("INFO", "search '{query}' found {many} products in {took} ms"),
        nothing=("INFO", "search '{query}' found nothing, {small} suggestions offered"),
        thumbnail=("ERROR", "thumbnail of sku-{number} is missing, placeholder is used"),
        recommend=("DEBUG", "{small} recommendations for {product} from model {page}"),
        fallback=("WARNING", "recommendations took more than {took} ms, bestsellers are shown"),
        timeout=("ERROR", "query for {product} timed out after {timeout} ms"),
        review=("INFO", "review {number} of {product} stored, {page} stars"),
        spam=("INFO", "review {number} held back, spam score {percent}"),
        price=("INFO", "price of {product} changed to {amount} EUR"),
        imported=("INFO", "price list {ticket} read: {small} rows, 0 rejected"),
        warm=("INFO", "cache warmed with {many} products in {took} ms"),
        evicted=("DEBUG", "{used} cache entries evicted, hit ratio {percent} %"),
        gc=("DEBUG", "GC pause {small} ms, heap {used} MiB of 1024 MiB"),
        index=("INFO", "search index segment {number} merged, {many} documents"),
    ),
    **named(
        "cart",
        loaded=("DEBUG", "cart {cart} loaded with {items} items"),
        added=("INFO", "{product} added to cart {cart}, now {items} items"),
        removed=("INFO", "{product} removed from cart {cart}"),
        created=("INFO", "cart {cart} created"),
        priced=("INFO", "cart {cart} priced: {items} items, {amount} EUR"),
        voucher=("INFO", "voucher {coupon} takes {page} EUR off cart {cart}"),
        stale=("WARNING", "cart {cart} was changed in another tab, version {small} wins"),
        conflict=("ERROR", "cart {cart} could not be saved: version conflict after {page} tries"),
        emptied=("DEBUG", "cart {cart} emptied"),
        wish=("INFO", "{product} put on wish list {number}"),
        purge=("INFO", "{used} abandoned carts removed in {took} ms"),
        gc=("DEBUG", "GC pause {small} ms, heap {used} MiB of 512 MiB"),
        snapshot=("DEBUG", "snapshot {number} of the cart store written, {many} carts"),
    ),
    **named(
        "orders",
        created=("INFO", "order {order} created for cart {cart}: {amount} EUR", "user"),
        confirmed=("INFO", "order {order} confirmed, shipment {shipment} planned from {warehouse}", "user"),
        rolledback=("WARNING", "order {order} rolled back: {cause}"),
        deadlock=("ERROR", "could not save order {order}: deadlock detected, giving up"),
        status=("INFO", "order {order} is {state}"),
        cancelled=("INFO", "order {order} cancelled by user {user}", "user"),
        invoice=("INFO", "invoice {number} for order {order} rendered in {took} ms"),
        address=("INFO", "delivery address of user {user} changed, country {country}", "user"),
        shipped=("INFO", "shipment {shipment} of order {order} handed to {carrier}"),
        delivered=("INFO", "shipment {shipment} delivered, order {order} closed"),
        split=("INFO", "order {order} split into {page} shipments"),
        report=("INFO", "sales report: {many} orders, {amount} EUR, took {took} ms"),
        archive=("INFO", "{used} orders archived to partition {number}"),
        outbox=("DEBUG", "outbox: {small} events sent, 0 left"),
    ),
    **named(
        "payments",
        charge=("INFO", "charging {amount} EUR to card ending {card} for order {order}"),
        declined=("INFO", "card ending {card} was declined by the bank, code {code}"),
        authorised=("INFO", "payment {payment} authorised in {took} ms"),
        captured=("INFO", "payment {payment} captured: {amount} EUR"),
        failed=("ERROR", "processor answered {status} to payment {payment}, attempt {attempt}"),
        retry=("WARNING", "payment {payment} will be tried again in {backoff} ms"),
        gaveup=("WARNING", "payment {payment} abandoned after {attempt} attempts"),
        voided=("INFO", "payment {payment} voided"),
        refunded=("INFO", "refund of {amount} EUR for payment {payment} accepted"),
        verify=("INFO", "verifying card ending {card} with a zero charge"),
        saved=("INFO", "card ending {card} saved for user {user}", "user"),
        fraud=("DEBUG", "risk score of order {order}: {percent}"),
        challenge=("INFO", "3-D Secure challenge passed for payment {payment}"),
        settle=("INFO", "settlement batch {ticket}: {many} payments sent to the bank"),
        rates=("INFO", "{small} exchange rates updated"),
        pool=("DEBUG", "processor pool: {small} of 50 connections in use"),
        api=("WARNING", "processor.api is not set, release default v3 is used"),
    ),
    **named(
        "inventory",
        reserved=("INFO", "{items} items reserved for order {order} in {warehouse}"),
        released=("INFO", "reservation for order {order} released, {items} items back in stock"),
        short=("INFO", "only {page} of {product} left in {warehouse}, order {order} needs more"),
        low=("WARNING", "stock of {product} fell below {small}"),
        restock=("INFO", "{used} pieces of {product} arrived in {warehouse}"),
        watch=("INFO", "user {user} will be told when {product} is back", "user"),
        reconcile=("INFO", "reconciliation of {warehouse} started, {many} positions"),
        matched=("INFO", "reconciliation finished: {many} positions match, {small} corrected"),
        scanner=("WARNING", "scanner {page} in {warehouse} did not answer for {small} s"),
        gc=("DEBUG", "GC pause {small} ms, heap {used} MiB of 768 MiB"),
    ),
    **named(
        "mailer",
        queued=("DEBUG", "mail {number} queued for {email}"),
        confirmation=("INFO", "confirmation of order {order} sent to {email} in {took} ms"),
        welcome=("INFO", "welcome mail sent to {email}"),
        resetlink=("INFO", "reset link {ticket} sent to {email}"),
        tracking=("INFO", "tracking mail for shipment {shipment} sent to {email}"),
        deferred=("WARNING", "mail {number} deferred by mx.example.net: greylisted, next try in {small} min"),
        bounced=("WARNING", "mail {number} to {email} bounced: mailbox full"),
        newsletter=("INFO", "{email} subscribed to the newsletter"),
        campaign=("INFO", "newsletter {ticket}: {many} mails handed over in {took} ms"),
        queue=("DEBUG", "queue length {small}, oldest {age} s"),
    ),
    **named(
        "db",
        read=("DEBUG", "select on products took {took} ms, {small} rows"),
        commit=("DEBUG", "transaction {number} committed in {took} ms"),
        rollback=("INFO", "transaction {number} rolled back"),
        lock=("WARNING", "transaction {number} waited {took} ms for a row lock"),
        deadlock=("ERROR", "deadlock detected between transactions {number} and {many}"),
        slow=("WARNING", "slow query: {timeout} ms, plan {ticket}"),
        checkpoint=("INFO", "checkpoint complete: wrote {many} buffers in {took} ms"),
        vacuum=("INFO", "vacuum of table orders: {many} dead rows removed"),
        pool=("DEBUG", "pool: {small} active, {used} idle connections"),
        replica=("INFO", "replica lag {small} ms"),
        backup=("INFO", "base backup {ticket} finished: {many} MiB in {took} ms"),
    ),
}
"""Message types by name."""

LIFECYCLE: tuple[tuple[str, str, int], ...] = (
    # level, text, milliseconds after the line before; {version} also stands in the field `version`
    ("INFO", "deployment of version {version} started", 0),
    ("INFO", "received SIGTERM, draining {small} connections", 900),
    ("INFO", "stopped after {used} ms", 2_400),
    ("INFO", "starting version {version}, build {number}", 1_100),
    ("INFO", "configuration read: {small} keys", 250),
    ("INFO", "version {version} is listening on port 8080", 1_300),
    ("INFO", "ready after {many} ms", 2_000),
)
"""What a service writes on each host when a version is deployed."""
