"""Sockets, TLS, redirect, bounds and logs of the web service (interfaceconfig.md 4, logs-and-alerts.md 6)."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import ssl
import sys
from datetime import timedelta
from typing import Any

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from appliance_runtime.tls import Credentials
from appliance_runtime.web import service as web_service
from appliance_runtime.web.requests import MAX_BODY
from tests.support.appliance import NOW
from tests.support.edge import PASSPHRASE
from tests.support.web import ADDRESS, Answer, Browser, Opener, WebAppliance, any_certificate, read_answer, request


def self_signed(name: str) -> Credentials:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=10))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Credentials(certificate=certificate.public_bytes(serialization.Encoding.PEM).decode(), private_key=private)


class KeptAlive:
    """One connection for several requests."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port: int, *, tls: bool = True, name: str | None = None) -> KeptAlive:
        context = any_certificate() if tls else None
        return cls(*await asyncio.open_connection(ADDRESS, port, ssl=context, server_hostname=name if tls else None))

    @property
    def common_name(self) -> str:
        octets = self.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        subject = x509.load_der_x509_certificate(octets).subject
        return str(subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)

    async def get(self, path: str = "/login", **headers: str) -> Answer:
        self.writer.write(request("GET", path, headers, close=False))
        return await read_answer(self.reader)

    async def at_end(self) -> bytes:
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""

    def close(self) -> None:
        self.writer.close()


DEMO_NAME = "Cisco Appliance Demo Certificate"


async def test_the_next_handshake_shows_the_new_certificate_while_an_old_connection_goes_on(
    listen: Opener, appliance: WebAppliance
) -> None:
    port = await listen("https")
    old = await KeptAlive.open(port)
    assert (await old.get()).status == 200
    assert old.common_name == DEMO_NAME

    appliance.use_certificate("partner.com", self_signed("partner.com"))
    appliance.set_interface(https_certificate="Partner.com")
    own = await KeptAlive.open(port, name="something.else.test")
    assert own.common_name == "partner.com"
    assert (await old.get()).status == 200

    appliance.use_certificate("partner.com", self_signed("renewed"))
    appliance.set_interface(name="Renamed")
    renewed = await KeptAlive.open(port)
    assert renewed.common_name == "renewed"
    for connection in (old, own, renewed):
        assert (await connection.get()).status == 200
        connection.close()


async def test_strict_transport_security_only_with_an_own_certificate(listen: Opener, appliance: WebAppliance) -> None:
    port = await listen("https")
    demo = await Browser(port, any_certificate()).get("/login")
    appliance.use_certificate("own", self_signed("own"))
    appliance.set_interface(https_certificate="own")
    own = await Browser(port, any_certificate()).get("/login")
    clear = await Browser(await listen("http")).get("/login")
    assert "strict-transport-security" not in demo.headers
    assert own.headers["strict-transport-security"] == "max-age=31536000"
    assert "strict-transport-security" not in clear.headers


async def test_over_https_cookie_and_links_are_secure(listen: Opener, appliance: WebAppliance) -> None:
    visitor = Browser(await listen("https"), any_certificate(), host="mail.example.com:8443")
    answer = await visitor.login()
    assert answer.cookies == (f"sid={visitor.cookie}; HttpOnly; Path=/; SameSite=lax; Secure",)
    page = await visitor.get("/monitor/system_status")
    assert f'src="https://mail.example.com:8443/javascript?CSRFKey={visitor.key}&language=en-us"' in page.text
    line = "The user admin successfully logged on from 127.0.0.1 with privilege admin using an HTTPS connection."
    assert line in appliance.logs.lines


async def broken_handshake(port: int, octets: bytes) -> None:
    reader, writer = await asyncio.open_connection(ADDRESS, port)
    writer.write(octets)
    if not octets:
        writer.close()
    with contextlib.suppress(ConnectionError):
        await reader.read()
    writer.close()


def distrust(port: int) -> None:
    """A client that refuses the certificate, and says so."""
    with socket.create_connection((ADDRESS, port)) as connection:
        ssl.create_default_context().wrap_socket(connection, server_hostname="mail.example.com")


async def test_failed_handshakes_are_lines_of_the_log(listen: Opener, appliance: WebAppliance, caplog: pytest.LogCaptureFixture) -> None:
    failures: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
    port = await listen("https")
    await broken_handshake(port, b"GET / HTTP/1.0\r\n\r\n")
    await broken_handshake(port, b"EHLO mail.example.com\r\n")
    await broken_handshake(port, b"")
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.to_thread(distrust, port)
    good = await KeptAlive.open(port)
    assert (await good.get()).status == 200
    good.close()

    lines = [line for line in appliance.logs.lines if line.startswith("SSL error")]
    texts = [line.partition(" - ")[2] for line in lines]
    assert texts == ["(1, 'http request')", "(1, 'wrong version number')", "(0, 'EOF')", "(1, 'tlsv1 alert unknown ca')"]
    assert all(line.startswith("SSL error with client 127.0.0.1:") for line in lines)
    assert not failures
    assert not caplog.records


