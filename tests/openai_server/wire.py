"""HTTP/1.1 by hand on asyncio streams, so that it can also be done wrong."""

import asyncio
import json
import socket
import struct
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

MOST_HEAD = 64 * 1024
MOST_BODY = 210 * 1024 * 1024  # a batch file of 200 MB and its envelope


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def form(self) -> dict[str, tuple[str, bytes]]:
        """The parts of a multipart body: name -> (file name or "", content)."""
        mark = b"--" + self.headers["content-type"].split("boundary=")[1].strip('"').encode()
        parts = {}
        for part in (b"\r\n" + self.body).split(b"\r\n" + mark)[1:-1]:
            head, _, content = part.partition(b"\r\n\r\n")
            fields = dict(piece.strip().split("=", 1) for piece in head.decode().replace("\r\n", ";").split(";")
                          if "=" in piece)  # fmt: skip
            parts[fields["name"].strip('"')] = (fields.get("filename", "").strip('"'), content)
        return parts


@dataclass
class Reply:
    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()

    def head(self) -> bytes:
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = ""
        lines = [f"HTTP/1.1 {self.status} {phrase}", f"Content-Type: {self.content_type}",
                 f"Content-Length: {len(self.body)}", *(f"{name}: {value}" for name, value in self.headers)]  # fmt: skip
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def whole(self) -> bytes:
        return self.head() + self.body


def json_reply(value: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    return Reply(status, json.dumps(value).encode(), headers=headers)


def error_reply(status: int, kind: str, code: str | None, message: str, param: str | None = None) -> Reply:
    return json_reply({"error": {"message": message, "type": kind, "param": param, "code": code}}, status)


class Gone(Exception):
    """The connection ended, by either side."""


class Wire:
    """One connection: requests in, bytes out, and the two ways to end it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.reader, self.writer = reader, writer

    async def request(self) -> Request:
        """The next request. Raises Gone where the client has none."""
        try:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head[:-4].split("\r\n")
            method, target, _ = first.split(" ", 2)
            headers = {}
            for line in lines:
                name, _, value = line.partition(":")
                headers[name.strip().lower()] = value.strip()
            if headers.get("expect", "").lower() == "100-continue":
                await self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await self._body(headers)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError) as why:
            raise Gone from why
        address = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(address.query).items()}
        return Request(method, unquote(address.path), query, headers, body)

    async def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            chunks = []
            while size := int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16):
                chunks.append(await self.reader.readexactly(size))
                await self.reader.readexactly(2)
            while await self.reader.readuntil(b"\r\n") != b"\r\n":
                pass  # trailers
            return b"".join(chunks)
        length = int(headers.get("content-length", 0))
        if not 0 <= length <= MOST_BODY:
            raise ValueError(length)
        return await self.reader.readexactly(length)

    def left(self) -> bool:
        """Whether the client is known to have gone."""
        return self.reader.at_eof() or self.writer.is_closing()

    async def send(self, data: bytes) -> None:
        """Raises Gone where the client has left, if that is known by now."""
        if self.left():
            raise Gone
        try:
            self.writer.write(data)
            await self.writer.drain()
        except ConnectionError as why:
            raise Gone from why

    def reset(self) -> None:
        """Ends with RST, so that the client sees a reset and not a close."""
        sock = self.writer.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def close(self) -> None:
        self.writer.close()
