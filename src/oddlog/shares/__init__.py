"""Shares of what is marked: how often one line follows another, how often a number or a pause is far out.

A request that skips a step, a price that takes a second, a retry: each happens now and then, and a window that holds
it is usual. That half of all requests do so for twenty minutes is not. So what is counted, in ten minutes each, is how
many of the events of a *whole* carry a *mark*, and this share is held against the usual one::

    windows ──► steps      of all that came after A, how many were B              A → B of A → anything
            ──► detours    of all B, how many came by a step that is rare          whatever came before
            ──► surges     how many B there were, of as many as what came before lets expect
            ──► gaps       of a service's lines, how many came unusually late     after the line before
    events  ──► mix        of a service's lines, how many were of this type
            ──► numbers    of a service's (a host's) numbers, how many are above, or below, what is usual of their type

    subjects    what is counted, as numbers
    bounds      from where on a gap is long, a number far out
    counting    marks and wholes by ten minutes, bounded; `blocks` is their dense form
    usual       how large shares usually are, and how much they vary
    odd         when, within a longer time, a share is odd
"""

from oddlog.shares.bounds import Bounds
from oddlog.shares.counting import ShareCounting, ShareCounts
from oddlog.shares.odd import Odd
from oddlog.shares.subjects import BEGIN, END, UNSEEN, Subject, steps, subject_of
from oddlog.shares.usual import KINDS, Shares

__all__ = [
    "BEGIN",
    "END",
    "KINDS",
    "UNSEEN",
    "Bounds",
    "Odd",
    "ShareCounting",
    "ShareCounts",
    "Shares",
    "Subject",
    "steps",
    "subject_of",
]
