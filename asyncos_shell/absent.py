"""Commands of AsyncOS that this product does not have: they get a text of their own (conventions.md 12)."""

from __future__ import annotations

_NAMES = """
addresslistconfig adminaccessconfig aliasconfig altsrchost ampconfig antispamconfig antispamstatus antispamupdate
antivirusconfig antivirusstatus antivirusupdate archivemessage bvconfig callaheadconfig clustercheck clusterconfig
contentscannerstatus contentscannerupdate diagnostic dictionaryconfig dig diskquotaconfig dlprollback dlpstatus
dlpupdate dmarcconfig dnsflush dnshostprefs dnslistconfig dnslistflush dnslisttest dnsstatus domainkeysconfig ecconfig
ecstatus ecupdate emconfig emdiagnostic encryptionconfig encryptionstatus encryptionupdate enginestatus etherconfig
exceptionconfig featurekey featurekeyconfig filters fipsconfig generalconfig geolocationupdate graymailconfig
graymailstatus graymailupdate imageanalysisconfig incomingrelayconfig license_smart
loadconfig loadlicense localeconfig logconfig mailconfig netstat nslookup ntpconfig outbreakconfig outbreakflush
outbreakstatus outbreakupdate packetcapture ping ping6 policyconfig processconfig quarantineconfig reboot
redirectrecipients remotepower repengstatus reportingconfig resetconfig resetqueue revert routeconfig samlconfig
saveconfig scanconfig senderbaseconfig setgateway settime showconfig showlicense slblconfig smaconfig smimeconfig
smtpauthconfig snmpconfig stripheaders supportrequest supportrequeststatus supportrequestupdate systemsetup
techsupport telnet textconfig threatfeedconfig threatfeedstatus trace traceroute traceroute6 tzupdate unsubscribe
upgrade urllistconfig userconfig webcacheflush websecurityadvancedconfig websecurityconfig websecuritydiagnostics
wipedata
"""


def absent(name: str) -> bool:
    """Whether AsyncOS has a command of this name. Only asked for names that are no command here."""
    return name.lower() in _NAMES.split()
