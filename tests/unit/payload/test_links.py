from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payload import links

CANON = "https://code.example.org"
NODE, OLD = "a1" * 20, "b2" * 20

PAGES = {
    "none": (None, None, None),
    "bitbucket": (
        f"{CANON}/team/app/",
        f"{CANON}/team/app/commits/{NODE}",
        f"{CANON}/team/app/branches/compare/{NODE}..{OLD}",
    ),
    "cgit": (
        f"{CANON}/team/app/",
        f"{CANON}/team/app/commit/?id={NODE}",
        f"{CANON}/team/app/diff/?id={NODE}&id2={OLD}",
    ),
    "gitea": (f"{CANON}/team/app/", f"{CANON}/team/app/commit/{NODE}", f"{CANON}/team/app/compare/{OLD}...{NODE}"),
    "github": (f"{CANON}/team/app/", f"{CANON}/team/app/commit/{NODE}", f"{CANON}/team/app/compare/{OLD}...{NODE}"),
    "gitlab": (f"{CANON}/team/app/", f"{CANON}/team/app/-/commit/{NODE}", f"{CANON}/team/app/-/compare/{OLD}...{NODE}"),
    "gitweb": (
        f"{CANON}/?p=team/app.git;a=summary",
        f"{CANON}/?p=team/app.git;a=commit;h={NODE}",
        f"{CANON}/?p=team/app.git;a=commitdiff;h={NODE};hp={OLD}",
    ),
    "gogs": (f"{CANON}/team/app/", f"{CANON}/team/app/commit/{NODE}", f"{CANON}/team/app/compare/{OLD}...{NODE}"),
    "heptapod": (f"{CANON}/team/app/", f"{CANON}/team/app/-/commit/{NODE}", f"{CANON}/team/app/-/compare/{OLD}...{NODE}"),
    "hg-serve": (f"{CANON}/", f"{CANON}/rev/{NODE}", None),
    "hgweb": (f"{CANON}/team/app/", f"{CANON}/team/app/rev/{NODE}", None),
    "kallithea": (
        f"{CANON}/team/app/",
        f"{CANON}/team/app/changeset/{NODE}",
        f"{CANON}/team/app/compare/rev@{OLD}...rev@{NODE}",
    ),
    "phorge": (
        f"{CANON}/diffusion/app/",
        f"{CANON}/diffusion/app/commit/{NODE}",
        f"{CANON}/diffusion/app/compare/?head={NODE}&against={OLD}",
    ),
    "rhodecode": (
        f"{CANON}/team/app/",
        f"{CANON}/team/app/changeset/{NODE}",
        f"{CANON}/team/app/compare/rev@{OLD}...rev@{NODE}",
    ),
    "sourcehut": (f"{CANON}/team/app/", f"{CANON}/team/app/commit/{NODE}", None),
}


def known(canon_url=CANON, absolute_url="/team/app/", owner="team", name="The App", slug="app", **more):
    repository = links.values(canon_url, absolute_url, owner=owner, name=name, slug=slug)
    return {**repository, **links.encoded(node=NODE, short=NODE[:12], old=OLD, new=NODE, **more)}


@pytest.mark.parametrize("interface", links.WEB_INTERFACES)
def test_the_pages_of_each_interface(interface):
    pages = links.WEB_INTERFACES[interface]
    assert tuple(links.fill(page, known()) for page in (pages.repository, pages.commit, pages.compare)) == PAGES[interface]


@pytest.mark.parametrize("interface", links.WEB_INTERFACES)
def test_the_templates_of_each_interface_are_right_themselves(interface):
    pages = links.WEB_INTERFACES[interface]
    for kind in links.PLACEHOLDERS:
        template = getattr(pages, kind)
        assert template is None or links.check(template, kind) == template


@pytest.mark.parametrize(
    ("absolute_url", "project"), [("/team/app.git/", "team/app"), ("/app/.git/", "app"), ("/a/b/app/", "a/b/app")]
)
def test_the_path_is_the_address_without_what_git_adds(absolute_url, project):
    template = "{canonUrl}/?p={path}.git;a=summary"
    assert links.fill(template, known(absolute_url=absolute_url)) == f"{CANON}/?p={project}.git;a=summary"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("feature/x", "feature/x"),
        ("grüße", "gr%C3%BC%C3%9Fe"),
        ("100%", "100%25"),
        ("%2e%2e", "%252e%252e"),
        ("a b?c#d&e;f=g", "a%20b%3Fc%23d%26e%3Bf%3Dg"),
        ("a\r\nHost: x", "a%0D%0AHost%3A%20x"),
        ("\u202ex\x1b[0m", "%E2%80%AEx%1B%5B0m"),
        ("@evil.example", "%40evil.example"),
        ("\\..\\..", "%5C..%5C.."),
        ("{node}", "%7Bnode%7D"),
        ("x\udce9", "x%3F"),
    ],
)
def test_what_was_pushed_is_encoded(value, written):
    assert links.fill("{canonUrl}/b/{branch}", known(branch=value)) == f"{CANON}/b/{written}"