async def test_a_handshake_has_a_time_limit(listen: Opener, appliance: WebAppliance, service: Any) -> None:
    await service.engine()
    service.timeout_scale = 0.005
    await broken_handshake(await listen("https"), b"\x16\x03\x01\x20")
    (line,) = appliance.logs.lines
    assert line.endswith(" - (0, 'timeout')")


async def test_close_refuses_at_once_and_lets_a_request_finish(listen: Opener, service: Any) -> None:
    service.login_delay = 0.2
    port = await listen("https")
    kept = await KeptAlive.open(port)
    form = {"action": "Login", "username": "admin", "password": "wrong"}
    kept.writer.write(request("POST", "/login", None, form, close=False))
    await kept.writer.drain()
    await asyncio.sleep(0.05)
    listen.accepting[0].close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(ADDRESS, port)
    answer = await read_answer(kept.reader)
    assert "Invalid username or passphrase." in answer.text
    assert (await kept.get()).status == 200, "the connection goes on"
    kept.close()


async def test_sockets_come_and_go(listen: Opener) -> None:
    first, second = await listen(), await listen()
    listen.accepting[0].close()
    assert (await Browser(second).get("/login")).status == 200
    third = await listen()
    assert (await Browser(third).get("/login")).status == 200
    with pytest.raises(ConnectionRefusedError):
        await Browser(first).get("/login")


async def test_stop_ends_everything(listen: Opener, service: Any, appliance: WebAppliance) -> None:
    port = await listen()
    visitor = Browser(port)
    await visitor.login()
    idle, kept = await KeptAlive.open(port, tls=False), await KeptAlive.open(port, tls=False)
    await kept.get()
    listen.accepting[0].close()
    await service.stop()
    assert await idle.at_end() == b""
    assert await kept.at_end() == b""
    assert not appliance.sessions.open
    assert not service.connections
    idle.close()
    kept.close()


@pytest.mark.parametrize(
    "host, path, location",
    [
        ("mail.example.com", "/monitor/overview?a=1", "https://mail.example.com/monitor/overview?a=1"),
        ("mail.example.com:80", "/", "https://mail.example.com/"),
        ("192.0.2.1:8080", "/login", "https://192.0.2.1/login"),
        ("[2001:db8::1]", "/", "https://[2001:db8::1]/"),
        ("evil.test/x", "/", "https://127.0.0.1/"),
        ("evil.test@mail.example.com", "/", "https://127.0.0.1/"),
        ("[::1", "/", "https://127.0.0.1/"),
        ("mail.example.com:99999", "/", "https://127.0.0.1/"),
        ("mail.example.com", "//evil.test/", "https://mail.example.com//evil.test/"),
        ("mail.example.com", "http://evil.test/", "https://mail.example.com/"),
        ("mail.example.com", "/xml/status", "https://mail.example.com/xml/status"),
    ],
)
async def test_redirect_to_https(listen: Opener, appliance: WebAppliance, host: str, path: str, location: str) -> None:
    appliance.set_interface(https_redirect=True)
    answer = await Browser(await listen(), host=host).get(path)
    assert (answer.status, answer.headers["location"], answer.body) == (302, location, b"")


async def test_the_redirect_names_another_port(listen: Opener, appliance: WebAppliance) -> None:
    appliance.set_interface(https_redirect=True, https_port=8443)
    answer = await Browser(await listen()).get("/")
    assert answer.headers["location"] == "https://mail.example.com:8443/"


async def test_who_came_by_a_mapped_port_is_sent_to_the_mapped_port(listen: Opener, appliance: WebAppliance) -> None:
    appliance.set_interface(https_redirect=True)
    clear, secure = await listen("http", port=80), await listen("https", port=443)
    mapped = await Browser(clear, host=f"localhost:{clear}").get("/login")
    assert mapped.headers["location"] == f"https://localhost:{secure}/login"
    direct = await Browser(clear).get("/login")
    assert direct.headers["location"] == "https://mail.example.com/login"


async def test_without_https_there_is_no_redirect(listen: Opener, appliance: WebAppliance) -> None:
    appliance.set_interface(https_redirect=True, https_port=None)
    assert (await Browser(await listen()).get("/login")).status == 200


