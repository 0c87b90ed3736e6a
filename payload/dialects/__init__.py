"""The same push in the words of others' webhooks: one module per service that a receiver may expect.

Each has `write(payload) -> dict`, which takes a payload (`payload.build`) and returns exactly the keys of the service it
speaks for, and says in `CONTENT_TYPE` and `HEADERS` how that service sent them.
"""
