"""What is wrong with a folder of pages: links, pictures, headings, requests to other hosts. An HTML parser is enough."""

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["faults"]

_LOADS = {
    "img": "src",
    "script": "src",
    "link": "href",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
}


class _Reader(HTMLParser):
    """Collects what the checks need of one page."""

    def __init__(self) -> None:
        super().__init__()
        self.lang = self.title = ""
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[tuple[str, str]] = []
        self.alts: list[tuple[str, str | None]] = []
        self.headings: list[int] = []
        self.unlabelled: list[str] = []
        self._labels: set[str] = set()
        self._fields: list[dict[str, str | None]] = []
        self._in_title = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        a = dict(attributes)
        if "id" in a:
            self.ids.append(a["id"] or "")
        if tag == "html":
            self.lang = a.get("lang") or ""
        elif tag == "a" and a.get("href") is not None:
            self.links.append(a["href"] or "")
        elif tag == "img":
            self.alts.append((a.get("src") or "", a.get("alt")))
        elif tag == "label":
            self._labels.add(a.get("for") or "")
        elif tag in ("input", "select", "textarea"):
            self._fields.append(a)
        elif re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag in _LOADS and a.get(_LOADS[tag]):
            self.loads.append((tag, a[_LOADS[tag]] or ""))
        self._in_title = tag == "title"

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data

    def handle_endtag(self, tag: str) -> None:
        self._in_title = False

    def fields_without_label(self) -> list[str]:
        return [
            f"{a.get('id') or a.get('name')}"
            for a in self._fields
            if a.get("type") not in ("hidden", "checkbox")
            and not a.get("aria-label")
            and a.get("id") not in self._labels
        ]


def faults(folder: Path) -> list[str]:
    """Return what is wrong with the pages of a folder, a line each; an empty list if nothing is.

    Checked are: language and title; one h1 and no level left out below it; anchors that occur once; links and pictures
    that lead to a file, and to an anchor in it; a description for each picture; a label for each field; and that
    nothing is loaded from another host, by a page, a style or a script.
    """
    pages = {path.name: _read(path) for path in sorted(folder.glob("*.html"))}
    found = [] if pages else [f"{folder} holds no page"]
    for name, page in pages.items():
        found += [f"{name}: {what}" for what in _of_page(page)]
        for tag, target in page.loads:
            if _outside(target):
                found.append(f"{name}: <{tag}> is loaded from {urlsplit(target).netloc or target}")
            elif not target.startswith("data:") and not (folder / unquote(urlsplit(target).path)).is_file():
                found.append(f"{name}: <{tag}> {target} is not there")
        for target in page.links:
            parts = urlsplit(target)
            if parts.scheme in ("http", "https", "mailto"):
                continue  # a click, no request
            file = unquote(parts.path) or name
            if parts.scheme or not (folder / file).is_file():
                found.append(f"{name}: the link {target} leads nowhere")
            elif parts.fragment and file in pages and unquote(parts.fragment) not in pages[file].ids:
                found.append(f"{name}: the link {target} leads to no place on that page")
    for path in sorted(p for p in folder.rglob("*") if p.suffix in (".css", ".js")):
        text = path.read_text(encoding="utf-8")
        if path.name == "index.js":
            continue  # texts of the pages, which may name an address
        for address in re.findall(
            r"""(?:url\(|import|fetch\(|src\s*=)\s*['"]?((?:https?:)?//[^\s'")]+)""", text
        ):
            found.append(f"{path.name}: {address} lies on another host")
    return found


def _read(path: Path) -> _Reader:
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    return reader


def _of_page(page: _Reader) -> list[str]:
    found = []
    if not page.lang:
        found.append("no language")
    if not page.title.strip():
        found.append("no title")
    if page.headings.count(1) != 1 or page.headings[0] != 1:
        found.append(f"one h1, before all other headings, is needed, not {page.headings.count(1)}")
    for before, after in zip(page.headings, page.headings[1:], strict=False):
        if after > before + 1:
            found.append(f"an h{after} follows an h{before}")
    found += [f"the anchor {i} occurs {n} times" for i, n in Counter(page.ids).items() if n > 1]
    found += [
        f"the picture {src[:60]} has no description" for src, alt in page.alts if not (alt or "").strip()
    ]
    found += [f"the field {field} has no label" for field in page.fields_without_label()]
    return found


def _outside(target: str) -> bool:
    parts = urlsplit(target)
    return bool(parts.netloc) or parts.scheme in ("http", "https")
