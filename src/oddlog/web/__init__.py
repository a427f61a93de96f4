"""The page: what is odd now, why, and what people say of it. HTML made here, swapped in place by htmx, drawn by uPlot.

::

    pages      the addresses and what each shows        rendering   templates, filters, headers
    asking     from what an address says to what is looked for
    drift      figures of today against training        types       message types: new, rare, changed

Nothing is fetched from elsewhere, and nothing written in a page runs: the policy in `rendering` allows our own files
only. `static/` holds htmx and uPlot as they were released, with their licences and hashes (`static/README.md`).
Needs the extra ``service``.
"""
