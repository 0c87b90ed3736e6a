"""BaseBroker: what registering a class does, what it refuses, and what a broker's settings become."""

import gc
import sys
import threading
import weakref
from dataclasses import replace
from typing import ClassVar

import pytest

from brokers import BaseBroker, Field, registry
from brokers.config import SERVICE_OPTIONS, Configuration, Entry
from brokers.errors import BrokerLoadError


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    monkeypatch.setattr(registry, "_versions", {})


def service(section="service", **settings):
    """The settings of one service `ci`, as a configuration has them; `_` stands for a line that has no value."""
    lines = {"broker": "x", **settings}
    origin = "/srv/git/app.git/config"
    return Configuration.parse(Entry("ci", key, value, origin, section) for key, value in lines.items()).services[0]


def values(broker, resolve=None, **settings):
    found, problems = broker.settings_of(service(**settings), resolve)
    assert problems == []
    return found


def problems(broker, resolve=None, **settings):
    return [str(problem) for problem in broker.settings_of(service(**settings), resolve)[1]]


# ------------------------------------------------------------------------------------------------------------ registering


def test_a_class_is_registered_under_its_name():
    class Post(BaseBroker):
        def handle(self, payload):
            return None

    assert registry.newest("post") is Post
    assert Post.name == "post"
    assert registry.names() == ["post"]


@pytest.mark.parametrize(
    ("class_name", "namespace", "name"),
    [
        ("Post", {}, "post"),
        ("TrelloBroker", {}, "trello"),
        ("Broker", {}, "broker"),
        ("EmailDiff", {"name": "email_diff"}, "email_diff"),
        ("Brokerage", {}, "brokerage"),
    ],
)
def test_names(class_name, namespace, name):
    made = type(BaseBroker)(class_name, (BaseBroker,), {"handle": lambda self, payload: None, **namespace})
    assert made.name == name
    assert registry.newest(name) is made


def test_the_version_is_the_hash_of_the_source_file_unless_it_is_set():
    class One(BaseBroker):
        def handle(self, payload):
            return None

    class Two(One):
        version = 7

    assert len(One.version) == 12
    assert int(One.version, 16) >= 0
    assert Two.version == "7"
    assert list(registry.versions("two")) == ["7"]


def test_a_subclass_has_a_name_and_a_version_of_its_own():
    class Parent(BaseBroker):
        name, version = "parent", "1"

        def handle(self, payload):
            return None

    class Child(Parent):
        pass

    assert (Child.name, Child.version == "1") == ("child", False)
    assert registry.names() == ["child", "parent"]


def test_an_abstract_class_is_not_registered_and_its_children_are():
    class Tracker(BaseBroker):
        abstract = True

    class Redmine(Tracker):
        def handle(self, payload):
            return None

    assert registry.names() == ["redmine"]


class NoHandle:
    pass


class HandleIsNoMethod:
    handle = "soon"


class TakesNoPayload:
    def handle(self):
        pass


class TakesTooMuch:
    def handle(self, payload, more):
        pass


class IsAsynchronous:
    async def handle(self, payload):
        pass


class Yields:
    def handle(self, payload):
        yield payload


class NeedsArguments:
    def __init__(self, url):
        pass

    def handle(self, payload):
        pass


class NamedWithASpace:
    name = "e mail"

    def handle(self, payload):
        pass


class NamedByANumber:
    name = 5

    def handle(self, payload):
        pass


class FieldsAreNoFields:
    fields = ("URL",)

    def handle(self, payload):
        pass


class OneFieldTwice:
    fields = (Field("URL"), Field("url"))

    def handle(self, payload):
        pass


