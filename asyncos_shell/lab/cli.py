"""`asyncos-shell lab`: tools of the laboratory that need no appliance (labs-and-ci.md 10.3)."""

from __future__ import annotations

import itertools
from pathlib import Path

import click
from cryptography.hazmat.primitives.serialization import Encoding

from appliance_state.certificates.names import names_of
from appliance_state.certificates.pem import NotReadable, read_certificates
from asyncos_shell.lab.tlsa_lines import MATCHING_TYPES, SELECTORS, USAGES, record_data


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def lab() -> None:
    """Tools of the laboratory."""


@lab.command()
@click.argument("pem", type=click.Path(path_type=Path))
@click.option("--usage", type=click.IntRange(0, 3), help="0 PKIX-TA, 1 PKIX-EE, 2 DANE-TA, 3 DANE-EE.")
@click.option("--selector", type=click.IntRange(0, 1), help="0 the certificate, 1 its public key.")
@click.option("--type", "matching_type", type=click.IntRange(0, 2), help="0 all of it, 1 SHA-256, 2 SHA-512.")
def tlsa(pem: Path, usage: int | None, selector: int | None, matching_type: int | None) -> None:
    """Print the TLSA records for a certificate and those of its issuers that follow it in the file.

    Usages 1 and 3 are made of the first certificate, 0 and 2 of the last one. What is not chosen is printed in every form.
    """
    try:
        certificates = read_certificates(pem.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(str(error)) from None
    except NotReadable:
        raise click.ClickException(f"There is no readable certificate in {pem}.") from None
    names = names_of(certificates[0]).dns_names
    owner = f"_25._tcp.{names[0]}." if names else "@"
    chain = [certificate.public_bytes(Encoding.DER) for certificate in certificates]
    chosen = (
        [one] if one is not None else every for one, every in ((usage, USAGES), (selector, SELECTORS), (matching_type, MATCHING_TYPES))
    )
    for form in itertools.product(*chosen):
        click.echo(f"{owner} IN TLSA {record_data(chain, *form)}")
