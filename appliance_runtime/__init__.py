"""What is really running: sockets, TLS, mail queue, delivery, logs, alerts, and the commit that switches them."""
