"""What stands around the middle of every page: head, navigation, contents, and the assets that they need."""

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pygments.formatters import HtmlFormatter

from semcg.pages import font
from semcg.pages.markup import Section

__all__ = ["Entry", "assets", "page"]

_ASSETS = Path(__file__).parent / "assets"
LIGHT, DARK = "xcode", "lightbulb"
"""Styles of Pygments whose every colour has a contrast of at least 4.5 on the pages' plates."""


@dataclass(frozen=True)
class Entry:
    """One line of the navigation."""

    file: str
    title: str
    group: str


def page(
    middle: str,
    *,
    entry: Entry,
    entries: Sequence[Entry],
    sections: Sequence[Section] = (),
    scripts: Sequence[str] = (),
) -> str:
    """Return a whole page.

    Parameters
    ----------
    middle : str
        HTML with exactly one h1.
    entry, entries
        This page's line of the navigation, and all of them in their order.
    sections : list of Section
        Headings for the contents beside the text: those of level 2.
    scripts : list of str
        Further scripts, by file name.
    """
    contents = "".join(
        f'<li><a href="#{html.escape(anchor, quote=True)}">{html.escape(text)}</a></li>'
        for level, anchor, text in sections
        if level == 2
    )
    if contents:
        contents = (
            '<details class="contents" open><summary>On this page</summary>'
            f'<nav aria-label="On this page"><ul>{contents}</ul></nav></details>'
        )
    more = "".join(f'<script defer src="{name}"></script>' for name in scripts)
    title = html.escape(entry.title if entry.file == "index.html" else f"{entry.title} · semcg")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="assets/style.css">
<script src="assets/theme.js"></script>
<script defer src="assets/site.js"></script>{more}
</head>
<body>
<a class="skip" href="#main">To the text</a>
<header>
<a class="home" href="index.html">semcg</a>
<form action="search.html" role="search">
<label for="q">Search</label> <input id="q" name="q" type="search" autocomplete="off">
</form>
<button id="theme" type="button" aria-pressed="false">Dark</button>
</header>
<div class="columns">
<details class="pages" open><summary>All pages</summary>{_navigation(entry, entries)}</details>
<main id="main" tabindex="-1">
{middle}
{_neighbours(entry, entries)}
</main>
{contents}
</div>
</body>
</html>
"""


def _navigation(entry: Entry, entries: Sequence[Entry]) -> str:
    parts = []
    for group in dict.fromkeys(e.group for e in entries):
        lines = "".join(
            f'<li><a href="{e.file}"{current}>{html.escape(e.title)}</a></li>'
            for e in entries
            if e.group == group
            for current in [' aria-current="page"' if e.file == entry.file else ""]
        )
        parts.append(f"<p>{html.escape(group)}</p><ul>{lines}</ul>")
    return f'<nav aria-label="Pages">{"".join(parts)}</nav>'


def _neighbours(entry: Entry, entries: Sequence[Entry]) -> str:
    files = [e.file for e in entries]
    if entry.file not in files:
        return ""
    at, parts = files.index(entry.file), []
    if at > 0:
        before = entries[at - 1]
        parts.append(f'<a rel="prev" href="{before.file}">Before: {html.escape(before.title)}</a>')
    if at + 1 < len(files):
        after = entries[at + 1]
        parts.append(f'<a rel="next" href="{after.file}">Next: {html.escape(after.title)}</a>')
    return f'<nav class="neighbours" aria-label="Before and next">{"".join(parts)}</nav>'


def assets(index: Sequence[dict[str, str]]) -> dict[str, str]:
    """Return the files beside the pages, name -> text: style, scripts, and the index that the search reads."""
    made = {
        path.name: path.read_text(encoding="utf-8")
        for path in sorted(_ASSETS.iterdir())
        if path.suffix in (".css", ".js")
    }
    light = HtmlFormatter(style=LIGHT).get_style_defs(":root .code")
    dark = HtmlFormatter(style=DARK).get_style_defs(':root[data-theme="dark"] .code')
    made["style.css"] += f"\n/* formulas */\n{font.face()}\n"
    made["style.css"] += f"\n/* code, coloured by Pygments */\n{_plates(light)}\n{_plates(dark)}\n"
    # A script and no JSON: pages in a folder may not read files, but may run what lies beside them.
    made["index.js"] = (
        f"const PAGES = {json.dumps(list(index), ensure_ascii=False, separators=(',', ':'))};\n"
    )
    return made


def _plates(style: str) -> str:
    """Leave out the backgrounds and line numbers of a style: the plates are ours."""
    return "\n".join(
        line for line in style.splitlines() if ".code ." in line and "background" not in line.split("/*")[0]
    )
