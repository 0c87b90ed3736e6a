"""`oberon metrics`, as Prometheus' own parser reads it."""

import fcntl
import subprocess
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

from brokers.delivery import retention
from brokers.delivery.claims import NewDelivery
from brokers.delivery.metrics import Family, exposition
from brokers.delivery.outbox import Outbox
from brokers.delivery.outcome import Outcome, Verdict

OLD_S = 100 * 86_400.0


def parsed(told):
    """(metric, its labels) -> value; and the type of each metric."""
    families = list(text_string_to_metric_families(told))
    samples = [sample for family in families for sample in family.samples]
    found = {(sample.name, *sorted(sample.labels.items())): sample.value for sample in samples}
    assert len(found) == len(samples), "no sample twice"
    assert len({family.name for family in families}) == len(families), "no metric twice"
    assert all(family.documentation for family in families)
    return found, {family.name: family.type for family in families}


@pytest.fixture
def measure(oberon):
    def run(state_dir, *options):
        ran = oberon("metrics", "--state-dir", state_dir, *options)
        assert ran.code == 0
        return parsed(ran.out)[0]

    return run


def of(name, **labels):
    return (name, *sorted(labels.items()))


def test_before_the_first_push_all_is_zero(measure, state_dir):
    found = measure(state_dir)
    assert not state_dir.exists()
    del found[next(key for key in found if key[0] == "oberon_build_info")]
    assert {key: value for key, value in found.items() if value} == {of("oberon_state_usable"): 1}
    assert of("oberon_pushes_total") in found
    assert of("oberon_spool_files", state="bad") in found
    assert of("oberon_services_disabled", by="oberon") in found


def test_deliveries_and_attempts_per_service(kept, measure):
    kept.push("ci", "chat", NewDelivery("mail", "email", skipped="skipped: refs filter"))
    kept.push("ci", path="/srv/git/other.git")
    kept.tried(Verdict.DELIVERED, Verdict.RETRY, Outcome(Verdict.DEAD, "no", duration_s=1.5))
    found = measure(kept.state_dir)
    ci = {"service": "ci", "broker": "post"}
    assert found[of("oberon_pushes_total")] == 2
    assert found[of("oberon_deliveries", **ci, state="delivered")] == 1
    assert found[of("oberon_deliveries", **ci, state="dead")] == 1
    assert found[of("oberon_deliveries", **ci, state="parked")] == 0
    assert found[of("oberon_deliveries", service="mail", broker="email", state="skipped")] == 1
    assert found[of("oberon_attempts_total", **ci, outcome="delivered")] == 1
    assert found[of("oberon_attempts_total", **ci, outcome="retry")] == 0
    assert found[of("oberon_attempt_duration_seconds_total", **ci, outcome="dead")] == 1.5
    assert of("oberon_last_attempt_timestamp_seconds", **ci, outcome="dead") in found
    assert of("oberon_last_attempt_timestamp_seconds", **ci, outcome="retry") not in found
    assert found[of("oberon_outbox_size_bytes")] > 4096


def test_the_label_repository_only_where_it_is_asked_for(kept, measure):
    kept.push("ci")
    kept.push("ci", path="/srv/git/other.git")
    kept.tried(Verdict.DELIVERED, Verdict.DELIVERED)
    kept.switch_off("ci", "/srv/git/app.git", by="oberon")
    assert not [key for key in measure(kept.state_dir) if any(label[0] == "repository" for label in key[1:])]
    found = measure(kept.state_dir, "--per-repository")
    for path in ("/srv/git/app.git", "/srv/git/other.git"):
        labels = {"repository": path, "service": "ci", "broker": "post"}
        assert found[of("oberon_pushes_total", repository=path)] == 1
        assert found[of("oberon_deliveries", **labels, state="delivered")] == 1
        assert found[of("oberon_attempts_total", **labels, outcome="delivered")] == 1
    off = {"repository": "/srv/git/app.git", "service": "ci", "by": "oberon"}
    assert found[of("oberon_service_disabled_timestamp_seconds", **off)] == 1000


