"""`python -m asyncos_shell`: the program `asyncos-shell`."""

from __future__ import annotations

from asyncos_shell.cli import main

main(prog_name="asyncos-shell")
