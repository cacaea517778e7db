"""The notebooks: their form, the whole sequence at smoke size, and every output compared.

nbval compares text, not pictures, and only cells that have an execution count; so the form is tested first. The
course then runs once, into a temporary home. Its executed notebooks are compared with a second execution, all but
timings; the committed ones with the same execution under profile smoke, all but what a profile or a training changes.
"""

import ast
import copy
import json
import os
import re
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

from notebooks.exercises.teaching import RESULTS, generated, table_in
from semcg import files
from semcg.runs.figures import CAPTIONS
from semcg_kit.execution.course import SEQUENCE, code_digest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = [ROOT / "notebooks" / f"{name}.ipynb" for name in SEQUENCE]
FORMED = [*NOTEBOOKS, *(ROOT / "notebooks" / f"{name}.ipynb" for name in ("07_real_time", "08_beyond"))]
"""The sequence, and the two that are run after it."""
SMOKE = {"profile": "smoke", "seed": 0}


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


IGNORED = "nbval-ignore-output"  # nbval's own tag, so that its ordinary command knows what not to compare


def code_cells(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell) -> set[str]:
    return set(cell.metadata.get("tags", []))


def compared(cell) -> bool:
    return bool(cell.outputs) and not tags(cell) & {"varies", "timing"}


# ---------------------------------------------------------------- form


def faults(notebook) -> list[str]:
    """Return what is wrong with the form of a notebook."""
    found = []
    cells = code_cells(notebook)
    if [cell.execution_count for cell in cells] != list(range(1, len(cells) + 1)):
        found.append("execution counts are not 1..n: restart, run all, save")
    if "parameters" not in tags(cells[0]):
        found.append("the first code cell is not tagged parameters")
    for line in cells[0].source.splitlines():
        if not re.fullmatch(r"\w+: (str|int|float|bool) = [^#]+  # .+", line):
            found.append(f"parameter without type, default and comment: {line}")
    if not 5 <= len(cells) <= 28:
        found.append(f"{len(cells)} code cells")
    for cell in cells:
        name = f"cell {cell.id}"
        if len(cell.source.splitlines()) > 25:
            found.append(f"{name} has {len(cell.source.splitlines())} lines")
        if cell.source.rstrip().endswith(";"):
            found.append(f"{name} ends with a semicolon, which nbval does not honor")
        if unknown := tags(cell) - {"parameters", "varies", "timing", "slide", "hide-input", IGNORED}:
            found.append(f"{name} has tags {unknown}")
        if bool(tags(cell) & {"varies", "timing"}) != (IGNORED in tags(cell)):
            found.append(f"{name} does not tell nbval what it tells its readers: {sorted(tags(cell))}")
        if "timing" in tags(cell) and cell.outputs:
            found.append(f"{name} keeps a timing")
        text = str(cell.outputs)
        if re.search(r"/(home|root|work|tmp|Users)/", text):
            found.append(f"{name} shows a path of a machine")
        if "<script" in text or "application/javascript" in text:
            found.append(f"{name} holds a script")
        if re.search(r"<img(?![^>]*alt=\"[^\"]{20,})", text):
            found.append(f"{name} shows a picture without a description")
        if "image/png" in text and "text/html" not in text:
            found.append(f"{name} shows a figure without notebook.show")
        if len(text) > 1_500_000:
            found.append(f"{name} has {len(text)} characters of output")
        if any(o.output_type == "stream" and o.name == "stderr" for o in cell.outputs):
            found.append(f"{name} writes to stderr")
    if (n := sum(map(compared, cells))) < 8:
        found.append(f"only {n} outputs are the same under every profile; 8 are wanted")
    if notebook.metadata.keys() - {"kernelspec", "language_info", "semcg"}:
        found.append(f"metadata {set(notebook.metadata)}")
    return found


def test_all_committed_notebooks_together_are_light():
    assert sum(path.stat().st_size for path in (ROOT / "notebooks").glob("*.ipynb")) < 5_000_000


@pytest.mark.parametrize("path", FORMED, ids=lambda p: p.stem)
def test_form(path):
    assert faults(read(path)) == []


ASKS = re.compile(r"\*\*(?:Before you|Predict|Write down|Look before)|\?\*\*")


def unasked(notebook) -> list[str]:
    """Return the cells that show a result though the Markdown before them asked for no prediction."""
    found, asked, begun, before = [], False, False, "code"
    for cell in notebook.cells:
        if cell.cell_type == "markdown":  # two texts in a row are one
            asked = bool(ASKS.search(cell.source)) or (asked and before == "markdown")
            begun |= bool(re.search(r"^## ", cell.source, re.MULTILINE))
        elif begun and not asked and cell.outputs and not generated(cell):
            found.append(cell.id)
        before = cell.cell_type
    return found


