"""Login, logout, sessions, CSRF (web-ui.md 2)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import attrs
import pytest

from appliance_runtime.sessions import MAX_SESSIONS
from appliance_runtime.web.login import FAILED, LOGGED_OUT, NOT_VALID, TOO_MANY
from appliance_runtime.web.sessions import MAX_WEB_SESSIONS
from appliance_state.model.users import Role, User
from tests.support.edge import PASSPHRASE
from tests.support.web import Browser, Opener, WebAppliance

NOT_VERIFIED = "The request could not be verified. Please reload the page."


@pytest.mark.parametrize("path", ["/", "/login"])
async def test_the_form_has_five_fields_and_a_button(browser: Browser, path: str) -> None:
    answer = await browser.get(path)
    assert answer.status == 200
    for field in ("username", "password", "referrer", "screen", "CSRFKey"):
        assert f'name="{field}"' in answer.text
    assert '<form id="login" method="post" action="/login"' in answer.text
    assert 'name="action:Login" value="Login"' in answer.text


@pytest.mark.parametrize("button", [{"action": "Login"}, {"action": "", "action:Login": "Login"}])
async def test_a_login_leads_to_the_overview(browser: Browser, appliance: WebAppliance, button: dict[str, str]) -> None:
    answer = await browser.login(**button)
    assert (answer.status, answer.headers["location"]) == (302, "/monitor/overview")
    assert len(browser.cookie) == 32
    assert answer.cookies == (f"sid={browser.cookie}; HttpOnly; Path=/; SameSite=lax",)
    (session,) = appliance.sessions.open.values()
    assert (session.user, session.kind, session.remote, session.interface, session.interface_service) == (
        "admin", "gui", "127.0.0.1", "Management", "http",
    )  # fmt: skip
    page = await browser.get("/monitor/system_status")
    assert "Currently logged in as: admin on mail.example.com" in page.text
    tag = f"http://mail.example.com/javascript?CSRFKey={browser.key}&language=en-us"
    assert f'<script type="text/javascript" src="{tag}"></script>' in page.text


@pytest.mark.parametrize(
    "referrer, location",
    [
        ("/monitor/system_status?a=1", "/monitor/system_status?a=1"),
        ("//evil.test/", "/monitor/overview"),
        ("/\\evil.test/", "/monitor/overview"),
        ("https://evil.test/", "/monitor/overview"),
        ("/a\r\nSet-Cookie: x=1", "/monitor/overview"),
        ("", "/monitor/overview"),
    ],
)
async def test_after_login_only_a_local_path(browser: Browser, referrer: str, location: str) -> None:
    answer = await browser.login(referrer=referrer)
    assert (answer.status, answer.headers["location"]) == (302, location)


async def test_a_page_without_session_leads_to_the_login_form_and_back(browser: Browser) -> None:
    answer = await browser.get("/monitor/system_status?a=1&b=%20")
    assert (answer.status, answer.headers["location"]) == (302, "/login?referrer=/monitor/system_status%3Fa%3D1%26b%3D%2520")
    form = await browser.get(answer.headers["location"])
    assert 'name="referrer" value="/monitor/system_status?a=1&amp;b=%20"' in form.text


async def test_every_failure_looks_the_same_and_counts(browser: Browser, appliance: WebAppliance) -> None:
    appliance.set_user(User(name="bob", role=Role.GUEST), "long enough")
    appliance.set_user(User(name="off", role=Role.GUEST, enabled=False), "long enough")
    for _ in range(5):
        answer = await browser.login("bob", "wrong")
    locked = await browser.login("bob", "long enough")
    disabled = await browser.login("off", "long enough")
    unknown = await browser.login("nobody", "long enough")
    empty = await browser.login("", "")
    for refused in (answer, locked, disabled, unknown, empty):
        assert refused.status == 200
        assert f'<ul class="errors" role="alert"><li data-field="username">{FAILED}</li></ul>' in refused.text
        assert not refused.cookies
        assert "wrong" not in refused.text
        assert "long enough" not in refused.text
    assert appliance.accounts.is_locked("bob")
    assert "User bob failed authentication from 127.0.0.1 using an HTTP connection." in appliance.logs.lines
    assert not appliance.sessions.open


async def test_a_failure_takes_the_login_delay(browser: Browser, service: Any) -> None:
    service.login_delay = 0.3
    begun = time.monotonic()
    await browser.login(password="wrong")
    assert time.monotonic() - begun >= 0.3


async def test_a_success_is_logged_with_its_protocol(listen: Opener, appliance: WebAppliance) -> None:
    await Browser(await listen()).login()
    line = "The user admin successfully logged on from 127.0.0.1 with privilege admin using an HTTP connection."
    assert line in appliance.logs.lines


@pytest.mark.parametrize(
    "fields, answer",
    [
        ({}, b'{"is_valid":true}'),
        ({"password": "wrong"}, b'{"is_valid":true}'),
        ({"username": ""}, b'{"is_valid":false,"errors":{"username":"The value cannot be blank."}}'),
    ],
)
async def test_a_validation_request_does_not_log_in(
    browser: Browser, appliance: WebAppliance, fields: dict[str, str], answer: bytes
) -> None:
    form = {"action": "Login", "screen": "login", "username": "admin", "password": PASSPHRASE, "action_type": "ajax_validation", **fields}
    reply = await browser.post("/login", form, X_Requested_With="XMLHttpRequest")
    assert (reply.status, reply.headers["content-type"], reply.body) == (200, "application/json", answer)
    assert not appliance.sessions.open
    assert not reply.cookies


async def test_a_login_ends_the_session_before_it(browser: Browser, appliance: WebAppliance) -> None:
    await browser.login()
    first = browser.cookie
    await browser.login()
    assert browser.cookie != first
    assert len(appliance.sessions.open) == 1
    browser.cookie = first
    assert (await browser.get("/monitor/system_status")).status == 302


async def test_logout(browser: Browser, appliance: WebAppliance) -> None:
    await browser.login()
    await browser.get("/monitor/system_status")
    wrong = await browser.get("/login?action=Logout&CSRFKey=" + "0" * 32)
    assert wrong.status == 302
    assert len(appliance.sessions.open) == 1
    cookie = browser.cookie
    answer = await browser.get(f"/login?action=Logout&CSRFKey={browser.key}")
    assert f'<div class="notice" role="status">{LOGGED_OUT}</div>' in answer.text
    assert not appliance.sessions.open
    assert "Max-Age=0" in answer.cookies[0]
    browser.cookie = cookie
    assert (await browser.get("/monitor/system_status")).status == 302


async def test_an_idle_session_ends_by_itself(browser: Browser, appliance: WebAppliance) -> None:
    await browser.login()
    await browser.get("/monitor/system_status")
    await appliance.clock.advance(29 * 60)
    assert (await browser.get("/monitor/system_status")).status == 200
    await appliance.clock.advance(30 * 60)
    assert not appliance.sessions.open, "it ends without a request"
    assert appliance.accounts.logins.entries[-1].ended == appliance.clock.now()
    answer = await browser.post("/monitor/system_status", {"CSRFKey": browser.key})
    assert answer.status == 200
    assert NOT_VALID in answer.text
    assert '<form id="login"' in answer.text
    assert (await browser.get("/monitor/system_status")).status == 302


async def test_the_limit_of_the_configuration_counts(browser: Browser, appliance: WebAppliance) -> None:
    await browser.login()
    access = attrs.evolve(appliance.config.admin_access, gui_timeout=5)
    appliance.config = appliance.config.with_(admin_access=access)
    await appliance.clock.advance(5 * 60)
    assert (await browser.get("/monitor/system_status")).status == 302


@pytest.mark.parametrize("change", ["closing", "disabled", "deleted"])
async def test_a_session_that_the_appliance_ends(browser: Browser, appliance: WebAppliance, change: str) -> None:
    appliance.set_user(User(name="bob"), "long enough")
    await browser.login("bob", "long enough")
    if change == "closing":
        next(iter(appliance.sessions.open.values())).closing = True
    elif change == "disabled":
        appliance.set_user(attrs.evolve(appliance.config.users["bob"], enabled=False))
    else:
        appliance.config = appliance.config.with_(users=appliance.config.users.without("bob"))
    assert (await browser.get("/monitor/system_status")).status == 302
    assert not appliance.sessions.open


async def test_beyond_the_bound_the_longest_idle_session_ends(browser: Browser, appliance: WebAppliance, service: Any) -> None:
    sessions = (await service.engine()).website.sessions
    webs = []
    for _ in range(MAX_WEB_SESSIONS):
        webs.append(sessions.open("admin", "127.0.0.1", "Management", "http"))
        await appliance.clock.advance(1)
    sessions.find(webs[0].cookie)
    await browser.login()
    assert len(appliance.sessions.open) == MAX_WEB_SESSIONS
    assert sessions.find(webs[0].cookie) is webs[0]
    assert sessions.find(webs[1].cookie) is None


async def test_no_session_left(browser: Browser, appliance: WebAppliance) -> None:
    for _ in range(MAX_SESSIONS):
        appliance.open_session(user="admin", kind="cli", remote="console")
    answer = await browser.login()
    assert answer.status == 503
    assert TOO_MANY in answer.text
    assert not answer.cookies


KEY, OTHER = "<own key>", "<key of another session>"


@pytest.mark.parametrize(
    "form_key, header_key, headers, status",
    [
        (KEY, None, {}, 405),  # verified; the page then takes no POST
        (None, KEY, {}, 405),
        (KEY, None, {"Origin": "http://mail.example.com"}, 405),
        (KEY, None, {"Origin": "http://mail.example.com:80"}, 405),
        (KEY, None, {"Origin": "HTTP://MAIL.example.com"}, 405),
        (KEY, None, {"Referer": "http://mail.example.com/monitor/overview"}, 405),
        (None, None, {}, 403),
        ("", None, {}, 403),
        ("0" * 32, None, {}, 403),
        ("é", None, {}, 403),
        (OTHER, None, {}, 403),
        (None, OTHER, {}, 403),
        (KEY, OTHER, {}, 403),
        (KEY, None, {"Origin": "http://evil.test"}, 403),
        (KEY, None, {"Origin": "http://mail.example.com:8080"}, 403),
        (KEY, None, {"Origin": "http://mail.example.com.evil.test"}, 403),
        (KEY, None, {"Origin": "null"}, 403),
        (KEY, None, {"Origin": "http://[bad"}, 403),
        (KEY, None, {"Referer": "http://evil.test/mail.example.com"}, 403),
        (KEY, None, {"Origin": "http://mail.example.com", "Referer": "http://evil.test/"}, 405),
    ],
)
async def test_csrf(browser: Browser, form_key: str | None, header_key: str | None, headers: dict[str, str], status: int) -> None:
    other = Browser(browser.port)
    for visitor in (browser, other):
        await visitor.login()
        await visitor.get("/monitor/system_status")
    assert browser.key != other.key
    keys = {KEY: browser.key, OTHER: other.key}
    form = {} if form_key is None else {"CSRFKey": keys.get(form_key, form_key)}
    if header_key is not None:
        headers = {**headers, "X-CSRFKey": keys[header_key]}
    answer = await browser.send("POST", "/monitor/system_status", headers, form)
    assert answer.status == status
    assert (NOT_VERIFIED in answer.text) is (status == 403)
    assert "<title>Application Error - mail.example.com</title>" in answer.text


@pytest.mark.parametrize(
    "headers, status",
    [
        ({}, 302),
        ({"Origin": "http://mail.example.com"}, 302),
        ({"Origin": "http://evil.test"}, 403),
        ({"Referer": "http://evil.test/login"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
async def test_a_login_needs_no_key_but_no_foreign_page(
    browser: Browser, appliance: WebAppliance, headers: dict[str, str], status: int
) -> None:
    form = {"action": "Login", "screen": "login", "username": "admin", "password": PASSPHRASE}
    answer = await browser.send("POST", "/login", headers, form)
    assert answer.status == status
    assert len(appliance.sessions.open) == (status == 302)


async def test_the_demo_warning_stands_on_the_first_page_only(browser: Browser, appliance: WebAppliance) -> None:
    await browser.login()
    first, second = [await browser.get("/monitor/system_status") for _ in range(2)]
    sentence = "You are currently using a demo certificate/key for receiving, delivery, HTTPS management access, and LDAPS."
    assert sentence in first.text
    assert sentence not in second.text


async def test_logins_at_the_same_time(browser: Browser, appliance: WebAppliance) -> None:
    others = [Browser(browser.port) for _ in range(8)]
    answers = await asyncio.gather(*(other.login() for other in others))
    assert {answer.status for answer in answers} == {302}
    assert len({other.cookie for other in others}) == 8
    assert len(appliance.sessions.open) == 8
