"""Repositories served over http on 127.0.0.1: git by git-http-backend under a small CGI server, hg by `hg serve`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.parser import BytesHeaderParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote

from brokers.testing.receiver import HOST, read_body
from tests.support.command import environment
from tests.support.processes import end

READY_S = 20.0  # `hg serve` listens after 0.2 s on an idle machine


class CgiServer(ThreadingHTTPServer):
    """git-http-backend for the repositories below `root`. `user` is who the web server says has logged in; None: nobody.

    What it starts inherits the socket it listens on, as from a server that does not mind: who keeps it keeps the port.
    """

    daemon_threads = True

    def __init__(self, root: Path, user: str | None, port: int = 0) -> None:
        super().__init__((HOST, port), _CgiHandler)
        self.socket.set_inheritable(True)
        self.root = root
        self.user = user

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing, where the client has gone."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer's would ask a name server who 127.0.0.1 is
        self.server_name, self.server_port = HOST, self.server_address[1]


class _CgiHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: CgiServer

    def _serve(self) -> None:
        body = read_body(self.rfile, self.headers)
        # Read to the end of both pipes, as Apache's mod_cgi does: whoever keeps one open keeps the client waiting.
        ended = subprocess.run(
            ["git", "http-backend"],
            input=body,
            env=self._environment(len(body)),
            capture_output=True,
            check=False,
            close_fds=False,
        )
        head, _, content = ended.stdout.partition(b"\r\n\r\n")
        fields = BytesHeaderParser().parsebytes(head)
        if ended.returncode != 0 or not fields:
            self.send_error(500, explain=ended.stderr.decode("utf-8", "replace"))
            return
        self.send_response(int(fields.get("Status", "200").split()[0]))
        for name, value in fields.items():
            if name.lower() != "status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _serve  # noqa: N815 - http.server's names

    def _environment(self, length: int) -> dict[str, str]:
        """RFC 3875's variables; the body is whole by now, so CONTENT_LENGTH is given for a chunked one too."""
        path, _, query = self.path.partition("?")
        headers = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in self.headers.items()}
        for name in ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING", "HTTP_AUTHORIZATION", "HTTP_PROXY"):
            headers.pop(name, None)
        return environment(
            {
                **headers,
                "CONTENT_LENGTH": str(length) if self.command == "POST" else None,
                "CONTENT_TYPE": self.headers.get("Content-Type"),
                "GATEWAY_INTERFACE": "CGI/1.1",
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_PROJECT_ROOT": str(self.server.root),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol"),
                "PATH_INFO": unquote(path),
                "QUERY_STRING": query,
                "REMOTE_ADDR": self.client_address[0],
                "REMOTE_USER": self.server.user,
                "REQUEST_METHOD": self.command,
                "SCRIPT_NAME": "",
                "SERVER_NAME": HOST,
                "SERVER_PORT": str(self.server.server_port),
                "SERVER_PROTOCOL": self.request_version,
                "SERVER_SOFTWARE": "oberon-tests",
            }
        )

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Silent."""


@contextmanager
def git_over_http(root: Path, user: str | None, port: int = 0) -> Iterator[str]:
    """Serve the repositories below `root` on `port`, 0 for a free one; yields the URL that stands for `root`, with a slash."""
    with CgiServer(root, user, port) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def hg_over_http(repository: Path, log: Path) -> Iterator[str]:
    """`hg serve` for one repository, pushes allowed to all; yields its URL. What it says goes to `log`."""
    with _hg_serve(["-R", os.fspath(repository)], log) as url:
        yield url


@contextmanager
def hg_folder_over_http(root: Path, log: Path) -> Iterator[str]:
    """`hg serve` for all repositories below `root`; else as `hg_over_http`."""
    configuration = log.with_suffix(".conf")
    configuration.write_text(f"[paths]\n/ = {root}/**\n")
    with _hg_serve(["--web-conf", os.fspath(configuration)], log) as url:
        yield url


@contextmanager
def _hg_serve(what: list[str], log: Path) -> Iterator[str]:
    argv = ["hg", "serve", *what, "--address", HOST, "--port", "0", "--print-url"]
    argv += ["--config", "web.allow-push=*", "--config", "web.push_ssl=no"]
    with log.open("wb") as sink:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
    try:
        yield f"http://{HOST}:{_port(process, log)}/"
    finally:
        end([process.pid])
        process.wait()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    """From the line that `--print-url` prints once it listens: http://NAME:PORT/, by whatever name this machine goes."""
    deadline = time.monotonic() + READY_S
    while process.poll() is None and time.monotonic() < deadline:
        if found := re.match(r"http://.*:(\d+)/\n", log.read_text()):
            return int(found[1])
        time.sleep(0.01)
    raise AssertionError(f"hg serve did not come up:\n{log.read_text()}")
