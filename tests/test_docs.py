"""The pages: a short README, numbers that match the evidence, minutes that add up, files that name the same versions.

`python tests/test_docs.py` renews the ranges in docs/expect.md and the table of compute in docs/times.md.
"""

import json
import re
import tomllib
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import yaml

from notebooks.exercises.teaching import question, stated

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "results" / "reference"
TIMES = ROOT / "docs" / "times.md"
BEGIN, END = "<!-- compute: python tests/test_docs.py -->\n", "<!-- end of compute -->\n"


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


# ---------------------------------------------------------------- README


def test_the_readme_is_short_and_leads_to_every_page():
    readme = text_of("README.md")
    assert len(readme.splitlines()) <= 150
    named = "".join(text_of(f"docs/{page.name}") for page in (ROOT / "docs").glob("*.md")) + readme
    for page in (ROOT / "docs").glob("*.md"):
        assert f"{page.name})" in named or f"{page.name}#" in named, page.name


NUMBERS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"]


def test_the_sentences_above_the_table_are_those_of_the_ledger():
    readme = " ".join(text_of("README.md").split())
    rows = {row["id"]: row for row in json.loads(text_of("results/reference/ledger.json"))}
    assert f"in {rows['C1']['seeds']} pairs" in readme
    assert f"rises from {rows['C1']['mean_a']:.3f} to {rows['C1']['mean_b']:.3f}" in readme
    assert (
        f"segmenters a training step takes {rows['C7']['difference']:.2f} times as long), and the others are open"
        in readme
    )
    table = re.search(r"<!-- ledger.*?-->\n(.*?)<!--", text_of("README.md"), re.S)[1]
    cells = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| C")]
    held, failed = (sum(row[3].startswith(of) for row in cells) for of in ("holds", "does not"))
    said = f"Of {NUMBERS[len(cells)]} sentences of the paper, {NUMBERS[held]} hold here, {NUMBERS[failed]}"
    assert said in readme, said
    halves = [row[4] for row in cells if row[4] != "no verdict"]
    held = NUMBERS[sum(verdict.startswith("holds") for verdict in halves)]
    said = f"{held} of the {NUMBERS[len(halves)]} that were tested with it hold"
    assert said in readme, said


def test_the_sentences_beside_the_verdicts_are_those_of_the_measures():
    page = " ".join(text_of("docs/results.md").split())
    measures = pd.read_csv(REFERENCE / "measures.csv")
    measures = measures[measures["seed"].isna() | measures["seed"].isin(range(30, 42))]
    rows = {row["id"]: row for row in json.loads(text_of("results/reference/ledger.json"))}

    def mean(condition: str, measure: str, of_class: str = "all", *, among: range = range(30, 42)) -> str:
        same = (measures["condition"] == condition) & (measures["measure"] == measure)
        same &= measures["seed"].isna() | measures["seed"].isin(among)
        return f"{measures['value'][same & (measures['class'] == of_class)].mean():.3f}"

    def at(seeds: int, condition: str, measure: str = "judge mIoU") -> str:
        return mean(condition, measure, among=range(30, 30 + seeds))

    longer, squares = ", 5000 steps", ", least squares"
    edges, grainless = "edge width off oracle", "recolor without grain"
    second, downstream, vehicle = "second judge mIoU", "downstream mIoU", "vehicle (category)"
    for said in (
        f"{100 * rows['C8']['margin'] / rows['C8']['mean_a']:.0f} % of CycleGAN's KID ({rows['C8']['margin']:.3f}) or {rows['B7']['margin']} of",
        f"has a judge mIoU of {mean('color transfer', 'judge mIoU')}: more",
        f"no clear difference ({mean('color transfer', downstream)} and {mean('semantic', downstream)})",
        f"better ({mean('color transfer', 'downstream IoU', vehicle)} and {mean('semantic', 'downstream IoU', vehicle)})",
        f"({mean('CycleGAN', 'sign numbers read')} → {mean('semantic', 'sign numbers read')})",
        f"the oracle keeps only {mean('oracle', 'markings kept')}",
        f"by less ({-rows['C6']['difference']:.3f}) than the smallest effect of interest ({rows['C6']['smallest_effect']})",
        f"over semantic ({mean('semantic recolor', second)} and {mean('semantic', second)})",
        f"at all twelve seeds ({mean('recolor', second)})",
        f"at all twelve ({mean('semantic recolor', downstream)} and {mean('semantic', downstream)})",
        f"{float(mean('semantic', 'judge IoU', vehicle)) - float(mean('semantic, guided', 'judge IoU', vehicle)):.2f} of vehicle IoU "
        f"and raises KID from {mean('semantic', 'KID')} to {mean('semantic, guided', 'KID')}, both at every seed",
        f"judge mIoU of {at(5, 'CycleGAN' + longer)}, more than semantic after 1000 steps ({at(5, 'semantic')})",
        f"to {at(5, 'semantic' + longer)}, at all five",
        f"the same ({at(5, 'CycleGAN' + longer, 'KID')} and {at(5, 'semantic' + longer, 'KID')})",
        f"({at(5, 'CycleGAN' + longer, edges)} and {at(5, 'semantic' + longer, edges)})",
        f"from {at(5, 'CycleGAN' + squares)} to {at(5, 'semantic' + squares)}, at all five",
        f"KID ({at(5, 'CycleGAN' + squares, 'KID')} → {at(5, 'semantic' + squares, 'KID')})",
        f"edges ({at(5, 'CycleGAN' + squares, edges)} → {at(5, 'semantic' + squares, edges)})",
        f"is {at(3, 'pseudo labels x 1')} with pseudo labels and {at(3, 'probabilities x 10')} with",
        f"against {at(3, 'semantic')}. With **one segmenter** on both sides it is {at(3, 'one segmenter')},",
        f"({at(3, grainless, 'plates read')} instead of {at(3, 'recolor', 'plates read')})",
        f"({at(3, grainless)} instead of {at(3, 'recolor')})",
    ):
        assert said in page, said
    longest = f"has {at(5, 'CycleGAN' + longer)}, and {at(5, 'semantic' + longer)} with the loss"
    assert longest in " ".join(text_of("README.md").split())


