"""How many files the programs of a stack may open."""

import resource

NEEDED = 1024  # by supervisord
ENOUGH = 65536  # a limit of a billion, as some containers have, makes Erlang reserve memory for that many
ADVICE = f"""\
A process may open only {{}} files here, and the shop needs {NEEDED}. Please raise the hard limit (to {ENOUGH}, say):
`ulimit -n` as root, `nofile` in /etc/security/limits.conf, `LimitNOFILE=` of a systemd unit, `docker run --ulimit`."""


def allow_open_files() -> None:
    """Let this process, and what it starts, open as many files as the hard limit allows; too few end it.

    A mongod keeps several open for each collection, and the soft limit is often 1024.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = ENOUGH if hard == resource.RLIM_INFINITY else hard
    if most < NEEDED:
        raise SystemExit(ADVICE.format(hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, ENOUGH), hard))
