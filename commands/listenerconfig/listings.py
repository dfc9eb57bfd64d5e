"""What `listenerconfig` shows: rows of listeners, the summary of EDIT, the block of default policy parameters.

Pure functions of the configuration, shared with `print`. Source: listenerconfig.md 2, 4, 5.
"""

from __future__ import annotations

from appliance_state.model import Config
from appliance_state.model.listeners import Listener, PolicyParameters, ReceivingTls, SenderGroup
from commands.interfaces import address_text

NO_LISTENERS = "No listeners configured."
MISSING = "missing"
"""In place of the addresses of an interface that does not exist."""


def listener_rows(config: Config) -> list[str]:
    """`1. InboundMail (on PublicNet, 192.168.2.1) SMTP TCP Port 25 Public`, by name."""
    return [f"{n}. {_row(config, listener)}" for n, listener in enumerate(config.listeners.sorted(), start=1)]


def _row(config: Config, listener: Listener) -> str:
    interface = config.interfaces.get(listener.interface)
    place = ", ".join([listener.interface, *(interface.addresses if interface else (MISSING,))])
    return f"{listener.name} (on {place}) {listener.protocol.upper()} TCP Port {listener.port} {listener.type.label}"


def summary(config: Config, listener: Listener) -> list[str]:
    """The ten lines that describe a listener in EDIT."""
    interface = config.interfaces.get(listener.interface)
    addresses = address_text(interface) if interface else MISSING
    tls = listener.hat_default.tls or ReceivingTls.OFF
    return [
        f"Name: {listener.name}",
        f"Type: {listener.type.label}",
        f"Interface: {listener.interface} ({addresses}) TCP Port {listener.port}",
        f"Protocol: {listener.protocol.upper()}",
        f"Default Domain: {listener.default_domain or ''}".rstrip(),
        f"Max Concurrency: {listener.max_concurrency} (TCP Queue: {listener.listen_queue_size})",
        f"Domain map: {'enabled' if listener.domain_map else 'disabled'}",
        f"TLS: {tls.label}",
        f"Certificate: {listener.tls_certificate}",
        f"Bounce Profile: {listener.bounce_profile}",
    ]


def size_text(octets: int) -> str:
    """`10M`, `512k`, or the number of bytes."""
    for unit, letter in ((1024 * 1024, "M"), (1024, "k")):
        if octets % unit == 0:
            return f"{octets // unit}{letter}"
    return str(octets)


def parameters_block(listener: Listener) -> str:
    """`Default Policy Parameters` and the values that are set."""
    values = listener.hat_default
    lines = ["Default Policy Parameters", "=========================="]
    lines += _limits(values) + _banners(values)
    hourly = values.max_rcpts_per_hour
    lines.append(f"Maximum Number Of Recipients Per Hour: {'Disabled' if hourly in (None, -1) else f'{hourly:,}'}")
    if values.significant_bits:
        lines.append(f"Significant Bits: {values.significant_bits}")
    lines.append(f"Allow TLS Connections: {(values.tls or ReceivingTls.OFF).label}")
    if values.tls_verify:
        lines.append("Verify Client Certificate: Yes")
    return "\n".join(lines)


def _limits(values: PolicyParameters) -> list[str]:
    return [
        f"Maximum Message Size: {size_text(values.max_message_size or 0)}",
        f"Maximum Number Of Connections From A Single IP: {values.max_concurrency or 0:,}",
        f"Maximum Number Of Messages Per Connection: {values.max_msgs_per_session or 0:,}",
        f"Maximum Number Of Recipients Per Message: {values.max_rcpts_per_msg or 0:,}",
    ]


def _banners(values: PolicyParameters) -> list[str]:
    lines = []
    if values.override_hostname is not None:
        lines.append(f"SMTP Banner Host Name: {values.override_hostname}".rstrip())
    if values.smtp_banner_text:
        lines.append(f"SMTP Banner Code: {values.smtp_banner_code}")
    if values.reject_banner_text:
        lines.append(f"SMTP Reject Banner Code: {values.reject_banner_code}")
    return lines


def host_access_status(listener: Listener) -> str:
    """Status block of HOSTACCESS."""
    named = sum(1 for group in listener.hat_sender_groups if group.name) + 1
    return "\n".join(
        [
            parameters_block(listener),
            "",
            f"There are currently {len(listener.hat_policies)} policies defined.",
            f"There are currently {named} sender groups.",
        ]
    )


def group_row(group: SenderGroup) -> str:
    """`WHITELIST (My trusted senders …)`; `(no name, first host = ALL) (Everyone else)`."""
    title = group.name or f"(no name, first host = {group.identity})"
    return f"{title} ({group.comment})" if group.comment else title


def recipient_access_status(listener: Listener) -> str:
    """Status block of RCPTACCESS; `ALL` is not counted."""
    default = listener.rat[-1].access.name if listener.rat else "REJECT"
    return f"Recipient Access Table\n\nThere are currently {max(len(listener.rat) - 1, 0)} recipients.\nDefault Access: {default}"


def domain_map_status(listener: Listener) -> str:
    count = len(listener.domain_map)
    return f"Domain Map Table\nThere are currently {count} Domain Mappings.\nDomain Mapping is: {'enabled' if count else 'disabled'}"
