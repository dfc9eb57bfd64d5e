"""`print listeners` (print.md 2, 8)."""

from __future__ import annotations

from typing import Any

from appliance_runtime.sessions import Session
from appliance_state.model import Config
from appliance_state.model.listeners import Listener, ReceivingTls
from commands.listenerconfig.listings import summary

NO_LISTENERS = "There are no listeners configured."


def listeners_text(session: Session) -> str:
    config = session.draft.config
    blocks = ["\n".join(_summary(config, listener)) for listener in config.listeners.sorted()]
    return "\n\n".join([f"Listeners ({len(blocks)})", *blocks]) if blocks else NO_LISTENERS


def _summary(config: Config, listener: Listener) -> list[str]:
    """The summary of EDIT; behind its TLS line the policies that have a value of their own."""
    lines = summary(config, listener)
    policies = sorted(listener.hat_policies, key=lambda policy: policy.name.casefold())
    own = [f"{policy.name} {policy.parameters.tls.label}" for policy in policies if policy.parameters.tls is not None]
    if own:
        tls = next(number for number, line in enumerate(lines) if line.startswith("TLS: "))
        lines.insert(tls + 1, f"TLS by policy: {', '.join(own)}")
    return lines


def listeners_json(session: Session) -> dict[str, Any]:
    config = session.draft.config
    return {"listeners": [_listener_json(config, listener) for listener in config.listeners.sorted()]}


def _listener_json(config: Config, listener: Listener) -> dict[str, Any]:
    interface = config.interfaces.get(listener.interface)
    default = listener.hat_default
    return {
        "name": listener.name,
        "type": listener.type.value,
        "interface": listener.interface,
        "address": next(iter(interface.addresses), None) if interface else None,
        "port": listener.port,
        "protocol": listener.protocol,
        "default_domain": listener.default_domain,
        "max_concurrency": listener.max_concurrency,
        "listen_queue_size": listener.listen_queue_size,
        "tls": (default.tls or ReceivingTls.OFF).value,
        "tls_verify": bool(default.tls_verify),
        "policies": {
            policy.name: {
                "behavior": policy.behavior.value,
                "tls": policy.parameters.tls.value if policy.parameters.tls is not None else None,
                "tls_verify": policy.parameters.tls_verify,
            }
            for policy in sorted(listener.hat_policies, key=lambda policy: policy.name.casefold())
        },
        "tls_certificate": listener.tls_certificate,
        "bounce_profile": listener.bounce_profile,
    }
