"""An election of a MongoDB replica set, imitated in front of a single server.

While it lasts, a member that is no primary refuses reads and writes, as secondaries of MongoDB do, and the connections
of the old primary break. The messages are those of the wire protocol (OP_MSG; the manual: "MongoDB Wire Protocol").
"""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bson

OP_MSG = 2013
HEADER = struct.Struct("<iiii")  # length, id, id of the request that is answered, kind of message
BODY = HEADER.size + 4 + 1  # flags, and the kind of the first section
ALLOWED = {"hello", "ismaster", "isMaster", "ping", "endSessions", "saslStart", "saslContinue"}
WRITES = {"insert", "update", "delete", "bulkWrite", "findAndModify", "commitTransaction", "abortTransaction"}
NOT_PRIMARY, NOT_PRIMARY_NO_SECONDARY_OK = (10107, "NotWritablePrimary"), (13435, "NotPrimaryNoSecondaryOk")


class Election:
    """A proxy in front of a server; `hold` makes it behave like a replica set that elects a primary."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._is_electing = False
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        self.refused = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self, seconds: float) -> None:
        """Break all connections, and refuse everything for some seconds.

        At the end they break again: a real member tells drivers at once that there is a primary, this proxy cannot.
        """
        self._is_electing = True
        self._break()
        time.sleep(seconds)
        self._is_electing = False
        self._break()

    def close(self) -> None:
        self._listener.close()
        self._break()

    def _break(self) -> None:
        for each in list(self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        sending = threading.Lock()
        with client, socket.create_connection(("127.0.0.1", self._server_port)) as server:
            self._sockets |= {client, server}
            threading.Thread(target=self._copy_replies, args=(server, client, sending), daemon=True).start()
            with contextlib.suppress(OSError):
                while message := receive(client):
                    if self._is_electing and (reply := refusal(message)):
                        self.refused += 1
                        with sending:
                            client.sendall(reply)
                    else:
                        server.sendall(message)
            self._sockets -= {client, server}
            for each in (client, server):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def _copy_replies(self, server: socket.socket, client: socket.socket, sending: threading.Lock) -> None:
        with contextlib.suppress(OSError):
            while message := receive(server):
                with sending:
                    client.sendall(message)
            client.shutdown(socket.SHUT_RDWR)


def receive(connection: socket.socket) -> bytes:
    """Return the next message, b"" at the end."""
    header = read(connection, HEADER.size)
    return header + read(connection, HEADER.unpack(header)[0] - HEADER.size) if header else b""


def read(connection: socket.socket, size: int) -> bytes:
    """Return so many bytes, b"" at the end."""
    parts = b""
    while len(parts) < size:
        if not (part := connection.recv(size - len(parts))):
            return b""
        parts += part
    return parts


def refusal(message: bytes) -> bytes | None:
    """Return how a member that is no primary answers a message, None if it does not refuse it."""
    _, number, _, kind = HEADER.unpack_from(message)
    if kind != OP_MSG:
        return None
    (size,) = struct.unpack_from("<i", message, BODY)
    command: dict[str, Any] = bson.decode(message[BODY : BODY + size])
    name = next(iter(command))
    if name in ALLOWED:
        return None
    code, text = NOT_PRIMARY if name in WRITES else NOT_PRIMARY_NO_SECONDARY_OK
    answer = bson.encode({"ok": 0.0, "errmsg": "not primary", "code": code, "codeName": text})
    return HEADER.pack(BODY + len(answer), 0, number, OP_MSG) + struct.pack("<iB", 0, 0) + answer


@contextmanager
def election_before(server_port: int) -> Iterator[Election]:
    """Run the proxy until the end of the block."""
    election = Election(server_port)
    try:
        yield election
    finally:
        election.close()
