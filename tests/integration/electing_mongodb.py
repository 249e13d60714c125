"""A stand-in for a MongoDB server during an election: it answers every command with the error that a test sets.

It speaks as much of MongoDB's wire protocol as pymongo needs to believe that it is connected to a primary.
"""

import socketserver
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import bson

from tests.at_once import meanwhile
from tests.election import HEADER, OP_MSG, receive

OP_REPLY, OP_QUERY = 1, 2004
GREETINGS = ("hello", "ismaster", "isMaster")


@dataclass
class ElectingServer:
    """Answers each command with the error `code`, or with success and no document. `failed` has what it refused."""

    url: str = ""
    code: int | None = None
    failed: list[str] = field(default_factory=list)

    def answer(self, command: dict[str, Any]) -> dict[str, Any]:
        name = next(iter(command))
        if name in GREETINGS:
            limits = {"maxBsonObjectSize": 2**24, "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000}
            versions = {"minWireVersion": 0, "maxWireVersion": 25, "logicalSessionTimeoutMinutes": 30}
            primary = {"ok": 1, "isWritablePrimary": True, "ismaster": True, "setName": "rs0"}
            return {**primary, **versions, **limits, "localTime": datetime.now(UTC)}
        if self.code is None:
            return {"ok": 1, "n": 0, "cursor": {"id": 0, "ns": "shop.none", "firstBatch": []}}
        self.failed.append(name)
        return {"ok": 0, "code": self.code, "errmsg": "the replica set elects a primary"}


@contextmanager
def electing() -> Iterator[ElectingServer]:
    """Serve until the block ends."""
    server = ElectingServer()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while message := receive(self.request):
                _, request, _, operation = HEADER.unpack_from(message)
                body = message[HEADER.size :]
                if operation == OP_QUERY:  # flags, name, two numbers
                    command = body[body.index(b"\0", 4) + 9 :]
                    prefix, kind = struct.pack("<iqii", 8, 0, 0, 1), OP_REPLY
                else:  # flags, kind of the section
                    command, prefix, kind = body[5:], struct.pack("<IB", 0, 0), OP_MSG
                size = struct.unpack_from("<i", command)[0]
                reply = prefix + bson.encode(server.answer(bson.decode(command[:size])))
                self.request.sendall(HEADER.pack(HEADER.size + len(reply), 0, request, kind) + reply)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as tcp:
        tcp.daemon_threads = True
        server.url = f"mongodb://127.0.0.1:{tcp.server_address[1]}/shop?directConnection=true"
        with meanwhile(lambda: tcp.serve_forever(poll_interval=0.01)):
            try:
                yield server
            finally:
                tcp.shutdown()
