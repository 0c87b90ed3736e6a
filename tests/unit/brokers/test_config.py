"""The table of options: each type, each error with setting, file and remedy, and that no entry ever raises."""

import dataclasses
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers import config
from brokers.config import OBERON_OPTIONS, SERVICE_OPTIONS, Configuration, Entry, author_logins
from brokers.errors import ConfigError
from brokers.secrets import resolver
from brokers.values import TYPES, convert
from payload.links import WEB_INTERFACES

ORIGIN = "/etc/gitconfig"


def entry(key, value, service=None, origin=ORIGIN, section="service"):
    return Entry(service, key, value, origin, section)


def parse(*entries):
    return Configuration.parse(entries)


def said(problems):
    return [str(problem) for problem in problems]


# --------------------------------------------------------------------------------------------------------- types of value

WITH_UNIT = "write a number with a unit, as "
DURATION, BYTES = WITH_UNIT + "30s, 10m, 2h or 3d", WITH_UNIT + "512, 64k or 1m"
WHOLE, NOT_NEGATIVE, FROM_ONE = (
    "write a whole number",
    "write a whole number that is not negative",
    "write a whole number from 1 upward",
)
ADDRESS = "write an address without spaces that begins with http:// or https://"
ABSOLUTE = "write an absolute path"
ZONE = "write the name of a time zone, as Europe/Berlin or UTC"
TEMPLATE = (
    "write an address that begins with {canonUrl}/ or https://HOST/, with none but these in it: "
    "{canonUrl} {absoluteUrl} {path} {owner} {name} {slug}"
)
TRUTH = "write true or false"


@pytest.mark.parametrize(
    ("type_name", "raw", "value"),
    [
        ("string", "", ""),
        ("string", " as it stands ", " as it stands "),
        *(("boolean", raw, True) for raw in ("true", "True", "YES", "on", "1", "always", " true ")),
        *(("boolean", raw, False) for raw in ("false", "No", "off", "0", "never", "")),
        ("integer", "0", 0),
        ("integer", " 8 ", 8),
        ("integer", "+8", 8),
        ("count", "1", 1),
        ("count", "250", 250),
        ("duration", "0", 0),
        ("duration", "30", 30),
        ("duration", "30s", 30),
        ("duration", "1.5m", 90),
        ("duration", "2 h", 7200),
        ("duration", "3D", 259_200),
        ("bytes", "512", 512),
        ("bytes", "64k", 65_536),
        ("bytes", "1M", 1_048_576),
        ("bytes", "0.5k", 512),
        ("bytes", "2g", 2_147_483_648),
        ("list", "", ()),
        ("list", "a b,c ,, d\n", ("a", "b", "c", "d")),
        ("url", "https://ci.example.org/hook", "https://ci.example.org/hook"),
        ("url", " http://user:pass@[::1]:8080/x?y#z ", "http://user:pass@[::1]:8080/x?y#z"),
        ("url", "HTTPS://ci.example.org", "HTTPS://ci.example.org"),
        ("url", "https://bücher.example/größe", "https://bücher.example/größe"),
        ("choice", "as it stands", "as it stands"),
        ("durations", "5s, 30s 2m", (5, 30, 120)),
        ("path", "/srv/oberon", "/srv/oberon"),
        ("path", " /srv/a b ", "/srv/a b"),
        ("path", "~/state", "HOME/state"),
        ("paths", "/a:/b,~/c: ", ("/a", "/b", "HOME/c")),
        ("paths", "", ()),
        ("zone", "UTC", ZoneInfo("UTC")),
        ("zone", " UTC ", ZoneInfo("UTC")),
    ],
)
def test_a_value(type_name, raw, value, monkeypatch):
    monkeypatch.setenv("HOME", "HOME" if type_name not in ("path", "paths") else "/HOME")
    if type_name in ("path", "paths"):
        value = value.replace("HOME", "/HOME") if isinstance(value, str) else tuple(one.replace("HOME", "/HOME") for one in value)
    assert convert(raw, type_name) == value


