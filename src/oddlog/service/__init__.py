"""The service: lines come in over HTTP, are kept until they are judged, and what is odd is stored.

::

    POST ──► `decoding` ──► Spool (durable: then 2xx) ──► `Worker`: stream, checkpoints ──► Store ──► GET
                                                                               `Dispatcher` ◄──┘ ──► sinks

`api` holds the endpoints, `worker` the loop in a thread of its own. Needs the extra ``service``.
"""
