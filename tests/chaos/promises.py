"""Writes what was counted last into docs/promises.md, between its markers: python tests/chaos/promises.py."""

import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "promises.md"
LAST = HERE / "last.json"
BEGIN, END = "<!-- figures: written by make promises -->", "<!-- end of figures -->"
sys.path[:0] = [str(ROOT), str(HERE.parent)]


def figures() -> str:
    """Return the figures as Markdown: sizes of the corpus, and what each part of the last `make chaos` counted."""
    import test_bad_files as kinds
    import test_bad_input as bad
    import test_properties as properties
    from chaos import corpus

    from semcg import files

    pictures, labels = len(corpus.pictures()), len(corpus.labels())
    lines = [
        f"- Picture files by kinds, given to readers: {len(kinds.CASES)}.",
        f"- Bad pictures: {pictures}, each given to {len(bad.READERS)} readers; bad labels: {labels}, each to 3.",
        f"- Odd pictures that are taken: {len(corpus.usable())}, by {len(bad.READERS)} readers.",
        f"- Impossible values of a config: {len(bad.IMPOSSIBLE)}. Damaged weights: {len(bad.WEIGHTS)}, to 2 readers.",
        f"- Properties tried on made-up inputs: {sum(name.startswith('test_') for name in vars(properties))}.",
    ]
    counted = files.read_json(LAST) if LAST.is_file() else {}
    return "\n".join([*lines, *_sequence(counted), _threads(counted), _gpu(counted), _soak(counted)])


def count(found: dict[str, object]) -> None:
    """Put what a part of `make chaos` counted into `last.json`; what the other parts counted stays."""
    from semcg import files

    files.write_json(LAST, (files.read_json(LAST) if LAST.is_file() else {}) | found)


def _sequence(counted: dict) -> list[str]:
    from chaos import full

    if "kills" not in counted:
        return ["- The sequence under faults (`make chaos`) has not been run on this copy."]
    lines = [
        f"- Last `make chaos`, on {', '.join(counted['notebooks'])}: {counted['kills']} kills; "
        f"{counted.get('compared', 0)} files compared to the bit."
    ]
    for what, told in sorted(counted["faults"].items()):
        said = " ".join(told["said"].split())
        took = f", {told['seconds']:.1f} s to the end" if told["seconds"] else ""
        lines.append(f"- {what[0].upper()}{what[1:]}{took}: “{said}”")
    if missing := [what for what in (*full.AT, *full.DISKS) if what not in counted["faults"]]:
        lines.append(f"- Tried in that run, and not ended as promised, or left out: {'; '.join(missing)}.")
    return lines


def _threads(counted: dict) -> str:
    if not (apart := counted.get("threads")):
        return "- How far two threads are from one has not been measured on this copy."
    return (
        f"- Two threads instead of one, after {apart['steps']} steps of the smoke CycleGAN: losses differ by at most "
        f"{apart['losses']:.1e}, the generators' weights by {apart['weights']:.1e}, relative."
    )


def _gpu(counted: dict) -> str:
    if not (apart := counted.get("gpu")):
        return "- Resuming on a GPU: not measured on a GPU."
    return f"- Resuming on a GPU ({apart['device']}): the weights differ by {apart['weights']:.1e}, relative."


def _soak(counted: dict) -> str:
    if not (soak := counted.get("soak")):
        return "- The soak (a sweep of 100 runs) has not been run on this copy."
    return (
        f"- Soak: {soak['runs']} runs on two Dask workers with {soak['kills']} kills, {soak['seconds'] / 60:.0f} minutes; "
        f"the largest process of the sweep held {soak['first_half_bytes'] / 2**20:.0f} MiB at most in the first half and "
        f"{soak['second_half_bytes'] / 2**20:.0f} in the second."
    )


def with_figures(page: str) -> str:
    """Return the page with its figures renewed."""
    pattern = re.compile(f"({re.escape(BEGIN)}\n).*?({re.escape(END)})", re.DOTALL)
    if len(pattern.findall(page)) != 1:
        raise ValueError(f"{PAGE} must hold the markers once: {BEGIN} and {END}")
    return pattern.sub(lambda found: found[1] + figures() + "\n" + found[2], page)


if __name__ == "__main__":
    from semcg import files

    files.write_text(PAGE, with_figures(PAGE.read_text(encoding="utf-8")))
