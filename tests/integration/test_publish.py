"""The broker `publish` with real message brokers (tests/support/message_servers.py)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import pytest

from brokers.config import Configuration, Entry
from brokers.delivery.attempt import attempt
from brokers.delivery.outcome import Outcome, Verdict
from payload import samples
from tests.support import message_servers
from tests.support.message_servers import PASSWORD, USER
from tests.support.ports import free_port

pytestmark = [
    pytest.mark.xdist_group("message servers"),
    pytest.mark.filterwarnings(
        "ignore:(read|open)_text is deprecated:DeprecationWarning"
    ),  # kafka-python, with Python 3.11 and 3.12
]

EVENT = samples.load("git-push")["oberon"]["event"]
PLAIN = {"amqp": "amqp", "kafka": "kafka", "mqtt": "mqtt", "nats": "nats", "redis": "redis"}
SECURED = {"amqp": "amqps", "kafka": "kafka+ssl", "mqtt": "mqtts", "nats": "tls", "redis": "rediss"}
each = pytest.mark.parametrize("name", PLAIN)


def _server(name: str, start: Callable) -> Callable:
    @pytest.fixture(scope="session", name=name)
    def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[message_servers.Running]:
        needed = {"amqp": "rabbitmq-server", "mqtt": "mosquitto", "nats": "nats-server", "redis": "redis-server"}.get(name)
        if needed and message_servers.program(needed) is None and "CI" not in os.environ:
            pytest.skip(f"there is no {needed}")
        with start(tmp_path_factory.mktemp(name)) as running:
            yield running

    return started


redis = _server("redis", message_servers.redis)
mqtt = _server("mqtt", message_servers.mosquitto)
nats = _server("nats", message_servers.nats)
amqp = _server("amqp", message_servers.rabbitmq)
kafka = _server("kafka", message_servers.kafka)


def publish(url: str, payload=None, *, timeout_s: float = 10.0, ca_bundle: str = "", **settings: str) -> Outcome:
    settings = {"broker": "publish", "url": url, "topic": "oberon", "timeout": f"{timeout_s}s", **settings}
    entries = [Entry("bus", key.replace("_", "-"), value, "config") for key, value in settings.items()]
    entries += [Entry(None, "caBundle", ca_bundle, "config")] if ca_bundle else []
    configuration = Configuration.parse(entries)
    sample = payload or samples.load("git-push")
    common = {key: value for key, value in sample.items() if key not in ("broker", "service")}
    return attempt(configuration.services[0], configuration, common, lambda raw: raw)


def login(name: str) -> dict[str, str]:
    """Redis has a password alone, Tansu no login."""
    return {} if name == "kafka" else {"password": PASSWORD, **({} if name == "redis" else {"user": USER})}


def expected() -> dict:
    return {key: value for key, value in samples.load("git-push").items() if key not in ("broker", "service")}


@contextmanager
def bound(port: int):
    """A channel to RabbitMQ with the exchange `pushes`, and the queue `builds` bound to it."""
    import pika

    parameters = pika.ConnectionParameters("127.0.0.1", port, credentials=pika.PlainCredentials(USER, PASSWORD))
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.exchange_declare("pushes", "topic")
        channel.queue_declare("builds")
        channel.queue_purge("builds")
        channel.queue_bind("builds", "pushes", "git.team.*.main")
        yield channel


def test_rabbitmq_has_it_in_a_queue(amqp):
    with bound(amqp.port) as channel:
        topic = "git.${repository.path}.${branch}"
        outcome = publish(f"amqp://127.0.0.1:{amqp.port}", exchange="pushes", topic=topic, **login("amqp"))
        assert (outcome.verdict, outcome.note) == (Verdict.DELIVERED, "git.team.kettle.main at pushes")
        method, properties, body = channel.basic_get("builds", auto_ack=True)
    assert method.routing_key == "git.team.kettle.main"
    assert (properties.message_id, properties.content_type, properties.delivery_mode) == (EVENT, "application/json", 2)
    assert json.loads(body) == expected()


def test_rabbitmq_names_what_is_not_there(amqp):
    url = f"amqp://{USER}:{PASSWORD}@127.0.0.1:{amqp.port}"
    assert re.search("404 NOT_FOUND - no exchange 'nothing'", publish(url, exchange="nothing").reason)
    assert re.search("312 NO_ROUTE; bind a queue for nowhere", publish(url, topic="nowhere").reason)
    assert re.search("NOT_ALLOWED - vhost none not found", publish(f"{url}/none").reason)
    with bound(amqp.port):
        outcome = publish(url, exchange="pushes", topic="git.team.kettle.next")
    assert (outcome.verdict, outcome.reached) == (Verdict.RETRY, True)


def test_mosquitto_hands_it_to_a_subscriber(mqtt):
    import paho.mqtt.client as paho

    received: list = []
    subscriber = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    subscriber.username_pw_set(USER, PASSWORD)
    subscriber.on_message = lambda _client, _userdata, message: received.append(message)
    subscribed: list = []
    subscriber.on_subscribe = lambda *_: subscribed.append(True)
    subscriber.on_connect = lambda client, *_: client.subscribe("oberon/team/#", 1)
    subscriber.connect("127.0.0.1", mqtt.port)
    while not subscribed:
        subscriber.loop(0.1)
    outcome = publish(f"mqtt://127.0.0.1:{mqtt.port}", topic="oberon/${repository.path}/${branch}", **login("mqtt"))
    assert (outcome.verdict, outcome.note) == (Verdict.DELIVERED, "published to oberon/team/kettle/main")
    while not received:
        subscriber.loop(0.1)
    subscriber.disconnect()
    subscriber.loop(0.1)
    [message] = received
    assert (message.topic, message.qos, message.retain) == ("oberon/team/kettle/main", 1, False)
    assert message.properties.UserProperty == [("message-id", EVENT)]
    assert message.properties.ContentType == "application/json"
    assert json.loads(message.payload) == expected()


def test_mosquitto_says_what_it_may_not_and_whether_anybody_listens(mqtt):
    url = f"mqtt://{USER}:{PASSWORD}@127.0.0.1:{mqtt.port}"
    assert publish(url, topic="oberon/nobody").note == "published to oberon/nobody, where nobody listens"
    outcome = publish(url, topic="elsewhere")
    assert (outcome.verdict, outcome.reached) == (Verdict.RETRY, True)
    assert "Not authorized" in outcome.reason


def test_nats_hands_it_to_a_subscriber(nats):
    import nats as client

    async def receive() -> tuple:
        connection = await client.connect(f"nats://127.0.0.1:{nats.port}", user=USER, password=PASSWORD)
        subscription = await connection.subscribe("git.team.kettle.*")
        await connection.flush()
        outcome = await asyncio.to_thread(
            publish, f"nats://127.0.0.1:{nats.port}", topic="git.${repository.path}.${branch}", **login("nats")
        )
        message = await subscription.next_msg(5)
        await connection.close()
        return outcome, message

    outcome, message = asyncio.run(receive())
    assert (outcome.verdict, outcome.note) == (Verdict.DELIVERED, "published to git.team.kettle.main")
    assert message.subject == "git.team.kettle.main"
    assert message.headers["Nats-Msg-Id"] == EVENT
    assert json.loads(message.data) == expected()


def test_a_stream_of_nats_keeps_it_once(nats):
    import nats as client

    url = f"nats://{USER}:{PASSWORD}@127.0.0.1:{nats.port}"
    kept = {"topic": "kept.pushes", "jetstream": "true"}
    assert "no stream takes kept.pushes" in publish(url, **kept).reason

    async def make() -> None:
        connection = await client.connect(url)
        await connection.jetstream().add_stream(name="PUSHES", subjects=["kept.*"])
        await connection.close()

    async def count() -> int:
        connection = await client.connect(url)
        info = await connection.jetstream().stream_info("PUSHES")
        await connection.close()
        return info.state.messages

    asyncio.run(make())
    assert publish(url, **kept).note == "PUSHES 1"
    assert publish(url, **kept).note == "PUSHES 1, which had it already"
    assert asyncio.run(count()) == 1


def test_nats_says_what_it_may_not(nats):
    url = f"nats://{USER}:{PASSWORD}@127.0.0.1:{nats.port}"
    assert "Permissions Violation" in publish(url, topic="forbidden.x").reason
    assert "is no subject" in publish(url, topic="two words").reason
    payload = samples.load("git-push")
    payload["commits"][0]["message"] = "z" * 2_000_000
    outcome = publish(url, payload, topic="oberon")
    assert outcome.verdict is Verdict.DEAD
    assert re.search(r"has 2,\d+,\d+ bytes, .* takes 1,048,576; lower oberon.maxCommits", outcome.reason)


def test_no_login_goes_to_a_nats_without_tls(nats):
    outcome = publish(f"tls://127.0.0.1:{nats.port}", **login("nats"))
    assert outcome.verdict is Verdict.RETRY
    assert "it offers no TLS" in outcome.reason
    assert "it wants TLS; write its address as tls://" in publish(f"nats://127.0.0.1:{nats.tls_port}", **login("nats")).reason


def test_a_stream_of_redis_has_it_and_is_kept_short(redis):
    import redis as client

    with client.Redis("127.0.0.1", redis.port, password=PASSWORD) as server:
        for _ in range(250):
            server.xadd("git:team:kettle", {"id": "older"})
        outcome = publish(f"redis://127.0.0.1:{redis.port}", topic="git:${repository.path}", max_length="100", **login("redis"))
        entries = server.xrange("git:team:kettle")
        server.set("a string", "")
    number, entry = entries[-1]
    assert (outcome.verdict, outcome.note) == (Verdict.DELIVERED, f"{number.decode()} in git:team:kettle")
    assert (entry[b"id"].decode(), json.loads(entry[b"payload"])) == (EVENT, expected())
    assert len(entries) < 250
    assert "WRONGTYPE" in publish(f"redis://127.0.0.1:{redis.port}", topic="a string", **login("redis")).reason
    assert "DB index is out of range" in publish(f"redis://127.0.0.1:{redis.port}/99", **login("redis")).reason


def test_kafka_has_it_in_a_topic(kafka):
    from kafka import KafkaConsumer, TopicPartition

    outcome = publish(f"kafka://127.0.0.1:{kafka.port}", topic="git.${repository.path}.${branch}")
    assert outcome.verdict is Verdict.DELIVERED, outcome.reason
    [partition] = re.findall(r"^git\.team\.kettle\.main\[(\d)\] 0$", outcome.note)
    consumer = KafkaConsumer(bootstrap_servers=[f"127.0.0.1:{kafka.port}"], consumer_timeout_ms=5000)
    where = TopicPartition("git.team.kettle.main", int(partition))
    consumer.assign([where])
    consumer.seek(where, 0)
    record = next(consumer)
    consumer.close()
    assert json.loads(record.value) == expected()
    assert record.key == b"team/kettle"
    assert dict(record.headers)["message-id"] == EVENT.encode()


def test_kafkas_other_servers_are_judged_too(tmp_path):
    with message_servers.kafka(tmp_path, advertised="10.255.255.1:9092") as running:
        outcome = publish(f"kafka://127.0.0.1:{running.port}", allowhosts="loopback", timeout_s=0.5)
    assert outcome.verdict is Verdict.DEAD
    assert "10.255.255.1: deliveries to this private address are not allowed" in outcome.reason


@each
def test_over_tls(name, request, tmp_path):
    if name == "kafka":
        with message_servers.kafka_with_tls(tmp_path) as running:
            _over_tls(name, running)
    else:
        _over_tls(name, request.getfixturevalue(name))


def _over_tls(name, running):
    url = f"{SECURED[name]}://localhost:{running.tls_port}"
    topic = {"topic": "oberon/tls" if name == "mqtt" else "oberon"}
    if name == "amqp":
        with bound(running.port) as channel:
            channel.queue_declare("oberon")
    outcome = publish(url, ca_bundle=str(running.certificate.authority), **login(name), **topic)
    assert outcome.verdict is Verdict.DELIVERED, outcome.reason
    outcome = publish(url, **login(name), **topic)
    assert outcome.verdict is Verdict.RETRY
    assert "is not accepted" in outcome.reason
    assert "oberon.caBundle" in outcome.reason


@pytest.mark.parametrize("name", ["amqp", "mqtt", "nats", "redis"])
def test_a_wrong_login(name, request):
    running = request.getfixturevalue(name)
    outcome = publish(f"{PLAIN[name]}://{USER}:not-{PASSWORD}@127.0.0.1:{running.port}")
    assert (outcome.verdict, outcome.reached) == (Verdict.RETRY, True), outcome.reason
    assert "look at the user and password" in outcome.reason
    assert PASSWORD not in json.dumps(outcome.details) + outcome.reason


@each
def test_nobody_listens(name):
    outcome = publish(f"{PLAIN[name]}://127.0.0.1:{free_port()}", timeout_s=1.0)
    assert (outcome.verdict, outcome.reached) == (Verdict.RETRY, False)
    assert re.fullmatch(r"cannot connect to 127.0.0.1:\d+: connection refused", outcome.reason)


@each
def test_nothing_is_left_of_an_attempt_that_failed(name):
    publish(f"{PLAIN[name]}://127.0.0.1:{free_port()}", timeout_s=1.0)  # what is made once, is made now
    gc.collect()
    gc.disable()
    try:
        before = [*Path("/proc/self/fd").iterdir()]
        publish(f"{PLAIN[name]}://127.0.0.1:{free_port()}", timeout_s=1.0)
        after = [*Path("/proc/self/fd").iterdir()]
    finally:
        gc.enable()
    assert len(after) == len(before)
    protocol = import_module(f"brokers.transport.publishing.{name}")
    assert getattr(protocol, "_links", {}) == {}


@each
def test_it_goes_where_it_may_only(name):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        outcome = publish(f"{PLAIN[name]}://localhost:{server.getsockname()[1]}", allowhosts="external", timeout_s=1.0)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert outcome.verdict is Verdict.DEAD, outcome.reason
    assert "deliveries to this loopback address are not allowed" in outcome.reason


@each
@pytest.mark.parametrize("secured", [False, True])
def test_one_that_says_nothing_is_left_at_the_deadline(name, secured):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"{(SECURED if secured else PLAIN)[name]}://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        outcome = publish(url, timeout_s=0.2)
        took_s = time.monotonic() - started
    assert (outcome.verdict, outcome.slow_down, outcome.reached) == (Verdict.RETRY, True, False), outcome.reason
    assert took_s < 1


@each
@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["at once", "with nonsense"])
def test_one_that_hangs_up(name, said):
    def hang_up() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection = server.accept()[0]
                with connection:
                    connection.sendall(said)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=hang_up)
        thread.start()
        outcome = publish(f"{PLAIN[name]}://127.0.0.1:{server.getsockname()[1]}", timeout_s=0.5)
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert outcome.verdict is Verdict.RETRY
    assert "127.0.0.1:" in outcome.reason
    assert "traceback" not in outcome.details


@each
def test_a_dry_run_says_it_to_nobody(name):
    settings = {"broker": "publish", "url": f"{PLAIN[name]}://ann:{PASSWORD}@mq.example.org"}
    configuration = Configuration.parse(Entry("bus", key, value, "config") for key, value in settings.items())
    outcome = attempt(configuration.services[0], configuration, expected(), lambda raw: raw, dry_run=True)
    [exchange] = outcome.details["exchanges"]
    assert exchange["request"].startswith(f"PUBLISH {PLAIN[name]}://mq.example.org:")
    assert PASSWORD not in exchange["request"]
