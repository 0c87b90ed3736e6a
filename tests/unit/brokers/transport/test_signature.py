from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from brokers.errors import PermanentFailure
from brokers.transport.signature import SCHEMES, Signed, check

OLD, NEW = (f"whsec_{base64.b64encode(bytes([byte]) * 24).decode()}" for byte in (1, 2))
ID = "f6266f16-1bf3-46a5-9ea4-602e06ead473"


def signed(scheme, body, *secrets, content=None):
    return SCHEMES[scheme](Signed(ID, body, body if content is None else content, secrets))


def test_github_s_own_example():
    # https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries, "Testing the webhook payload validation"
    secret = "It's a Secret to Everybody"
    headers = signed("hub", b"Hello, World!", secret)
    assert headers["X-Hub-Signature-256"] == "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert headers["X-Hub-Signature"] == f"sha1={hmac.new(secret.encode(), b'Hello, World!', hashlib.sha1).hexdigest()}"


def test_gitea_signs_the_json_in_a_form():
    headers = signed("gitea", b"payload=%7B%7D", "secret", content=b"{}")
    digest = hmac.new(b"secret", b"{}", hashlib.sha256).hexdigest()
    assert headers["X-Gitea-Signature"] == headers["X-Gogs-Signature"] == digest
    assert headers["X-Hub-Signature-256"] == f"sha256={digest}"


def test_gitlab_hands_over_the_secret():
    assert signed("gitlab", b"{}", "secret") == {"X-Gitlab-Token": "secret"}


@pytest.mark.parametrize("secret", [NEW, NEW.removeprefix("whsec_")])
def test_another_s_library_verifies_a_standard_webhook(secret):
    headers = signed("standard", b'{"a": 1}', secret)
    assert Webhook(NEW).verify(b'{"a": 1}', headers) == {"a": 1}
    assert headers["webhook-id"] == ID
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(b'{"a": 2}', headers)


def test_during_a_rotation_both_secrets_verify():
    headers = signed("standard", b"{}", NEW, OLD)
    assert [Webhook(secret).verify(b"{}", headers) for secret in (NEW, OLD)] == [{}, {}]
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(b"{}", signed("standard", b"{}", NEW))


@pytest.mark.parametrize("secret", ["open sesame", "whsec_", "whsec_%%%", "whsec_ä"])
def test_what_is_no_secret_of_standard_webhooks_is_told_and_not_shown(secret):
    with pytest.raises(PermanentFailure, match="write whsec_ and base64") as caught:
        signed("standard", b"{}", secret)
    assert secret == "whsec_" or secret not in str(caught.value)


def test_a_secret_that_begins_like_one_must_be_one():
    check("open sesame")
    check(NEW)
    with pytest.raises(ValueError, match="base64"):
        check("whsec_open sesame")
