"""Field: types, defaults, checks, and the names that a configuration may have it by."""

import pytest

from brokers import BaseBroker, Field, registry
from brokers.config import Configuration, Entry
from brokers.secrets import resolver


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    monkeypatch.setattr(registry, "_versions", {})


def broker(*fields):
    return type(BaseBroker)("Own", (BaseBroker,), {"handle": lambda self, payload: None, "fields": fields})


def service(**settings):
    lines = {"broker": "own", **{key.replace("__", "-"): value for key, value in settings.items()}}
    return Configuration.parse(Entry("ci", key, value, "config") for key, value in lines.items()).services[0]


def found(*fields, resolve=None, **settings):
    """What the payload will have, and what is wrong."""
    values, problems = broker(*fields).settings_of(service(**settings), resolve)
    return values, [str(problem) for problem in problems]


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        ("string", "Any text #1 ", "Any text #1 "),
        ("secret", "pässwörd", "pässwörd"),
        ("boolean", "Yes", True),
        ("boolean", None, True),
        ("boolean", "off", False),
        ("integer", " 25 ", 25),
        ("count", "1", 1),
        ("duration", "2m", 120.0),
        ("bytes", "64k", 65536),
        ("list", "a, b c", ["a", "b", "c"]),
        ("list", "", []),
        ("url", "https://ci.example.org/hook", "https://ci.example.org/hook"),
        ("mail", "Ann <ann@example.org>", "Ann <ann@example.org>"),
        ("mails", "a@example.org b@example.org", ["a@example.org", "b@example.org"]),
        ("path", "/srv/diary", "/srv/diary"),
    ],
)
def test_what_a_value_comes_to(kind, raw, value):
    values, problems = found(Field("Thing", type=kind), thing=raw)
    assert (values, problems) == ({"thing": value}, [])
    assert type(values["thing"]) is type(value)


@pytest.mark.parametrize(("raw", "value"), [("low", "Low"), ("HIGH", "high"), (" Low ", "Low")])
def test_a_choice_arrives_as_its_author_wrote_it(raw, value):
    assert found(Field("Level", type="choice", choices=["Low", "high"]), level=raw) == ({"level": value}, [])


@pytest.mark.parametrize("configured", ["CHANNEL", "channel", "Channel"])
def test_any_case_in_the_configuration_lower_case_in_the_payload(configured):
    assert found(Field("ChanneL"), **{configured: "#dev"}) == ({"channel": "#dev"}, [])


@pytest.mark.parametrize("configured", ["Api_Key", "api__key"])
def test_a_name_with_an_underscore_can_be_written_as_git_takes_it(configured):
    field = Field("API_Key", required=True, type="secret")
    assert found(field, **{configured: "geheim"}) == ({"api_key": "geheim"}, [])
    assert broker(field).secrets_of(service(**{configured: "geheim"}), {"api_key": "geheim"}) == ["geheim"]
    assert broker(Field("Api_Key")).secrets_of(service(**{configured: "env:KEY"}), {"api_key": "geheim"}) == ["geheim"]


@pytest.mark.parametrize(
    ("kind", "default", "value"),
    [
        ("duration", "30s", 30.0),
        ("duration", 30, 30),
        ("bytes", "1m", 1048576),
        ("boolean", "no", False),
        ("list", "a b", ["a", "b"]),
        ("list", ("a", "b"), ["a", "b"]),
        ("url", "", ""),
        ("integer", None, None),
    ],
)
def test_a_default_is_written_as_a_value_or_as_the_configuration_would_have_it(kind, default, value):
    field = Field("Thing", type=kind, default=default)
    assert field.default == value
    assert found(field) == ({} if value is None else {"thing": value}, [])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"type": "integer", "default": "many"}, "the field X has the default 'many': write a whole number"),
        ({"type": "integer", "default": True}, "the field X, which is of the type integer, has the default True"),
        ({"type": "boolean", "default": 1}, "the field X, which is of the type boolean, has the default 1"),
        ({"type": "list", "default": {"a"}}, "the field X, which is of the type list, has the default {'a'}"),
        ({"default": 5}, "the field X, which is of the type string, has the default 5"),
        ({"type": "choice", "choices": ["a", "b"], "default": "c"}, "the field X has the default 'c': write a or b"),
    ],
)
def test_a_default_that_cannot_be_is_refused_where_it_stands(arguments, told):
    with pytest.raises(ValueError) as caught:
        Field("X", **arguments)
    assert str(caught.value) == told


def test_a_default_belongs_to_one_payload():
    own = broker(Field("Rooms", type="list", default=["a"]))
    first, _ = own.settings_of(service())
    first["rooms"].append("b")
    assert own.settings_of(service())[0] == {"rooms": ["a"]}


@pytest.mark.parametrize(
    ("arguments", "settings", "is_missing"),
    [
        ({}, {}, True),
        ({}, {"url": ""}, True),
        ({"default": "x"}, {}, False),
        ({}, {"url": "x"}, False),
        ({"type": "boolean"}, {"url": "off"}, False),
    ],
)
def test_what_is_required_has_to_be_there_with_something_in_it(arguments, settings, is_missing):
    _, problems = found(Field("URL", required=True, help="where to", **arguments), **settings)
    told = "service.ci.URL in config: the broker own needs it; set it: where to"
    assert problems == ([told] if is_missing else [])


def even(number):
    if number % 2:
        raise ValueError(f"write an even number, not {number}")


def careless(value):
    return value["nothing"]


@pytest.mark.parametrize(
    ("arguments", "raw", "told"),
    [
        ({"validate": even}, "4", None),
        ({"validate": even}, "5", "service.ci.port in config: '5' is not right; write an even number, not 5"),
        (
            {"validate": even, "secret": True},
            "7",
            "service.ci.port in config: the value is not right; write an even number, not ****",
        ),
        ({"validate": even}, "env:PORT", "service.ci.port in config: 'env:PORT' is not right; write an even number, not ****"),
        (
            {"validate": careless},
            "5",
            "service.ci.port in config: '5' is not right; it could not be checked: TypeError: 'int' object is not subscriptable",
        ),
    ],
)
def test_a_field_s_own_check(arguments, raw, told):
    _, problems = found(Field("Port", type="integer", **arguments), resolve=resolver({"PORT": "13"}), port=raw)
    assert problems == ([told] if told else [])


@pytest.mark.parametrize(
    "field", [Field("Token", type="secret"), Field("Token", secret=True), Field("Token", secret=True, type="list")]
)
def test_a_secret_is_one_by_its_type_or_by_the_flag(field):
    assert field.secret
    own = broker(field)
    values, _ = own.settings_of(service(token="geheim"))
    assert own.secrets_of(service(token="geheim"), values) == ["geheim"]


def test_two_fields_that_a_configuration_could_not_tell_apart_are_refused():
    with pytest.raises(Exception, match="has two fields named api-key"):
        broker(Field("api_key"), Field("API-Key"))
