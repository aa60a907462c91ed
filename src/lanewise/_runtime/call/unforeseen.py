"""The one place where an exception that nobody foresaw becomes a failure of the attempt, and a RoutingError.

Such an exception is a fault of ours, or of a library that the app hands in. Its text can hold anything, a prompt or a
key: only its class and the place where it was raised are told.
"""

from __future__ import annotations

import logging
from pathlib import PurePath
from typing import Final

from lanewise._failures import failure_table as failures
from lanewise.errors import BadResponse, RoutingError
from lanewise.types import Call, Failure

__all__ = ["as_failure", "as_routing_error"]

_log: Final = logging.getLogger("lanewise")


def as_failure(error: Exception) -> Failure:
    """The failure of the attempt in which an exception was raised; logged as an error."""
    where = _where(error)
    _log.error("an attempt failed by what nobody foresaw: %s", where)
    return failures.UNFORESEEN.failure(cause=where)


def as_routing_error(error: Exception, call: Call | None) -> RoutingError:
    """What the app gets for an exception that was raised outside of any attempt; logged as an error.

    Example::

        except Exception as error:
            raise as_routing_error(error, call) from None
    """
    where = _where(error)
    _log.error("a call failed by what nobody foresaw: %s", where)
    suffix = "" if call is None else f" [call {call.id}]"
    return BadResponse(f"the call could not be handled: {where}.{suffix}", call)


def _where(error: Exception) -> str:
    name, traceback = type(error).__qualname__, error.__traceback__
    if traceback is None:
        return name
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f"{name} in {PurePath(traceback.tb_frame.f_code.co_filename).name}, line {traceback.tb_lineno}"
