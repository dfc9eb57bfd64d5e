"""Frame and read-only pages: what they show, and that everything foreign is shown as text (web-ui.md 1, 12)."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import attrs
import pytest

from appliance_state.certificates.facts import CertificateFacts
from appliance_state.certificates.usage import Reference
from appliance_state.model.certificates import CertificateProfile, KeyMaterial
from appliance_state.model.users import Role, User
from tests.support.appliance import NOW
from tests.support.web import Answer, Browser, Opener, WebAppliance

PAGES = {"/monitor/overview": "Overview", "/monitor/system_status": "System Status"}
HEADERS = {
    "cache-control": "no-store",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "content-security-policy": "default-src 'self'; frame-ancestors 'none'",
    "date": "Tue, 24 Nov 2026 09:00:00 GMT",
}


@pytest.fixture
async def member(browser: Browser) -> AsyncIterator[Browser]:
    """Logged in, and the warning of the first page seen."""
    await browser.login()
    await browser.get("/monitor/system_status")
    yield browser


def row(answer: Answer, table: str, name: str) -> list[str]:
    """The cells of a row."""
    inside = answer.text.partition(f'<table id="{table}"')[2].partition("</table>")[0]
    found = re.search(rf'<tr data-name="{re.escape(html.escape(name))}"[^>]*>(.*?)</tr>', inside, re.DOTALL)
    assert found, f"no row {name} in {table}"
    return [html.unescape(cell) for cell in re.findall(r"<td>(.*?)</td>", found[1])]


@pytest.mark.parametrize("path, title", PAGES.items())
async def test_frame(member: Browser, path: str, title: str) -> None:
    answer = await member.get(path)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text.startswith("<!DOCTYPE html>")
    assert f"<title>{title} - mail.example.com</title>" in answer.text
    assert f'<h1 id="page-title">{title}</h1>' in answer.text
    assert "Cisco C100V" in answer.text
    assert f'<a id="logout" href="/login?action=Logout&amp;CSRFKey={member.key}">Log Out</a>' in answer.text
    for other, label in PAGES.items():
        current = ' aria-current="page"' if other == path else ""
        assert f'<a id="menu-{other.strip("/").replace("/", "_")}" href="{other}"{current}>{label}</a>' in answer.text
    assert 'class="warning"' not in answer.text
    assert re.findall(r'(?:src|href)="(?!/|http://mail\.example\.com/)', answer.text) == [], "no external resources"


@pytest.mark.parametrize(
    "path, status",
    [("/login", 200), ("/", 302), ("/monitor/overview", 200), ("/none", 404), ("/xml/status", 401), ("/static/style.css", 200)],
)
async def test_every_answer_has_the_common_headers(member: Browser, path: str, status: int) -> None:
    answer = await member.get(path)
    assert answer.status == status
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert "server" not in answer.headers


@pytest.mark.parametrize("method, path, status", [("GET", "/none", 404), ("PUT", "/monitor/overview", 405), ("DELETE", "/", 405)])
async def test_error_pages(member: Browser, method: str, path: str, status: int) -> None:
    answer = await member.send(method, path)
    assert answer.status == status
    assert "<title>Application Error - mail.example.com</title>" in answer.text
    assert '<ul class="errors" role="alert"><li>' in answer.text


async def test_head_has_no_body(member: Browser) -> None:
    get, head = await member.get("/monitor/overview"), await member.send("HEAD", "/monitor/overview")
    assert head.status == 200
    assert head.body == b""
    assert abs(int(head.headers["content-length"]) - len(get.body)) < 50


@pytest.mark.parametrize("role", list(Role))
async def test_every_role_sees_the_monitor(browser: Browser, appliance: WebAppliance, role: Role) -> None:
    appliance.set_user(User(name="bob", role=role), "long enough")
    await browser.login("bob", "long enough")
    for path in PAGES:
        assert (await browser.get(path)).status == 200


@pytest.mark.parametrize("path", PAGES)
async def test_status_detail(member: Browser, appliance: WebAppliance, path: str) -> None:
    appliance.counters.add("inj_msgs", 12345)
    appliance.counters.add("dns_hard_bounced_recips", 2)
    appliance.counters.gauge("conn_out", 7)
    await appliance.clock.advance(1320)
    answer = await member.get(path)
    assert row(answer, "status", "Status as of") == ["Tue Nov 24 09:22:00 2026 GMT"]
    assert row(answer, "status", "Up since") == ["Tue Nov 24 09:00:00 2026 GMT (22m 0s)"]
    assert row(answer, "status", "Last counter reset") == ["Never"]
    assert row(answer, "status", "System status") == ["Online"]
    assert row(answer, "status", "Oldest Message") == ["No Messages"]
    assert row(answer, "status", "Feature - Incoming Mail Handling") == ["Perpetual"]
    assert row(answer, "counters", "inj_msgs") == ["12,345"] * 3
    assert row(answer, "counters", "completed_recips") == ["2"] * 3
    assert row(answer, "rates", "inj_msgs") == ["0"] * 3
    assert row(answer, "gauges", "message_id") == ["1"]
    assert row(answer, "gauges", "conn_out") == ["7"]
    assert row(answer, "gauges", "ram_utilization")[0].endswith("%")
    appliance.counters.reset()
    answer = await member.get(path)
    assert row(answer, "status", "Last counter reset") == ["Tue Nov 24 09:22:00 2026 GMT"]
    assert row(answer, "counters", "inj_msgs") == ["0", "12,345", "12,345"]


async def test_certificates_in_use(member: Browser, appliance: WebAppliance) -> None:
    profile = CertificateProfile(name="own", material=KeyMaterial(certificate=appliance.demo.certificate))
    broken = CertificateProfile(name="broken", material=KeyMaterial(certificate="no certificate"))
    appliance.config = appliance.config.with_(
        certificates=appliance.config.certificates.put(profile, broken),
        ldap=attrs.evolve(appliance.config.ldap, certificate="gone"),
        destination_globals=attrs.evolve(appliance.config.destination_globals, certificate="broken"),
    )
    appliance.set_interface(https_certificate="own")
    answer = await member.get("/monitor/overview")
    https = row(answer, "certificates", "HTTPS: Management")
    name = "Cisco Appliance Demo Certificate"
    assert https == ["HTTPS: Management", "own", name, name, "Active", "3650 days", "Fri Nov 21 09:00:00 2036 GMT"]
    assert row(answer, "certificates", "LDAPS")[1] == "gone (missing)"
    assert row(answer, "certificates", "Delivery")[4] == "Expired", "what cannot be read serves nobody"
    appliance.set_interface(https_certificate="Demo")
    assert row(await member.get("/monitor/overview"), "certificates", "HTTPS: Management")[1] == "Demo (not secure)"
    appliance.set_interface(https_port=None)
    assert "HTTPS: Management" not in (await member.get("/monitor/overview")).text


@pytest.mark.parametrize(
    "before, after, certificate, status, mark",
    [
        (-1, 31, "own", "Active", ""),
        (-1, 30, "own", "Active", "attention"),
        (-2, -1, "own", "Expired", "expired"),
        (1, 40, "own", "Future", "attention"),
        (-1, 31, "DEMO", "Active", "attention"),
    ],
)
def test_certificates_that_want_attention_are_marked(before: int, after: int, certificate: str, status: str, mark: str) -> None:
    from appliance_runtime.web.pages.overview import certificate_row

    facts = CertificateFacts(not_before=NOW + timedelta(days=before), not_after=NOW + timedelta(days=after, seconds=1))
    made = certificate_row(Reference("delivery", None, certificate), facts, NOW, "GMT")
    assert (made.cells[4], made.mark) == (status, mark)


async def test_sockets(member: Browser, listen: Opener) -> None:
    real = await listen("https", port=443)
    answer = await member.get("/monitor/overview")
    assert row(answer, "sockets", "HTTPS Management") == ["HTTPS", "Management", "127.0.0.1:443", f"127.0.0.1:{real}"]


async def test_queue_and_alerts(member: Browser, appliance: WebAppliance) -> None:
    empty = await member.get("/monitor/overview")
    assert "The queue is empty." in empty.text
    assert "There are no alerts to display." in empty.text
    await appliance.put_in_queue("a@a.test", "b@<b>.test", "c@a.test")
    appliance.alerts.raise_("dane.failed", "a.test", "Message Delivery", "Warning", "DANE failed.\nmx1: <b>\x1b[31m")
    answer = await member.get("/monitor/overview")
    assert row(answer, "queue", "a.test") == ["a.test", "2", "0"]
    assert row(answer, "alerts", "dane.failed") == ["Tue Nov 24 09:00:00 2026 GMT", "Warning", "DANE failed.<br>mx1: <b>\\x1b[31m"]
    assert "<b>" not in answer.text
    assert "\x1b" not in answer.text


HOSTILE = '"><script>alert(1)</script>&\x1b[31m'


@pytest.mark.parametrize("path", [*PAGES, "/login", "/none"])
async def test_hostile_values_are_text(member: Browser, appliance: WebAppliance, path: str) -> None:
    system = attrs.evolve(appliance.config.system, hostname=HOSTILE)
    appliance.config = appliance.config.with_(system=system, ldap=attrs.evolve(appliance.config.ldap, certificate=HOSTILE))
    answer = await member.send("GET", path, {"User-Agent": "<script>", "Host": "<script>", "Referer": "<script>"})
    scripts = re.findall("<script.*?</script>", answer.text)
    assert len(scripts) == 1
    assert re.fullmatch(
        r'<script type="text/javascript" src="http://127.0.0.1:\d+/javascript\?CSRFKey=\w{32}&language=en-us"></script>', scripts[0]
    )
    assert "\x1b" not in answer.text
    assert html.escape(HOSTILE.replace("\x1b", "\\x1b")).replace("&quot;", "&#34;") in answer.text


async def test_hostile_form_values_are_text(browser: Browser) -> None:
    answer = await browser.login(HOSTILE, "wrong", referrer='/"><script>')
    assert "alert(1)</script>" not in answer.text
    assert 'name="username" value="&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;\\x1b[31m"' in answer.text
    assert 'name="referrer" value="/&#34;&gt;&lt;script&gt;"' in answer.text


@pytest.mark.parametrize(
    "host, base",
    [
        ("mail.example.com", "http://mail.example.com/"),
        ("mail.example.com:8080", "http://mail.example.com:8080/"),
        ("[2001:db8::1]:81", "http://[2001:db8::1]:81/"),
        ("a_b.test", None),
        ("a..b", None),
        ("x/y", None),
        ("a b", None),
        ("x:0", None),
        ("x:65536", None),
        ("[::g]", None),
    ],
)
async def test_a_host_header_is_repeated_only_when_it_is_a_host(listen: Opener, host: str, base: str | None) -> None:
    port = await listen()
    answer = await Browser(port, host=host).get("/login")
    assert f'src="{base or f"http://127.0.0.1:{port}/"}javascript?' in answer.text


async def test_the_style_sheet(browser: Browser, service: Any) -> None:
    answer = await browser.get("/static/style.css")
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert b"url(" not in answer.body
    assert (await browser.get("/javascript?CSRFKey=x&language=en-us")).body == b""
