"""The management web service: HTTP and HTTPS of the IP interfaces, login, read-only pages, /xml/status (web-ui.md)."""
