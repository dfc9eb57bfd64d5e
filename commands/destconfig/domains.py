"""The domain questions of the destination controls (destconfig.md 4, 5)."""

from __future__ import annotations

from collections.abc import Callable

from appliance_state.model import Config
from appliance_state.model.destinations import DEFAULT_DOMAIN
from commands.dialog import Rejected
from commands.partial_domains import is_domain

DOMAIN_TEXT = 'The domain must be a fully qualified domain name or a partial domain such as ".example.com".'
USE_DEFAULT = "Use DEFAULT to change the default entry."
DEFAULT_STAYS = "The default entry cannot be deleted."


def domain_name(answer: str) -> str:
    """A domain or partial domain in lower case; a trailing period does not count."""
    domain = answer.removesuffix(".").lower()
    if not is_domain(domain):
        raise Rejected(DOMAIN_TEXT)
    return domain


def new_domain(config: Config) -> Callable[[str], str]:
    """Parser of the domain of a new entry."""

    def parse(answer: str) -> str:
        if answer.upper() == DEFAULT_DOMAIN:
            raise Rejected(USE_DEFAULT)
        domain = domain_name(answer)
        if domain in config.destinations:
            raise Rejected(f'The domain "{domain}" is already configured. Use EDIT to modify it.')
        return domain

    return parse


def existing_domain(config: Config, default: str | None = None) -> Callable[[str], str]:
    """Parser of the domain of an entry. `default` is what the word DEFAULT gets as an error; None = it is an answer."""

    def parse(answer: str) -> str:
        if answer.upper() == DEFAULT_DOMAIN:
            if default is not None:
                raise Rejected(default)
            return DEFAULT_DOMAIN
        domain = answer.removesuffix(".").lower()
        if domain not in config.destinations:
            raise Rejected(f'The domain "{answer}" was not found in the destination control table.')
        return domain

    return parse
