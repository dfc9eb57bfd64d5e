"""Test kit for the web service: an appliance with what the pages show, and a browser without a screen."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlencode

import attrs
from attrs import define, field, frozen

from appliance_runtime.accounts import Accounts
from appliance_runtime.addresses import AddressMap
from appliance_runtime.alerts import Alerts
from appliance_runtime.delivery.host_states import HostStates
from appliance_runtime.metrics import Counters
from appliance_runtime.queue.envelope import NewMessage
from appliance_runtime.queue.message_queue import MessageQueue
from appliance_runtime.services import Endpoint
from appliance_runtime.suspending import Suspending
from appliance_runtime.suspensions import Suspensions
from appliance_runtime.tls import Credentials, server_context
from appliance_runtime.web.service import WebService
from appliance_state.model import Config
from appliance_state.model.interfaces import DEMO
from appliance_state.table import fold
from tests.support.edge import PASSPHRASE, EdgeAppliance

ADDRESS = "127.0.0.1"


@frozen
class Live:
    config: Config
    gui_contexts: dict[str, ssl.SSLContext]


@define
class WebAppliance(EdgeAppliance):
    """An appliance with the parts that the pages show. Assigning `config` is a commit."""

    contexts: dict[str, ssl.SSLContext] = field(factory=dict)
    sockets: list[tuple[Endpoint, tuple[str, int]]] = field(factory=list)
    counters: Counters = field(init=False)
    suspending: Suspending = field(init=False)
    agent: SimpleNamespace = field(init=False)
    queue: MessageQueue = field(init=False)
    """opened by the fixture"""
    alerts: Alerts = field(init=False)

    def __attrs_post_init__(self) -> None:
        EdgeAppliance.__attrs_post_init__(self)
        self.accounts = Accounts(self.live, self.vault.reveal, self.clock, self.logs)
        self.counters = Counters(self.clock)
        self.agent = SimpleNamespace(hosts=HostStates(self.clock.now))
        self.suspending = Suspending(cast(Any, self), Suspensions())
        store = self.directory.root / "alerts.jsonl"
        self.alerts = Alerts(cast(Any, self.live), self.logs, self.clock, cast(Any, None), AddressMap(), self.product, store)
        self.use_certificate(DEMO, Credentials(certificate=self.demo.certificate, private_key=self.demo.private_key))

    def use_certificate(self, profile: str, credentials: Credentials) -> None:
        settings = self.config.ssl
        self.contexts = {
            **self.contexts,
            fold(profile): server_context(credentials, methods=settings.gui_methods, ciphers=settings.gui_ciphers, renegotiation=False),
        }

    def live(self) -> Live:  # type: ignore[override]
        return Live(self.config, self.contexts)

    async def put_in_queue(self, *recipients: str) -> int:
        """A queued message; its MID."""
        body = self.queue.new_body()
        body.write(b"Subject: x\r\n\r\nx\r\n")
        message = NewMessage(
            mid=self.queue.next_mid(),
            sender="a@example.com",
            recipients=recipients,
            body=body,
            received=self.clock.now(),
            listener=None,
            bounce_profile="Default",
            direction="outbound",
            icid=0,
        )
        await self.queue.accept(message)
        return message.mid

    def set_interface(self, **changes: Any) -> None:
        """Change the interface `Management`, whatever it is called now."""
        (interface,) = self.config.interfaces.entries()
        changed = attrs.evolve(interface, **changes)
        self.config = self.config.with_(interfaces=self.config.interfaces.replace(interface.name, changed))


@frozen
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    cookies: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return self.body.decode()


async def read_answer(reader: asyncio.StreamReader, method: str = "GET") -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = [line.split(": ", 1) for line in head[1:] if line]
    headers = {name.lower(): value for name, value in pairs}
    length = 0 if method == "HEAD" else int(headers.get("content-length", 0))
    cookies = tuple(value for name, value in pairs if name.lower() == "set-cookie")
    return Answer(int(head[0].split()[1]), headers, await reader.readexactly(length), cookies)


def request(
    method: str, path: str, headers: dict[str, str] | None = None, form: dict[str, str] | bytes | None = None, *, close: bool = True
) -> bytes:
    """The octets of a request."""
    body = form if isinstance(form, bytes) else urlencode(form or {}).encode()
    lines = {"Host": "mail.example.com", **({"Connection": "close"} if close else {})}
    if form is not None:
        lines |= {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body))}
    lines |= headers or {}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + (body if form is not None else b"")


def any_certificate() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@define(eq=False)
class Browser:
    """Keeps the session cookie; every request has a connection of its own."""

    port: int
    tls: ssl.SSLContext | None = None
    host: str = "mail.example.com"
    cookie: str = ""
    key: str = ""

    async def send(
        self, method: str, path: str, headers: dict[str, str] | None = None, form: dict[str, str] | bytes | None = None
    ) -> Answer:
        reader, writer = await asyncio.open_connection(ADDRESS, self.port, ssl=self.tls)
        cookie = {"Cookie": f"sid={self.cookie}"} if self.cookie else {}
        writer.write(request(method, path, {"Host": self.host, **cookie, **(headers or {})}, form))
        try:
            answer = await read_answer(reader, method)
        finally:
            writer.close()
        for line in answer.cookies:
            if match := re.match(r"sid=([^;]*)", line):
                self.cookie = match[1].strip('"')
        if match := re.search(r"CSRFKey=([0-9a-f]{32})&language", answer.text if "html" in answer.headers.get("content-type", "") else ""):
            self.key = match[1]
        return answer

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.send("GET", path, {name.replace("_", "-"): value for name, value in headers.items()})

    async def post(self, path: str, form: dict[str, str] | bytes, **headers: str) -> Answer:
        return await self.send("POST", path, {name.replace("_", "-"): value for name, value in headers.items()}, form)

    async def login(self, username: str = "admin", password: str = PASSPHRASE, **more: str) -> Answer:
        form = {"action": "Login", "screen": "login", "username": username, "password": password, "referrer": "", **more}
        return await self.post("/login", form)


@define(eq=False)
class Opener:
    """Opens sockets of the service; `accepting` holds what `accept_on` returned, newest last."""

    appliance: WebAppliance
    service: WebService
    accepting: list[Any] = field(factory=list)

    async def __call__(self, kind: str = "http", *, uid: str = "interface-1", port: int | None = None) -> int:
        """Open a socket of `http` or `https`; its real port. `port`: the logical one, where it is to differ."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        sock.setblocking(False)
        sock.bind((ADDRESS, 0))
        sock.listen()
        real = sock.getsockname()[1]
        endpoint = Endpoint(kind, "Management", uid, ADDRESS, port or real)
        self.accepting.append(await self.service.accept_on(endpoint, sock))
        self.appliance.sockets.append((endpoint, (ADDRESS, real)))
        return int(real)