@pytest.mark.parametrize("path", FORMED, ids=lambda p: p.stem)
def test_a_question_stands_before_each_result(path):
    assert unasked(read(path)) == []


def test_a_result_without_a_question_is_found():
    notebook = read(NOTEBOOKS[1])
    last = next(cell for cell in notebook.cells if cell.id == "c37")
    assert ASKS.search(last.source)
    last.source = ASKS.sub("", last.source)
    assert unasked(notebook) == ["c38"]


@pytest.mark.parametrize("path", FORMED, ids=lambda p: p.stem)
def test_code_cells_import_at_their_top_and_define_what_they_use(path):
    for cell in code_cells(read(path)):
        ast.parse(cell.source)
        assert not re.search(r"^\s*[!%]", cell.source, re.MULTILINE), f"{cell.id} uses a magic"
        assert not re.search(r"\bif .*profile\b", cell.source), f"{cell.id} branches on the profile"


def test_the_papers_figures_say_what_differs():
    assert list(CAPTIONS) == ["figure_1", "figure_2", "figure_3"]
    for caption in CAPTIONS.values():
        assert "What differs from the paper" in caption
    shown = str(code_cells(read(NOTEBOOKS[5]))).count("figures.CAPTIONS[name]")
    assert shown == 1, "05 shows the same captions that `make figures` writes"


def test_the_shipped_sweep_is_found_and_shown():
    """Section 7 of notebook 04: the explorer has a picture of every weight, and the stored outputs show them."""
    cells = {cell.id: cell for cell in code_cells(read(NOTEBOOKS[4]))}
    names = {"cfg": SimpleNamespace(data="world")}
    for cell in ("c27b", "c27c"):
        exec(cells[cell].source, names)
    assert names["turned"] is not None
    assert names["pictures"].keys() == names["weights"].keys()
    assert str(cells["c27d"].outputs).count("<img") == 3


def test_d9_a_cell_that_varies_tells_nbval_so():
    bad = copy.deepcopy(read(NOTEBOOKS[0]))
    varies = next(cell for cell in code_cells(bad) if "varies" in tags(cell))
    varies.metadata["tags"].remove(IGNORED)
    assert faults(bad) == [
        f"cell {varies.id} does not tell nbval what it tells its readers: {sorted(tags(varies))}"
    ]


def test_a_null_count_and_other_faults_are_found():
    notebook = read(NOTEBOOKS[0])
    for spoil, word in (
        (lambda c: c.update(execution_count=None), "execution counts"),
        (lambda c: c.update(source=c.source + ";"), "semicolon"),
        (lambda c: c.update(source="x = 1\n" * 26), "26 lines"),
        (
            lambda c: c.update(outputs=[nbformat.v4.new_output("stream", text="/home/me")]),
            "path of a machine",
        ),
    ):
        bad = copy.deepcopy(notebook)
        spoil(code_cells(bad)[3])
        assert any(word in fault for fault in faults(bad)), word


@pytest.mark.parametrize("path", FORMED, ids=lambda p: p.stem)
@pytest.mark.filterwarnings("default:the outputs of")
def test_committed_outputs_are_the_present_codes(path):
    made = read(path).metadata.get("semcg", {})
    assert made.get("profile") == "mini", "the committed outputs are those of a mini run: make notebooks"
    if made["code"] != code_digest(path):
        warnings.warn(f"the outputs of {path.name} were made by other code: make notebooks", stacklevel=1)


# ---------------------------------------------------------------- the sequence


