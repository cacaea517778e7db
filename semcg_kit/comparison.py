"""In which settings and results two runs, or two evaluations, differ."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from semcg import config as configs
from semcg import files
from semcg.runs.recipes import conditions, difference

__all__ = ["compare"]


def compare(a: Path | str, b: Path | str) -> list[str]:
    """Return in which settings and results two folders differ, one line each.

    Parameters
    ----------
    a, b : path
        Folders of complete runs, `results/<profile>/<run>`, or of evaluations, `results/<profile>/evaluation-s<seed>`.

    Returns
    -------
    list of str
        Both names; the fields of the config that differ; what else made them differ (data, the runs they start from);
        and every result that differs, with b - a: losses at the end, measures, and the row of the evaluation.

    Raises
    ------
    FileNotFoundError
        If a folder does not exist, or is neither.
    ValueError
        If what made a run is not on record, or a file is not JSON; names the file.
    """
    folders = Path(a), Path(b)
    records = [_provenance(folder) for folder in folders]
    lines = [f"a: {a}", f"b: {b}"]
    numbers = [record.get("config", {}) for record in records]
    for name in difference(*numbers):
        lines.append(f"{name}: " + " | ".join(str(config.get(name, "-")) for config in numbers))
    parts = difference(*(record.get("recipe", {}) for record in records))
    if others := [name for name in parts if not name.startswith("config.")]:
        lines.append(f"also different: {', '.join(others)}")
    first, second = map(_results, folders, records)
    for name in first | second:
        x, y = first.get(name), second.get(name)
        if x != y:
            shown = " | ".join("-" if value is None else f"{value:.6g}" for value in (x, y))
            change = "" if x is None or y is None else f" ({y - x:+.6g})"
            lines.append(f"{name}: {shown}{change}")
    return lines if len(lines) > 2 else [*lines, "no difference in settings or results"]


def _provenance(folder: Path) -> dict:
    """Return the provenance of a run, {} for an evaluation."""
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}; runs are in {files.home() / 'results'}/<profile>")
    if (folder / "table.csv").is_file():
        return {}
    path = folder / "provenance.json"
    if not path.is_file():
        inside = [*folder.glob("*/provenance.json"), *folder.glob("*/table.csv")]
        hint = f"; in it are {', '.join(sorted(p.parent.name for p in inside))}" if inside else ""
        raise FileNotFoundError(
            f"{folder} is not the folder of a run or an evaluation: no provenance.json{hint}"
        )
    record = files.read_json(path)
    if missing := [key for key in ("config", "recipe") if not isinstance(record.get(key), dict)]:
        raise ValueError(f"{path} has no {' and no '.join(missing)}: the run is not complete")
    return record


def _results(folder: Path, provenance: dict) -> dict[str, float]:
    """Return every number that a folder has as a result, by name."""
    if not provenance:
        rows = _table(folder / "table.csv").iterrows()
        return {f"{condition}, {name}": v for condition, row in rows for name, v in row.dropna().items()}
    results: dict[str, float] = {}
    if (folder / "history.csv").is_file():
        history = pd.read_csv(folder / "history.csv").drop(columns="step")
        last = history.tail(max(1, len(history) // 10)).mean().dropna()
        results |= {f"{name}, mean of the last tenth of the steps": value for name, value in last.items()}
    for path in sorted(folder.glob("*.json")):
        if path.name != "provenance.json":
            results |= _numbers(files.read_json(path), path.stem)
    config = provenance["config"]
    evaluation = folder.parent / f"evaluation-s{config.get('seed')}" / "table.csv"
    # It has the runs with the profile's own numbers, and of a name the one that was in place when it was made.
    run = provenance.get("run", folder.name)
    made = files.read_record(folder.parent / "notebooks" / f"05_evaluation-s{config.get('seed')}.json")
    mine = made.get("runs", {}).get(str(run)) in (None, provenance.get("fingerprint")) and folder.name == run
    if evaluation.is_file() and mine and "=" not in run:
        table = _table(evaluation)
        for name, of in conditions(configs.Config()).items():
            reading = of.lambda_s == 0 or of.semantic_loss == config.get("semantic_loss")
            if of.lambda_s == config.get("lambda_s") and reading and name in table.index:
                results |= {f"{measure} (notebook 05)": v for measure, v in table.loc[name].dropna().items()}
    return results


def _table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, index_col=0).select_dtypes("number")


def _numbers(value: object, name: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _numbers(inner, f"{name}.{key}")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, value
