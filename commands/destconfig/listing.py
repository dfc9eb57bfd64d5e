"""LIST and DETAIL of the destination controls (destconfig.md 6)."""

from __future__ import annotations

from appliance_state.model import Config
from appliance_state.model.destinations import DEFAULT_DOMAIN, Destination
from commands.destconfig.words import DETAIL_IP_SORT, DETAIL_LIMIT_TYPE, LIST_TLS
from commands.partial_domains import listing_order

DOMAIN_WIDTH = 22
INHERITED = "Default"


def entries(config: Config) -> list[Destination]:
    """All entries in the order of listings, without `DEFAULT`."""
    own = [entry for entry in config.destinations.entries() if entry.domain != DEFAULT_DOMAIN]
    return sorted(own, key=lambda entry: listing_order(entry.domain))


def list_text(config: Config) -> str:
    """The table of LIST: all entries, the default last."""
    shown = entries(config)
    width = max([DOMAIN_WIDTH, *(len(entry.domain) for entry in shown)])

    def row(domain: str, rate: str, tls: str, dane: str, profile: str) -> str:
        return f"{domain:<{width}}  {rate:<10}{tls:<16}{dane:<15}{profile}".rstrip()

    default = config.destinations[DEFAULT_DOMAIN]
    assert default.tls_support is not None and default.dane_support is not None
    limited = default.max_host_concurrency != 0 or default.recipient_limit is not None
    return "\n".join(
        [
            row("", "Rate", "TLS", "DANE", "Bounce"),
            row("Domain", "Limiting", "Support", "Support", "Profile"),
            row("=" * width, "=" * 8, "=" * 14, "=" * 13, "=" * 9),
            *(
                row(
                    entry.domain,
                    "On" if _has_limit(entry) or entry.max_messages_per_connection is not None else INHERITED,
                    INHERITED if entry.tls_support is None else LIST_TLS[entry.tls_support],
                    INHERITED if entry.dane_support is None else entry.dane_support.label,
                    entry.bounce_profile or INHERITED,
                )
                for entry in shown
            ),
            row("(Default)", "On" if limited else "Off", LIST_TLS[default.tls_support], default.dane_support.label, "(Default)"),
        ]
    )


def detail_text(config: Config, domain: str) -> str:
    """Every setting of one entry or of `DEFAULT`. Errors: KeyError."""
    entry = config.destinations[domain]
    is_default = entry.domain == DEFAULT_DOMAIN
    lines = [
        "Default" if is_default else entry.domain,
        f"  IP Address Preference: {INHERITED if entry.ip_sort_pref is None else DETAIL_IP_SORT[entry.ip_sort_pref]}",
        f"  Maximum messages per connection: {_number(entry.max_messages_per_connection)}",
        *_limits(entry, config.destinations[DEFAULT_DOMAIN]),
        f"  TLS: {INHERITED if entry.tls_support is None else entry.tls_support.label}",
        f"  DANE Support: {INHERITED if entry.dane_support is None else entry.dane_support.label}",
    ]
    if not is_default:
        lines.append(f"  Bounce Profile: {entry.bounce_profile or INHERITED}")
    return "\n".join(lines)


def detail_all_text(config: Config) -> str:
    """`detail_text` of all entries, the default last."""
    return "\n\n".join(detail_text(config, domain) for domain in [*(entry.domain for entry in entries(config)), DEFAULT_DOMAIN])


def _has_limit(entry: Destination) -> bool:
    return entry.max_host_concurrency is not None or entry.recipient_limit is not None


def _number(value: int | None) -> str:
    return INHERITED if value is None else f"{value:,}"


def _limits(entry: Destination, default: Destination) -> list[str]:
    if not _has_limit(entry):
        return [f"  Rate Limiting: {INHERITED}"]
    connections = "Unlimited" if entry.max_host_concurrency == 0 else _number(entry.max_host_concurrency)
    if entry.recipient_limit is not None:
        recipients = f"{entry.recipient_limit:,} recipients per {entry.recipient_minutes} minutes"
    else:
        recipients = "No recipient limit" if default.recipient_limit is None else "Default recipient limit"
    limit_type = entry.limit_type or default.limit_type
    assert limit_type is not None
    return [
        "  Rate Limiting:",
        f"   {connections} concurrent connections",
        f"   {recipients}",
        f"   Limits applied to {DETAIL_LIMIT_TYPE[limit_type]}, across all virtual gateways",
    ]