class FieldThatEveryServiceHas:
    fields = (Field("Timeout"),)

    def handle(self, payload):
        pass


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (NoHandle, "has no method handle(self, payload)"),
        (HandleIsNoMethod, "has no method handle(self, payload)"),
        (TakesNoPayload, "handle must take one argument, the payload"),
        (TakesTooMuch, "handle must take one argument, the payload"),
        (IsAsynchronous, "handle is asynchronous: nobody would wait for it"),
        (Yields, "handle yields: nobody would run it"),
        (NeedsArguments, "is made without arguments, and __init__ needs some"),
        (NamedWithASpace, "'e mail' cannot be a broker's name"),
        (NamedByANumber, "5 cannot be a broker's name"),
        (FieldsAreNoFields, "fields holds 'URL', which is no Field"),
        (OneFieldTwice, "has two fields named url"),
        (FieldThatEveryServiceHas, "the field Timeout would never arrive: every service has a setting of that name"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_cannot_work_is_refused_with_file_and_class(body, reason):
    with pytest.raises(BrokerLoadError) as caught:
        type(BaseBroker)(body.__name__, (body, BaseBroker), dict(vars(body)))
    assert reason in caught.value.reason
    assert caught.value.place == f"{__file__}: class {body.__name__}"
    assert registry.names() == []


class Plain:
    def handle(self, payload):
        pass


class WithDefaults:
    def __init__(self, opener=None, *more, **named):
        pass

    def handle(self, payload, *, timeout_s=5, **more):
        pass


class OfTheClass:
    @classmethod
    def handle(cls, payload):
        pass


class OfNobody:
    @staticmethod
    def handle(payload):
        pass


class Anything:
    def handle(*arguments):
        pass


@pytest.mark.parametrize("body", [Plain, WithDefaults, OfTheClass, OfNobody, Anything], ids=lambda value: value.__name__)
def test_what_can_work_is_taken(body):
    made = type(BaseBroker)(body.__name__, (body, BaseBroker), dict(vars(body)))
    made().handle({})
    assert registry.names() == [body.__name__.lower()]


def test_registering_does_nothing_else():
    class Post(BaseBroker):
        extra = object()

        def handle(self, payload):
            return None

    assert {name for name in vars(Post) if not name.startswith("__")} == {"extra", "handle", "name", "version"}


def test_the_base_itself_delivers_nothing():
    with pytest.raises(NotImplementedError):
        BaseBroker().handle({})


@pytest.mark.parametrize(("settings", "endpoint"), [({}, ""), ({"host": "mail"}, "mail"), ({"host": None}, "")])
def test_endpoint(settings, endpoint):
    assert BaseBroker().endpoint(settings) == endpoint


# --------------------------------------------------------------------------------------------------------------- get_local


@pytest.fixture
def broker():
    class Local(BaseBroker):
        def handle(self, payload):
            return None

    return Local


class Opener:
    pass


def in_a_thread(function):
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


def test_get_local_is_made_once_in_a_thread(broker):
    first = broker().get_local("opener", Opener)
    assert type(first) is Opener
    assert broker().get_local("opener", Opener) is first
    assert broker().get_local("other", Opener) is not first


def test_get_local_differs_from_thread_to_thread(broker):
    mine = broker().get_local("opener", Opener)
    theirs = in_a_thread(lambda: broker().get_local("opener", Opener))
    assert theirs is not mine


def test_get_local_differs_from_version_to_version(broker):
    mine = broker().get_local("opener", Opener)
    newer = type(broker)("Local", (BaseBroker,), {"handle": broker.handle, "version": "2"})
    assert newer().get_local("opener", Opener) is not mine


def test_get_local_differs_from_broker_to_broker(broker):
    other = type(broker)("Other", (BaseBroker,), {"handle": broker.handle})
    assert other().get_local("opener", Opener) is not broker().get_local("opener", Opener)


def test_get_local_keeps_what_is_false(broker):
    first = broker().get_local("list", list)
    assert broker().get_local("list", list) is first


def test_a_factory_that_fails_is_asked_again(broker):
    def fail():
        raise OSError("no route")

    with pytest.raises(OSError, match="no route"):
        broker().get_local("session", fail)
    assert type(broker().get_local("session", Opener)) is Opener


def test_what_a_thread_held_goes_with_it(broker):
    held = in_a_thread(lambda: weakref.ref(broker().get_local("opener", Opener)))
    gc.collect()
    assert held() is None


# ------------------------------------------------------------------------------------------------------------------ fields


@pytest.fixture
def chat():
    class Chat(BaseBroker):
        fields = (
            Field("URL", required=True, type="url", help="where the room is"),
            Field("Password", secret=True),
            Field("Code", secret=True, type="integer"),
            Field("Port", type="integer", default=6667),
            Field("Notice", type="boolean", default=False),
            Field("Security", type="choice", choices=("none", "tls"), default="none"),
            Field("Rooms", type="list"),
        )

        def handle(self, payload):
            return None

    return Chat


URL = "https://chat.example.org/"


def test_settings_are_converted_and_defaults_stand_in(chat):
    given = {"URL": URL, "Port": "6697", "Notice": None, "Security": "TLS", "rooms": "#a, #b", "PASSWORD": "x"}
    assert values(chat, **given) == {
        "url": URL,
        "port": 6697,
        "notice": True,
        "security": "tls",
        "rooms": ["#a", "#b"],
        "password": "x",
    }
    assert values(chat, url=URL) == {"url": URL, "port": 6667, "notice": False, "security": "none"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "service.ci.URL in /srv/git/app.git/config: the broker chat needs it; set it: where the room is"),
        (
            {"url": URL, "Port": "many"},
            "service.ci.Port in /srv/git/app.git/config: 'many' is not right; write a whole number",
        ),
        (
            {"url": "chat.example.org"},
            (
                "service.ci.url in /srv/git/app.git/config: the value is not right; "
                "write an address without spaces that begins with http:// or https://"
            ),
        ),
        (
            {"url": URL, "security": "ssl"},
            "service.ci.security in /srv/git/app.git/config: 'ssl' is not right; write none or tls",
        ),
        (
            {"url": URL, "code": "secret"},
            "service.ci.code in /srv/git/app.git/config: the value is not right; write a whole number",
        ),
        (
            {"url": URL, "pasword": "secret"},
            "service.ci.pasword in /srv/git/app.git/config: there is no such setting; did you mean Password?",
        ),
        (
            {"url": URL, "timout": "5s"},
            "service.ci.timout in /srv/git/app.git/config: there is no such setting; did you mean timeout?",
        ),
        (
            {"url": URL, "section": "services", "port": "-1"},
            "services.ci.port in /srv/git/app.git/config: '-1' is not right; write a whole number that is not negative",
        ),
    ],
)
def test_what_is_wrong_is_told_with_setting_file_and_remedy(chat, settings, said):
    assert problems(chat, **settings) == [said]


