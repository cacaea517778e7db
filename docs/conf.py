"""Settings of Sphinx for the site that `semcg site` builds: README, docs and notebooks."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for build_site

project = "semcg"
author = project_copyright = "The semcg developers"
extensions = ["myst_nb", "build_site"]
root_doc = "README"
include_patterns = [
    "README.md",
    "notebooks/*.ipynb",
    "docs/*.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE-TEXT.md",
    "data/README.md",
    "benchmarks/README.md",
    "results/README.md",
    "results/instruments/README.md",
    "results/reference/generators/README.md",
]
exclude_patterns = [".*"]  # .venv among them

nb_execution_mode = "off"  # pages show what the notebooks hold
nb_merge_streams = True
myst_enable_extensions = ["amsmath", "dollarmath", "html_image"]
myst_dmath_double_inline = True  # $$...$$ in the middle of a paragraph
myst_heading_anchors = 4
myst_heading_slug_func = "build_site.slug"

highlight_language = "none"  # a fence without a language is a table or a tree
html_theme = "furo"
html_title = "semcg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_math_renderer = "mathml"
html_show_search_summary = False  # it would fetch pages, which browsers refuse in a folder
html_copy_source = False
html_use_index = False
html_show_sphinx = False
