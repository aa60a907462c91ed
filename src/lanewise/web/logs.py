"""The request's id in every line that is logged while it is served."""

from __future__ import annotations

import logging

from lanewise.scope import current_scope

__all__ = ["RequestIdFilter"]


class RequestIdFilter(logging.Filter):
    """Adds ``request_id`` to each record: the current scope's, or ``-`` outside of any.

    Example::

        handler.addFilter(RequestIdFilter())
        handler.setFormatter(logging.Formatter("%(request_id)s %(levelname)s %(message)s"))
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the id, and let the record pass."""
        if not hasattr(record, "request_id"):
            scope = current_scope()
            record.request_id = "-" if scope is None else scope.request_id
        return True
