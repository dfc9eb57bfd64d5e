"""Login, logout, and what a visitor without session sees (web-ui.md 2).

All failures have one text and take at least the same time. Failures count for the account as those of SSH do.
"""

from __future__ import annotations

import asyncio

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, Response

from appliance_runtime.clock import monotonic
from appliance_runtime.sessions import TooManySessions
from appliance_runtime.web.requests import is_foreign, local_path, read_form
from appliance_runtime.web.visit import Visit
from appliance_state.certificates.banners import demo_sentences

HOME = "/monitor/overview"
COOKIE = "sid"
FAILED = "Invalid username or passphrase."
LOGGED_OUT = "You have been logged out."
NOT_VALID = "User Session is not valid."
BLANK = "The value cannot be blank."
TOO_MANY = "There are too many open sessions. Try again later."


def login_page(visit: Visit, *, error: str = "", notice: str = "", referrer: str = "", username: str = "", status: int = 200) -> Response:
    """The login form."""
    return visit.page("login.html", "Login", status=status, member=False, error=error, notice=notice, referrer=referrer, username=username)


async def show(visit: Visit) -> Response:
    """`GET /login`: the form, or logout."""
    query = visit.request.query_params
    if query.get("action") == "Logout":
        return _logout(visit, query.get("CSRFKey"))
    return login_page(visit, referrer=local_path(query.get("referrer")) or "")


async def home(visit: Visit) -> Response:
    """`GET /`."""
    return login_page(visit) if visit.web is None else RedirectResponse(HOME, 302)


def _logout(visit: Visit, key: str | None) -> Response:
    web = visit.web
    if web is None:
        return login_page(visit)
    if not web.owns(key):
        return RedirectResponse(HOME, 302)
    visit.site.sessions.end(web)
    response = login_page(visit, notice=LOGGED_OUT)
    response.delete_cookie(COOKIE, httponly=True, samesite="lax", secure=visit.secure)
    return response


async def submit(visit: Visit) -> Response:
    """`POST /login`."""
    request = visit.request
    if is_foreign(request):
        raise HTTPException(403)
    form = await read_form(request)
    if request.headers.get("x-requested-with") == "XMLHttpRequest" and form.get("action_type") == "ajax_validation":
        return _validation(form)
    if form.get("action") != "Login" and "action:Login" not in form:
        raise HTTPException(400)
    username = form.get("username", "")
    referrer = local_path(form.get("referrer")) or ""
    if not await authenticated(visit, username, form.get("password", "")):
        return login_page(visit, error=FAILED, referrer=referrer, username=username)
    owner = visit.site.service.owner(visit.entrance.endpoint)
    try:
        web = visit.site.sessions.open(username, visit.remote, owner.name if owner else None, visit.entrance.endpoint.service)
    except TooManySessions:
        return login_page(visit, error=TOO_MANY, referrer=referrer, username=username, status=503)
    if visit.web is not None:
        visit.site.sessions.end(visit.web)
    if warning := " ".join(demo_sentences(visit.config)):
        web.warnings.append(warning)
    response = RedirectResponse(referrer or HOME, 302)
    response.set_cookie(COOKIE, web.cookie, httponly=True, samesite="lax", secure=visit.secure)
    return response


def _validation(form: dict[str, str]) -> Response:
    """Only says whether the form is complete: whether the passphrase is right is told by a login alone, which counts."""
    errors = {name: BLANK for name in ("username", "password") if not form.get(name)}
    return JSONResponse({"is_valid": False, "errors": errors} if errors else {"is_valid": True})


async def authenticated(visit: Visit, username: str, passphrase: str) -> bool:
    """Whether the passphrase opens the account. A failure takes at least the login delay."""
    begun = monotonic()
    protocol = visit.entrance.endpoint.service.upper()
    if await visit.appliance.accounts.authenticate(username, passphrase, remote=visit.remote, protocol=protocol):
        return True
    await asyncio.sleep(max(0.0, visit.site.service.login_delay - (monotonic() - begun)))
    return False