def test_the_minutes_of_the_course_are_those_of_the_notebooks():
    """Of what a notebook says about itself; the README rounds what takes less than a minute."""
    readme = text_of("README.md")
    for path in (ROOT / "notebooks").glob("0*.ipynb"):
        book = nbformat.read(path, as_version=4)
        minutes = stated(book)
        run = "< 1" if minutes.seconds < 45 else str(round(minutes.seconds / 60))
        row = next(line for line in readme.splitlines() if line.startswith(f"| [{path.stem}]"))
        assert row.endswith(f"| {question(book)} | {minutes.read} | {run} |"), path.stem


# ---------------------------------------------------------------- what should you see?

EXPECT = ROOT / "docs" / "expect.md"


def with_ranges(page: str) -> str:
    """Return docs/expect.md with the ranges of the two conditions over the shipped seeds, and how many pairs go which way."""
    measures = pd.read_csv(REFERENCE / "measures.csv").dropna(subset=["seed"])
    lines = page.splitlines(keepends=True)
    heads = next(line for line in lines if line.startswith("| claim | measure |")).split("|")
    for place, line in enumerate(lines):
        if not re.match(r"\| C\d", line):
            continue
        cells = line.split("|")
        name, _, of_class = cells[2].strip().partition(", ")
        chosen = measures[(measures["measure"] == name) & (measures["class"] == (of_class or "all"))]
        values = chosen.pivot(index="seed", columns="condition", values="value")
        plain, semantic = (values[heads[column].strip()] for column in (3, 4))
        for column, of in ((3, plain), (4, semantic)):
            cells[column] = f" {of.min():.3f} to {of.max():.3f} "
        difference = (semantic - plain).dropna()
        way = "higher" if difference.mean() > 0 else "lower"
        same = (difference > 0) if way == "higher" else (difference < 0)
        cells[5] = f" {way} at {same.sum()} of {len(same)} seeds "
        lines[place] = "|".join(cells)
    rows = {row["id"]: row for row in json.loads(text_of("results/reference/ledger.json"))}
    ratio, low, high = (f"{rows['C7'][key]:.2f}" for key in ("difference", "low", "high"))
    operations = json.loads(text_of("results/reference/cost.json"))["operations"]
    plain, semantic = (f"{operations[name] / 1e9:.1f}" for name in ("CycleGAN", "semantic"))
    page = re.sub(
        r"ratio is [\d.]+ \([\d.]+ to [\d.]+\)", f"ratio is {ratio} ({low} to {high})", "".join(lines)
    )
    return re.sub(r"[\d.]+ and [\d.]+ GFLOP per step", f"{plain} and {semantic} GFLOP per step", page)


def test_the_expected_ranges_are_those_of_the_shipped_seeds():
    page = EXPECT.read_text(encoding="utf-8")
    assert page == with_ranges(page), "run: python tests/test_docs.py"
    assert len(re.findall(r"^\| C\d", page, re.M)) >= 8
    assert "nan" not in page


# ---------------------------------------------------------------- compute


def compute() -> str:
    """Return the table of training times: what was trained, how often, hours in all, minutes each."""
    runs = pd.read_csv(REFERENCE / "runs.csv").dropna(subset=["seconds"])
    runs = runs[
        ~runs["condition"].str.contains("guided|another street")
    ]  # translations of trainings that count already
    runs["kind"] = runs["condition"]
    runs.loc[runs["run"].str.startswith("downstream"), "kind"] = "downstream segmenters"
    shipped = json.loads(text_of("results/instruments/instruments.json"))
    trained = pd.DataFrame(
        [{"kind": f"instrument `{name}`", "seconds": record["seconds"]} for name, record in shipped.items()]
    )
    every = pd.concat([runs[["kind", "seconds"]], trained])
    lines = ["| training | runs | hours | minutes each |", "|---|--:|--:|--:|"]
    for kind, seconds in every.groupby("kind", sort=False)["seconds"]:
        lines.append(f"| {kind} | {len(seconds)} | {seconds.sum() / 3600:.1f} | {seconds.mean() / 60:.1f} |")
    total = every["seconds"]
    lines.append(f"| in all | {len(total)} | {total.sum() / 3600:.1f} | |")
    return "\n".join(lines) + "\n"


