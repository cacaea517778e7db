"""Settings of nbconvert: cells with the tag "slide" as slides, each with its heading and without its code.

jupyter nbconvert --to slides --config docs/slides.py --output-dir slides notebooks/03_cyclegan.ipynb
"""

from nbconvert.preprocessors import Preprocessor
from nbformat.v4 import new_markdown_cell


class Slides(Preprocessor):
    """Keep the title and the tagged cells of a notebook, a slide each."""

    def preprocess(self, nb, resources):
        title, *rest = nb.cells[0].source.splitlines()
        question = next((line for line in rest if line.startswith("**The question")), "")
        cells, heading = [_slide(f"{title}\n\n{question}")], title.lstrip("# ")
        for cell in nb.cells[1:]:
            if cell.cell_type == "markdown":
                lines = [line for line in cell.source.splitlines() if line.startswith("#")]
                heading = lines[-1].lstrip("# ") if lines else heading
            if "slide" not in cell.metadata.get("tags", []):
                continue
            if cell.cell_type == "markdown":
                cells.append(_slide(cell.source))
            else:
                cell.metadata["slideshow"] = {"slide_type": "-"}
                cells += [_slide(f"## {heading}"), cell]
        nb.cells = cells
        return nb, resources


def _slide(source: str):
    return new_markdown_cell(source, metadata={"slideshow": {"slide_type": "slide"}})


c = get_config()  # noqa: F821, of traitlets
c.SlidesExporter.preprocessors = [Slides]
c.SlidesExporter.exclude_input = True
c.SlidesExporter.exclude_input_prompt = True
c.SlidesExporter.exclude_output_prompt = True