@pytest.mark.parametrize(
    ("type_name", "raw", "remedy"),
    [
        *(("boolean", raw, TRUTH) for raw in ("maybe", "2", "truee")),
        *(("integer", raw, WHOLE) for raw in ("", "many", "1.5", "0x10", "8k", "9" * 5000)),
        ("integer", "-1", NOT_NEGATIVE),
        ("count", "", WHOLE),
        *(("count", raw, FROM_ONE) for raw in ("0", "-1")),
        *(
            ("duration", raw, DURATION)
            for raw in ("", "s", "soon", "-5s", "5 weeks", "5ss", "nan", "inf", "1e999", "1e308d", "5 5")
        ),
        *(("bytes", raw, BYTES) for raw in ("", "k", "-1", "64kb", "64 KiB", "1e999g")),
        *(
            ("url", raw, ADDRESS)
            for raw in ("", "ci.example.org", "ftp://ci.example.org", "http://", "https:///x", "file:///etc/passwd")
        ),
        *(("url", raw, ADDRESS) for raw in ("http://[::1/", "javascript:1")),
        *(
            ("url", raw, ADDRESS)
            for raw in ("http://ci.example.org/a b", "http://ci.exam\nple.org/", "http://ci.example.org/\0", "http://x\x7f")
        ),
        ("durations", "", "write the delays one after another, as 5s, 30s, 2m"),
        ("durations", "5s, soon", DURATION),
        *(("path", raw, ABSOLUTE) for raw in ("", "state", "./state", "~no-such-user/x")),
        ("paths", "/a:b", ABSOLUTE),
        *(
            ("zone", raw, ZONE)
            for raw in ("", "Berlin", "Europe", "../etc/passwd", "/etc/localtime", "UTC\0", "tzdata.zi", "\udc80")
        ),
    ],
    ids=lambda value: ascii(value[:30]),
)
def test_what_is_no_value_is_told_what_would_be_one(type_name, raw, remedy):
    with pytest.raises(ValueError) as caught:
        convert(raw, type_name)
    assert str(caught.value) == remedy


def test_choices():
    assert convert(" Inline ", "choice", ("detached", "inline")) == "inline"
    with pytest.raises(ValueError, match="write detached or inline"):
        convert("both", "choice", ("detached", "inline"))


@given(st.sampled_from(sorted(TYPES)), st.text(max_size=30))
def test_any_text_is_a_value_or_refused(type_name, raw):
    try:
        convert(raw, type_name)
    except ValueError as error:
        remedy = str(error)
    else:
        return
    assert remedy


# ------------------------------------------------------------------------------------------------------------- the table


def test_the_options_are_those_of_the_design():
    assert [option.name for option in OBERON_OPTIONS] == [
        *("mode", "deadline", "verbose", "stateDir", "brokerPath", "workers", "perHost"),
        *("owner", "name", "slug", "website", "canonUrl", "absoluteUrl"),
        *("links", "repositoryUrl", "commitUrl", "compareUrl", "private", "authorMap", "timezone"),
        *("allowHosts", "proxy", "caBundle", "maxCommits", "maxFiles", "maxMessage", "maxDiff"),
        *("gitReader", "gitRevision", "refs", "sources", "retry", "alert", "reconcile", "keepDays"),
    ]
    assert [option.name for option in SERVICE_OPTIONS] == [
        *("broker", "enabled", "refs", "paths", "events", "authors", "skipMarks"),
        *("timeout", "retry", "maxAge", "ordered", "allowHosts"),
    ]


def test_where_links_lead():
    settings = parse(
        entry("links", "Cgit"),
        entry("commiturl", " {canonUrl}/{path}.git/commit/?id={node} "),
        entry("compareUrl", "https://diff.example.org/{old}/{new}"),
    ).settings
    assert (settings.links, settings.repository_url) == ("cgit", None)
    assert settings.commit_url == "{canonUrl}/{path}.git/commit/?id={node}"
    assert settings.compare_url == "https://diff.example.org/{old}/{new}"


@pytest.mark.parametrize("option", OBERON_OPTIONS + SERVICE_OPTIONS, ids=lambda option: option.name)
def test_every_option_has_a_known_type_and_a_word_of_help(option):
    assert option.type in TYPES
    assert option.help
    assert bool(option.choices) == (option.type == "choice")


