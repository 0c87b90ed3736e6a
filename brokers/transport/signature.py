"""Signatures over the body of a webhook, by which a receiver knows whose it is.

In: the body as it is sent, and the secret of both sides. Out: headers. Without a secret nothing is signed: Jenkins, for one,
refuses a signature that it did not expect.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from brokers.errors import PermanentFailure

_PREFIX = "whsec_"


@dataclass(frozen=True, slots=True)
class Signed:
    """What is signed, and with what."""

    id: str
    """Of the request; the same for each attempt."""
    body: bytes
    """As it is sent."""
    content: bytes
    """The JSON in it; of a body that is JSON, the body."""
    secrets: tuple[str, ...]
    """The secret, and during a rotation the one before it."""


def check_standard(secret: str) -> bytes:
    """The key in a secret of Standard Webhooks: base64, which may begin with `whsec_`. Raises ValueError that says so."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise ValueError("write whsec_ and base64 behind it, as `echo whsec_$(openssl rand -base64 32)` makes it")
    return key


def check(secret: str) -> None:
    """Raises ValueError for a secret that begins with `whsec_` and is none of Standard Webhooks."""
    if secret.startswith(_PREFIX):
        check_standard(secret)


def _hub(signed: Signed) -> dict[str, str]:
    """GitHub: HMAC of the body as it is sent; the older header too, as GitHub does (Buildbot reads no other).

    https://docs.github.com/en/webhooks/webhook-events-and-payloads, "Delivery headers".
    """
    return {
        "X-Hub-Signature": f"sha1={_hex(signed.secrets[0], signed.body, 'sha1')}",
        "X-Hub-Signature-256": f"sha256={_hex(signed.secrets[0], signed.body, 'sha256')}",
    }


def _gitea(signed: Signed) -> dict[str, str]:
    """Gitea: HMAC of the JSON, also where that comes in a form (services/webhook/deliver.go)."""
    digest = _hex(signed.secrets[0], signed.content, "sha256")
    return {
        "X-Gitea-Signature": digest,
        "X-Gogs-Signature": digest,
        "X-Hub-Signature": f"sha1={_hex(signed.secrets[0], signed.content, 'sha1')}",
        "X-Hub-Signature-256": f"sha256={digest}",
    }


def _gitlab(signed: Signed) -> dict[str, str]:
    """GitLab: the secret itself (app/services/web_hook_service.rb)."""
    return {"X-Gitlab-Token": signed.secrets[0]}


def _standard(signed: Signed) -> dict[str, str]:
    """https://github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md; one signature for each secret."""
    moment = str(int(time.time()))
    content = b".".join((signed.id.encode(), moment.encode(), signed.body))
    try:
        digests = [hmac.digest(check_standard(secret), content, "sha256") for secret in signed.secrets]
    except ValueError as error:
        raise PermanentFailure(f"the secret is none of Standard Webhooks: {error}") from None
    return {
        "webhook-id": signed.id,
        "webhook-timestamp": moment,
        "webhook-signature": " ".join(f"v1,{base64.b64encode(digest).decode('ascii')}" for digest in digests),
    }


SCHEMES: Mapping[str, Callable[[Signed], dict[str, str]]] = {
    "hub": _hub,
    "gitea": _gitea,
    "gitlab": _gitlab,
    "standard": _standard,
}
"""Name -> the headers. Raises PermanentFailure for a secret that cannot be one."""


def _hex(secret: str, body: bytes, digest: str) -> str:
    return hmac.new(secret.encode(), body, digest).hexdigest()
