"""Sites that learn together without sharing a log.

::

    layout        weights by name ⇄ one vector [p], the form in which they travel
    quality       how good a site's update is: utility, share of the data, closeness; who counts how much
    aggregation   updates [c, p] → one: weighted mean, median, trimmed mean; FedProx's pull
    gate          which updates are let in: shape, numbers, size, round; refusals named and counted
    quantise      updates in few bytes, what rounding takes away is sent later
    secagg        the sum of the sites' vectors and nothing else
"""
