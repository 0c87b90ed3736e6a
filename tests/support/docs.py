"""What the documents say of the settings and the brokers, made from the tables that the code reads: `make docs` writes it."""

from __future__ import annotations

import re
from pathlib import Path

from brokers.config import OBERON_OPTIONS, SERVICE_OPTIONS, Option
from tests.support import broker_page

README = Path(__file__).parents[2] / "README.md"
TABLES = {"oberon": OBERON_OPTIONS, "service": SERVICE_OPTIONS}


def table(options: tuple[Option, ...]) -> str:
    """A Markdown table, a row for each option."""
    rows = ["| setting | default | what it does |", "|---|---|---|"]
    for option in options:
        told = option.help.replace("|", "\\|")
        choices = f" ({', '.join(option.choices)})" if option.choices else ""
        rows.append(f"| `{option.name}` | {f'`{option.default_text}`' if option.default_text else ''} | {told}{choices} |")
    return "\n".join(rows)


def written(readme: str) -> str:
    """`readme` with its tables as they should be."""
    for name, options in TABLES.items():
        block = f"<!-- options: {name} -->\n{table(options)}\n<!-- end -->"
        readme, found = re.subn(
            rf"<!-- options: {name} -->\n.*?<!-- end -->", lambda _, block=block: block, readme, flags=re.DOTALL
        )
        assert found == 1, name
    return readme


if __name__ == "__main__":
    for page, made in ((README, written), (broker_page.PAGE, broker_page.written)):
        page.write_text(made(page.read_text("utf-8")), "utf-8")
