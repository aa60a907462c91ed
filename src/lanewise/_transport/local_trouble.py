"""Trouble of this process, no provider's: no descriptor, port, memory or thread left, no network, no permission."""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
import time
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

from lanewise._failures.signals import TransportFailure, TransportSignal
from lanewise.types import LocalTrouble

__all__ = ["LACKING", "NOT_SENT", "heard_from", "lacks_descriptors", "late_failure", "trouble_in"]

_T: Final = LocalTrouble
NOT_SENT: Final = {
    _T.DESCRIPTORS: "this process has no file descriptor left",
    _T.PORTS: "this machine has no local port left",
    _T.MEMORY: "this process or machine has no memory or buffers left",
    _T.THREADS: "this process can't start another thread",
    _T.NETWORK: "this machine has no network",
    _T.PERMISSION: "this process is not permitted to connect",
    _T.LOOP: "the event loop of this process was late",
}
"""What an attempt's failure says of each."""

LACKING: Final = frozenset({_T.DESCRIPTORS, _T.MEMORY, _T.THREADS})
"""What shows in anything that a process does, not only where it connects."""

_OF_ERRNO: Final = {
    number: trouble
    for trouble, names in (
        (_T.DESCRIPTORS, ("EMFILE", "ENFILE")),
        (_T.PORTS, ("EADDRNOTAVAIL", "EADDRINUSE")),
        (_T.MEMORY, ("ENOMEM", "ENOBUFS", "ENOSPC", "ENOSR")),
        (_T.THREADS, ("EAGAIN",)),
        (_T.NETWORK, ("ENETDOWN", "ENETUNREACH", "EHOSTUNREACH", "ENONET", "EAFNOSUPPORT")),
        (_T.PERMISSION, ("EACCES", "EPERM")),
    )
    for name in names
    if (number := getattr(errno, name, None)) is not None
}
"""ENOSPC is epoll's word for too many watched descriptors; EAFNOSUPPORT says that there is no IPv6 here, for one."""
_NO_THREAD: Final = "can't start new thread"
_ERRNO_IN_TEXT: Final = re.compile(r"\[Errno (\d+)\]")
_SPARE: Final = 4
"""Descriptors that a look-up, a connection and a trust store may need at a time."""
_ELSEWHERE: Final = ((socket.AF_INET, ("203.0.113.1", 9)), (socket.AF_INET6, ("2001:db8::1", 9)))
"""Addresses that are for documentation (RFC 5737, RFC 3849): what leads there leads out. Nothing is sent."""
_HEARD_LATELY: Final = 60.0
_heard: Final[dict[str, float]] = {}
"""When each host outside this machine last answered this process."""


def trouble_in(error: BaseException, host: str = "") -> LocalTrouble | None:
    """Which trouble of this process an exception is about; ``None`` where it is the peer's, or nobody knows.

    Of several addresses that were tried, all must have failed by it: one that refused tells of the peer. A network that
    another host than ``host`` was heard through lately is there: then it is this host that can't be reached.

    Example::

        trouble_in(OSError(errno.EMFILE, "Too many open files"))  # LocalTrouble.DESCRIPTORS
    """
    trouble = _trouble_in(error)
    if trouble is _T.NETWORK and _others_heard(host):
        return None
    return trouble


def late_failure(lost: float) -> TransportFailure:
    """The failure of an attempt whose last moment passed while the event loop stood still for ``lost`` seconds."""
    detail = f"the event loop of this process stood still, or had no time, for {lost:.1f} s"
    return TransportFailure(TransportSignal.LOOP_LATE, detail, trouble=_T.LOOP)


def lacks_descriptors() -> bool:
    """Whether this process has none to spare just now.

    Asked where a failure does not tell: a trust store whose files can't be opened blames the certificate.
    """
    taken: list[int] = []
    try:
        while len(taken) < _SPARE:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return _OF_ERRNO.get(error.errno or 0) is _T.DESCRIPTORS
    finally:
        for number in taken:
            os.close(number)
    return False


def heard_from(host: str) -> None:
    """Note that a host has answered: this machine has a network, unless it is the host."""
    _heard[host] = time.monotonic()


def _others_heard(host: str) -> bool:
    since = time.monotonic() - _HEARD_LATELY
    return any(at >= since and other != host and not _is_here(other) for other, at in tuple(_heard.items()))


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _trouble_in(error: BaseException) -> LocalTrouble | None:
    chain = list(_chain(error))
    if any(isinstance(link, ssl.SSLError) for link in chain):  # errors around it carry OpenSSL's number: 1 is no EPERM
        out_of_memory = any("MALLOC" in (getattr(link, "reason", None) or "") for link in chain)
        return _T.MEMORY if out_of_memory else None
    for link in chain:
        if isinstance(link, BaseExceptionGroup):
            each = [_trouble_in(one) for one in link.exceptions]
            return each[0] if all(each) else None
        if (trouble := _of(link)) is not None:
            return trouble
    return None


def _of(error: BaseException) -> LocalTrouble | None:
    if isinstance(error, MemoryError):
        return _T.MEMORY
    if isinstance(error, RuntimeError):
        return _T.THREADS if _NO_THREAD in str(error) else None
    if isinstance(error, socket.gaierror):
        return _of_look_up(error)
    if not isinstance(error, OSError):
        return None
    if error.errno == errno.EINVAL and lacks_descriptors():
        return _T.DESCRIPTORS  # what some resolvers say of a look-up that gets no descriptor
    if error.errno is not None or type(error) is not OSError:
        return _OF_ERRNO.get(error.errno or 0)
    # asyncio and aiohappyeyeballs put the errors of several addresses into one text, where they are not the same.
    each = [_OF_ERRNO.get(int(number)) for number in _ERRNO_IN_TEXT.findall(str(error))]
    return each[0] if each and all(each) else None


def _of_look_up(error: socket.gaierror) -> LocalTrouble | None:
    """What a name that was not found says: nothing, unless nobody could be asked."""
    if error.errno == socket.EAI_MEMORY:
        return _T.MEMORY
    if lacks_descriptors():
        return _T.DESCRIPTORS
    return _T.NETWORK if error.errno == socket.EAI_AGAIN and not _leads_out() else None


def _leads_out() -> bool:
    """Whether any route leads out of this machine. A datagram socket that is connected asks for one."""
    for family, address in _ELSEWHERE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as asking:
                asking.connect(address)
        except OSError as error:
            if _OF_ERRNO.get(error.errno or 0) not in (_T.NETWORK, _T.PORTS):
                return True  # it was something else that went wrong
        else:
            return True
    return False


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in seen and len(seen) < 12:
        seen.append(link)
        yield link
        # Contexts too, though they be suppressed: httpcore suppresses the very error that it tells of.
        link = getattr(link, "os_error", None) or link.__cause__ or link.__context__