def test_a_key_like_no_other_is_told_all_there_are(chat):
    [problem] = problems(chat, url=URL, zzz="1")
    assert problem.endswith(
        "there are: Code, Notice, Password, Port, Rooms, Security, URL, " + ", ".join(option.name for option in SERVICE_OPTIONS)
    )


def test_one_wrong_setting_leaves_the_others(chat):
    found, wrong = chat.settings_of(service(url=URL, port="many", notice="perhaps", password="x"))
    assert (found["url"], found["password"]) == (URL, "x")
    assert len(wrong) == 2


def test_without_fields_every_configured_key_arrives_in_lower_case():
    class Old(BaseBroker):
        def handle(self, payload):
            return None

    assert values(Old, URL="x", Deploy_Branch="main", flag=None) == {"url": "x", "deploy_branch": "main", "flag": "true"}
    assert values(Old, timeout="5s", refs="main") == {}, "what every service has is not the broker's"


def resolve(raw):
    if raw == "env:absent":
        raise ValueError("the variable absent is not set where the deliveries run")
    return {"env:PW": "geheim", "env:CODE": "42", "file:/url": URL}.get(raw, raw)


def test_secrets_are_resolved_and_then_converted(chat):
    assert values(chat, resolve, url="file:/url", password="env:PW", code="env:CODE") == {
        "url": URL,
        "password": "geheim",
        "code": 42,
        "port": 6667,
        "notice": False,
        "security": "none",
    }


def test_without_a_resolver_a_reference_stays_and_is_not_checked(chat):
    found = values(chat, url="file:/url", code="env:CODE")
    assert (found["url"], found["code"]) == ("file:/url", "env:CODE")


@pytest.mark.parametrize("word", ["env", "file", "credential"])
def test_a_word_that_only_looks_like_a_reference_is_checked(chat, word):
    assert len(problems(chat, url=URL, notice=word)) == 1


def test_a_secret_that_cannot_be_had_is_told_without_its_value(chat):
    [problem] = problems(chat, resolve, url=URL, password="env:absent")
    assert problem == (
        "service.ci.password in /srv/git/app.git/config: the value is not right; "
        "the variable absent is not set where the deliveries run"
    )


def test_a_resolved_value_that_is_wrong_is_never_shown(chat):
    assert "geheim" not in str(problems(chat, resolve, url=URL, code="env:PW", port="env:PW"))


def test_a_default_is_not_shared_between_payloads_through_the_class(chat):
    first, second = values(chat, url=URL), values(chat, url=URL)
    first["port"] = 1
    assert second["port"] == 6667


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"type": "int"}, "the field X has no type 'int'; there are: string, secret, boolean, integer"),
        ({"type": "choice"}, "the field X has no choices"),
        ({"name": ""}, "a field has no name"),
    ],
)
def test_a_field_that_cannot_work_is_refused_where_it_stands(arguments, reason):
    with pytest.raises(ValueError, match=reason):
        Field(**{"name": "X", **arguments})


def test_a_fields_key_is_its_name_in_lower_case():
    assert Field("API Key").key == "api key"
    assert replace(Field("URL"), name="Endpoint").key == "endpoint"


def test_a_module_that_is_missing_is_told_with_the_way_to_install_it():
    class Needy(BaseBroker):
        requires: ClassVar = {"json": "none", "no_such_module": "chat", "no_such_package.part": "mqtt"}

        def handle(self, payload):
            return None

    assert problems(Needy) == [
        f"service.ci.broker in /srv/git/app.git/config: the broker needy needs the Python module {module}, "
        f"which is not installed; install it: {sys.executable} -m pip install 'oberon-brokers[{extra}]'"
        for module, extra in (("no_such_module", "chat"), ("no_such_package.part", "mqtt"))
    ]