def test_the_defaults_are_what_the_table_says():
    assert parse().settings == config.Settings()
    for row in dataclasses.fields(config.Settings):
        option = row.metadata["option"]
        if option.default_text:
            assert row.default == convert(option.default_text, option.type, option.choices)
        else:
            assert row.default in ((), None)
    settings = parse().settings
    assert (settings.mode, settings.workers, settings.per_host, settings.deadline_s) == ("detached", 8, 4, 10)
    assert (settings.max_commits, settings.max_files, settings.max_message_bytes, settings.max_diff_bytes) == (
        1000,
        1000,
        65536,
        262_144,
    )
    assert settings.retry_s == (5, 30, 120, 600, 1800, 7200, 18000, 36000, 36000)
    assert sum(settings.retry_s) == 27 * 3600 + 42 * 60 + 35  # DESIGN section 7 names 27 h 42 m
    assert (settings.refs, settings.sources) == (("refs/heads/", "refs/tags/"), ("serve", "push"))


def test_an_empty_configuration():
    configuration = parse()
    assert (configuration.services, configuration.all_problems, dict(configuration.origins)) == ((), (), {})


# ------------------------------------------------------------------------------------------------------------- of oberon itself


def test_keys_in_any_case_and_the_later_entry_holds():
    configuration = parse(
        entry("MODE", "inline", origin="/etc/gitconfig"),
        entry("stateDir", "/a", origin="/etc/gitconfig"),
        entry("statedir", "/b", origin="/srv/app.git/config"),
        entry("verbose", None),
    )
    settings = configuration.settings
    assert (settings.mode, settings.state_dir, settings.verbose) == ("inline", "/b", True)
    assert configuration.origins == {"mode": "/etc/gitconfig", "statedir": "/srv/app.git/config", "verbose": "/etc/gitconfig"}
    assert configuration.all_problems == ()


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("mode", "later", "oberon.mode in /etc/gitconfig: 'later' is not right; write detached or inline"),
        ("Workers", "many", "oberon.workers in /etc/gitconfig: 'many' is not right; write a whole number"),
        ("workers", "0", "oberon.workers in /etc/gitconfig: '0' is not right; " + FROM_ONE),
        ("perHost", "0", "oberon.perHost in /etc/gitconfig: '0' is not right; " + FROM_ONE),
        ("deadline", "soon", "oberon.deadline in /etc/gitconfig: 'soon' is not right; " + DURATION),
        ("stateDir", "state", "oberon.stateDir in /etc/gitconfig: 'state' is not right; " + ABSOLUTE),
        ("timezone", None, "oberon.timezone in /etc/gitconfig: 'true' is not right; " + ZONE),
        ("proxy", "proxy:3128", "oberon.proxy in /etc/gitconfig: the value is not right; " + ADDRESS),
        (
            "canonUrl",
            "https://ann:hunter2@git.example.org",
            (
                "oberon.canonUrl in /etc/gitconfig: the value is not right; write it without a login: "
                "every service is told it, and everybody who follows a link"
            ),
        ),
        (
            "canonUrl",
            "https://git.example.org/?x",
            (
                "oberon.canonUrl in /etc/gitconfig: 'https://git.example.org/?x' is not right; "
                "write an address that a path can follow, as https://git.example.org"
            ),
        ),
        ("links", "redmine", "oberon.links in /etc/gitconfig: 'redmine' is not right; write one of " + ", ".join(WEB_INTERFACES)),
        (
            "commiturl",
            "{canonUrl}/{nod}",
            "oberon.commitUrl in /etc/gitconfig: '{canonUrl}/{nod}' is not right; " + TEMPLATE + " {node} {short} {branch}",
        ),
        (
            "compareUrl",
            "git.example.org",
            "oberon.compareUrl in /etc/gitconfig: 'git.example.org' is not right; " + TEMPLATE + " {old} {new} {branch} {ref}",
        ),
        (
            "commitUrl",
            "https://ann:hunter2@x/{node}",
            "oberon.commitUrl in /etc/gitconfig: the value is not right; " + TEMPLATE + " {node} {short} {branch}",
        ),
        ("repositoryUrl", "", "oberon.repositoryUrl in /etc/gitconfig: '' is not right; " + TEMPLATE),
        ("maxMessage", "much", "oberon.maxMessage in /etc/gitconfig: 'much' is not right; " + BYTES),
        ("mod", "inline", "oberon.mod in /etc/gitconfig: there is no such setting; did you mean mode?"),
        ("statDir", "/x", "oberon.statDir in /etc/gitconfig: there is no such setting; did you mean stateDir?"),
    ],
)
def test_a_wrong_setting_is_told_and_its_default_holds(key, value, expected):
    configuration = parse(entry(key, value), entry("owner", "team"))
    assert said(configuration.problems) == [expected]
    assert configuration.settings == dataclasses.replace(config.Settings(), owner="team")


