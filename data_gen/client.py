"""One call to a server that speaks OpenAI's API: the answer as it came, or one Failure. It never tries again itself."""

import asyncio
import hashlib
import ipaddress
import json
import os
import ssl
import time
import weakref
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from data_gen import capabilities
from data_gen.answer import Reply
from data_gen.capabilities import Profile
from data_gen.failure import Failure, Kind, classify
from data_gen.key import Key
from data_gen.request import Request
from data_gen.strict_json import strict_json
from tsjax.errors import UserError

VENDOR = "https://api.openai.com/v1"
PATHS = {"chat": "/chat/completions", "responses": "/responses"}
KEPT = ("x-request-id", "retry-after", "retry-after-ms", "date", "openai-processing-ms")
KEPT_START = "x-ratelimit-"
CONNECT = 10.0  # seconds
POOL = 8  # connections
LONGEST_MESSAGE = 500
OPEN_ENDS = (".local", ".internal", ".lan", ".localhost")


class Client:
    """Calls one endpoint of one server, from one event loop.

    base_url:    None: $OPENAI_BASE_URL, else OpenAI.
    key_env:     name of the environment variable with the key. None: OPENAI_API_KEY, but a server that is named with
                 `base_url` gets no key unless its variable is named too: a key goes nowhere by accident.
    timeout:     seconds for a call, from its beginning to the last byte.
    connections: the most calls at once.
    strict:      a parameter that the model refuses is a UserError, not left out.

    UserError for an address or a key that can't be used, or where the openai package is missing.
    """

    def __init__(
        self,
        base_url: str | None = None,
        key_env: str | None = None,
        endpoint: str = "chat",
        timeout: float = 600.0,
        profile: Profile | None = None,
        tier: str | None = None,
        strict: bool = True,
        connections: int = 128,
    ) -> None:
        openai, httpx2 = _packages()
        if endpoint not in PATHS:
            raise UserError(expected=f"an endpoint: {' or '.join(PATHS)}", found=endpoint, todo="choose one of these")
        self.name = endpoint
        self.endpoint, self.timeout, self.profile = endpoint, timeout, profile or Profile()
        self.tier, self.strict = tier, strict
        self.base_url = address(base_url or os.environ.get("OPENAI_BASE_URL") or VENDOR)
        self.host = urlsplit(self.base_url).hostname or ""
        self.key = Key.read(key_env or (None if base_url else "OPENAI_API_KEY"))
        before_sending = min(CONNECT, timeout / 2)
        # Said here, a header of the environment (OPENAI_CUSTOM_HEADERS) can't put another key in its place. Another
        # server than OpenAI's learns no organization or project of OpenAI's from the environment.
        headers = {"Authorization": f"Bearer {self.key.text}", "Content-Type": "application/json"}
        if not f".{self.host}".endswith(".openai.com"):
            headers |= {"OpenAI-Organization": openai.omit, "OpenAI-Project": openai.omit}

        trusted = httpx2.create_ssl_context()  # one for all pools: reading the certificates takes a while

        def sdk(connections: int) -> Any:
            http = openai.DefaultAsyncHttpxClient(
                verify=trusted,
                timeout=httpx2.Timeout(timeout, connect=before_sending, pool=timeout / 2),
                limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
                follow_redirects=False,  # they would carry prompts, and perhaps the key, to another host
                trust_env=self.base_url.startswith("https:"),  # in clear no proxy may listen; a TLS tunnel may pass one
            )
            return openai.AsyncOpenAI(
                api_key=self.key.text,
                base_url=self.base_url,
                max_retries=0,
                timeout=http.timeout,
                http_client=http,
                default_headers=headers,
            )

        # The transport looks at every connection of a pool whenever a call begins or ends, so pools are small.
        self._pools = [sdk(min(POOL, connections - at)) for at in range(0, connections, POOL)]
        self._busy = [0] * len(self._pools)
        self.sdk = self._pools[0]
        self._openai, self._httpx2 = openai, httpx2
        self._seen: weakref.WeakKeyDictionary[Any, bytes] = weakref.WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"Client({self.base_url!r}, {self.endpoint!r})"

    async def call(self, request: Request) -> Reply:
        """Sends the request once. Raises Failure; UserError for a parameter that the model refuses (strict)."""
        asked, dropped = capabilities.body(request, self.endpoint, self.profile, tier=self.tier, strict=self.strict)
        data = json.dumps(asked, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode()
        pool = self._busy.index(min(self._busy))
        self._busy[pool] += 1
        try:
            async with asyncio.timeout(self.timeout):
                sdk = self._pools[pool]
                response = await sdk.post(PATHS[self.endpoint], cast_to=self._httpx2.Response, content=data)
                await self._fresh(response)
            body = read_body(self.key.scrub_bytes(response.content))
        except Exception as why:
            failure = self.failure(why)
        else:
            params = {name: value for name, value in asked.items() if name not in ("model", "messages", "input")}
            return Reply(response.status_code, body, self.kept(response.headers), params, tuple(dropped))
        finally:
            self._busy[pool] -= 1
        raise failure  # out here, so that it carries no exception that holds the request and its headers

    async def aclose(self) -> None:
        """Closes all connections."""
        for sdk in self._pools:
            await sdk.close()

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def kept(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers worth keeping: never one that can hold a secret or a cookie."""
        names = ((name.lower(), value) for name, value in headers.items())
        return {name: self.key.scrub(value) for name, value in names if name in KEPT or name.startswith(KEPT_START)}

    def failure(self, why: Exception) -> Failure:
        """What an exception of the SDK or of the transport says about the call; its message holds no key."""
        openai, httpx2 = self._openai, self._httpx2
        cause = why if isinstance(why, TimeoutError) else why.__cause__ or why
        if isinstance(why, Failure):
            return why
        if isinstance(why, openai.APIStatusError):
            error = _error_of(self.key.scrub_bytes(why.response.content))
            message = self._told(error["message"] or f"HTTP status {why.status_code}")
            headers = {name.lower(): value for name, value in why.response.headers.items()}
            return classify(why.status_code, self._told(error["code"]), error["type"], message, headers, time.time())
        # Raised before the first byte of the request is out: there was no connection to write to. All else may have
        # been read, also what a connection answers with a reset that the server had closed while it lay idle.
        if isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout | httpx2.ProxyError):
            kind = Kind.FATAL if _untrusted(cause) else Kind.TRANSIENT
            return Failure(kind, self._told(f"no connection to {self.host}: {_name(cause)}"))
        if isinstance(cause, httpx2.UnsupportedProtocol | httpx2.LocalProtocolError | httpx2.InvalidURL):
            return Failure(Kind.FATAL, self._told(f"the request can't be sent: {_name(cause)}"))
        if isinstance(cause, TimeoutError | httpx2.TimeoutException):
            return Failure(Kind.DOUBTFUL, f"no whole answer within {self.timeout:g} s")
        return Failure(Kind.DOUBTFUL, self._told(f"the answer was lost: {_name(cause)}"))

    def _told(self, text: str) -> str:
        return self.key.scrub(" ".join(text.split()))[:LONGEST_MESSAGE]

    async def _fresh(self, response: Any) -> None:
        """Raises Failure where a connection gave the same bytes as the time before.

        A server that sends an answer twice leaves the second copy in the connection's buffer, where the transport
        takes it for the answer to the next request, and so on for ever. Such a connection is closed.
        """
        stream = response.extensions.get("network_stream")
        if stream is None:
            return
        digest = hashlib.blake2b(response.content, digest_size=16).digest()
        before, self._seen[stream] = self._seen.get(stream), digest
        if before == digest:
            await stream.aclose()
            raise Failure(Kind.DOUBTFUL, "the connection gave the answer to the request before once more")


def read_body(data: bytes) -> dict[str, Any]:
    """The JSON object of a chat completion or a response. Failure DOUBTFUL for anything else: it was done, and lost."""
    try:
        # UTF-8 alone: a key is looked for in these bytes, and UTF-16 would hide it.
        body = strict_json(data.decode("utf-8-sig", "surrogatepass"))
    except ValueError as why:
        told = "not UTF-8" if isinstance(why, UnicodeError) else str(why)
        found = f"no JSON in a 200 answer of {len(data)} bytes: {told}"
    else:
        if isinstance(body, dict) and (isinstance(body.get("choices"), list) or isinstance(body.get("output"), list)):
            return _done(body)
        found = f"neither choices nor output in a 200 answer of {len(data)} bytes"
    raise Failure(Kind.DOUBTFUL, found, status=200)


def _done(body: dict[str, Any]) -> dict[str, Any]:
    """A response may say in a 200 that it failed."""
    if body.get("status") != "failed" or body["output"]:
        return body
    given = body.get("error")
    error = given if isinstance(given, dict) else {}
    code, message = str(error.get("code") or ""), str(error.get("message") or "the response failed")
    kind = Kind.RATE if code == "rate_limit_exceeded" else Kind.DOUBTFUL
    raise Failure(kind, message[:LONGEST_MESSAGE], status=200, code=code)


def address(url: str) -> str:
    """The base URL, checked. UserError for one with a secret in it, or that would send the key in clear."""
    todo = "give an address such as https://api.example.com/v1 or http://127.0.0.1:8000/v1"
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        raise UserError(expected="an http or https address of a server", found="something else", todo=todo)
    if parts.username is not None or parts.query or parts.fragment:
        found = "a user name or password, a query or a fragment in it"  # not shown: it may be a secret
        raise UserError(expected="a plain address: keys come from the environment only", found=found, todo=todo)
    if parts.scheme == "http" and not _near(host):
        raise UserError(
            expected=f"https for {host}: over http, key and prompts travel in clear",
            found="http",
            todo="use https, an address of the local network, or a tunnel (ssh -L 8000:HOST:PORT ...)",
        )
    return url.strip().rstrip("/")


def _near(host: str) -> bool:
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(OPEN_ENDS) or "." not in host  # a bare name: the local network's
    return ip.is_private or ip.is_loopback or ip.is_link_local


def _error_of(content: bytes) -> dict[str, str]:
    """message, code and type of an error answer, "" where it has none: servers have many forms."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return {"message": "", "code": "", "type": ""}
    error = body.get("error", body) if isinstance(body, dict) else {}
    if isinstance(error, str):
        error = {"message": error}
    elif not isinstance(error, dict):
        error = {}
    error.setdefault("message", error.get("detail"))
    return {name: str(error.get(name) or "") for name in ("message", "code", "type")}


def _name(why: BaseException) -> str:
    text = str(why)
    return f"{type(why).__name__}: {text}" if text else type(why).__name__


def _untrusted(why: BaseException | None) -> bool:
    """Whether a refused certificate is behind it, which no waiting mends."""
    while why is not None and not isinstance(why, ssl.SSLCertVerificationError):
        why = why.__cause__ or why.__context__
    return why is not None


def _packages() -> tuple[Any, Any]:
    try:
        import httpx2
        import openai
    except ImportError as why:
        found = f"no package {why.name}"
    else:
        return openai, httpx2
    raise UserError(expected="the openai package", found=found, todo="pip install 'tsjax[openai]'")
