"""What processes use, from Linux' /proc: CPU time with their ended children, and memory."""

import os
from collections.abc import Iterable

from tools import processes

_TICK = os.sysconf("SC_CLK_TCK")
_TIMES = slice(11, 15)  # user, system, and the same of ended children; counted from the state letter on


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU time that processes have used so far, that of their ended children included."""
    return sum(sum(map(int, processes.status(pid)[_TIMES])) for pid in pids) / _TICK


def pss_megabytes(pids: Iterable[int]) -> float:
    """Return the memory of processes, pages that several of them share counted in proportion."""
    return sum(_pss_kilobytes(pid) for pid in pids) / 1024


def _pss_kilobytes(pid: int) -> int:
    try:
        lines = (processes.PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