def test_a_key_like_no_other_is_told_all_there_are():
    [problem] = parse(entry("zzzzzz", "1")).problems
    assert problem.remedy == "there are: " + ", ".join(option.name for option in OBERON_OPTIONS)


def test_only_the_entry_that_holds_is_checked():
    assert parse(entry("workers", "many"), entry("workers", "4")).problems == ()


# -------------------------------------------------------------------------------------------------------------- services


def test_services_in_the_order_in_which_they_are_named():
    configuration = parse(
        entry("broker", "post", "ci", origin="/etc/gitconfig"),
        entry("broker", "email", "list"),
        entry("url", "https://ci.example.org", "ci"),
        entry("Broker", " Buildbot ", "ci", origin="/srv/app.git/config"),
        entry("enabled", "no", "list"),
    )
    assert [(service.service, service.broker, service.enabled) for service in configuration.services] == [
        ("ci", "buildbot", True),
        ("list", "email", False),
    ]
    ci = configuration.service("ci")
    assert dict(ci.fields) == {"url": entry("url", "https://ci.example.org", "ci")}
    assert ci.origins == {"broker": "/srv/app.git/config", "url": ORIGIN}
    assert configuration.service("none") is None


def test_what_every_service_has():
    pairs = {
        "broker": "post",
        "refs": "refs/heads/main !refs/heads/tmp/*",
        "paths": "src/",
        "events": "push, tag",
        "authors": "*@example.org",
        "timeout": "5s",
        "retry": "1s 2s",
        "maxAge": "1h",
        "ordered": "yes",
        "allowHosts": "loopback",
    }
    [service] = parse(*(entry(key, value, "ci") for key, value in pairs.items())).services
    assert (service.refs, service.paths, service.events) == (("refs/heads/main", "!refs/heads/tmp/*"), ("src/",), ("push", "tag"))
    assert (service.authors, service.allow_hosts) == (("*@example.org",), ("loopback",))
    assert (service.timeout_s, service.retry_s, service.max_age_s, service.ordered) == (5, (1, 2), 3600, True)
    assert (service.problems, dict(service.fields)) == ((), {})


def test_what_a_service_has_unless_told():
    [service] = parse(entry("broker", "post", "ci")).services
    assert (service.enabled, service.timeout_s, service.max_age_s, service.ordered) == (True, 30, 259_200, False)
    assert (service.refs, service.paths, service.events, service.authors, service.allow_hosts) == ((), (), (), (), ())
    assert service.retry_s is None


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("timeout", "soon", "service.ci.timeout in /etc/gitconfig: 'soon' is not right; " + DURATION),
        ("Enabled", "perhaps", "service.ci.enabled in /etc/gitconfig: 'perhaps' is not right; " + TRUTH),
        (
            "retry",
            "",
            "service.ci.retry in /etc/gitconfig: '' is not right; write the delays one after another, as 5s, 30s, 2m",
        ),
        ("broker", "", "service.ci.broker in /etc/gitconfig: no broker is named; name one, as `broker = post`"),
    ],
)
def test_a_services_problem_is_its_own(key, value, expected):
    good = [entry("broker", "email", "list"), entry("timeout", "5s", "list")]
    configuration = parse(*good, entry("broker", "post", "ci"), entry(key, value, "ci"))
    assert said(configuration.service("ci").problems) == [expected]
    assert configuration.service("list") == parse(*good).service("list")
    assert configuration.service("list").problems == ()
    assert configuration.problems == ()
    assert said(configuration.all_problems) == [expected]


def test_a_service_without_a_broker_is_told_where():
    [problem] = (
        parse(entry("url", "https://ci.example.org", "ci", origin="/srv/app/.hg/hgrc:7", section="services")).services[0].problems
    )
    assert str(problem) == "services.ci.broker in /srv/app/.hg/hgrc:7: no broker is named; name one, as `broker = post`"


