"""The configuration as a JSON document: what the store keeps of a generation.

Tables are lists of entries in their order, sets are sorted lists, a secret is `{"id": …}`. An entry of the
destination controls and a set of policy parameters are written without the fields that inherit: they are many.
"""

from __future__ import annotations

import hashlib
import json
import typing
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from cattrs import Converter
from cattrs.gen import make_dict_unstructure_fn

from appliance_state.model import Config
from appliance_state.model.certificates import SecretRef
from appliance_state.model.destinations import Destination
from appliance_state.model.listeners import PolicyParameters
from appliance_state.table import Table

SCHEMA = 1
_INHERITING = (Destination, PolicyParameters)


class Unreadable(Exception):
    """The document is not one of a configuration that this version knows."""


def _converter() -> Converter:
    converter = Converter()

    def table_in(value: list[Any], kind: Any) -> Table[Any]:
        (entry,) = typing.get_args(kind)
        return Table(converter.structure(item, entry) for item in value)

    def table_out(kind: Any) -> Callable[[Table[Any]], list[Any]]:
        (entry,) = typing.get_args(kind)
        one = converter.get_unstructure_hook(entry)
        return lambda table: [one(item) for item in table.entries()]

    def is_table(kind: Any) -> bool:
        return typing.get_origin(kind) is Table

    def is_set(kind: Any) -> bool:
        return typing.get_origin(kind) is frozenset

    converter.register_structure_hook_func(is_table, table_in)
    converter.register_unstructure_hook_factory(is_table, table_out)
    converter.register_unstructure_hook_func(is_set, lambda items: sorted(list(i) if isinstance(i, tuple) else i for i in items))
    converter.register_structure_hook(StrEnum, lambda value, kind: kind(value))
    converter.register_structure_hook(str | SecretRef | None, lambda value, _: SecretRef(**value) if isinstance(value, dict) else value)
    for kind in _INHERITING:
        converter.register_unstructure_hook(kind, make_dict_unstructure_fn(kind, converter, _cattrs_omit_if_default=True))
    return converter


class Documents:
    """Reads and writes documents. Building the converter costs milliseconds, so there is one."""

    def __init__(self) -> None:
        self._converter = _converter()

    def dump(self, config: Config) -> bytes:
        tree = self._converter.unstructure(config, unstructure_as=Config)
        return json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode()

    def load(self, document: bytes, schema: int = SCHEMA) -> Config:
        """Errors: Unreadable."""
        if schema != SCHEMA:
            raise Unreadable(f"schema {schema}")
        try:
            tree = json.loads(document)
            if not isinstance(tree, dict):
                raise Unreadable("it is no object")
            return self._converter.structure(tree, Config)
        except (ValueError, KeyError, TypeError, ExceptionGroup) as error:
            raise Unreadable(str(error)) from error


def digest(document: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(document).hexdigest()