@pytest.fixture(scope="module")
def smoke(tmp_path_factory) -> Path:
    """Home of a course run at smoke size, which leaves the repository as git saw it before."""
    home = tmp_path_factory.mktemp("smoke")
    status = ["git", "-C", str(ROOT), "status", "--porcelain"]
    before = subprocess.run(status, capture_output=True, text=True, check=True).stdout
    command = [sys.executable, "-m", "semcg_kit", *COURSE]
    done = subprocess.run(command, env=environment(home), capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert subprocess.run(status, capture_output=True, text=True, check=True).stdout == before
    return home


def environment(home: Path) -> dict[str, str]:
    """The course ran on the CPU, and so does what is compared with it."""
    given = {"SEMCG_HOME": str(home), "SEMCG_PROFILE": "smoke", "CUDA_VISIBLE_DEVICES": ""}
    return os.environ | given


COURSE = ["course", "--profile", "smoke", "--device", "cpu"]


@pytest.fixture
def semcg_there(smoke, monkeypatch, semcg) -> Callable[..., str]:
    """Run the command line in the home of the course and return what it printed."""
    monkeypatch.setenv("SEMCG_HOME", str(smoke))
    monkeypatch.setenv("SEMCG_PROFILE", "smoke")

    def run(*arguments: object) -> str:
        done = semcg(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def executed(home: Path, name: str) -> Path:
    folder = home / "results" / "smoke" / "notebooks"
    found = [path for path in (folder / f"{name}.ipynb", folder / f"{name}-s0.ipynb") if path.is_file()]
    assert len(found) == 1, found
    return found[0]


def nbval(root: Path, home: Path, folders: Sequence[str]) -> dict[str, dict[str, list[bool]]]:
    """Run nbval on the notebooks of folders in `root` and return, by folder and notebook, whether each cell passed.

    A notebook in several folders is executed once, in the first.
    """
    report = root / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "nbval_once"]
    command += ["--nbval", "--nbval-current-env", "--nbval-cell-timeout", "300"]
    command += ["--nbval-sanitize-with", str(ROOT / "tests" / "nbval.cfg")]
    command += ["-c", os.devnull, "--rootdir", str(root)]
    command += [f"--junitxml={report}", "-o", "junit_family=xunit1", *(str(root / name) for name in folders)]
    given = environment(home)
    given["PYTHONPATH"] = os.pathsep.join([str(ROOT / "tests"), given["PYTHONPATH"]])
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=1200)
    assert report.exists(), done.stdout + done.stderr
    passed: dict[str, dict[str, list[bool]]] = {name: {} for name in folders}
    for case in ET.parse(report).getroot().iter("testcase"):
        place = case.get("file") or case.get("classname")
        folder, name = re.search(r"(\w+)[/.](\d\d_\w+)", place).groups()
        good = case.find("failure") is None and case.find("error") is None
        passed[folder].setdefault(name, []).append(good)
    print(done.stdout[-6000:])
    return passed


def written(notebook, path: Path, *, ignored: set[str]):
    """Write a copy for nbval, in which the cells with one of these tags are run but not compared."""
    notebook = copy.deepcopy(notebook)
    for cell in code_cells(notebook):
        own = tags(cell) - {IGNORED}
        cell.metadata["tags"] = sorted(own | ({IGNORED} if own & ignored else set()))
    nbformat.write(notebook, path)


def test_the_sequence_runs_and_leaves_what_it_promises(smoke):
    results = smoke / "results" / "smoke"
    for name in SEQUENCE:
        record = files.read_json(executed(smoke, name).with_suffix(".json"))
        assert record["status"] == "ok"
    for run in (
        "sem_s-s0",
        "sem_t-s0",
        "judge-s0",
        "cyclegan-s0",
        "semantic-scores_l2-1-s0",
    ):
        assert (results / run / "provenance.json").is_file(), run
        assert (results / run / "history.csv").is_file(), run
    assert (results / "evaluation-s0" / "table.txt").is_file()
    assert not list(results.glob(".*")), "half-written runs were left"
    assert not list((results / "notebooks").glob("*partial*"))


def test_running_it_again_does_nothing(semcg_there):
    said = semcg_there(*COURSE)
    for name in SEQUENCE:
        assert f"{name}: reused" in said