def test_settings_bear_the_names_their_own_scm_gives_them():
    assert entry("url", "x", "ci").setting == "service.ci.url"
    assert entry("url", "x", "ci", section="services").setting == "services.ci.url"
    assert entry("mode", "x").setting == "oberon.mode"


def test_all_problems_begin_with_those_of_oberon():
    configuration = parse(entry("timeout", "x", "b"), entry("mode", "x"), entry("timeout", "x", "a"))
    assert [problem.setting for problem in configuration.all_problems] == [
        "oberon.mode",
        *("service.b.timeout", "service.b.broker", "service.a.timeout", "service.a.broker"),
    ]


known_keys = st.sampled_from([option.name for option in OBERON_OPTIONS + SERVICE_OPTIONS])
texts = st.text(max_size=20) | st.binary(max_size=10).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
numbers = st.integers().map(str) | st.floats().map(str)
entries = st.builds(
    Entry,
    service=st.none() | st.sampled_from(["ci", "list"]) | texts,
    key=known_keys | known_keys.map(str.upper) | texts,
    value=st.none() | texts | numbers | st.sampled_from(["true", "5s", "/x", "UTC", "post", "inline"]),
    origin=texts,
    section=st.sampled_from(["service", "services"]),
)


@given(st.lists(entries, max_size=12))
def test_no_entry_ever_raises(found):
    configuration = Configuration.parse(found)
    assert isinstance(configuration.settings, config.Settings)
    assert {service.service for service in configuration.services} == {one.service for one in found} - {None}
    for problem in configuration.all_problems:
        assert str(problem)
        assert problem.setting
        assert problem.remedy
    assert Configuration.parse(found).settings == configuration.settings


@given(st.lists(entries, max_size=8), st.lists(entries, max_size=8))
def test_no_entry_of_one_service_touches_another(before, after):
    own = [entry("broker", "post", "own"), entry("timeout", "7s", "own"), entry("url", "https://ci.example.org", "own")]
    others = [[one for one in part if one.service != "own"] for part in (before, after)]
    mixed = Configuration.parse([*others[0], own[0], *others[1], *own[1:]])
    assert mixed.service("own") == Configuration.parse(own).service("own")


# --------------------------------------------------------------------------------------------------------------- secrets


@pytest.fixture
def secrets(tmp_path):
    (tmp_path / "one-newline").write_text("geheim\n")
    (tmp_path / "two-newlines").write_text("geheim\n\n")
    (tmp_path / "bare").write_text("  Grüße ")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("plain", "plain"),
        ("", ""),
        ("https://user:pass@ci.example.org", "https://user:pass@ci.example.org"),
        ("env", "env"),
        ("environment:X", "environment:X"),
        ("ENV:TOKEN", "ENV:TOKEN"),
        ("env:TOKEN", "geheim"),
        ("env:EMPTY", ""),
        ("file:{}/one-newline", "geheim"),
        ("file:{}/two-newlines", "geheim\n"),
        ("file:{}/bare", "  Grüße "),
        ("credential:one-newline", "geheim"),
    ],
)
def test_what_a_reference_stands_for(secrets, raw, value):
    resolve = resolver({"TOKEN": "geheim", "EMPTY": "", "CREDENTIALS_DIRECTORY": str(secrets)})
    assert resolve(raw.format(secrets)) == value


