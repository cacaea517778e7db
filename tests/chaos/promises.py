"""Writes what was counted last into docs/promises.md, between its markers: python tests/chaos/promises.py."""

import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "promises.md"
BEGIN, END = "<!-- figures: written by make promises -->", "<!-- end of figures -->"
sys.path[:0] = [str(ROOT), str(HERE.parent)]


def figures() -> str:
    """Return the figures as Markdown: sizes of the corpus, and what the last `make chaos` counted."""
    import test_bad_input as bad
    import test_properties as properties
    from chaos import corpus

    from semcg import files

    pictures, labels = len(corpus.pictures()), len(corpus.labels())
    lines = [
        f"- Bad pictures: {pictures}, each given to {len(bad.READERS)} readers; bad labels: {labels}, each to 3.",
        f"- Odd pictures that are taken: {len(corpus.usable())}, by {len(bad.READERS)} readers.",
        f"- Impossible values of a config: {len(bad.IMPOSSIBLE)}. Damaged weights: {len(bad.WEIGHTS)}, to 2 readers.",
        f"- Properties tried on made-up inputs: {sum(name.startswith('test_') for name in vars(properties))}.",
    ]
    last = HERE / "last.json"
    if not last.is_file():
        return "\n".join([*lines, "- `make chaos` has not been run on this copy."])
    counted = files.read_json(last)
    lines.append(
        f"- Last `make chaos`, on {', '.join(counted['notebooks'])}: {counted['kills']} kills; "
        f"{counted.get('compared', 0)} files compared to the bit."
    )
    for what, told in sorted(counted["faults"].items()):
        said = " ".join(told["said"].split())
        lines.append(f"- {what[0].upper()}{what[1:]}, {told['seconds']:.1f} s to the end: “{said}”")
    return "\n".join(lines)


def with_figures(page: str) -> str:
    """Return the page with its figures renewed."""
    pattern = re.compile(f"({re.escape(BEGIN)}\n).*?({re.escape(END)})", re.DOTALL)
    if len(pattern.findall(page)) != 1:
        raise ValueError(f"{PAGE} must hold the markers once: {BEGIN} and {END}")
    return pattern.sub(lambda found: found[1] + figures() + "\n" + found[2], page)


if __name__ == "__main__":
    from semcg import files

    files.write_text(PAGE, with_figures(PAGE.read_text(encoding="utf-8")))
