"""From the fact that something was pushed to the service having it: spool, outbox, schedule, pool, worker.

`statedir`, `spool` and `wake` are on the hooks' path: they import the standard library only, and as little of it as
possible. The rest runs in the worker, or in the hook's process when `oberon.mode = inline`.
"""