@pytest.mark.parametrize(
    ("template", "told"),
    [
        (None, {}),
        ("{canonUrl}/{owner}/x", {"owner": ""}),
        ("{canonUrl}/{branch}", {"branch": None}),
        ("{canonUrl}/{branch}", {"branch": ".."}),
        ("{canonUrl}/{branch}/x", {"branch": "a/../../b"}),
        ("{canonUrl}/{branch}", {"branch": "."}),
        ("{canonUrl}/{path}", {"absolute_url": "/"}),
        ("{canonUrl}/x", {"canon_url": ""}),
        ("{canonUrl}/x", {"canon_url": "javascript:alert(1)//"}),
        ("{canonUrl}/x", {"canon_url": "https://ann:hunter2@code.example.org"}),
        ("{canonUrl}/x", {"canon_url": "https://code.example.org/?to="}),
        ("{canonUrl}/x", {"canon_url": "https://code.example.org\nX: y"}),
        ("{canonUrl}/x", {"canon_url": "https://code.example.org\\@evil.example"}),
        ("{canonUrl}/x", {"canon_url": "https://code.example.org/\u202e"}),
    ],
)
def test_what_has_no_page_has_no_link(template, told):
    assert links.fill(template, known(**told)) is None


def test_dots_in_a_query_climb_nowhere():
    assert links.fill("{canonUrl}/?b={branch}", known(branch="../..")) == f"{CANON}/?b=../.."


def test_an_address_below_a_folder_of_the_server():
    assert links.fill("{canonUrl}{absoluteUrl}", known(canon_url=f"{CANON}/cgi-bin/hg/")) == f"{CANON}/cgi-bin/hg/team/app/"
    assert links.fill("{canonUrl}{absoluteUrl}", known(absolute_url=".evil.example/")) == f"{CANON}/.evil.example/"


@pytest.mark.parametrize(
    ("kind", "template"),
    [
        ("repository", "{canonUrl}"),
        ("repository", "{canonUrl}{absoluteUrl}"),
        ("repository", "HTTPS://code.example.org:8443/{owner}/{name}/{slug}"),
        ("commit", "https://[::1]/{node}#{short}"),
        ("commit", "{canonUrl}?b={branch}&n={short}"),
        ("compare", "{canonUrl}/{old}/{new}/{branch}/{ref}/{path}"),
    ],
)
def test_templates_that_are_right(kind, template):
    assert links.check(template, kind) == template


@pytest.mark.parametrize(
    ("kind", "template"),
    [
        ("commit", ""),
        ("commit", "{absoluteUrl}{node}"),
        ("commit", "code.example.org/{node}"),
        ("commit", "ftp://code.example.org/{node}"),
        ("commit", "javascript:{node}"),
        ("commit", "https:///{node}"),
        ("commit", "https://{owner}.example.org/{node}"),
        ("commit", "https://code.example.org{owner}/{node}"),
        ("commit", "https://ann:hunter2@code.example.org/{node}"),
        ("commit", "{canonUrl}{owner}/{node}"),
        ("commit", "{canonUrl}.example.org/{node}"),
        ("commit", "{canonUrl}/{nod}"),
        ("commit", "{canonUrl}/{}"),
        ("commit", "{canonUrl}/{node"),
        ("commit", "{canonUrl}/{{node}}"),
        ("commit", "{canonUrl}/{node!r}"),
        ("commit", "{canonUrl}/a b/{node}"),
        ("commit", "{canonUrl}/\n{node}"),
        ("commit", "{canonUrl}/{old}"),
        ("repository", "{canonUrl}/{node}"),
        ("repository", "{canonUrl}/{branch}"),
        ("compare", "{canonUrl}/{node}"),
    ],
)
def test_templates_that_are_wrong(kind, template):
    with pytest.raises(ValueError, match=r"^write an address that begins with \{canonUrl\}/ or https://HOST/, .* \{canonUrl\} "):
        links.check(template, kind)


@pytest.mark.parametrize(
    ("kind", "template", "needed"),
    [
        ("commit", "{canonUrl}/c/", "{node} or {short}"),
        ("commit", "{canonUrl}/c/{branch}", "{node} or {short}"),
        ("compare", "{canonUrl}/?p={path}", "{new}"),
        ("compare", "{canonUrl}/{old}", "{new}"),
    ],
)
def test_templates_that_would_be_one_address_for_all(kind, template, needed):
    with pytest.raises(ValueError, match=f"^write {re.escape(needed)} into it"):
        links.check(template, kind)


def test_nobody_said_which_so_the_repository_s_own_address_is_told():
    assert links.Templates.chosen(None) == links.Templates("{canonUrl}{absoluteUrl}", None, None)
    assert links.Templates.chosen("none") == links.Templates(None, None, None)


anything = st.text(max_size=20)
templates = st.sampled_from(
    [
        template
        for pages in links.WEB_INTERFACES.values()
        for template in (pages.repository, pages.commit, pages.compare)
        if template
    ]
    + ["{canonUrl}/{owner}/{name}/{slug}/{branch}/{ref}", "{canonUrl}?{name}#{ref}", "{canonUrl}{absoluteUrl}{owner}"]
)


@given(templates, anything, anything, anything, anything, anything, anything)
def test_hostile_names_make_valid_addresses_or_none(template, absolute_url, owner, name, slug, branch, ref):
    told = known(absolute_url=absolute_url, owner=owner, name=name, slug=slug, branch=branch, ref=ref)
    address = links.fill(template, told)
    if address is None:
        return
    assert address.isascii()
    assert address.isprintable()
    assert not set(address) & set(' <>"{}|\\^`')
    assert address.startswith((CANON + "/", CANON + "?"))
    parts = urlsplit(address)
    assert (parts.scheme, parts.netloc) == ("https", "code.example.org")
    assert not {".", ".."} & set(unquote(parts.path).split("/"))
