"""CPU time and memory of processes, from Linux's /proc (proc(5))."""

import os
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_CPU_TIMES = slice(11, 15)  # utime, stime, and those of the children that have ended: fields 14 to 17 of stat
_RESIDENT = 21  # field 24, in pages


def usage(pids: Iterable[int]) -> tuple[float, int]:
    """Return the CPU time (s) of processes and of their ended children, and their resident memory (bytes), in all.

    The time of a worker that ends goes on counting as its master's, so the sum never decreases.
    """
    cpu_ticks = pages = 0
    for fields in map(_stat, pids):
        cpu_ticks += sum(map(int, fields[_CPU_TIMES]))
        pages += int(fields[_RESIDENT]) if fields else 0
    return cpu_ticks / _TICKS, pages * _PAGE


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name, which may have blanks; none if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
