"""Redis streams: XADD, over redis-py's connection."""

from __future__ import annotations

import socket
from typing import Any

import redis

from brokers.errors import DeliveryFailed
from brokers.transport.publishing import Link, Message


def publish(message: Message, link: Link) -> str:
    """The note is the entry's id and its stream. The entry has the fields `id` and `payload`."""

    class Connection(redis.Connection):
        def _connect(self) -> socket.socket:
            return link.opened()

    server = link.server
    if not server.path.isdigit() and server.path:
        raise DeliveryFailed(f"{server.path!r} is no number of a database, as in redis://{server.host}/0", endpoint_down=False)
    connection: Any = Connection(  # type: ignore[no-untyped-call]  # its class has types, its constructor none
        host=server.host,
        port=server.port,
        db=int(server.path or 0),
        username=server.user or None,
        password=server.password or None,
        socket_timeout=link.remaining_s(),
        client_name="oberon",
    )
    try:
        connection.connect()
        connection.send_command(
            "XADD", message.topic, "MAXLEN", "~", message.max_length, "*", "id", message.id, "payload", message.body
        )
        entry = connection.read_response()
    except (redis.AuthenticationError, redis.exceptions.NoPermissionError) as error:
        raise link.refused_login(error) from error
    except redis.ResponseError as error:
        raise link.refused(error) from error
    except redis.TimeoutError as error:
        raise link.late() from error
    except redis.ConnectionError as error:
        if link.watchdog.fired:
            raise link.late() from error
        if isinstance(error.__cause__ or error.__context__, OSError):
            raise (error.__cause__ or error.__context__) from error  # type: ignore[misc]  # it is one
        raise link.lost(error) from error
    except redis.RedisError as error:
        raise link.refused(error, "is it a Redis server?") from error
    finally:
        connection.disconnect()
    return f"{entry.decode()} in {message.topic}"
