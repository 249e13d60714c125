"""A TCP balancer on this machine: each new connection goes to the next backend, as behind a Service of Kubernetes.

`running` starts it in a process of its own, so that its CPU time is not counted as that of another program. An open
connection stays with its backend, even after the backend is removed. A backend that refuses costs the client its
connection, and no other backend is tried.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, cast

from tools.paths import ROOT
from tools.stack import programs

HOST, BACKLOG = "127.0.0.1", 1024
BACKENDS, DROP = "backends", "drop"  # the commands that the process reads, one per line; it answers each with a line


class Balancer:
    """A running balancer; it listens on `port`, and `backends` are ports of this machine."""

    def __init__(self, port: int, process: "subprocess.Popen[str]") -> None:
        self.port = port
        self.pid = process.pid
        self.backends: list[int] = []
        self._process = process

    @property
    def url(self) -> str:
        """Return the base URL of the services behind it."""
        return f"http://{HOST}:{self.port}"

    def serve(self, backends: Iterable[int]) -> None:
        """Send new connections to these backends only; without any, break them at once."""
        self.backends = list(backends)
        self._command(BACKENDS, *map(str, self.backends))

    def drop(self) -> None:
        """Break all open connections."""
        self._command(DROP)

    def _command(self, *words: str) -> None:
        commands, answers = cast(IO[str], self._process.stdin), cast(IO[str], self._process.stdout)
        commands.write(" ".join(words) + "\n")
        commands.flush()
        if not answers.readline():
            raise RuntimeError(f"the balancer on port {self.port} has ended")


@contextmanager
def running(port: int, backends: Iterable[int] = ()) -> Iterator[Balancer]:
    """Run a balancer until the end of the block. It ends when its standard input does, so with this process at last."""
    command, pipe = [sys.executable, "-m", "tools.stack.balancer", str(port)], subprocess.PIPE
    environment = programs.inherited()
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True, start_new_session=True
    ) as process:
        try:
            balancer = Balancer(port, process)
            balancer.serve(backends)
            yield balancer
        finally:
            process.kill()


class _End(asyncio.Protocol):
    """One end of a connection through the balancer. What it receives, its peer sends."""

    def __init__(self, ends: "set[_End]") -> None:
        self.transport: asyncio.Transport | None = None
        self.peer: _End | None = None
        self._ends = ends

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._ends.add(self)

    def data_received(self, data: bytes) -> None:
        if self.peer and self.peer.transport:
            self.peer.transport.write(data)

    def eof_received(self) -> bool:
        if self.peer and self.peer.transport:
            self.peer.transport.write_eof()
        return True  # the other direction stays open

    def connection_lost(self, exc: Exception | None) -> None:
        self._ends.discard(self)
        if self.peer and self.peer.transport:
            self.peer.transport.abort() if exc else self.peer.transport.close()

    def pause_writing(self) -> None:
        if self.peer and self.peer.transport:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer and self.peer.transport:
            self.peer.transport.resume_reading()


class _Server:
    """The balancer's own process."""

    def __init__(self) -> None:
        self._backends: list[int] = []
        self._turn = 0
        self._ends: set[_End] = set()
        self._connecting: set[asyncio.Task[None]] = set()

    async def run(self, port: int) -> None:
        """Listen, and obey the commands on standard input until it ends."""
        loop, commands = asyncio.get_running_loop(), asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
        server = await loop.create_server(lambda: _Accepted(self), HOST, port, backlog=BACKLOG)
        async with server:
            async for line in commands:
                self._obey(line.decode().split())
                print("done", flush=True)

    def _obey(self, words: list[str]) -> None:
        if words[0] == BACKENDS:
            self._backends = list(map(int, words[1:]))
        else:
            for end in list(self._ends):
                if end.transport:
                    end.transport.abort()

    def accepted(self, end: "_Accepted") -> None:
        """Connect a client with the next backend."""
        task = asyncio.get_running_loop().create_task(self._connect(end))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, end: "_Accepted") -> None:
        client = cast(asyncio.Transport, end.transport)
        client.pause_reading()
        if not self._backends:
            client.abort()
            return
        self._turn += 1
        backend = self._backends[self._turn % len(self._backends)]
        try:
            _, peer = await asyncio.get_running_loop().create_connection(lambda: _End(self._ends), HOST, backend)
        except OSError:
            client.abort()
            return
        end.peer, peer.peer = peer, end
        if client.is_closing():
            cast(asyncio.Transport, peer.transport).abort()
        else:
            client.resume_reading()

    @property
    def ends(self) -> set[_End]:
        """Return the open ends of all connections."""
        return self._ends


class _Accepted(_End):
    """The end of a client that has just connected."""

    def __init__(self, server: _Server) -> None:
        super().__init__(server.ends)
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._server.accepted(self)


if __name__ == "__main__":
    asyncio.run(_Server().run(int(sys.argv[1])))
