"""CPU time, memory and start of processes, from Linux's /proc (proc(5))."""

import os
from collections.abc import Sequence
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_CPU_TIMES = slice(11, 15)  # utime, stime, and those of the children that have ended: fields 14 to 17 of stat
_STARTED = 19  # field 22, in ticks after the start of the machine
_RESIDENT = 21  # field 24, in pages


def usage(pids: Sequence[int]) -> tuple[float, int]:
    """Return the CPU time (s) and the resident memory (bytes) of all processes. The last is the parent of the others.

    The sum of the CPU time never decreases: the time of a child that ends goes on counting as its parent's. Therefore
    the parent is read last. If a child has ended meanwhile, its time may count twice, and all are read again.
    """
    stats = [_stat(pid) for pid in pids]
    while not all(_stat(pid) for pid, fields in zip(pids, stats, strict=True) if fields):
        stats = [_stat(pid) for pid in pids]
    living = [fields for fields in stats if fields]
    cpu_ticks = sum(int(ticks) for fields in living for ticks in fields[_CPU_TIMES])
    return cpu_ticks / _TICKS, sum(int(fields[_RESIDENT]) for fields in living) * _PAGE


def started(pid: int) -> float:
    """Return when a process has started, in seconds since 1970; 0 if it is gone."""
    fields = _stat(pid)
    times = (line.split() for line in Path("/proc/stat").read_text().splitlines())
    boot = next(float(words[1]) for words in times if words[0] == "btime")
    return boot + int(fields[_STARTED]) / _TICKS if fields else 0.0


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name, which may have blanks; none if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
