"""How an operator gets in: command line, terminals, SSH, batch lines. Imports at the edge only what it needs."""
