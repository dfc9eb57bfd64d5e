"""Outgoing mail: where it goes, over which connection, with which TLS, and what happens when it fails (delivery.md)."""
