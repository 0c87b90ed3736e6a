"""bytes -> str, once, for every message, name and path.

Repositories hold bytes; a payload holds text that any strict JSON parser accepts. So nothing that
leaves here has a lone surrogate, and the same bytes give the same text each time.
"""

from __future__ import annotations

import codecs

# Names under which git writes an encoding header that Python knows by another name or not at all.
_ENCODING_ALIASES = {"utf8mb4": "utf-8", "iso-latin-1": "latin-1", "x-user-defined": "latin-1"}

# Python's, but no encodings of text: they raise whatever the error handling, or interpret escapes and warn about them.
_NO_ENCODINGS = frozenset({"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape"})


def decode(raw: bytes, encoding: str | None = None) -> str:
    """The text of `raw`; never raises.

    `encoding` is the commit's `encoding` header, or None for UTF-8 (git-commit(1), "DISCUSSION").
    A codec that Python does not know, or that is not a text codec, counts as UTF-8. What does not
    decode as the encoding named becomes U+FFFD, each bad byte sequence as Python's `replace` does it.
    """
    return _strict_text(raw.decode(_codec(encoding), "replace"))


def decode_path(raw: bytes) -> str:
    """The text of a file or ref name: UTF-8, every byte that is not part of it as U+FFFD."""
    return raw.decode("utf-8", "replace")


def repair(text: str) -> str:
    """`text` as a strict JSON parser takes it: bytes smuggled in by `surrogateescape` are decoded or replaced."""
    if text.isascii():
        return text
    told = "".join("\ufffd" if "\ud800" <= char < "\udc80" or "\udcff" < char <= "\udfff" else char for char in text)
    return told.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def cut(text: str, max_bytes: int) -> tuple[str, bool]:
    """`text` cut to at most `max_bytes` of UTF-8, never inside a character; and whether it was cut."""
    if len(text) * 4 <= max_bytes:
        return text, False
    raw = text.encode("utf-8")
    if len(raw) <= max_bytes:
        return text, False
    return raw[:max_bytes].decode("utf-8", "ignore"), True


def visible(text: str) -> str:
    """`text` for a terminal or a log: one line, every control or bidirectional character written as an escape.

    Terminals obey C0 and C1 controls, and hg and git before 2.55 hand them on raw.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _codec(encoding: str | None) -> str:
    if not encoding:
        return "utf-8"
    name = encoding.strip().lower()
    try:
        codec = codecs.lookup(_ENCODING_ALIASES.get(name, name))
    except (LookupError, ValueError):
        return "utf-8"
    # `hex`, `zip` and their like turn bytes into bytes: in a header they can only be nonsense or an attack.
    is_text = getattr(codec, "_is_text_encoding", True) and codec.name.replace("_", "-") not in _NO_ENCODINGS
    return codec.name if is_text else "utf-8"


def _strict_text(text: str) -> str:
    # utf-7, utf-16 with surrogatepass and some vendors' codecs can yield lone surrogates.
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
    return text


def _escape(char: str) -> str:
    code = ord(char)
    if char <= "\xff":
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if char <= "\uffff" else f"\\U{code:08x}"
