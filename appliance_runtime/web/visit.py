"""One request with all that a page needs to answer it: who asks, through which socket, and how a page is rendered.

Every value in a page passes two rules: control characters become visible (logs-and-alerts.md 1, rule 6), and HTML is escaped.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, cast

import jinja2
from attrs import frozen
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from appliance_runtime.logs.escaping import escape
from appliance_runtime.web.hosts import authority, host_and_port
from appliance_runtime.web.sessions import WebSession, new_key
from appliance_state.model import Config

if TYPE_CHECKING:
    from appliance_runtime.appliance import Appliance
    from appliance_runtime.web.app import Website
    from appliance_runtime.web.service import Entrance

LANGUAGE = "en-us"
MENU: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("Monitor", (("Overview", "/monitor/overview"), ("System Status", "/monitor/system_status"))),
)
"""menu -> entries: label, path"""


@frozen
class MenuEntry:
    label: str
    path: str
    current: bool

    @property
    def id(self) -> str:
        return f"menu-{self.path.strip('/').replace('/', '_')}"


def _visible(value: object) -> object:
    return escape(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@functools.cache
def templates() -> jinja2.Environment:
    """The page templates. A name that a template does not get is an error, not a blank."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        auto_reload=False,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )


@frozen(eq=False)
class Visit:
    site: Website
    request: Request

    @property
    def appliance(self) -> Appliance:
        return self.site.appliance

    @property
    def config(self) -> Config:
        """The running configuration."""
        return self.appliance.live().config

    @property
    def entrance(self) -> Entrance:
        return cast("Entrance", self.request.scope["state"]["entrance"])

    @property
    def web(self) -> WebSession | None:
        """The live session of the client, if it has one."""
        return cast("WebSession | None", self.request.scope["state"]["web"])

    @property
    def secure(self) -> bool:
        return self.entrance.endpoint.service == "https"

    @property
    def path(self) -> str:
        return cast(str, self.request.scope["path"])

    @property
    def remote(self) -> str:
        """Address of the client."""
        return self.request.client.host if self.request.client else "-"

    @property
    def base_url(self) -> str:
        """Scheme and host as the client knows them; a Host header that is no host name is not repeated."""
        scheme = self.entrance.endpoint.service
        named = authority(self.request.headers.get("host"))
        if named is None:
            return f"{scheme}://{host_and_port(self.entrance.endpoint.address, self.entrance.endpoint.port, scheme)}"
        host, port = named
        return f"{scheme}://{host}" if port is None else f"{scheme}://{host}:{port}"

    def page(self, template: str, title: str, *, status: int = 200, member: bool = True, **values: object) -> Response:
        """A page in the frame. `member`: False = the frame of those who are not logged in."""
        web = self.web if member else None
        key = web.key if web else new_key()
        warnings = list(web.warnings) if web else []
        if web:
            web.warnings.clear()
        body = (
            templates()
            .get_template(template)
            .render(
                title=title,
                hostname=self.config.system.hostname,
                product=self.appliance.product,
                user=web.session.user if web else None,
                key=key,
                # The ampersand stands bare: clients read the key from exactly this tag. All its parts are checked or our own.
                script_tag=Markup(
                    f'<script type="text/javascript" src="{self.base_url}/javascript?CSRFKey={key}&language={LANGUAGE}"></script>'
                ),
                menu=[(label, [MenuEntry(name, to, to == self.path) for name, to in entries]) for label, entries in MENU] if web else [],
                warnings=warnings,
                **values,
            )
        )
        return HTMLResponse(body, status)
