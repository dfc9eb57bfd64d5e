"""Accepted mail per second, this appliance against Postfix on the same machine: `make bench-inbound`."""
