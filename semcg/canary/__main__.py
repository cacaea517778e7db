"""Release what the code computes now: `python -m semcg.canary`."""

import json

from semcg import files
from semcg.canary import RELEASED, STAGES, Numbers, compute, difference


def main() -> None:
    """Add to `canary.json` what is new: arms of a stage whose other arms agree, or else a next version."""
    every = json.loads(RELEASED.read_text(encoding="utf-8")) if RELEASED.exists() else {}
    for stage in STAGES:
        numbers = compute(stage)
        versions = [name for name in every if name.rpartition("-")[0] == stage]
        if any(not difference(numbers, every[name]) for name in versions):
            continue
        latest = versions[-1] if versions else ""
        if latest and not difference({arm: numbers.get(arm, []) for arm in every[latest]}, every[latest]):
            print(f"{latest}: {', '.join(numbers.keys() - every[latest].keys())} added")
        else:
            latest = f"{stage}-{len(versions) + 1}"
            print(f"{latest}: added")
        every[latest] = numbers | every.get(latest, {})
    files.write_text(RELEASED, as_text(every))


def as_text(every: dict[str, Numbers]) -> str:
    """Return the versions as JSON, an arm per line."""
    versions = (
        f"{json.dumps(name)}: {{\n"
        + ",\n".join(f"  {json.dumps(a)}: {json.dumps(v)}" for a, v in arms.items())
        + "\n}"
        for name, arms in every.items()
    )
    return "{" + ",\n".join(versions) + "}\n"


if __name__ == "__main__":
    main()
