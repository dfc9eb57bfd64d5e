"""The web application: routes, the guard before every page, common headers, gui_logs, error pages (web-ui.md 1, 2).

Without session a page leads to the login form. A POST (login excepted) must come from this host and carry the CSRF key
of its session. GET changes nothing, logout excepted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from appliance_runtime.web import login, status_xml
from appliance_runtime.web.figures import ProcessLoad
from appliance_runtime.web.hosts import DEFAULT_PORTS, authority, host_and_port
from appliance_runtime.web.pages import overview, system_status
from appliance_runtime.web.requests import is_foreign, logged_path, path_and_query, read_form
from appliance_runtime.web.sessions import WebSessions
from appliance_runtime.web.visit import Visit
from appliance_state.model.interfaces import DEMO
from appliance_state.table import fold

if TYPE_CHECKING:
    from appliance_runtime.web.service import WebService

Handler = Callable[[Visit], Awaitable[Response]]

HEADERS = {
    "Cache-Control": "no-store",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'",
}
HSTS = "max-age=31536000"
ERROR_TITLE = "Application Error"
ERRORS = {
    400: "The request is malformed.",
    403: "The request could not be verified. Please reload the page.",
    404: "The page was not found.",
    405: "This page does not accept the request.",
    413: "The request is too large.",
    500: "An internal error occurred. The system log has the details.",
}
STATIC_TYPES = {".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}


class Website:
    """The ASGI application of all management sockets. `scope["state"]["entrance"]` tells through which one a request came."""

    def __init__(self, service: WebService) -> None:
        self.service = service
        self.appliance = service.appliance
        self.sessions = WebSessions(service.appliance)
        self.load = ProcessLoad()
        self._static = {path.name: path.read_bytes() for path in Path(__file__).with_name("static").iterdir()}
        self._app = Starlette(
            routes=[
                Route("/", self._open(login.home)),
                Route("/login", self._open(login.show)),
                Route("/login", self._open(login.submit), methods=["POST"]),
                Route("/javascript", self._open(_script)),
                Route("/static/{name}", self._open(self._static_file)),
                Route("/xml/status", self._open(status_xml.status)),
                Route("/xml/{rest:path}", self._open(_not_found)),
                Route("/monitor/overview", self._open(overview.page, member=True)),
                Route("/monitor/system_status", self._open(system_status.page, member=True)),
                Route("/{path:path}", self._open(_not_found, member=True)),
            ],
            exception_handlers={HTTPException: self._error, Exception: self._error},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        visit = Visit(self, Request(scope, receive))
        web = scope["state"]["web"] = self.sessions.find(visit.request.cookies.get(login.COOKIE))
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._add_headers(visit, MutableHeaders(scope=message))
            await send(message)

        try:
            response: Response | Starlette = self._to_https(visit) or await self._guard(visit) or self._app
            await response(scope, receive, answer)
        except ClientDisconnect:
            pass  # the client is gone; there is nobody to answer
        finally:
            self.appliance.logs.event(
                "gui.request",
                remote=visit.remote,
                user=web.session.user if web else "-",
                session=web.log_id if web else "-",
                status=status,
                method=scope["method"],
                path=logged_path(visit.request),
                version=scope["http_version"],
                agent=visit.request.headers.get("user-agent", "-").encode("latin-1"),  # the octets as they came
            )

    def _add_headers(self, visit: Visit, headers: MutableHeaders) -> None:
        headers.update(HEADERS)
        headers["Date"] = format_datetime(self.appliance.clock.now(), usegmt=True)
        if visit.secure and fold(visit.entrance.profile) != fold(DEMO):
            headers["Strict-Transport-Security"] = HSTS

    def _to_https(self, visit: Visit) -> Response | None:
        """The redirect of a clear-text service that only redirects.

        Who came by the real port of a mapped socket is sent to the real port of the HTTPS socket.
        """
        entrance, owner = visit.entrance, self.service.owner(visit.entrance.endpoint)
        if visit.secure or owner is None or not owner.https_redirect or owner.https_port is None:
            return None
        host, asked = authority(visit.request.headers.get("host")) or (entrance.endpoint.address, None)
        port = owner.https_port
        if entrance.port != entrance.endpoint.port and (asked or DEFAULT_PORTS["http"]) == entrance.port:
            port = self.service.secure_port(entrance) or port
        target = path_and_query(visit.request)
        location = f"https://{host_and_port(host, port, 'https')}{target if target.startswith('/') else '/'}"
        return RedirectResponse(location, 302)

    async def _guard(self, visit: Visit) -> Response | None:
        """The answer to a POST that must not reach its page."""
        path, request = visit.path, visit.request
        if request.method != "POST" or path == "/login" or path.startswith("/xml/"):
            return None
        if visit.web is None:
            return login.login_page(visit, error=login.NOT_VALID)
        try:
            form = await read_form(request)
            if is_foreign(request) or not visit.web.owns(request.headers.get("x-csrfkey") or form.get("CSRFKey")):
                raise HTTPException(403)
        except HTTPException as refusal:
            return await self._error(request, refusal)
        return None

    def _open(self, handler: Handler, *, member: bool = False) -> Callable[[Request], Awaitable[Response]]:
        """The endpoint of a page; `member`: only with a session."""

        async def endpoint(request: Request) -> Response:
            visit = Visit(self, request)
            if member and visit.web is None:
                return RedirectResponse(f"/login?referrer={quote(path_and_query(request), safe='/')}", 302)
            return await handler(visit)

        return endpoint

    async def _error(self, request: Request, error: Exception) -> Response:
        visit = Visit(self, request)
        status, headers = (error.status_code, error.headers) if isinstance(error, HTTPException) else (500, None)
        if visit.path.startswith("/xml/"):
            return Response(ERRORS.get(status, ERROR_TITLE) + "\n", status, headers, "text/plain")
        response = visit.page("error.html", ERROR_TITLE, status=status, text=ERRORS.get(status, ERROR_TITLE))
        response.headers.update(headers or {})
        return response

    async def _static_file(self, visit: Visit) -> Response:
        name: str = visit.request.path_params["name"]
        content = self._static.get(name)
        if content is None:
            raise HTTPException(404)
        return Response(content, media_type=STATIC_TYPES[Path(name).suffix])


async def _script(visit: Visit) -> Response:
    """Clients read the key from the tag that names this script; every page works without it."""
    return Response("", media_type="text/javascript; charset=utf-8")


async def _not_found(visit: Visit) -> Response:
    raise HTTPException(404)
