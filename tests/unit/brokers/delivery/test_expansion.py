from __future__ import annotations

import pytest

from brokers.config import Configuration, Entry
from brokers.delivery.expansion import needs_of

PATCHES = (
    'from brokers import BaseBroker\n\nclass Patches(BaseBroker):\n    needs = {"diff"}\n    def handle(self, payload): ...\n'
)


def configured(folder, broker, enabled="true"):
    rows = [
        (None, "brokerPath", str(folder)),
        ("one", "broker", broker),
        ("one", "enabled", enabled),
        ("mail", "broker", "email"),
    ]
    return Configuration.parse([Entry(service, key, value, "config") for service, key, value in rows])


@pytest.mark.parametrize(
    ("broker", "enabled", "needs"),
    [
        ("patches", "true", {"diff"}),
        ("patches", "false", set()),
        ("email", "true", set()),
        ("missing", "true", {"diff"}),
        ("broken", "true", {"diff"}),
        ("broken", "false", set()),
    ],
)
def test_a_broker_that_cannot_be_loaded_may_need_anything(tmp_path, broker, enabled, needs):
    (tmp_path / "patches.py").write_text(PATCHES)
    (tmp_path / "broken.py").write_text("class Broken(\n")
    assert needs_of(configured(tmp_path, broker, enabled)) == needs
