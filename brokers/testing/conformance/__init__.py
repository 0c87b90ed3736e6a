"""Whether a broker does what Oberon relies on: `oberon check-broker FILE`.

`python -m brokers.testing.conformance` is the process in which the broker's code runs, so that nothing it does - `os._exit`, a
crash, a thread that never ends - can pass for a success. In, on stdin: JSON, `{"file": path, "settings": {key: value}}`. Out, on
stdout, a JSON object a line: `{"begin": NAME}` before each check, then its `Result`; `{"wrong": TEXT}` where a setting is wrong;
last `{"end": true}`. What the broker prints goes to stderr.
"""
