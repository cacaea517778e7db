"""What was decided before the first reported seed was trained: `results/reference/protocol.toml`, read and checked.

A verdict is computed from this file and from saved measures. So a mistake in it must not pass: an unknown key, a row
about a condition that is not trained or a seed named twice is an error that names the key.
"""

import tomllib
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)

REFERENCE = Path(__file__).resolve().parent.parent / "results" / "reference"
"""The evidence that is shipped with the repository."""
DEFAULT = REFERENCE / "protocol.toml"
"""The protocol of this repository."""

CEILING = "target frames"
"""What the ceilings are called in the tables: real target frames, read as they are and learned from as they are."""
UNTRAINED = ("identity", "histogram matching", "color transfer", "paired color table")
"""Translations without a generator. The last is a ceiling too, and needs drawn pairs."""


Name = Annotated[StrictStr, Field(min_length=1)]
Seed = Annotated[StrictInt, Field(ge=0)]
Value = StrictBool | StrictInt | StrictFloat | StrictStr


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Condition(_Frozen):
    """A way to train: the parameters of the training notebook that make it, and the seeds it is trained with.

    The exploratory ones are in the file's table `few`; what that has beside `seeds` and `conditions` all of them share.
    """

    name: Name
    parameters: dict[str, Value]
    seeds: tuple[Seed, ...] = Field(min_length=1)
    exploratory: bool
    """Whether it is for curves and explanations, so that no verdict rests on it."""


class Margin(_Frozen):
    """How much worse still counts as no worse: a share of the value that a condition has, or a number."""

    share: float = Field(1.0, gt=0, le=1)
    of: StrictStr = ""
    value: float = Field(0.0, ge=0)

    @model_validator(mode="after")
    def _one_of_both(self) -> "Margin":
        if bool(self.of) == bool(self.value):
            raise ValueError("a margin is { share, of } or { value }")
        return self


class Row(_Frozen):
    """One comparison of the ledger: condition `b` against `a`, or against the number `bar`, on a measure of a class."""

    id: Name
    claim: Name
    primary: StrictBool
    measure: Name
    of_class: Name = Field(alias="class")
    """Name of a class or a group of classes as in measures.csv, "all" for a measure of whole frames."""
    a: StrictStr = ""
    b: Name
    better: Literal["higher", "lower"]
    smallest_effect: float = Field(ge=0)
    """In units of the measure."""
    bar: float | None = None
    margin: Margin | None = None
    chosen_after: StrictStr = ""
    """The edition of the results that was known when this row was chosen."""


class Cost(_Frozen):
    """The claim about time, whose replicates are rounds of one interleaved benchmark and no seeds."""

    claim: Name
    a: Name
    b: Name
    ratio: float = Field(gt=1)
    rounds: StrictInt = Field(ge=2)


class Curve(_Frozen):
    """The claim about the weight of the semantic loss: conditions along it, and the one that was chosen."""

    claim: Name
    points: tuple[Name, ...] = Field(min_length=2)
    weights: tuple[float, ...]
    chosen: Name
    measures: tuple[Name, ...] = Field(min_length=1)


class Protocol(_Frozen):
    """The whole file. `conditions` holds the main ones in their order, then the exploratory ones."""

    profile: Name
    data: Name = "world"
    development_seeds: tuple[Seed, ...]
    seeds: tuple[Seed, ...] = Field(min_length=1)
    least_seeds: StrictInt = Field(ge=2)
    alpha: float = Field(gt=0, lt=1)
    correction: tuple[Name, ...]
    """The paper's claims with primary rows, which Holm corrects together."""
    families: dict[Name, tuple[Name, ...]] = {}
    """Further sets of claims, each corrected by itself."""
    hypotheses: dict[Name, Name] = {}
    """Claims that are not the paper's, in a sentence each."""
    settings: dict[str, Value] = {}
    """Fields of Config that differ from the profile in every training and measurement."""
    stages: dict[Name, Name] = {}
    """Versions of the code that trains and measures (`semcg.canary`): they say what a measure's name means."""
    instruments: dict[Name, Name] = {}
    """SHA-256 of the segmenters in the loss, the judges and the plate reader, by name (`semcg.instruments`)."""
    test_frames: StrictStr = ""
    """Digest of the data whose test frames are scored; "": not asked for."""
    known_before: tuple[Name, ...] = ()
    conditions: tuple[Condition, ...] = Field(min_length=1)
    rows: tuple[Row, ...]
    cost: Cost | None = None
    curve: Curve | None = None

    def condition(self, name: str) -> Condition:
        """Return the condition of this name. Raises ValueError if there is none; lists those that there are."""
        for condition in self.conditions:
            if condition.name == name:
                return condition
        raise ValueError(
            f"condition {name!r}: not in the protocol; there are {', '.join(c.name for c in self.conditions)}"
        )


