"""The outside world of a laboratory: remote mail servers, a certificate authority, a name server. All on loopback."""
