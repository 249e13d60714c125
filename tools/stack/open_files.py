"""How many files the programs of a stack may open."""

import resource

MINIMUM = 1024  # supervisord refuses to start with fewer
MAXIMUM = 65536  # Erlang reserves memory for every possible file; some containers allow a billion
ADVICE = f"""\
A process may open only {{}} files here, and the shop needs {MINIMUM}. Please raise the hard limit (to {MAXIMUM}, say):
`ulimit -n` as root, `nofile` in /etc/security/limits.conf, `LimitNOFILE=` of a systemd unit, `docker run --ulimit`."""


def raise_limit() -> None:
    """Let this process and its children open as many files as the hard limit allows. Raises SystemExit if too few.

    A mongod keeps several files open for each collection, and the soft limit is often 1024.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = MAXIMUM if hard == resource.RLIM_INFINITY else min(hard, MAXIMUM)
    if allowed < MINIMUM:
        raise SystemExit(ADVICE.format(hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
