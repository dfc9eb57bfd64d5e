"""Certificates, keys, requests, PKCS#12 files and lists of authorities: made, read and judged.

Pure: times, serial numbers and passphrases come in. What comes from outside is hostile until it is parsed: every
function ends in its result or in the exception that it names.
"""
