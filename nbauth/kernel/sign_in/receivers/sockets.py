"""Sockets that listen on the loopback addresses only."""

from __future__ import annotations

import errno
import socket
import sys

IPV4, IPV6 = "127.0.0.1", "::1"
ABSENT = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT})
"""The error codes for an address that the machine does not have."""


def listen(port: int, host: str) -> list[socket.socket]:
    """Listen on one port on 127.0.0.1 and ::1, as far as they exist and ``host`` needs them."""
    for _ in range(1 if port else 20):  # try again if the port is free on one address only
        opened: list[socket.socket] = []
        failures: dict[str, OSError] = {}
        for family, address in ((socket.AF_INET, IPV4), (socket.AF_INET6, IPV6)):
            same = opened[0].getsockname()[1] if opened else port
            try:
                opened.append(_bound(family, address, same))
            except OSError as error:
                failures[address] = error
        fatal = [e for address, e in failures.items() if _matters(e, address, host, port)]
        if opened and not fatal:
            return opened
        for sock in opened:
            sock.close()
        failure = (fatal or [*failures.values()])[0]
    raise failure


def _matters(error: OSError, address: str, host: str, port: int) -> bool:
    """Whether a socket that could not be opened is required: the browser may connect to it."""
    if host in (IPV4, IPV6) and address != host:
        return not port and error.errno == errno.EADDRINUSE  # another port will do
    if host in (IPV4, IPV6) or error.errno == errno.EADDRINUSE:
        return True
    return address == IPV4 and error.errno not in ABSENT


def _bound(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if sys.platform == "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:  # the last sign-in's port is in TIME_WAIT for a minute
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        sock.listen(128)
    except OSError:
        sock.close()
        raise
    return sock