def test_no_counter_goes_down_when_the_record_is_pruned(kept, measure, oberon):
    kept.push("ci")
    kept.tried(Outcome(Verdict.RETRY, "refused", duration_s=2.0), again_s=-1.0)
    kept.tried(Verdict.DELIVERED)
    kept.run_sql(f"UPDATE event SET created_at = created_at - {OLD_S}")
    kept.run_sql(f"UPDATE delivery SET finished_at = finished_at - {OLD_S}")
    before = measure(kept.state_dir)
    kinds = parsed(oberon("metrics", "--state-dir", kept.state_dir).out)[1]
    with Outbox.open(str(kept.state_dir), lambda: 2e9) as outbox:
        assert retention.prune(outbox, OLD_S / 2) == (1, False)
        assert outbox.ask("attempts_of", id=1) == []
    after = measure(kept.state_dir)
    counters = [key for key in before if kinds.get(key[0].removesuffix("_total")) == "counter"]
    assert {key[0] for key in counters} == {
        "oberon_pushes_total",
        "oberon_attempts_total",
        "oberon_attempt_duration_seconds_total",
    }
    assert {key: after[key] for key in counters} == {key: before[key] for key in counters}
    assert all(key[0].endswith("_total") for key in counters)
    assert sum(value for key, value in after.items() if key[0] == "oberon_attempts_total") == 2
    assert sum(value for key, value in after.items() if key[0] == "oberon_deliveries") == 0


def test_what_is_held_back(kept, measure):
    kept.push("ci", "chat", "mail")
    kept.break_open("ci.example.org:443")
    kept.run_sql("INSERT INTO breaker VALUES ('mail.example.org:443', 2, 1000, NULL, 0)")
    kept.switch_off("chat")
    found = measure(kept.state_dir)
    for service, state in {"ci": "parked", "chat": "disabled", "mail": "waiting"}.items():
        assert found[of("oberon_deliveries", service=service, broker="post", state=state)] == 1
    assert found[of("oberon_breakers_open")] == 1
    assert found[of("oberon_breaker_failing_since_timestamp_seconds", endpoint="ci.example.org:443")] == 1000
    assert found[of("oberon_breaker_waiting_deliveries", endpoint="ci.example.org:443")] == 1
    assert found[of("oberon_services_disabled", by="admin")] == 1
    assert found[of("oberon_services_disabled", by="oberon")] == 0
    assert found[of("oberon_service_disabled_timestamp_seconds", service="chat", by="admin")] == 1000


def test_the_worker_the_spool_and_how_late_it_is(git_repo, measure):
    git_repo.record()
    (git_repo.state_dir / "spool" / "bad" / "junk").write_bytes(b"junk")
    with (git_repo.state_dir / "worker.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = measure(git_repo.state_dir)
    assert found[of("oberon_worker_running")] == 1
    assert found[of("oberon_spool_files", state="waiting")] == 1
    assert found[of("oberon_spool_files", state="bad")] == 1
    assert 0 <= found[of("oberon_oldest_waiting_age_seconds")] < 60


def test_a_state_directory_that_cannot_be_used_is_told_and_no_failure(measure, tmp_path):
    (tmp_path / "file").write_text("")
    assert measure(tmp_path / "file" / "state")[of("oberon_state_usable")] == 0


HOSTILE = 'a"b\\c\nd\x1b[2J\x00\u202e\udcff é'


def test_hostile_names_are_labels_and_nothing_else(kept, measure, oberon):
    kept.push(NewDelivery(HOSTILE, "post", HOSTILE))
    kept.tried(Verdict.DELIVERED)
    shown = 'a"b\\c\\x0ad\\x1b[2J\\x00\\u202e\ufffd é'
    assert measure(kept.state_dir)[of("oberon_deliveries", service=shown, broker="post", state="delivered")] == 1
    told = oberon("metrics", "--state-dir", kept.state_dir).out
    assert all(line.isprintable() for line in told.split("\n"))


def test_values_and_help_are_escaped_as_the_format_says():
    family = Family(
        "oberon_x", "gauge", "back\\slash\nand line", (({"a": 'q"'}, 1.0), ({"a": "b"}, 1_706_929_445.1234), ({}, -2))
    )
    told = exposition([family, Family("oberon_empty", "gauge", "none", ())])
    assert told == (
        "# HELP oberon_x back\\\\slash\\nand line\n"
        "# TYPE oberon_x gauge\n"
        'oberon_x{a="q\\""} 1\n'
        'oberon_x{a="b"} 1706929445.123\n'
        "oberon_x -2\n"
    )
    [family] = text_string_to_metric_families(told)
    assert family.documentation == "back\\slash\nand line"


def test_the_text_is_utf_8_whatever_the_terminal_s_encoding_is(kept):
    kept.push("café")
    done = subprocess.run(
        [sys.executable, "-m", "brokers.cli.main", "metrics", "--state-dir", kept.state_dir],
        capture_output=True,
        check=True,
        env={"PYTHONIOENCODING": "latin-1", "PATH": "/usr/bin:/bin"},
    )
    found = parsed(done.stdout.decode("utf-8"))[0]
    assert of("oberon_deliveries", service="café", broker="post", state="waiting") in found
