"""Receiving: the SMTP server of the listeners (listenerconfig.md 5.1, 11, 12)."""
