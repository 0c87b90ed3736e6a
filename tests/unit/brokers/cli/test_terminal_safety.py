"""Whatever stands in names, reasons and answers, no command sends it raw to a terminal, and none of it makes a line of its own."""

import pytest

from brokers.delivery.claims import NewDelivery
from brokers.delivery.outcome import Outcome, Verdict

HOSTILE = {
    "escape sequence": "\x1b[2J",
    "title": "\x1b]0;pwn\x07",
    "NUL": "\x00",
    "carriage return": "\r",
    "line feed": "\n",
    "next line, C1": "\x85",
    "CSI, C1": "\x9b",
    "line separator": "\u2028",
    "right to left": "\u202e",
    "zero width": "\u200b",
    "no text": "\udcff",
}
FORGED = "error: forged"


@pytest.fixture(params=HOSTILE.values(), ids=HOSTILE)
def hostile(request, kept):
    """An outbox in which it stands everywhere: 1 delivered, 2 dead, 3 parked, 4 disabled, 5 skipped, 6 waiting."""
    bad = f"x{request.param}{FORGED}"
    names = {number: f"{number}{bad}" for number in range(1, 7)}
    new = [NewDelivery(name, bad, bad + name, skipped=bad if number == 5 else "") for number, name in names.items()]
    kept.push(*new, path=f"/srv/{bad}")
    answer = f"HTTP/1.1 500 {bad}\r\nX: {bad}\r\n\r\n{bad}"
    exchange = {"transport": bad, "request": f"POST /{bad}", "response": answer, "status": 500, "duration_s": 0.1}
    details = {"exchanges": [exchange], "printed": bad, "traceback": bad}
    kept.tried(Outcome(Verdict.DELIVERED, note=bad, details=details), Outcome(Verdict.DEAD, bad, details=details))
    kept.break_open(new[2].endpoint)
    kept.switch_off(names[4], f"/srv/{bad}", by="oberon", why=bad)
    kept.run_sql("UPDATE delivery SET reason = ? WHERE id = 6", bad)
    return kept.state_dir, names


def safe(told):
    return all(line.isprintable() and not line.startswith(FORGED) for line in told.split("\n"))


def test_no_command_prints_it_raw(hostile, oberon, woken):
    state_dir, names = hostile
    commands = [
        ("deliveries",),
        ("deliveries", "--service", names[2]),
        *(("show", str(number)) for number in names),
        ("show", "2", "--payload"),
        ("status",),
        ("metrics",),
        ("metrics", "--per-repository"),
        ("disable", names[1], "--why", names[1]),
        ("enable", names[1]),
        ("enable", names[1][::-1]),
        ("redeliver", "2", "3", "4", names[1]),
        ("redeliver", "2", "3", "4"),
    ]
    for command in commands:
        if any("\x00" in argument for argument in command):
            continue  # no argument can have one
        ran = oberon(*command, "--state-dir", state_dir)
        assert safe(ran.out), command
        assert safe(ran.err), command
        assert ran.code in (0, 1, 2), command
    for command in [("deliveries",), ("show", "2"), ("status",), ("redeliver", "2", "4")]:
        told = oberon(*command, "--json", "--state-dir", state_dir)
        assert told.out.isascii(), command
        assert told.json()


def test_it_is_there_to_be_seen(kept, oberon):
    """The test above would pass if nothing were shown at all."""
    kept.push(NewDelivery("a\x1b[2Jb", "post", "c\u202ed", skipped="e\nf"))
    told = oberon("deliveries", "--state-dir", kept.state_dir).out
    assert "a\\x1b[2Jb" in told
    assert "e\\x0af" in told
    assert "c\\u202ed" in oberon("show", "1", "--state-dir", kept.state_dir).out
