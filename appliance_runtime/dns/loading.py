"""The resolver as the appliance starts with it: the DNS library is loaded with the first look-up, for it takes a tenth of the start."""

from __future__ import annotations

import asyncio
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from appliance_runtime.dns.resolver import Resolver

LOAD_AFTER = 1.0
"""seconds after the start, if nothing was looked up until then"""


class _Loading:
    """Becomes a resolver when it is first used."""

    def __init__(self, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        self._arguments = arguments
        self._options = options

    @cached_property
    def _resolver(self) -> Resolver:
        from appliance_runtime.dns.resolver import Resolver

        return Resolver(*self._arguments, **self._options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._resolver, name)


def loading_resolver(*arguments: Any, **options: Any) -> Resolver:
    """Arguments as of `Resolver`."""
    return cast("Resolver", _Loading(arguments, options))


async def load_soon() -> None:
    """Load the library in a thread, so that the first message does not wait for it."""
    await asyncio.sleep(LOAD_AFTER)
    await asyncio.to_thread(_load)


def _load() -> None:
    import appliance_runtime.dns.resolver  # noqa: F401
