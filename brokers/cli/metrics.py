"""oberon metrics: the state directory in numbers, for Prometheus."""

from __future__ import annotations

import argparse
import io
import sys
import time

from brokers.cli import arguments as common
from brokers.cli import state
from brokers.cli.versions import own_version
from brokers.delivery import metrics, record


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `oberon metrics`."""
    common.describe(
        parser,
        "Print what waits, what failed and how often it was tried, in Prometheus' text format (0.0.4), for node_exporter's\n"
        "textfile collector or any other way to serve it. What ends in _total never goes down, whatever is pruned;\n"
        "oberon_deliveries counts the record, and does. Where no push can be recorded, oberon_state_usable is 0.\n"
        "A file for the textfile collector is written beside and renamed, as in the example, so that none is read half.",
        """
        oberon metrics
        oberon metrics > /var/lib/node_exporter/oberon.prom.$$ && mv /var/lib/node_exporter/oberon.prom.$$ /var/lib/node_exporter/oberon.prom
        oberon metrics --per-repository | grep 'state="dead"'
        """,
    )
    parser.add_argument(
        "--per-repository",
        action="store_true",
        help="with the label repository, where it makes sense; as many times more samples as there are repositories",
    )
    common.state_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """0. Raises OutboxError and OSError where the state cannot be read though a push can be recorded."""
    state_dir = state.of_machine(arguments.state_dir)
    state.require_sight(state_dir)
    trouble = state.trouble(state_dir)
    families = metrics.of_machine(own_version(), usable=trouble is None)
    with state.reported(trouble):
        spooled = record.spooled(state_dir)
        families += metrics.of_state_dir(state_dir, spooled, worker=record.worker_runs(state_dir))
        with record.existing_outbox(state_dir) as outbox:
            families += metrics.of_outbox(outbox, spooled, time.time(), per_repository=arguments.per_repository)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # the format's, whatever this terminal's is
    sys.stdout.write(metrics.exposition(families))
    return 0
