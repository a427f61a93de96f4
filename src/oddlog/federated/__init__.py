"""Sites that learn together without sharing a log.

::

    plan          what is agreed on before: rounds, mode, weights
    server        rounds: join, begin, learn, finish; `checkpoint` to go on from, `history` of what happened
    entry         who is let in, before round 0 or later
    visible       a round whose updates the server sees, `summing` one of which it sees the sum
    flower        server and site as Flower's apps, and a Grid that runs both in this process
    simulate      both, from folders of raw logs to a model for each site
    running       both on several machines: `superlink` listens over TLS behind its `guard`, and reaches the sites by
                  `fleet`; `supernode` connects; `identity`, `certificate`, `settings` of the server, its `status`
    wire          what is sent, as bytes
    site          what a site answers
    parties       its side of secure sums, answer by answer
    local         what a site does by itself: windows, training, utility, the network it keeps
    choosing      which of two networks a site keeps

    layout        weights by name ⇄ one vector [p], the form in which they travel
    quality       how good a site's update is: utility, share of the data, closeness; who counts how much
    aggregation   updates [c, p] → one: weighted mean, median, trimmed mean; FedProx's pull
    layers        networks merged layer by layer, by least squares on what goes into each
    pooling       usual scores of all sites, counted; whose tail a site's threshold comes from
    patterns      usual windows of all sites at each of them, opt-in; sealed from the server
    privacy       differential privacy: how much noise, and that no answer goes out without it
    gate          which updates are let in: shape, numbers, size, round; refusals named and counted
    quantise      updates in few bytes, what rounding takes away is sent later
    wgan          rare windows that a generator draws, where an ablation says they help
    secagg        the sum of the sites' vectors and nothing else
"""

import os

# Before the first import of Flower: it phones home and looks for updates otherwise.
os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"