def test_plain_papermill_in_a_named_kernel_trains_the_baseline_to_the_bit_without_a_semantic_loss(
    smoke, tmp_path
):
    """04 as the pages say, in a kernel like that of a GPU environment, which is another Python with semcg installed.

    With lambda_s = 0 it trains afresh, in another folder, what 03 has trained.
    """
    kernel = tmp_path / "jupyter" / "kernels" / "my-gpu"
    kernel.mkdir(parents=True)
    begun = tmp_path / "begun"
    start = f"touch {begun}; exec {sys.executable} -m ipykernel_launcher -f $0"
    spec = {"argv": ["sh", "-c", start, "{connection_file}"], "display_name": "my-gpu", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    out = tmp_path / "out.ipynb"
    command = [sys.executable, "-m", "papermill", "-k", "my-gpu", "--no-progress-bar"]
    command += [str(ROOT / "notebooks" / "04_semantic_cyclegan.ipynb"), str(out)]
    command += ["-p", "profile", "smoke", "-p", "lambda_s", "0", "-p", "device", "cpu"]
    given = environment(smoke) | {"JUPYTER_PATH": str(tmp_path / "jupyter")}
    done = subprocess.run(command, env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert begun.is_file(), "another kernel ran it"
    baseline, unweighted = (
        smoke / "results" / "smoke" / run for run in ("cyclegan-s0", "semantic-scores_l2-0-s0")
    )
    for name in ("G_st.safetensors", "G_ts.safetensors", "D_s.safetensors", "D_t.safetensors", "history.csv"):
        assert (baseline / name).read_bytes() == (unweighted / name).read_bytes(), name


def test_figures_translate_and_evaluate_work_on_what_the_course_left(smoke, tmp_path, semcg_there):
    results, test = smoke / "results" / "smoke", smoke / "data" / "world-smoke" / "source" / "test"
    *pictures, captions = map(Path, semcg_there("figures", "--profile", "smoke").splitlines())
    assert all(path.stat().st_size > 10_000 for path in pictures)
    assert sorted((results / "figures").iterdir()) == sorted([*pictures, captions])
    assert len(pictures) == 6
    for name, caption in CAPTIONS.items():
        assert f"![{name}]({name}.png)\n\n{caption}\n" in captions.read_text()
    semcg_there("translate", "--weights", results / "cyclegan-s0", test / "images", tmp_path / "out")
    assert len(list((tmp_path / "out").glob("*.png"))) == 8
    said = semcg_there("evaluate", tmp_path / "out", test / "labels", "--judge", results / "judge-s0")
    assert "mIoU" in said
    assert "8 frames" in said
    said = semcg_there("compare", results / "cyclegan-s0", results / "semantic-scores_l2-1-s0")
    assert "lambda_s: 0.0 | 1.0" in said


def test_the_page_of_results_shows_the_stored_table():
    page = (ROOT / RESULTS).read_text()
    table = (ROOT / "results" / "reference" / "table.txt").read_text()
    assert table_in(page, table) == page
    assert table.strip("\n") in page, "column by column, as in the file"


def test_results_and_data_are_ignored_by_git():
    for path in (
        "data/world-mini/manifest.csv",
        "results/mini/cyclegan-s0/state.pt",
        "results/carla-mini/x",
        ".venv/x",
    ):
        assert subprocess.run(["git", "-C", str(ROOT), "check-ignore", "-q", path]).returncode == 0, path
    for path in (
        "data/README.md",
        "results/README.md",
        "results/reference/x.csv",
        "results/reference/protocol.toml",
    ):
        assert subprocess.run(["git", "-C", str(ROOT), "check-ignore", "-q", path]).returncode == 1, path


def spoil(output) -> None:
    if "text" in output:
        output.text = output.text.rstrip("\n") + "7\n"
    else:
        kind = "text/html" if "text/html" in output.data else "text/plain"
        output.data[kind] = output.data[kind] + "7"


@pytest.fixture(scope="module")
def passed(smoke, tmp_path_factory) -> dict[str, dict[str, list[bool]]]:
    """By folder, notebook and cell, whether nbval finds in one execution what the notebook says.

    Those of the course lack the cell that papermill adds, whose parameters come from the environment here.
    """
    root = tmp_path_factory.mktemp("nbval")
    for folder in (folders := ("committed", "executed", "spoiled")):
        (root / folder).mkdir()
    for path in FORMED:
        written(read(path), root / "committed" / path.name, ignored={"timing", "varies"})
    for path in NOTEBOOKS:
        before = read(executed(smoke, path.stem))
        before.cells = [cell for cell in before.cells if "injected-parameters" not in tags(cell)]
        written(before, root / "executed" / path.name, ignored={"timing"})
        spoiled = read(path)
        for cell in filter(compared, code_cells(spoiled)):
            spoil(cell.outputs[0])
        written(spoiled, root / "spoiled" / path.name, ignored={"timing", "varies"})
    return nbval(root, smoke, folders)


def test_executed_notebooks_say_the_same_twice(passed):
    assert sorted(passed["executed"]) == list(SEQUENCE)
    assert all(all(cells) for cells in passed["executed"].values())


def test_committed_notebooks_say_the_same_under_smoke(passed):
    assert sorted(passed["committed"]) == [path.stem for path in FORMED]
    assert all(all(cells) for cells in passed["committed"].values())


def test_every_compared_output_is_really_compared(passed):
    """All compared outputs were changed at once, and nbval must report every one of them and no other."""
    expected = {p.stem: [not compared(cell) for cell in code_cells(read(p))] for p in NOTEBOOKS}
    assert passed["spoiled"] == expected
