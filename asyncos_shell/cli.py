"""The program `asyncos-shell` (labs-and-ci.md 2): options, and which way to run. Everything slow is imported when it is needed."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from appliance_runtime.options import StartOptions

TEMPORARY = "temp"
PASSPHRASE_VARIABLE = "ASYNCOS_SHELL_ADMIN_PASSPHRASE"
ATTACHING = frozenset({"state", "ui", "line", "verb"})
"""parameters that a session at a running appliance takes"""
TRIES = 5


def main(prog_name: str | None = None) -> None:
    """Run the program. The tools of the laboratory are commands of their own, which start no appliance."""
    if sys.argv[1:2] == ["lab"]:
        from asyncos_shell.lab.cli import lab

        lab(sys.argv[2:], prog_name="asyncos-shell lab")
    program(prog_name=prog_name)


@click.command(
    context_settings={"auto_envvar_prefix": "ASYNCOS_SHELL", "help_option_names": ["-h", "--help"]},
    epilog="Every option is also an environment variable: --ready-file is ASYNCOS_SHELL_READY_FILE. The option wins.",
)
@click.argument("verb", required=False, type=click.Choice(["serve", "attach"]))
@click.option(
    "-c", "line", metavar="'COMMAND; …'", allow_from_autoenv=False, help="Run one line of commands; answers come from standard input."
)
@click.option("--state", metavar="DIR", help="State directory; 'temp' = a fresh one, removed at exit.")
@click.option("--ready-file", type=click.Path(path_type=Path), help="Write the ready document here when all services answer.")
@click.option(
    "--map",
    "maps",
    multiple=True,
    metavar="LOGICAL=REAL",
    envvar="ASYNCOS_SHELL_MAP",
    help="Where a logical address really is; repeatable.",
)
@click.option("--map-file", type=click.Path(path_type=Path), help="File with mapping rules, one a line.")
@click.option("--dns", multiple=True, metavar="ADDR[:PORT]", help="Name server of a new state directory; repeatable.")
@click.option(
    "--trust-anchor",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="DNSSEC keys of the root zone in place of the built-in ones: DS or DNSKEY records.",
)
@click.option(
    "--net-timeout-scale", type=click.FloatRange(0, min_open=True), default=1.0, metavar="F", help="Factor for all network time limits."
)
@click.option(
    "--workers",
    type=click.IntRange(0, 64),
    default=0,
    metavar="N",
    help="Processes that receive mail beside the appliance's own; 0, the default: none.",
)
@click.option(
    "--admin-passphrase-file",
    type=click.Path(path_type=Path),
    help="The first line is the passphrase of the user admin at the first start.",
)
@click.option("--reset-admin-passphrase", is_flag=True, help="Set the passphrase of the user admin anew.")
@click.option("--config-key-file", type=click.Path(path_type=Path), help="Key that seals secrets; default <state>/config.key.")
@click.option("--model", metavar="NAME", help="Emulated model.")
@click.option("--asyncos-version", metavar="X.Y.Z", help="Emulated version.")
@click.option("--build", metavar="NNN", help="Emulated build.")
@click.option("--serial", metavar="TEXT", help="Emulated serial number.")
@click.option("--ui", type=click.Choice(["auto", "rich", "plain"]), default="auto", help="Drawing of the local terminal.")
@click.pass_context
def program(context: click.Context, /, **given: Any) -> None:
    """A session at the appliance: at a terminal, or a script on standard input.

    \b
    asyncos-shell             a session; starts the appliance unless it is running
    asyncos-shell serve       the appliance until SIGTERM
    asyncos-shell attach      a session at a running appliance only
    asyncos-shell lab tlsa    TLSA records for a certificate
    """
    passphrase = os.environ.pop(PASSPHRASE_VARIABLE, None)
    if given["verb"] == "serve" and given["line"] is not None:
        raise click.UsageError("serve takes no -c.")
    temporary = given["state"] == TEMPORARY
    state = Path(tempfile.mkdtemp(prefix="asyncos-shell-")) if temporary else _state(given["state"])
    try:
        status = _run(context, given, state, passphrase)
    finally:
        if temporary:
            shutil.rmtree(state, ignore_errors=True)
    sys.exit(status)


def _state(given: str | None) -> Path:
    from appliance_runtime.state_directory import default_state_directory

    return Path(given).absolute() if given else default_state_directory()


def _run(context: click.Context, given: dict[str, Any], state: Path, passphrase: str | None) -> int:
    from asyncos_shell.attach import NotRunning, attach, is_running

    verb, line = given["verb"], given["line"]
    if verb == "attach":
        _refuse_start_options(context)
        try:
            return attach(state, line=line)
        except NotRunning:
            return _errors("No appliance is running on this state directory.")
    for _ in range(TRIES):
        if is_running(state):
            if verb == "serve":
                return _errors("The appliance of this state directory is already running.")
            _refuse_start_options(context)
            try:
                return attach(state, line=line)
            except NotRunning:
                continue  # it has just ended
        status = _start(given, state, passphrase)
        if status is not None:
            return status
    return _errors("The state directory is in use.")


def _start(given: dict[str, Any], state: Path, passphrase: str | None) -> int | None:
    """Run with an own appliance; None = somebody else was faster."""
    import asyncio

    from appliance_runtime.options import StartFailed
    from appliance_runtime.state_directory import Locked
    from asyncos_shell.local import run
    from asyncos_shell.serve import serve

    try:
        options = _options(given, state, passphrase)
        if given["verb"] == "serve":
            return asyncio.run(serve(options))
        return asyncio.run(run(options, line=given["line"], ui=given["ui"]))
    except Locked:
        return None
    except StartFailed as failure:
        return _errors(*failure.problems)


def _options(given: dict[str, Any], state: Path, passphrase: str | None) -> StartOptions:
    from appliance_runtime.options import StartFailed, StartOptions
    from appliance_runtime.product import Product

    names = {"model": "model", "asyncos_version": "version", "build": "build"}
    emulated = {field: given[option] for option, field in names.items() if given[option]}
    try:
        rules = given["map_file"].read_text().splitlines() if given["map_file"] else []
        anchor = given["trust_anchor"].read_text() if given["trust_anchor"] else None
        if given["admin_passphrase_file"]:
            passphrase = given["admin_passphrase_file"].read_text().partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise StartFailed(str(error)) from None
    return StartOptions(
        state=state,
        maps=(*(rule.strip() for rule in rules if rule.strip() and not rule.lstrip().startswith("#")), *given["maps"]),
        dns=given["dns"],
        trust_anchor=anchor,
        ready_file=given["ready_file"],
        config_key_file=given["config_key_file"],
        passphrase=passphrase,
        reset_passphrase=given["reset_admin_passphrase"],
        net_timeout_scale=given["net_timeout_scale"],
        workers=given["workers"],
        product=Product(**emulated),
        serial=given["serial"],
    )


def _refuse_start_options(context: click.Context) -> None:
    """Options that start an appliance make no sense for one that runs; as environment variables they are ignored."""
    for parameter in context.command.params:
        name = parameter.name or ""
        if name not in ATTACHING and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{parameter.opts[0]} starts an appliance, but a session at a running one was asked for.")


def _errors(*problems: str) -> int:
    for problem in problems:
        click.echo(f"Error: {problem}", err=True)
    return 1
