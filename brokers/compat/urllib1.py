"""What Python 2's `urllib` had and Python 3's has not. FancyURLopener left Python with 3.14; this one needs nothing of it."""

from __future__ import annotations

import re
from types import ModuleType
from urllib.parse import quote, quote_plus, unquote, unquote_plus, urlencode, urlsplit

from brokers.compat.answers import Answer, Headers, is_success, refused, send
from brokers.errors import PermanentFailure
from brokers.transport.http_request import USER_AGENT

_UNAUTHORIZED = 401
_KEPT_IN_ADDRESSES = "%/:=&?~#+!$,;'@()*[]|"  # as Python 2's URLopener.open quoted
_BASIC = re.compile(r'\bBasic\b[^"]*\brealm="([^"]*)"', re.IGNORECASE)


class URLopener:
    """Opens addresses. `version`, an attribute of the class, is the User-Agent."""

    version = USER_AGENT

    def __init__(self, proxies: object = None, **x509: object) -> None:
        if proxies or x509:
            raise PermanentFailure("an opener takes no proxies and no key files: oberon.proxy and oberon.caBundle are for all")
        self.addheaders: list[tuple[str, str]] = [("User-Agent", self.version)]

    def addheader(self, *header: str) -> None:
        """Send (name, value) with each request."""
        name, value = header
        self.addheaders.append((name, value))

    def open(self, fullurl: str, data: str | bytes | None = None) -> Answer:
        """The answer to a POST of `data`, or to a GET without; an answer that is no 2xx goes through `http_error`.

        `user:password@` of the address logs in. Raises URLError when no answer comes.
        """
        return self._open(quote(fullurl.strip(), safe=_KEPT_IN_ADDRESSES), data, None)

    def http_error(
        self, url: str, fp: Answer, errcode: int, errmsg: str, headers: Headers, data: str | bytes | None = None
    ) -> Answer:
        """What `http_error_CODE` gives, a method that subclasses may have, else what `http_error_default` gives."""
        method = getattr(self, f"http_error_{errcode}", None)
        if method is not None:
            result: Answer | None = method(url, fp, errcode, errmsg, headers, *(() if data is None else (data,)))
            if result:
                return result
        return self.http_error_default(url, fp, errcode, errmsg, headers)

    def http_error_default(self, url: str, fp: Answer, errcode: int, errmsg: str, headers: Headers) -> Answer:  # noqa: ARG002 - as subclasses override it
        """Raises HTTPError. A subclass that wants the page returns `fp`."""
        raise refused(fp)

    def _open(self, url: str, data: str | bytes | None, login: tuple[str, str] | None) -> Answer:
        answer = send("GET" if data is None else "POST", url, data, dict(self.addheaders), login)
        if is_success(answer):
            return answer
        arguments = (url, answer, answer.code, answer.msg, answer.headers)
        if login is not None and answer.code == _UNAUTHORIZED:
            return self.http_error_default(*arguments)
        return self.http_error(*arguments, data)


class FancyURLopener(URLopener):
    """Likewise; asked for a login (basic authentication), it takes the one of `prompt_user_passwd`.

    Redirects are not followed, as nowhere here.
    """

    def prompt_user_passwd(self, host: str, realm: str) -> tuple[str | None, str | None]:  # noqa: ARG002 - as subclasses override it
        """(user, password) for `realm`; here (None, None), there being nobody to ask."""
        return (None, None)

    def http_error_401(
        self,
        url: str,
        fp: Answer,  # noqa: ARG002 - as subclasses override it
        errcode: int,  # noqa: ARG002 - likewise
        errmsg: str,  # noqa: ARG002 - likewise
        headers: Headers,
        data: str | bytes | None = None,
    ) -> Answer | None:
        """The answer to the same request with a login; None where there is none to give.

        Nothing is remembered: the next service of this thread may have another login for the same realm.
        """
        realm = _BASIC.search(", ".join(headers.get_all("WWW-Authenticate", ())))
        if realm is None:
            return None
        user, password = self.prompt_user_passwd(urlsplit(url).netloc.rpartition("@")[2], realm[1])
        if not (user or password):
            return None
        return self._open(url, data, (user or "", password or ""))


def names(module: ModuleType) -> dict[str, object]:
    """What `module`, one file's `urllib`, has of ours."""

    def urlopen(url: str, data: str | bytes | None = None, proxies: object = None) -> Answer:
        """The answer to `url`, opened by `urllib._urlopener` if the file has set it, else by a FancyURLopener."""
        opener: URLopener = (None if proxies else vars(module)["_urlopener"]) or FancyURLopener(proxies)
        return opener.open(url) if data is None else opener.open(url, data)

    return {
        "FancyURLopener": FancyURLopener,
        "URLopener": URLopener,
        "_urlopener": None,
        "quote": quote,
        "quote_plus": quote_plus,
        "unquote": unquote,
        "unquote_plus": unquote_plus,
        "urlencode": urlencode,
        "urlopen": urlopen,
    }
