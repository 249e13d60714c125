"""TCP ports of this machine: find free ports, and the process that uses a port."""

import contextlib
import itertools
import random
import socket
from collections.abc import Collection, Mapping

import psutil

# Outgoing connections take ports from 32768 on, so they never take the port of a server that restarts.
PORTS_BELOW_EPHEMERAL = range(16000, 25000)


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
    """Return different free ports, chosen at random so that two callers rarely choose the same."""
    candidates = random.sample(PORTS_BELOW_EPHEMERAL, len(PORTS_BELOW_EPHEMERAL))
    return [port for port, _ in zip(filter(is_free, candidates), range(count), strict=False)]


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