@pytest.mark.parametrize(
    ("raw", "environ", "remedy"),
    [
        ("env:ABSENT", {}, "the variable ABSENT is not set where the deliveries run"),
        ("env:", {}, "the variable  is not set where the deliveries run"),
        (
            "credential:token",
            {},
            "there is no CREDENTIALS_DIRECTORY: add LoadCredential= to the worker's systemd unit",
        ),
        (
            "credential:absent",
            {"CREDENTIALS_DIRECTORY": "{}"},
            "cannot be read: [Errno 2] No such file or directory: '{}/absent'",
        ),
        ("file:{}/absent", {}, "cannot be read: [Errno 2] No such file or directory: '{}/absent'"),
        ("file:{}/folder", {}, "cannot be read: [Errno 21] Is a directory: '{}/folder'"),
        ("file:{}/bytes", {}, "cannot be read: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        ("file:{}/nul\0", {}, "cannot be read: embedded null byte"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_a_reference_to_nothing_says_the_way_out(secrets, raw, environ, remedy):
    resolve = resolver({name: value.format(secrets) for name, value in environ.items()})
    with pytest.raises(ValueError) as caught:
        resolve(raw.format(secrets))
    assert str(caught.value) == remedy.format(secrets)


def test_a_secret_is_read_each_time(secrets):
    resolve = resolver({})
    reference = f"file:{secrets}/bare"
    resolve(reference)
    Path(secrets, "bare").write_text("changed")
    assert resolve(reference) == "changed"


# ------------------------------------------------------------------------------------------------------------ author map


def test_author_logins(tmp_path):
    path = tmp_path / "authors"
    path.write_text(
        "# who is who\n"
        "Ada@Example.org = ada\n"
        "  <grace@example.org>=grace  # moved\n"
        "< hedy@example.org > = hedy\n"
        "a=b@example.org = equals\n"
        "\n"
        "no login =\n"
        "= no mail\n"
        "no equals sign\n"
        "ada@example.org = byron\n",
        "utf-8",
    )
    assert author_logins(str(path)) == {
        "ada@example.org": "byron",
        "grace@example.org": "grace",
        "hedy@example.org": "hedy",
        "a=b@example.org": "equals",
    }


def test_without_a_file_there_are_no_logins():
    assert author_logins(None) == {}


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("absent", "cannot read {path}: [Errno 2] No such file or directory: '{path}'"),
        ("", "cannot read {path}: [Errno 21] Is a directory: '{path}'"),
        ("bytes", "cannot read {path}: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        ("nul\0", "cannot read {path}: embedded null byte"),
    ],
    ids=ascii,
)
def test_a_file_that_cannot_be_read(tmp_path, name, problem):
    (tmp_path / "bytes").write_bytes(b"\xff")
    path = str(tmp_path / name) if name else str(tmp_path)
    with pytest.raises(ConfigError) as caught:
        author_logins(path)
    assert caught.value.problem == problem.format(path=path)
    assert caught.value.setting == "oberon.authorMap"
    assert caught.value.remedy == "write lines `mail@example.org = login`"


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        ("mail", "ann@example.org", "ann@example.org"),
        ("mail", "Ann Example <ann@example.org>", "Ann Example <ann@example.org>"),
        ("mails", "ann@example.org, root", ("ann@example.org", "root")),
        ("events", "push !delete", ("push", "!delete")),
        ("events", "re*", ("re*",)),
        (
            "hosts",
            "external 10.1.0.0/16 *.corp.example ci fe80::/10",
            ("external", "10.1.0.0/16", "*.corp.example", "ci", "fe80::/10"),
        ),
        ("positive duration", "1.5s", 1.5),
    ],
)
def test_values_of_closer_types(kind, raw, value):
    assert convert(raw, kind) == value


@pytest.mark.parametrize(
    ("kind", "raw", "remedy"),
    [
        ("mail", "garbage from", "write an address as a@example.org"),
        ("mail", "Ann <ann@example.org", "write an address as a@example.org"),
        ("mail", "Ann\nBcc: x <ann@example.org>", "write an address as a@example.org"),
        ("mails", "not an@address, <x>", "write addresses one after another"),
        ("mails", "", "write addresses one after another"),
        ("events", "pushh", "write some of push, create"),
        ("hosts", "internal", "write some of external, private, loopback"),
        ("hosts", "10.1.0.0/99", "write some of external, private, loopback"),
        ("url", "http://ci.example.org:0/", "write a port from 1 to 65535"),
        ("url", "http://ci.example.org:99999/", "write a port from 1 to 65535"),
        ("url", "http://ci.example.org:many/", "write a port from 1 to 65535"),
        ("positive duration", "0", "write a time that is more than none"),
    ],
)
def test_what_is_no_value_of_a_closer_type_is_told(kind, raw, remedy):
    with pytest.raises(ValueError, match=remedy):
        convert(raw, kind)


def test_an_alert_names_a_service_of_the_repository():
    entries = [Entry(None, "alert", "ops", "/etc/gitconfig:1"), Entry("ci", "broker", "post", "f:1")]
    [problem] = Configuration.parse(entries).problems
    told = "oberon.alert in /etc/gitconfig:1: there is no service 'ops'; name one of the repository's services; there are: ci"
    assert str(problem) == told
    assert Configuration.parse([*entries, Entry("ops", "broker", "email", "f:2")]).problems == ()