def with_compute(page: str) -> str:
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}{compute()}{END}{rest.partition(END)[2]}"


def test_the_table_of_compute_is_that_of_the_records():
    page = TIMES.read_text(encoding="utf-8")
    assert page == with_compute(page), "run: python tests/test_docs.py"


# ---------------------------------------------------------------- project files


def test_every_place_that_installs_torch_names_the_locked_version():
    locked = dict(re.findall(r"^(torch\w*)==(\S+)", text_of("requirements.lock"), re.M))
    wanted = f"torch=={locked['torch']} torchvision=={locked['torchvision']}"
    for name in ("docs/install.md", ".devcontainer/devcontainer.json", ".github/workflows/test.yml"):
        assert wanted in text_of(name), name


def test_the_workflow_runs_what_the_project_runs():
    steps = yaml.safe_load(text_of(".github/workflows/test.yml"))["jobs"]["test"]["steps"]
    assert [step["run"] for step in steps if "run" in step][-1] == ".ci/run"
    assert "make test" in text_of(".ci/run")
    assert "make browser-test" in text_of(".ci/run")
    json.loads(text_of(".devcontainer/devcontainer.json"))


def test_the_citation_has_the_paper():
    citation = yaml.safe_load(text_of("CITATION.cff"))
    assert citation["license"] == tomllib.loads(text_of("pyproject.toml"))["project"]["license"]
    paper = next(r for r in citation["references"] if r["authors"][0]["family-names"] == "Fan")
    assert f"https://doi.org/{paper['doi']}" in text_of("README.md")


def test_the_card_of_the_instruments_lists_them_with_their_scores():
    card = text_of("results/instruments/README.md")
    for name, record in json.loads(text_of("results/instruments/instruments.json")).items():
        (row,) = [line for line in card.splitlines() if line.startswith(f"| `{name}` | ") and "." in line]
        for split, score in record["score"].items():
            assert f"{score:.3f}" in row, (name, split)


# ---------------------------------------------------------------- the plan for teachers


@pytest.mark.parametrize(("heading", "minutes"), [("## 90 minutes", 90), ("## Half a day", 240)])
def test_a_plan_has_no_gap_and_ends_in_time(heading, minutes):
    page = text_of("docs/instructor.md").partition(f"{heading}")[2].partition("\n## ")[0]
    spans = [tuple(map(int, found)) for found in re.findall(r"^\| (\d+)-(\d+) \|", page, re.M)]
    assert spans[0][0] == 0
    assert spans[-1][1] == minutes
    assert all(end == begin for (_, end), (begin, _) in zip(spans, spans[1:], strict=False))


def test_the_half_day_has_room_for_what_it_reads_and_exercises():
    page = text_of("docs/instructor.md").partition("## Half a day")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\d+)-(\d+) \| .* \| (\d*) ?\| (\d+) \|$", page, re.M)
    assert len(rows) >= 4
    assert all(int(end) - int(begin) == int(read or 0) + int(done) for begin, end, read, done in rows)


def test_the_minutes_of_the_whole_course_add_up():
    rows = re.findall(r"^\| (0\d) \| (\d+) \| (\d+) \| (\d+) \|$", text_of("docs/instructor.md"), re.M)
    assert len(rows) == 9
    total = re.search(r"^\| in all \| (\d+) \| (\d+) \| (\d+) \|$", text_of("docs/instructor.md"), re.M)
    for place in (1, 2, 3):
        assert sum(int(row[place]) for row in rows) == int(total[place])
    assert all(int(row[1]) + int(row[2]) == int(row[3]) for row in rows)
    for number, read, *_ in rows:
        (path,) = (ROOT / "notebooks").glob(f"{number}_*.ipynb")
        assert stated(nbformat.read(path, as_version=4)).read == int(read), number


def test_the_test_has_twelve_items_and_a_key():
    items = re.findall(r"^\*\*(\d+)\.\*\*", text_of("docs/test.md"), re.M)
    assert items == [str(n) for n in range(1, 13)]
    key = re.findall(r"^\| (\d+) \| ([A-D]) \|", text_of("docs/keys.md"), re.M)
    assert [n for n, _ in key] == items


if __name__ == "__main__":
    EXPECT.write_text(with_ranges(EXPECT.read_text(encoding="utf-8")), encoding="utf-8")
    TIMES.write_text(with_compute(TIMES.read_text(encoding="utf-8")), encoding="utf-8")
