"""Domains and partial domains (`.example.com`) as keys of tables: their form and their order in listings.

Shared by `destconfig` and `smtproutes`. A partial domain stands for all names below it, not for itself.
"""

from __future__ import annotations

from appliance_state.names import is_hostname


def is_domain(name: str) -> bool:
    """`example.com` or `.example.com`, at least two labels."""
    return is_hostname(name.removeprefix("."))


def listing_order(domain: str) -> tuple[str, bool]:
    """Sort key of listings: by name, a partial domain after its namesake."""
    return domain.removeprefix("."), domain.startswith(".")
