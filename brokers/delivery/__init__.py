"""From the fact that something was pushed to the service having it: spool, outbox, schedule, pool, worker.

`surroundings`, `statedir`, `spool` and `wake` are on the hooks' path: they import the standard library only, and as little of
it as possible. What others take from `os` they take from `posix`, where `os` has it from: of a local push's 30 ms, importing `os`
would take 1.1 (for its abstract classes), and `from __future__ import annotations`, which imports a module, 0.15.

The rest runs in the worker, or in the hook's process when `oberon.mode = inline`.
"""
