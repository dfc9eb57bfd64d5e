"""Log subscriptions: files, their lines and the table of all messages (logs-and-alerts.md)."""
