"""The message table: every line of every log, by event name (logs-and-alerts.md 2 to 6).

One edit here corrects a wording everywhere. Placeholders are the fields of the event.
"""

from __future__ import annotations

from attrs import frozen

from appliance_state.model.logs import LogType

CRITICAL, WARNING, INFO, DEBUG, TRACE = 1, 2, 3, 4, 5
LEVEL_WORDS = {CRITICAL: "Critical", WARNING: "Warning", INFO: "Info", DEBUG: "Debug", TRACE: "Trace"}


@frozen
class Message:
    log: LogType
    text: str
    level: int = INFO


def _mail(text: str, level: int = INFO) -> Message:
    return Message(LogType.MAIL, text, level)


def _system(text: str, level: int = INFO) -> Message:
    return Message(LogType.SYSTEM, text, level)


def _cli(text: str, level: int = INFO) -> Message:
    return Message(LogType.CLI, text, level)


def _authentication(text: str, level: int = INFO) -> Message:
    return Message(LogType.AUTHENTICATION, text, level)


MESSAGES: dict[str, Message] = {
    # receiving
    "icid.open": _mail(
        "New SMTP ICID {icid} interface {interface} ({interface_ip}) address {ip} reverse dns host {hostname} verified {verified}"
    ),
    "icid.policy": _mail("ICID {icid} {behavior} SG {group} match {entry} SBRS not enabled country not enabled"),
    "icid.refused": _mail("ICID 0 TCPREFUSE SG {group} match {entry} SBRS None"),
    "icid.delayed_reject": _mail("ICID {icid} Delayed HAT REJECT continuing session for recipient logging ({ip})"),
    "icid.tls_success": _mail("ICID {icid} TLS success protocol {protocol} cipher {cipher}"),
    "icid.tls_client_success": _mail("ICID {icid} TLS verify success: client certificate CN={common_name}"),
    "icid.tls_client_failed": _mail("ICID {icid} TLS verify failed: {reason}"),
    "icid.tls_failed": _mail("ICID {icid} TLS failed: {reason}"),
    "icid.tls_required": _mail("ICID {icid} TLS was required but remote host did not initiate it"),
    "mid.start": _mail("Start MID {mid} ICID {icid}"),
    "mid.from": _mail("MID {mid} ICID {icid} From: <{sender}>"),
    "mid.to": _mail("MID {mid} ICID {icid} RID {rid} To: <{recipient}>"),
    "mid.rcpt_rejected": _mail("MID {mid} ICID {icid} To: <{recipient}> Rejected by {by}"),
    "icid.bad_sender": _mail("ICID {icid} Invalid sender address: {argument}"),
    "icid.bad_recipient": _mail("ICID {icid} MID {mid} Invalid recipient address:  '{command}'"),
    "icid.unknown": _mail("ICID {icid} Unknown command: {command}", DEBUG),
    "icid.command": _mail("ICID {icid} < {line}", DEBUG),
    "icid.reply": _mail("ICID {icid} > {line}", DEBUG),
    "icid.receiving_failed": _mail("ICID {icid} Receiving Failed: {reason}"),
    "icid.timeout": _mail("ICID {icid} disconnected address {ip}, no messages injected within timeout period"),
    "icid.overtime": _mail("ICID {icid} disconnected address {ip}, exceeded allowable connection time"),
    "icid.lost": _mail("ICID {icid} lost"),
    "icid.close": _mail("ICID {icid} close"),
    "mid.message_id": _mail("MID {mid} Message-ID {message_id}"),
    "mid.subject": _mail('MID {mid} Subject "{subject}"'),
    "mid.ready": _mail("MID {mid} ready {size} bytes from <{sender}>"),
    "mid.policy": _mail("MID {mid} matched all recipients for per-recipient policy DEFAULT in the {direction} table"),
    "mid.masquerade_sender": _mail("MID {mid} masquerading envelope sender from '{old}' to '{new}'"),
    "mid.masquerade_header": _mail("MID {mid} masquerading header '{header}' from '{old}' to '{new}'"),
    "mid.queued": _mail("MID {mid} queued for delivery"),
    "mid.aborted": _mail("Message aborted MID {mid} {reason}"),
    "mid.finished": _mail("Message finished MID {mid} {outcome}"),
    # delivery
    "dcid.open": _mail("New SMTP DCID {dcid} interface {source} address {ip} port {port}"),
    "dcid.error": _mail(
        "Connection Error: DCID {dcid} domain: {domain} IP: {ip} port: {port} details: {details} interface: {source} reason: {reason}"
    ),
    "dcid.tls_success": _mail("DCID {dcid} TLS success protocol {protocol} cipher {cipher}"),
    "dcid.verify_success": _mail("DCID {dcid} TLS verify success: {presented} matches {reference}"),
    "dcid.verify_failed": _mail("DCID {dcid} TLS verify failed: {reason}"),
    "dcid.dane": _mail("DCID {dcid} TLS DANE success: TLSA {usage} {selector} {matching_type} matches the certificate of {base}{notes}"),
    "dcid.dane_not_used": _mail("DCID {dcid} TLS DANE not used: {reason}"),
    "dcid.starttls_not_offered": _mail("DCID {dcid} STARTTLS command not supported"),
    "dcid.tls_failed": _mail("DCID {dcid} TLS failed: {reason}"),
    "dcid.tls_required": _mail("DCID {dcid} IP {ip} TLS was required but could not be successfully negotiated"),
    "dcid.close": _mail("DCID {dcid} close"),
    "mid.delivery_start": _mail("Delivery start DCID {dcid} MID {mid} to RID {rids}"),
    "mid.delivered": _mail("Message done DCID {dcid} MID {mid} to RID {rids}{headers}"),
    "mid.response": _mail("MID {mid} RID {rids} Response '{response}'"),
    "mid.delayed": _mail("Delayed: DCID {dcid} MID {mid} to RID {rid} - {status} - {status_text} ({code}, {lines}) []"),
    "mid.pending": _mail("Message {mid} to RID {rids} pending till {date}"),
    "mid.bounced": _mail("Bounced: DCID {dcid} MID {mid} to RID {rid} - {status} - {status_text} ({code}, {lines}) []"),
    "mid.bounce_generated": _mail("MID {new_mid} was generated for bounce of MID {mid}"),
    "mid.double_bounce": _mail("Double bounce: MID {mid} to {rid} - {status} - {status_text} {reply}"),
    "mid.possible_delivery": _mail("Possible Delivery: DCID: {dcid} MID {mid} to {rids}"),
    "mid.discarded": _mail('MID {mid} RID {rids} discarded by SMTP route "/dev/null"'),
    "mid.deleted": _mail("Deleted: MID {mid} to {rids}"),
    "delivery.suspended": _mail("Deliveries are currently suspended [{domain}]"),
    "dns.temporary": _mail("DNS Temporary Failure {host} {type} - {failure}"),
    "dns.hard": _mail("DNS Hard Error looking up {host} ({type}):  {failure}"),
    "demo.in_use": _mail("{text}", WARNING),
    # alert mail
    "alert.attempt": _mail("Internal SMTP system attempting to send a message to {address} with subject '{subject}' (attempt #{attempt})."),
    "alert.success": _mail("Internal SMTP system successfully sent a message to {address} with subject '{subject}'."),
    "alert.sent": _mail('A {severity_class} alert was sent to {address} with subject "{subject}".'),
    "alert.plain_text": _mail(
        "TLS connection failed because of an unsupported protocol issue. Alert message is sent in plain text to {address}"
    ),
    "alert.error": _mail("Internal SMTP Error: Failed to send message to host {host} for recipient {address}: {reason}.", WARNING),
    "alert.giving_up": _mail("Internal SMTP giving up on message to {address} with subject '{subject}': Unrecoverable error.", CRITICAL),
    "alert.failed": _mail(
        'Error while sending alert: Unable to send {severity_class} alert to {address} with subject "{subject}".', CRITICAL
    ),
    # bounces
    "bounces.bounced": Message(
        LogType.BOUNCES,
        "Bounced: DCID {dcid} MID {mid} From:<{sender}> To:<{recipient}> RID {rid} - {status} - {status_text} ({code}, {lines})",
    ),
    # system
    "system.up": _system("System is coming up."),
    "system.down": _system("System is going down."),
    "system.receiving_suspended": _system("Receiving suspended{what} by {user}."),
    "system.receiving_resumed": _system("Receiving resumed{what} by {user}."),
    "system.delivery_suspended": _system("Mail delivery suspended{what} by {user}."),
    "system.delivery_resumed": _system("Mail delivery resumed{what} by {user}."),
    "system.work_queue_paused": _system("Work queue paused: {reason}"),
    "system.work_queue_resumed": _system("Work queue resumed by {user}."),
    "system.commit": _system("PID {pid}: User {user} commit changes: {comment}"),
    "system.commit_failed": _system("PID {pid}: User {user} commit failed: {error}", WARNING),
    "system.conflicts": _system("PID {pid}: User {user} resolved {count} commit conflicts ({own} own, {committed} committed)."),
    "system.dane": _system("{text}", WARNING),
    "system.interface_listening": _system("Interface {owner}: {service} is listening on {address} port {port}"),
    "system.listener_listening": _system("Listener {owner}: listening on {address} port {port}"),
    "system.update": _system("{text}"),
    "system.update_failed": _system("{text}", WARNING),
    "system.expiry": _system("{text}", WARNING),
    "system.expired": _system("{text}", CRITICAL),
    "system.ldap_test_succeeded": _system("LDAP: test of server {server} ({places}) succeeded"),
    "system.ldap_test_failed": _system("LDAP: test of server {server} ({places}) failed: {cause}", WARNING),
    "system.crl": _system("{text}"),
    "system.crl_failed": _system("{text}", WARNING),
    "system.alert_unsent": _system("Alert {alert} was not sent: no recipients."),
    "system.fault": _system("An application fault occurred: {service}: {error}", CRITICAL),
    # authentication
    "authentication.logged_on": _authentication(
        "The user {user} successfully logged on from {remote} with privilege {role} using an {protocol} connection."
    ),
    "authentication.success": _authentication("User {user} was authenticated successfully."),
    "authentication.failure": _authentication("User {user} failed authentication from {remote} using an {protocol} connection.", WARNING),
    "authentication.locked": _authentication('The account "{user}" was locked after {count} failed login attempts.', WARNING),
    # cli
    "cli.login": _cli("PID {pid}: User {user} login from {remote} on {session}"),
    "cli.command": _cli("PID {pid}: User {user} entered '{line}'; prompt was ''; command was {outcome}"),
    "cli.logout": _cli("PID {pid}: User {user} logout from {remote}"),
    "cli.uncommitted": _cli("User {user} left with uncommitted changes.", WARNING),
    "cli.profile": _cli('Certificate profile "{profile}" {what}'),
    "cli.fqdn_yes": _cli("Certificate is FQDN compliant"),
    "cli.fqdn_no": _cli("Certificate is not FQDN compliant", WARNING),
    # gui
    "gui.request": Message(LogType.GUI, "req:{remote} user:{user} id:{session} {status} {method} {path} HTTP/{version} {agent}"),
    "gui.ssl_error": Message(LogType.GUI, "SSL error with client {remote} - ({number}, '{error}')", WARNING),
}
