"""The table of what is supplied: which names of which modules, and where in Python 3 the rest is.

It names the modules only; what they hold is imported when a broker asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping

RENAMED: Mapping[str, str] = {
    "StringIO": "io",
    "cStringIO": "io",
    "email.MIMEMultipart": "email.mime.multipart",
    "email.MIMEText": "email.mime.text",
    "urlparse": "urllib.parse",
}
"""Module of 2008 -> the one that has its names today."""

OWN: Mapping[str, str] = {
    "base64": "base64",
    "cgi": "cgi",
    "django": "django",
    "django.utils": "django.utils",
    "simplejson": "json",
    "urllib": "urllib",
    "urllib2": "",
    "xmlrpclib": "xmlrpc.client",
}
"""Module of 2008 that holds names of ours -> the one that has the rest; '' if there is none."""

GONE_MODULES = frozenset(RENAMED) | {"django.utils.simplejson", "simplejson", "urllib2", "xmlrpclib"}
"""What Python 3 cannot import, and a broker of 2008 can."""

_GONE: Mapping[str, tuple[str, ...]] = {
    "base64": ("encodestring",),
    "cgi": ("escape",),
    "urllib": (
        "FancyURLopener",
        "URLopener",
        "_urlopener",
        "quote",
        "quote_plus",
        "unquote",
        "unquote_plus",
        "urlencode",
        "urlopen",
    ),
}
GONE_NAMES = frozenset((module, name) for module, names in _GONE.items() for name in names)
"""(module, name): likewise, of modules that Python 3 has."""

REMEDIES: Mapping[str, str] = {
    "ConfigParser": "configparser has it",
    "Queue": "queue has it",
    "commands": "subprocess.getoutput does it",
    "cookielib": "http.cookiejar has it",
    "httplib": "write it with urllib2, or with `from brokers.transport import http`",
    "md5": "hashlib.md5(bytes(text, 'utf-8')) does it",
    "packages": "write `import requests`; its answers have json() as a method now",
    "sha": "hashlib.sha1(bytes(text, 'utf-8')) does it",
}
"""Module that is not supplied -> what to write."""
