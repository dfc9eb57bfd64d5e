"""Words of the destination controls besides the labels of the dialog: in LIST, in DETAIL and in the INI file (destconfig.md 1, 6, 7)."""

from __future__ import annotations

from appliance_state.model.destinations import DaneSupport, IpSortPref, LimitApply, LimitType, TlsSupport

DANE_NEEDS_TLS = "DANE needs TLS support."

LIST_TLS = {
    TlsSupport.NO: "Off",
    TlsSupport.PREFERRED: "Pref",
    TlsSupport.REQUIRED: "Req",
    TlsSupport.PREFERRED_VERIFY: "Pref-Verify",
    TlsSupport.REQUIRED_VERIFY: "Req-Verify",
    TlsSupport.REQUIRED_VERIFY_HOSTED: "Req-VerifyHost",
}

DETAIL_IP_SORT = {
    IpSortPref.PREFER_V4: "IPv4 Preferred",
    IpSortPref.PREFER_V6: "IPv6 Preferred",
    IpSortPref.REQUIRE_V4: "IPv4 Required",
    IpSortPref.REQUIRE_V6: "IPv6 Required",
}
DETAIL_LIMIT_TYPE = {LimitType.HOST: "entire domain", LimitType.MXIP: "each mail exchanger IP address"}

# The first word is the one that is written; all are read, in any case.
FILE_TLS = {
    TlsSupport.NO: ("off", "0"),
    TlsSupport.PREFERRED: ("on", "1"),
    TlsSupport.REQUIRED: ("required", "2", "require"),
    TlsSupport.PREFERRED_VERIFY: ("on_verify", "3"),
    TlsSupport.REQUIRED_VERIFY: ("require_verify", "4"),
    TlsSupport.REQUIRED_VERIFY_HOSTED: ("require_verify_host", "5"),
}
FILE_DANE = {
    DaneSupport.NO: ("none", "0", "no"),
    DaneSupport.OPPORTUNISTIC: ("opportunistic", "1"),
    DaneSupport.MANDATORY: ("mandatory", "2"),
}
FILE_IP_SORT = {value: (value.value.upper(),) for value in IpSortPref}
FILE_LIMIT_TYPE = {LimitType.HOST: ("host", "0"), LimitType.MXIP: ("MXIP", "1")}
FILE_LIMIT_APPLY = {LimitApply.SYSTEM: ("system", "0")}
FILE_SWITCH = {False: ("0", "off"), True: ("1", "on")}
