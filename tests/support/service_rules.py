"""What a service's documentation says of a request, as a row that a test checks each request by.

For services that cannot run here: a `brokers.testing.Receiver` takes the requests, `assert_obeyed` compares them with the rules.
Each rule names the page it was read on. What a rule does not allow is an error: an unknown field, parameter or second header.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema

from brokers.testing.receiver import ReceivedRequest

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Rule:
    """One kind of request that a service takes."""

    source: str
    """Address of the page that says so."""
    method: str
    path: str
    """Regular expression for all of the path, as sent, without its query."""
    query: Mapping[str, str] = field(default_factory=dict)
    """Parameter -> regular expression for all of its value; the name with `?` at its end: it may be absent."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Likewise, of headers; others may be there."""
    content_type: str = JSON
    """'' for a request without a body."""
    body: Mapping[str, Any] = field(default_factory=dict)
    """JSON Schema of the body; of a form, of an object with its fields. Objects have no other properties than it names."""


def assert_obeyed(requests: Sequence[ReceivedRequest], rules: Sequence[Rule]) -> None:
    """Each request obeys the rule of its place, and there are as many of both."""
    assert [f"{request.method} {urlsplit(request.path).path}" for request in requests] != [] or not rules, "nothing came"
    broken = [
        f"{request}: {flaw} ({rule.source})"
        for request, rule in zip(requests, rules, strict=False)
        for flaw in _flaws(request, rule)
    ]
    assert broken == []
    assert len(requests) == len(rules), [str(request) for request in requests]


def _flaws(request: ReceivedRequest, rule: Rule) -> list[str]:
    target = urlsplit(request.path)
    flaws = [] if request.method == rule.method else [f"the method is {request.method}, not {rule.method}"]
    if not re.fullmatch(rule.path, target.path):
        flaws.append(f"the path is {target.path}, not {rule.path}")
    query = parse_qs(target.query, keep_blank_values=True, strict_parsing=True) if target.query else {}
    flaws += _differences("parameter", query, rule.query, closed=True)
    headers = {name: request.headers.get_all(name, []) for name in {wanted.rstrip("?") for wanted in rule.headers}}
    flaws += _differences("header", {name: values for name, values in headers.items() if values}, rule.headers, closed=False)
    if not rule.content_type:
        return flaws + (["it has a body"] if request.body else [])
    if request.headers.get_content_type() != rule.content_type:
        flaws.append(f"the content type is {request.headers['Content-Type']}, not {rule.content_type}")
    try:
        jsonschema.validate(_body(request, rule), _closed(rule.body))
    except (ValueError, jsonschema.ValidationError) as error:
        flaws.append(f"the body: {error}")
    return flaws


def _differences(what: str, found: Mapping[str, list[str]], wanted: Mapping[str, str], *, closed: bool) -> list[str]:
    flaws = []
    for name, pattern in wanted.items():
        values = found.get(name.rstrip("?"), [])
        if not values and name.endswith("?"):
            continue
        if len(values) != 1 or not re.fullmatch(pattern, values[0]):
            flaws.append(f"the {what} {name} is {values}, not {pattern}")
    known = {name.rstrip("?") for name in wanted}
    return flaws + [f"there is no {what} {name}" for name in found if closed and name not in known]


def _body(request: ReceivedRequest, rule: Rule) -> Any:
    if rule.content_type != FORM:
        return json.loads(request.body)
    fields = parse_qs(request.body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
    return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}


def _closed(schema: Any) -> Any:
    """`schema` with every object that names its properties closed to others."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    shut = {} if "properties" not in schema else {"additionalProperties": False}
    return {**shut, **{key: _closed(part) for key, part in schema.items()}}
