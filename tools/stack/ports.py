"""TCP ports of this machine: find free ports, and the process that uses a port."""

import contextlib
import fcntl
import itertools
import os
import random
import socket
from collections.abc import Collection, Mapping
from functools import cache

import psutil

from tools.paths import STATE

# Outgoing connections take ports from 32768 on, so they never take the port of a server that restarts.
PORTS_BELOW_EPHEMERAL = range(16000, 25000)

_claimed: set[int] = set()  # by this process, whose locks do not exclude itself


def loopback_hosts() -> list[str]:
    """Return the addresses of `localhost`, as URLs write them; some clients try only the IPv6 one."""
    return ["127.0.0.1", "[::1]"] if _can_listen("::1", 0) else ["127.0.0.1"]


def is_free(port: int) -> bool:
    """Return whether a server could listen on the port at every address of `localhost`."""
    return all(_can_listen(host.strip("[]"), port) for host in loopback_hosts())


def _can_listen(host: str, port: int) -> bool:
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen(1)
    except OSError:
        return False
    return True


def free_ports(count: int) -> list[int]:
    """Return different free ports. While this process lives, no other call in this checkout returns them."""
    candidates = random.sample(PORTS_BELOW_EPHEMERAL, len(PORTS_BELOW_EPHEMERAL))
    return list(itertools.islice(filter(_claim, candidates), count))


def _claim(port: int) -> bool:
    """Take a free port, unless another call has taken it: its server may not listen yet."""
    if port in _claimed or not is_free(port):
        return False
    try:
        fcntl.lockf(_claims(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    _claimed.add(port)
    return True


@cache
def _claims() -> int:
    """Open the file of which each byte stands for a port; its locks end with the process (fcntl(2), record locks)."""
    STATE.mkdir(exist_ok=True)
    return os.open(STATE / "ports.lock", os.O_RDWR | os.O_CREAT, 0o600)


def next_free(wanted: Mapping[str, int], taken: Collection[int]) -> dict[str, int]:
    """Return for each name the wanted port, or the next one that is free and not taken. No port is returned twice."""
    found: dict[str, int] = {}
    for name, port in wanted.items():
        usable = (number for number in itertools.count(port) if number not in {*taken, *found.values()})
        found[name] = next(filter(is_free, usable))
    return found


def port_owner(port: int) -> str:
    """Return pid and command of the process that listens on a port, as far as this user may see them."""
    with contextlib.suppress(psutil.Error):  # it has ended meanwhile, or the system shows nothing
        for connection in psutil.net_connections("tcp"):
            is_listener = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
            if is_listener and connection.pid:
                return f"pid {connection.pid}: {' '.join(psutil.Process(connection.pid).cmdline())}"
    return "a process that this user may not see"