def read(path: Path | str | None = None) -> Protocol:
    """Read a protocol and check it.

    Parameters
    ----------
    path : path, optional
        Default: `DEFAULT`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no TOML, or a key is unknown, missing or impossible; names the file and every such key.
    """
    path = Path(path or DEFAULT)
    if not path.is_file():
        raise FileNotFoundError(f"no protocol {path}; name one with --protocol")
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:  # also of other bytes than UTF-8
        raise ValueError(f"{path} is not TOML: {error}") from None
    try:
        made = Protocol(**_flat(raw))
        wrong = _contradictions(made)
    except ValidationError as error:
        wrong = [_readable(e, raw) for e in error.errors()]
    except (TypeError, KeyError) as error:
        wrong = [str(error)]
    if wrong:
        raise ValueError("\n".join(f"{path}: {line}" for line in wrong))
    return made


def _flat(raw: dict[str, Any]) -> dict[str, Any]:
    """Turn the tables of conditions into one list, each with its name, its seeds and its parameters."""
    flat = {key: value for key, value in raw.items() if key not in ("conditions", "few")}
    few = raw.get("few", {})
    if not isinstance(few, dict):
        raise TypeError(f"few: must be a table, got {few!r}")
    if few and "seeds" not in few:
        raise TypeError("few.seeds: missing")
    common = {key: value for key, value in few.items() if key not in ("seeds", "conditions")}
    flat["conditions"] = []
    for prefix, tables, shared, seeds in (
        ("", raw.get("conditions", {}), {}, raw.get("seeds", ())),
        ("few.", few.get("conditions", {}), common, few.get("seeds")),
    ):
        if not isinstance(tables, dict):
            raise TypeError(f"{prefix}conditions: must be a table, got {tables!r}")
        for name, table in tables.items():
            if not isinstance(table, dict):
                raise TypeError(f"{prefix}conditions.{name}: must be a table, got {table!r}")
            made = {"name": name, "seeds": table.get("seeds", seeds), "exploratory": bool(prefix)}
            made["parameters"] = shared | {k: v for k, v in table.items() if k != "seeds"}
            flat["conditions"].append(made)
    return flat


def _readable(error: dict[str, Any], raw: dict[str, Any]) -> str:
    """Name the key as the file has it, the value that stands there, and what is wrong with it."""
    where = list(error["loc"])
    if where[0] == "conditions" and len(where) > 1 and isinstance(where[1], int):
        main, few = raw.get("conditions", {}), raw.get("few", {}).get("conditions", {})
        number, where[1] = where[1], [*main, *few][where[1]]
        if number >= len(main):
            where.insert(0, "few")
        where = [part for part in where if part != "parameters"]
        where = where[: where.index(error["loc"][3]) + 1] if len(error["loc"]) > 3 else where
    elif where[0] == "rows" and len(where) > 1:
        row = raw["rows"][where[1]]
        where[1] = row.get("id", where[1]) if isinstance(row, dict) else where[1]
    name = ".".join(map(str, where))
    if error["type"] == "extra_forbidden":
        return f"{name} = {error['input']!r}: no such key"
    if error["type"] == "missing":
        return f"{name}: missing"
    return f"{name} = {error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}"


def _contradictions(p: Protocol) -> list[str]:
    """Return what is possible key by key and wrong taken together."""
    wrong = []
    names = [c.name for c in p.conditions]
    main = {c.name for c in p.conditions if not c.exploratory}
    for what, values in (("conditions", names), ("rows", [r.id for r in p.rows]), ("seeds", p.seeds)):
        wrong += [f"{what}: {value!r} occurs {n} times" for value, n in Counter(values).items() if n > 1]
    for condition in p.conditions:
        key = f"{'few.' if condition.exploratory else ''}conditions.{condition.name}.seeds"
        if len(set(condition.seeds)) < len(condition.seeds):
            wrong.append(f"{key} = {list(condition.seeds)}: a seed occurs twice")
        if seen := sorted(set(condition.seeds) & set(p.development_seeds)):
            wrong.append(f"{key}: {seen} were looked at before (development_seeds)")
    for row in p.rows:
        if (row.bar is None) == (not row.a):
            wrong.append(f"rows.{row.id}: needs a condition a or a number bar, not both")
        named = {"a": row.a, "b": row.b, "margin.of": row.margin.of if row.margin else ""}
        for key, name in named.items():
            if name and name not in main:
                allowed = ", ".join(n for n in names if n in main)
                wrong.append(f"rows.{row.id}.{key} = {name!r}: no main condition; there are {allowed}")
    primary = {row.claim for row in p.rows if row.primary}
    claims = [claim for family in (p.correction, *p.families.values()) for claim in family]
    wrong += [f"correction: {claim} has no primary row" for claim in claims if claim not in primary]
    wrong += [
        f"correction: {claim} has a primary row and is not in it" for claim in sorted(primary - set(claims))
    ]
    wrong += [f"correction: {claim} occurs {n} times" for claim, n in Counter(claims).items() if n > 1]
    for side in ("a", "b") if p.cost else ():
        if getattr(p.cost, side) not in names:
            wrong.append(f"cost.{side} = {getattr(p.cost, side)!r}: no such condition")
    if p.curve:
        wrong += [f"curve.points: no condition {point!r}" for point in p.curve.points if point not in names]
        if len(p.curve.weights) != len(p.curve.points):
            wrong.append(f"curve.weights: {len(p.curve.weights)} for {len(p.curve.points)} points")
        if p.curve.chosen not in p.curve.points:
            wrong.append(f"curve.chosen = {p.curve.chosen!r}: not one of curve.points")
    return wrong
