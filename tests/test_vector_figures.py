"""Line art as SVG: sharp, described, the same bytes each time, and no heavier in a committed notebook than is sensible."""

import base64
import re
from pathlib import Path

import nbformat
import pytest
from matplotlib.figure import Figure

from semcg import notebook
from semcg.plots import curves

ROOT = Path(__file__).parent.parent
BOOKS = sorted((ROOT / "notebooks").glob("0*.ipynb"))
EMBEDDED = re.compile(r'src="data:image/svg\+xml;base64,([^"]+)"')
MOST = 150_000
"""Bytes of an SVG; what weighs more is lighter as PNG."""


def drawn() -> Figure:
    return curves.floors({"scores_l2": (5.0, 3.0), "kl": (0.9, 0.2)})


def shown(monkeypatch, figure, **options) -> str:
    seen = []
    monkeypatch.setattr(notebook, "display", lambda bundle, raw: seen.append(bundle))
    notebook.show(figure, alt='Bars, "floors" & shares', vector=True, **options)
    return seen[0]["text/html"]


def test_a_vector_is_described_and_always_the_same(monkeypatch):
    page = shown(monkeypatch, drawn(), caption="The floor.")
    assert page == shown(monkeypatch, drawn(), caption="The floor.")
    assert 'alt="Bars, &quot;floors&quot; &amp; shares"' in page
    assert "<figcaption>The floor.</figcaption>" in page
    svg = base64.b64decode(EMBEDDED.search(page)[1]).decode()
    assert svg.rstrip().endswith("</svg>")
    assert "dc:date" not in svg
    assert "<image" not in svg, "lines, not pixels"


@pytest.mark.parametrize("path", BOOKS, ids=lambda p: p.stem)
def test_the_vectors_of_a_notebook_are_light(path):
    for cell in nbformat.read(path, as_version=4).cells:
        for code in EMBEDDED.findall(str(cell.get("outputs", ""))):
            assert len(base64.b64decode(code)) <= MOST, f"{path.stem}, cell {cell.id}: show it as PNG"


def test_line_art_of_the_course_is_drawn_as_vectors():
    wanted = (
        "class_shares",
        "stages",
        "class_points",
        "generator_losses",
        "floors",
        "weight_figure",
        "flips",
        "ranking",
    )
    sources = [
        cell.source
        for path in BOOKS[:6]
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code" and "notebook.show" in cell.source
    ]
    for name in wanted:
        cells = [source for source in sources if re.search(rf"\b{name}\(", source)]
        assert cells, name
        assert all("vector=True" in source for source in cells), name
