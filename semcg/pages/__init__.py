"""The course as static pages that work offline from a folder, and what the last runs say about its times.

Everything is computed when the pages are built: formulas become MathML, code is coloured, the search index is a
script beside the pages. A page asks no other host for anything and can be read without a script.
"""

from semcg.pages.build import build
from semcg.pages.check import faults
from semcg.pages.single import markdown, single
from semcg.pages.status import Row, rows, sentence, stated_seconds, table

__all__ = ["Row", "build", "faults", "markdown", "rows", "sentence", "single", "stated_seconds", "table"]
