"""In which numbers and measures two runs differ."""

from collections.abc import Iterator
from pathlib import Path

from semcg import files
from semcg.runs.recipes import difference

__all__ = ["compare"]


def compare(a: Path | str, b: Path | str) -> list[str]:
    """Say in which numbers and measures two runs differ, one line each.

    Parameters
    ----------
    a, b : path
        Folders of complete runs, commonly `results/<profile>/<run>`.

    Returns
    -------
    list of str
        Both names; the fields of the config that differ; the other parts of the recipe that differ (data, code, the
        runs they start from); and every number in the JSON files of measures that differs, with the difference b - a.

    Raises
    ------
    FileNotFoundError
        If a folder is missing, or is not that of a run.
    ValueError
        If what made a run is not on record, or a file is not JSON; names the file.
    """
    a, b = Path(a), Path(b)
    made = [_made(folder) for folder in (a, b)]
    lines = [f"a: {a}", f"b: {b}"]
    for name in difference(made[0]["config"], made[1]["config"]):
        lines.append(f"config.{name}: {_at(made[0]['config'], name)} | {_at(made[1]['config'], name)}")
    recipes = [record["recipe"] for record in made]
    for name in difference(*recipes):
        if not name.startswith("config."):
            lines.append(f"recipe.{name}: {_at(recipes[0], name)} | {_at(recipes[1], name)}")
    measures = [_measures(folder) for folder in (a, b)]
    for name in sorted(measures[0].keys() | measures[1].keys()):
        first, second = (m.get(name) for m in measures)
        if first is None or second is None:
            lines.append(f"{name}: {_or_absent(first)} | {_or_absent(second)}")
        elif first != second:
            lines.append(f"{name}: {first:.6g} | {second:.6g} ({second - first:+.6g})")
    return (
        lines if len(lines) > 2 else [*lines, "they differ neither in config nor in recipe nor in measures"]
    )


def _made(folder: Path) -> dict:
    path = folder / "provenance.json"
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}; runs lie in {files.home() / 'results'}/<profile>")
    if not path.is_file():
        inside = sorted(p.parent.name for p in folder.glob("*/provenance.json"))
        hint = f"; runs in it: {', '.join(inside)}" if inside else ""
        raise FileNotFoundError(f"no provenance.json in {folder}: it is not the folder of a run{hint}")
    record = files.read_json(path)
    if missing := [key for key in ("config", "recipe") if not isinstance(record.get(key), dict)]:
        raise ValueError(f"{path} has no {' and no '.join(missing)}: the run is not complete")
    return record


def _measures(folder: Path) -> dict[str, float]:
    """Return every number in the JSON files of a run but its provenance, by file and keys."""
    found: dict[str, float] = {}
    for path in sorted(folder.glob("*.json")):
        if path.name != "provenance.json":
            found |= _numbers(files.read_json(path), path.stem)
    return found


def _numbers(value: object, name: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from _numbers(inner, f"{name}.{key}")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, value


def _at(parts: dict, name: str) -> object:
    """Return what lies at a dotted name, or "absent"; keys themselves have no dot."""
    for key in name.split("."):
        if key not in parts:
            return "absent"
        parts = parts[key]
    return parts


def _or_absent(value: float | None) -> str:
    return "absent" if value is None else f"{value:.6g}"
