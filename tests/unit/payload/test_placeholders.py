from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payload import placeholders


@pytest.mark.parametrize(
    ("template", "pieces"),
    [
        ("", ()),
        ("plain", (("plain", None),)),
        ("${user}", (("", "user"),)),
        ("a ${user}${ref} b", (("a ", "user"), ("", "ref"), (" b", None))),
        ("$$ 5 $5 $", (("$ 5 $5 $", None),)),
        ("$${user}", (("${user}", None),)),
        ("$$${user}", (("$", "user"),)),
        ("{user} }", (("{user} }", None),)),
    ],
)
def test_it_is_split_at_the_names(template, pieces):
    assert placeholders.split(template, ["user", "ref"]) == pieces


@pytest.mark.parametrize("template", ["${usr}", "${}", "${ user}", "${user.name}", "$${user} ${nobody}", "${user\n}"])
def test_an_unknown_name_is_told_with_those_there_are(template):
    with pytest.raises(ValueError, match=r"there is no \$\{.*write some of \$\{user\}, \$\{ref\}"):
        placeholders.split(template, ["user", "ref"])


@pytest.mark.parametrize("template", ["${user", "a ${", "${user ${ref}", "$$${"])
def test_a_name_needs_its_end(template):
    with pytest.raises(ValueError, match="has no }"):
        placeholders.split(template, ["user", "ref"])


@given(st.text())
def test_any_text_can_be_said(text):
    assert "".join(plain for plain, _ in placeholders.split(text.replace("$", "$$"), [])) == text


@pytest.mark.parametrize(
    "address",
    [
        "https://ci.example.org/${repository.path}?ref=${ref}#${user}",
        "http://ci:secret@ci.example.org:8080/${user}",
        "https://[::1]/${user}",
        "https://ci.example.org?r=${ref}",
        "no address at all, but no name either",
    ],
)
def test_an_address_with_a_host_of_its_own_is_taken(address):
    assert placeholders.check_address(address, placeholders.PUSH) == address


@pytest.mark.parametrize(
    "address",
    [
        "https://${user}/",
        "https://${repository.slug}.example.org/",
        "https://ci.example.org${ref}",
        "https://ci.example.org:${count}/",
        "https://ci:${user}@ci.example.org/",
        "${url}",
        "ftp:/ci.example.org/${ref}",
        "https://ci.example.org\\${ref}",
        "https://ci.example.org/a b${ref}",
        "https://ci.example.org/${ref}\n",
        "https://ci.example.org/${nobody}",
    ],
)
def test_nothing_that_is_pushed_chooses_the_host(address):
    with pytest.raises(ValueError, match="write"):
        placeholders.check_address(address, placeholders.PUSH)
