from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.transport import address
from brokers.transport.address import Kind

NEVER_BY_A_WORD = [
    "0.0.0.0",
    "0.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "169.254.169.254",
    "192.0.0.192",
    "192.88.99.1",
    "198.18.0.1",
    "203.0.113.7",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "5f00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
    "::ffff:169.254.169.254",
]
WORDS = ("external", "private", "loopback")


@pytest.mark.parametrize("text", NEVER_BY_A_WORD)
def test_no_word_and_no_host_glob_opens_a_special_address(text):
    assert address.kind_of(address.parse(text)) == Kind.SPECIAL
    assert not address.permits((*WORDS, "special", "*"), "host.example", address.parse(text))


@pytest.mark.parametrize("text", NEVER_BY_A_WORD)
def test_its_network_opens_a_special_address(text):
    assert address.permits((str(address.parse(text)),), "host.example", address.parse(text))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.0.1", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("10.0.0.1", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("::ffff:10.0.0.1", "private"),
        ("fd12::1", "private"),
        ("172.32.0.1", "external"),
        ("9.9.9.9", "external"),
        ("2606:4700::1111", "external"),
        ("2001:4860:4860::8888", "external"),
    ],
)
def test_each_word_opens_its_own_kind_only(text, word):
    found = address.parse(text)
    assert [one for one in WORDS if address.permits((one,), "host.example", found)] == [word]
    assert address.permits((word.upper(),), "host.example", found)


@pytest.mark.parametrize(
    ("entry", "host", "text", "expected"),
    [
        ("10.1.0.0/16", "ci", "10.1.2.3", True),
        ("10.1.0.0/16", "ci", "10.2.0.1", False),
        ("10.1.0.0/16", "ci", "169.254.169.254", False),
        ("10.1.2.3/16", "ci", "10.1.0.1", True),
        ("10.1.2.3", "ci", "10.1.2.3", True),
        ("10.1.2.3", "ci", "10.1.2.4", False),
        ("10.1.0.0/99", "ci", "10.1.2.3", False),
        ("fd00::/8", "ci", "fd00:ec2::254", True),
        ("fd00::/8", "ci", "10.1.2.3", False),
        ("*.corp.example", "ci.corp.example", "10.1.2.3", True),
        ("*.corp.example", "CI.Corp.Example.", "127.0.0.1", True),
        ("*.corp.example", "evilcorp.example", "10.1.2.3", False),
        ("*.corp", "evilcorp", "10.1.2.3", False),
        ("*.corp.example", "ci.corp.example.evil.example", "10.1.2.3", False),
        ("ci.corp.example", "ci.corp.example", "9.9.9.9", True),
        ("", "", "10.1.2.3", False),
    ],
)
def test_networks_and_host_globs(entry, host, text, expected):
    assert address.permits((entry,) if entry else (), host, address.parse(text)) is expected


@given(st.ip_addresses(v=4))
def test_external_is_never_what_ipaddress_knows_to_be_local(found):
    if address.kind_of(found) == Kind.EXTERNAL:
        assert found.is_global
        assert not found.is_multicast
        assert not found.is_reserved
    elif address.kind_of(found) == Kind.LOOPBACK:
        assert found.is_loopback


@given(st.ip_addresses(v=4))
def test_a_mapped_address_is_the_address_it_stands_for(found):
    assert address.parse(f"::ffff:{found}") == found
    assert address.kind_of(ipaddress.ip_address(int(found))) == address.kind_of(found)


@pytest.mark.parametrize(
    ("allow", "host", "expected"),
    [
        (("external",), "ci.example.org", True),
        (("private",), "ci.example.org", False),
        (("*.corp",), "ci.corp", True),
        (("external",), "localhost", False),
        (("external",), "x.LocalHost.", False),
        (("external", "loopback"), "localhost", True),
    ],
)
def test_a_name_that_the_proxy_will_look_up(allow, host, expected):
    assert address.permits_unresolved(allow, host) is expected
