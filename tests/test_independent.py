"""The ledger computed again from the counts by other code: csv, numpy and the protocol's text, nothing of the packages."""

import csv
import io
import itertools
import json
import lzma
import tomllib
import zipfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

REFERENCE = Path(__file__).parent.parent / "results" / "reference"
NAMES = [
    "road",
    "sidewalk",
    "building",
    "wall",
    "fence",
    "pole",
    "traffic light",
    "traffic sign",
    "vegetation",
    "terrain",
    "sky",
    "person",
    "rider",
    "car",
    "truck",
    "bus",
    "train",
    "motorcycle",
    "bicycle",
]
VEHICLES = [NAMES.index(n) for n in ("car", "truck", "bus", "train", "motorcycle", "bicycle")]


def counted(text):
    found = defaultdict(lambda: defaultdict(dict))
    for row in csv.DictReader(text.splitlines()):
        found[row["part"]][row["item"]][row["key"]] = row["value"]
    return found


def iou(table, members):
    hit = table[np.ix_(members, members)].sum()
    return hit / (table[members].sum() + table[:, members].sum() - hit)


def total(items, key):
    return sum(float(item[key]) for item in items.values())


def confusion(part):
    table = np.zeros((19, 20))
    for name, row in part.items():
        for read, n in row.items():
            table[NAMES.index(name), NAMES.index(read) if read in NAMES else 19] = int(n)
    return table


def measured(parts, measure, of_class):
    """Return one number of the ledger from the counts of one run."""
    if measure.endswith(("mIoU", "IoU")) or measure == "sky kept":
        part = "judge" if measure == "sky kept" else measure.rpartition(" ")[0]
        table = confusion(parts[part])
        if measure == "sky kept":
            return table[10, 10] / table[10].sum()
        if of_class == "all":
            there = [c for c in range(19) if table[c].sum() or table[:, c].sum()]
            return np.mean([iou(table, [c]) for c in there])
        return iou(table, VEHICLES if of_class.startswith("vehicle") else [NAMES.index(of_class)])
    if measure == "boundary F":
        row = {k: int(v) for k, v in parts["boundary"][of_class].items()}
        precision, recall = row["predicted matched"] / row["predicted"], row["true matched"] / row["true"]
        return 2 * precision * recall / (precision + recall)
    if measure in ("plates read", "sign numbers read"):
        boards = parts["plates" if measure.startswith("plates") else "signs"].values()
        large = [b for b in boards if float(b["digit_px"]) >= 4.5]
        return np.mean([b["text"] == b["read"] for b in large])
    if measure == "edge width":
        items = [e for e in parts["edges"].values() if int(e["measured"]) >= 10]
        return np.median([float(e["translated"]) / float(e["source"]) for e in items])
    if measure == "edge width off oracle":
        items = [e for e in parts["edges"].values() if int(e.get("compared", 0)) >= 10]
        return np.mean([abs(float(e["beside oracle"]) - float(e["oracle"])) for e in items])
    if measure in ("KID", "KID plain"):
        return float(parts[measure]["frames"]["all"])
    if measure in ("oracle L1", "cycle L1"):
        items = parts[measure.split()[0]]
        return total(items, "absolute") / total(items, "values")
    if measure == "grid index":
        return total(parts["grid"], "peak") / total(parts["grid"], "around")
    marks = parts["markings"]
    if measure == "markings kept":
        return total(marks, "kept") / total(marks, "markings")
    assert measure == "marking contrast"

    def michelson(when):
        m, a = (total(marks, f"{what} {when}") / total(marks, what) for what in ("markings", "asphalt"))
        return (m - a) / (m + a)

    return michelson("after") / michelson("before")


def sign_flip(d):
    """Two-sided p over all 2^n patterns of signs."""
    patterns = np.array(list(itertools.product((-1, 1), repeat=len(d))))
    means = np.abs((patterns * d).mean(1))
    return np.mean(means >= abs(d.mean()) * (1 - 1e-12) - 1e-18)


def holm(p):
    corrected, least = {}, 0.0
    for rank, name in enumerate(sorted(p, key=p.get)):
        least = max(least, min(1.0, (len(p) - rank) * p[name]))
        corrected[name] = least
    return corrected


def part_of(measure):
    """Return the part of the counts that a measure is computed from, as the files name it."""
    if measure.endswith(("mIoU", "IoU")):
        return measure.rpartition(" ")[0]
    parts = {
        "sky kept": "judge",
        "boundary F": "boundary",
        "plates read": "plates",
        "sign numbers read": "signs",
    }
    parts |= {"edge width": "edges", "edge width off oracle": "edges", "grid index": "grid"}
    parts |= {"markings kept": "markings", "oracle L1": "oracle", "cycle L1": "cycle"}
    return parts.get(measure, measure)


def test_the_ledger_follows_from_the_counts():
    decided = tomllib.loads((REFERENCE / "protocol.toml").read_text())
    with lzma.open(REFERENCE / "runs.zip.xz") as whole, zipfile.ZipFile(io.BytesIO(whole.read())) as packed:
        texts = {name: packed.read(name).decode() for name in packed.namelist()}
    records = [json.loads(text) for name, text in texts.items() if name.startswith("records/")]
    needed = {r[side] for r in decided["rows"] for side in ("a", "b") if side in r}
    runs = defaultdict(dict)
    for record in records:
        if record["condition"] in needed and record["seed"] in decided["seeds"]:
            runs[record["condition"], record["seed"]] |= counted(texts[f"counts/{record['run']}.csv"])
    shipped = {row["id"]: row for row in json.loads((REFERENCE / "ledger.json").read_text())}
    p_of, checked = {}, 0
    for row in decided["rows"]:
        need, part = (row["measure"], row["class"]), part_of(row["measure"])
        sides = [row[side] for side in ("a", "b") if side in row]
        seeds = [s for s in decided["seeds"] if all(part in runs.get((name, s), ()) for name in sides)]
        b = np.array([measured(runs[row["b"], s], *need) for s in seeds])
        a = np.array([row["bar"] if "bar" in row else measured(runs[row["a"], s], *need) for s in seeds])
        margin = 0.0
        if "margin" in row:
            of = row["margin"].get("of")
            values = [
                measured(found, *need) for (name, _), found in runs.items() if name == of and part in found
            ]
            margin = row["margin"].get("value") or row["margin"]["share"] * np.mean(values)
        sign = 1 if row["better"] == "higher" else -1
        p = sign_flip(sign * (b - a) + margin)
        stored = shipped[row["id"]]
        assert stored["seeds"] == len(seeds) > 0
        assert stored["difference"] == pytest.approx((b - a).mean(), abs=1e-12)
        assert stored["p"] == pytest.approx(p, abs=1e-12), row["id"]
        if row["primary"]:
            p_of[row["claim"]] = max(p, p_of.get(row["claim"], 0))
        checked += 1
    corrected = {}
    for family in (decided["correction"], *decided.get("families", {}).values()):
        corrected |= holm({claim: p_of[claim] for claim in family})
    for row in decided["rows"]:
        if row["primary"]:
            assert shipped[row["id"]]["p_holm"] == pytest.approx(corrected[row["claim"]], abs=1e-12), row[
                "id"
            ]
    assert checked == len(decided["rows"]) > 20
