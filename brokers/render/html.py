"""A push as HTML, for mail readers: what `brokers.render.body` says, with diffs in colour.

Everything that was pushed is escaped; there is no script, no image, no form and no style sheet, which mail readers drop, and
the only links are the commits' own pages. Diffs are coloured by Pygments; where it is not installed they are plain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape

from brokers.render.body import Section

_MONO = "font-family: ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace; font-size: 13px; line-height: 1.4"
_PAGE = "font-family: system-ui, 'Segoe UI', Helvetica, Arial, sans-serif; color: #1f2328; background: #ffffff; margin: 16px"
_TEXT = f"{_MONO}; white-space: pre-wrap; overflow-wrap: anywhere; margin: 0"
_DIFF = f"{_MONO}; white-space: pre; overflow-x: auto; margin: 12px 0 0; padding: 8px 12px; background: #f6f8fa; border: 1px solid #d1d9e0"
_TITLE = "font-size: 16px; margin: 24px 0 8px; padding-top: 12px; border-top: 1px solid #d1d9e0"
_REMARK = "color: #59636e; font-style: italic; margin: 8px 0 0"


def page(parts: Iterable[Section], title: str) -> str:
    """A whole document of `brokers.render.body`'s sections."""
    coloured = _colouring()
    body = "\n".join(_section(part, coloured) for part in parts)
    return (
        '<!DOCTYPE html>\n<html>\n<head><meta charset="utf-8">'
        f'<title>{escape(title)}</title></head>\n<body style="{_PAGE}">\n{body}\n</body>\n</html>\n'
    )


def _section(part: Section, coloured: Callable[[str], str]) -> str:
    told = [f'<h2 style="{_TITLE}">{_linked(part.title, part.url)}</h2>'] if part.title else []
    told.append(f'<pre style="{_TEXT}">{escape(_joined(part.lines))}</pre>')
    if part.diff is not None and part.diff.lines:
        told.append(f'<pre style="{_DIFF}">{coloured(_joined(part.diff.lines))}</pre>')
    if part.diff is not None and part.diff.remark:
        told.append(f'<p style="{_REMARK}">{escape(part.diff.remark)}</p>')
    return "\n".join(told)


def _linked(title: str, url: str) -> str:
    if not url.startswith(("http://", "https://")):
        return escape(title)
    return f'<a href="{escape(url)}" style="color: #0969da; text-decoration: none">{escape(title)}</a>'


def _joined(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _colouring() -> Callable[[str], str]:
    """diff -> HTML of it."""
    try:
        from pygments import highlight
        from pygments.formatters import HtmlFormatter
        from pygments.lexer import inherit
        from pygments.lexers import DiffLexer
        from pygments.style import Style
        from pygments.token import Generic
    except ImportError:
        return escape

    class Colours(Style):
        """Dark enough on a light ground for everybody (WCAG 2.2, 1.4.3)."""

        background_color = "#f6f8fa"
        styles = {  # noqa: RUF012 - as Pygments has it
            Generic.Deleted: "#a40e26 bg:#ffebe9",
            Generic.Inserted: "#116329 bg:#dafbe1",
            Generic.Heading: "bold",
            Generic.Subheading: "#8250df",
        }

    class Lexer(DiffLexer):  # type: ignore[misc]  # Pygments makes its lexers known at run time
        """The names of the files are neither gone nor new."""

        tokens = {"root": [(r'(?:---|\+\+\+) (?:"?[ab]/|/dev/null).*\n', Generic.Heading), inherit]}  # noqa: RUF012 - likewise

    lexer, formatter = Lexer(stripnl=False), HtmlFormatter(nowrap=True, noclasses=True, style=Colours)
    return lambda diff: str(highlight(diff, lexer, formatter))
