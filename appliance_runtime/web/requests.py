"""What a request says about itself, read with distrust: origin, form, place to go on to (web-ui.md 1.6, 2)."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request

from appliance_runtime.web.hosts import DEFAULT_PORTS, authority

MAX_BODY = 64 * 1024
"""octets of a form without files"""
MAX_FIELDS = 200
SECRET_FIELDS = frozenset({"csrfkey", "password", "passphrase", "passphrase_confirm"})
"""query parameters whose values no log shows"""

_LOCAL_PATH = re.compile(r"/(?![/\\])[!-~]{0,2000}")


def is_foreign(request: Request) -> bool:
    """Whether Origin, or in its absence Referer, names another host than the one that was asked."""
    source = request.headers.get("origin") or request.headers.get("referer")
    if source is None:
        return False
    try:
        parts = urlsplit(source)
    except ValueError:
        return True
    there, here = authority(parts.netloc), authority(request.headers.get("host"))
    if there is None or here is None or parts.scheme not in DEFAULT_PORTS:
        return True
    default = DEFAULT_PORTS[parts.scheme]
    return (there[0].lower(), there[1] or default) != (here[0].lower(), here[1] or default)


def local_path(text: str | None) -> str | None:
    """`text` when it is a path of this host and nothing else: fit for a Location header."""
    return text if text and _LOCAL_PATH.fullmatch(text) else None


def path_and_query(request: Request) -> str:
    """The target as it came."""
    path: str = request.scope["raw_path"].decode("ascii", "replace")
    query = request.scope["query_string"].decode("ascii", "replace")
    return f"{path}?{query}" if query else path


def logged_path(request: Request) -> str:
    """The target for gui_logs: keys and passphrases in the query are left out."""
    path, mark, query = path_and_query(request).partition("?")
    pieces = []
    for piece in query.split("&"):
        name, equals, value = piece.partition("=")
        secret = unquote_plus(name).strip().lower() in SECRET_FIELDS
        pieces.append(name + equals if secret else name + equals + value)
    return path + mark + "&".join(pieces)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form, the last value of each. Errors: HTTPException 413 and 400."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise HTTPException(413, headers={"Connection": "close"})
    content_type = request.headers.get("content-type", "application/x-www-form-urlencoded").partition(";")[0].strip().lower()
    if content_type != "application/x-www-form-urlencoded":
        raise HTTPException(400)
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=MAX_FIELDS)
    except ValueError:  # also what is not UTF-8
        raise HTTPException(400) from None
    return dict(pairs)
