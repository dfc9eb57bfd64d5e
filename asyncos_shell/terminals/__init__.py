"""Terminals: where an operator is. All of them read lines and write text; what a command prints is the same on each."""