async def test_more_connections_than_the_bound_are_closed(listen: Opener, monkeypatch: pytest.MonkeyPatch, service: Any) -> None:
    monkeypatch.setattr(web_service, "MAX_CONNECTIONS", 3)
    port = await listen()
    kept = [await KeptAlive.open(port, tls=False) for _ in range(3)]
    for connection in kept:
        assert (await connection.get()).status == 200
    refused = await KeptAlive.open(port, tls=False)
    assert await refused.at_end() == b""
    kept.pop().close()
    while len(service.connections) == 3:
        await asyncio.sleep(0.01)
    again = await KeptAlive.open(port, tls=False)
    assert (await again.get()).status == 200
    for connection in (*kept, refused, again):
        connection.close()


@pytest.mark.parametrize("octets", [b"", b"GET /login HT", b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"])
@pytest.mark.parametrize("kind", ["http", "https"])
async def test_slow_clients_are_cut_off(listen: Opener, service: Any, kind: str, octets: bytes) -> None:
    (await service.engine()).request_seconds = 0.2
    connection = await KeptAlive.open(await listen(kind), tls=kind == "https")
    connection.writer.write(octets)
    assert await asyncio.wait_for(connection.at_end(), 5) == b""
    connection.close()


async def test_a_client_that_does_not_read_is_cut_off(listen: Opener, service: Any, appliance: WebAppliance) -> None:
    engine = await service.engine()
    engine.request_seconds = 0.3
    engine.website._static["big.css"] = bytes(20_000_000)
    connection = await KeptAlive.open(await listen(), tls=False)
    connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
    connection.writer.write(request("GET", "/static/big.css", close=False))
    while not service.connections:
        await asyncio.sleep(0.01)
    async with asyncio.timeout(5):
        while service.connections:
            await asyncio.sleep(0.01)
    connection.close()


async def test_a_second_request_has_its_own_time(listen: Opener, service: Any) -> None:
    (await service.engine()).request_seconds = 0.3
    connection = await KeptAlive.open(await listen(), tls=False)
    for _ in range(3):
        assert (await connection.get()).status == 200
        await asyncio.sleep(0.15)
    connection.close()


async def test_pipelined_requests(listen: Opener) -> None:
    connection = await KeptAlive.open(await listen(), tls=False)
    connection.writer.write(request("GET", "/login", close=False) * 3)
    for _ in range(3):
        assert (await read_answer(connection.reader)).status == 200
    connection.close()


@pytest.mark.parametrize(
    "octets, status",
    [
        (b"HELO mail.example.com\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no host
        (b"GET /" + b"a" * 40_000, 400),
        (request("GET", "/login", {"X-Long": "a" * 400_000}), 400),
        (request("POST", "/login", None, b"action=Login&password=" + b"a" * MAX_BODY), 413),
        (request("POST", "/login", {"Content-Type": "multipart/form-data; boundary=x"}, b"--x--"), 400),
        (request("POST", "/login", None, b"no form"), 400),
        (request("POST", "/login", None, b"a=%ff&" + b"b=\xff"), 400),
        (request("POST", "/login", None, b"&".join(b"f%d=" % n for n in range(300))), 400),
        (request("POST", "/login", None, b""), 400),
        (request("PUT", "/login", None, b""), 405),
        (request("POST", "/xml/status", None, b""), 405),
        (request("GET", "/xml/other"), 404),
        (request("GET", "/static/../app.py"), 302),
        (request("GET", "/static/none.css"), 404),
        (request("GET", "/static/%2e%2e%2fapp.py"), 302),
        (request("OPTIONS", "*"), 404),
        (request("GET", "/%00%0d%0a"), 302),
        (request("GET", "/login", {"Upgrade": "websocket", "Connection": "Upgrade, close"}), 200),
    ],
)
async def test_hostile_requests(
    listen: Opener, octets: bytes, status: int, caplog: pytest.LogCaptureFixture, appliance: WebAppliance
) -> None:
    connection = await KeptAlive.open(await listen(), tls=False)
    connection.writer.write(octets)
    assert (await read_answer(connection.reader)).status == status
    connection.close()
    assert not caplog.records
    assert not [name for name, _ in appliance.logs.events if name == "system.fault"]


async def test_a_broken_request_behind_one_in_progress(listen: Opener, service: Any, caplog: pytest.LogCaptureFixture) -> None:
    service.login_delay = 0.1
    connection = await KeptAlive.open(await listen(), tls=False)
    form = {"action": "Login", "username": "admin", "password": "wrong"}
    connection.writer.write(request("POST", "/login", None, form, close=False) + b"\0\r\n\r\n")
    await connection.at_end()
    connection.close()
    assert not caplog.records
    assert (await Browser(await listen()).get("/login")).status == 200


async def test_a_body_without_end_is_not_read(listen: Opener, service: Any) -> None:
    connection = await KeptAlive.open(await listen(), tls=False)
    connection.writer.write(b"POST /login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    with pytest.raises(ConnectionError):
        while True:
            connection.writer.write(b"4000\r\n" + b"a" * 0x4000 + b"\r\n")
            await connection.writer.drain()
            await asyncio.sleep(0)
    connection.close()


async def test_a_fault_of_a_page_is_a_page_and_a_line(listen: Opener, appliance: WebAppliance, caplog: pytest.LogCaptureFixture) -> None:
    visitor = Browser(await listen())
    await visitor.login()
    appliance.counters = None  # type: ignore[assignment]
    answer = await visitor.get("/monitor/system_status")
    assert answer.status == 500
    assert "An internal error occurred. The system log has the details." in answer.text
    assert answer.headers["x-frame-options"] == "DENY"
    assert any(line.startswith("An application fault occurred: web: AttributeError(") for line in appliance.logs.lines)
    assert not caplog.records


async def test_gui_logs(listen: Opener, appliance: WebAppliance) -> None:
    visitor = Browser(await listen())
    await visitor.get("/login?action=Login&password=secret&CSRFKey=abc&%43SRFKey=def&x=1", User_Agent="Mozilla/5.0")
    await visitor.login()
    await visitor.get("/monitor/system_status?CSRFKey=" + "0" * 32, User_Agent="Mozilla/5.0")
    await visitor.get(f"/login?action=Logout&CSRFKey={visitor.key}")
    lines = [line for line in appliance.logs.lines if line.startswith("req:")]
    session = hashlib.sha256(visitor.cookie.encode()).hexdigest()[:20] if visitor.cookie else lines[2].split()[2][3:]
    assert lines == [
        "req:127.0.0.1 user:- id:- 200 GET /login?action=Login&password=&CSRFKey=&%43SRFKey=&x=1 HTTP/1.1 Mozilla/5.0",
        "req:127.0.0.1 user:- id:- 302 POST /login HTTP/1.1 -",
        f"req:127.0.0.1 user:admin id:{session} 200 GET /monitor/system_status?CSRFKey= HTTP/1.1 Mozilla/5.0",
        f"req:127.0.0.1 user:admin id:{session} 200 GET /login?action=Logout&CSRFKey= HTTP/1.1 -",
    ]
    assert len(session) == 20
    everything = "\n".join(appliance.logs.lines)
    assert visitor.key not in everything
    assert PASSPHRASE not in everything


async def test_foreign_text_in_the_log_is_one_escaped_line(listen: Opener, appliance: WebAppliance) -> None:
    agent = b"a\tb\x80 \xc3\xa9 " + b"x" * 2000
    reader, writer = await asyncio.open_connection(ADDRESS, await listen())
    writer.write(b"GET /login?<script> HTTP/1.1\r\nHost: a\r\nConnection: close\r\nUser-Agent: " + agent + b"\r\n\r\n")
    await read_answer(reader)
    writer.close()
    (line,) = appliance.logs.lines
    assert "\n" not in line
    assert "GET /login?<script> HTTP/1.1 a\\x09b\\x80 é xxx" in line
    assert line.endswith("x...")


async def test_a_peer_that_leaves_right_after_the_handshake_leaves_nothing(listen: Opener, service: Any) -> None:
    port = await listen()
    kept = await KeptAlive.open(port, tls=False)
    engine, lost = await service.engine(), []
    connection = engine.connection(next(iter(service.entrances)), lambda: lost.append(True))
    connection.data_received(b"GET / HTTP/1.1\r\n")
    connection.connection_lost(None)
    connection.connection_made(kept.writer.transport)
    assert lost == [True]
    assert connection not in engine.state.connections
    kept.close()


async def test_the_framework_is_loaded_late() -> None:
    code = (
        "import sys, appliance_runtime.web.service\nassert not {'starlette', 'uvicorn', 'jinja2'} & set(sys.modules), 'loaded too early'\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stderr=asyncio.subprocess.PIPE)
    _, error = await process.communicate()
    assert process.returncode == 0, error.decode()


def test_a_session_names_no_secret() -> None:
    from appliance_runtime.web.sessions import WebSession

    names = {attribute.name: attribute.repr for attribute in attrs.fields(WebSession)}
    assert not names["cookie"]
    assert not names["key"]
