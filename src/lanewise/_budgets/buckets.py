"""Which bucket of a budget a call counts in, and under which key all workers find it."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from lanewise._budgets.claims import Bucket
from lanewise._budgets.spending_window import SpendingWindow
from lanewise._routing.idempotency import subject_hash
from lanewise.config import Budget

__all__ = ["SHARED", "bucket_of", "budget_key", "subject_name"]

SHARED: Final = "-"
"""The name of the bucket of all calls, and of those that have no subject, client or label."""
_PLAIN: Final = re.compile(r"[A-Za-z0-9._@/-]{1,64}")


def bucket_of(budget: Budget, owner: str | None) -> Bucket:
    """The bucket of an ``owner``: a subject's name here, a task, a client or a label's value, by its ``per``.

    Example::

        bucket_of(config.budgets["free-users"], subject_name("user-7", secret))
    """
    name = SHARED if owner is None else _shown(owner)
    return Bucket(budget.name, f"{budget_key(budget)}:{name}", budget.limit.amount, SpendingWindow(budget.window))


def budget_key(budget: Budget) -> str:
    """How the keys of a budget's buckets begin. The limit is no part of it: what was spent counts for another one too.

    Example::

        assert bucket_of(budget, None).key == f"{budget_key(budget)}:-"
    """
    identity = "\0".join((budget.name, budget.limit.unit, repr(budget.window), budget.per or ""))
    return f"{hashlib.sha256(identity.encode()).hexdigest()[:12]}:{budget.name}"


def subject_name(subject: str | None, secret: bytes | None) -> str | None:
    """What stands for a subject: its keyed hash, as in the records; without a secret a plain one."""
    if subject is None:
        return None
    plain = "lanewise budget 1\0" + subject
    return subject_hash(subject, secret) or hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _shown(name: str) -> str:
    """A name as it is, where it is plain; else a hash, after a sign that no plain name has."""
    if _PLAIN.fullmatch(name) and name != SHARED:
        return name
    return f"#{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
