"""Start options of an appliance (labs-and-ci.md 2)."""

from __future__ import annotations

from pathlib import Path

from attrs import field, frozen

from appliance_runtime.product import Product


@frozen(kw_only=True)
class StartOptions:
    """`passphrase`: given passphrase of `admin`, None = made at the first start. `maps`: rules LOGICAL=REAL in order."""

    state: Path
    maps: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    trust_anchor: str | None = None
    """DS or DNSKEY records of the root in place of the built-in keys, in master-file form"""
    ready_file: Path | None = None
    control: Path | None = None
    config_key_file: Path | None = None
    passphrase: str | None = field(default=None, repr=False)
    reset_passphrase: bool = False
    net_timeout_scale: float = 1.0
    workers: int = 0
    """processes that receive mail; they know no clock but that of the system"""
    product: Product = Product()
    serial: str | None = None
    """emulated serial number; None = the one made at the first start"""


class StartFailed(Exception):
    """The appliance cannot start. `problems`: one text per problem, without the word Error."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems
