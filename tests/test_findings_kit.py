"""Faults that real use found in what runs the course, by their numbers in the list of findings."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from PIL import Image

from semcg import config, devices, evaluate, files, labels, locks, metrics
from semcg_kit import doctor
from semcg_kit.commands import course as commands
from semcg_kit.commands import images
from semcg_kit.execution import course
from semcg_kit.sweep import cluster

ROOT = Path(__file__).parent.parent


def python(code: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, timeout=300
    )


# ---------------------------------------------------------------- doctor


def test_b11_doctor_names_a_copied_checkout(tmp_path, monkeypatch):
    for package in ("semcg", "semcg_kit"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    done = python("from semcg_kit import doctor; print(*doctor.course(), sep='|')", tmp_path)
    assert done.stdout == f"this command runs the code in {tmp_path}, notebooks import it from {ROOT}|moved\n"
    monkeypatch.chdir(tmp_path)
    words, problem = doctor.course()
    assert problem == "other checkout"
    assert words == f"this command runs the code in {ROOT}, but you work in {tmp_path}"


def test_b11_doctor_names_a_script_that_starts_the_python_of_another_folder(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "jupyter").write_text("#!/elsewhere/.venv/bin/python\n")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    words, problem = doctor.course()
    assert problem == "moved"
    assert "bin/jupyter starts /elsewhere/.venv/bin/python" in words


COMMANDS = """
import sys
from semcg_kit import __main__, doctor
for command in ("run 00_start_here", "first-look", "verify"):
    sys.argv = ["semcg", *command.split()]
    try:
        __main__.main()
    except SystemExit as ended:
        print(command, ended.code)
print(doctor.course()[1])
"""


def test_d3_a_package_without_its_repository_says_so_in_one_sentence(tmp_path):
    """As `pip install` of a wheel leaves it: packages without notebooks, networks and evidence."""
    for package in ("semcg", "semcg_kit", "notebooks/exercises"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    done = python(COMMANDS, tmp_path)
    assert done.stdout.splitlines() == ["run 00_start_here 2", "first-look 2", "verify 2", "no repository"]
    said = done.stderr.splitlines()
    assert len(said) == 3, said
    for line in said:
        assert line.startswith("semcg: ")
        assert line.endswith(
            "is in the repository, which was not installed: clone it, and run `make setup` there"
        )


def test_d7_the_load_of_the_machine_is_named(monkeypatch):
    monkeypatch.setattr(doctor.os, "getloadavg", lambda: (17.0, 0, 0))
    words, problem = doctor.threads()
    assert "load of the last minute 17.0" in words
    assert problem in ("load", "many threads")


def test_b12_python_in_the_folder_that_holds_the_clone_finds_the_package(tmp_path):
    """By a line in a .pth file, which setuptools writes for this layout only; its other way, a hook, comes too late."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["setuptools"]["package-dir"] == {"": "."}
    (tmp_path / "semcg").symlink_to(ROOT)
    done = python("from semcg import system; print(system.__file__)", tmp_path, PYTHONPATH=str(ROOT))
    assert done.stdout == f"{ROOT / 'semcg' / 'system.py'}\n"


def test_b11_make_creates_the_environment_again_where_its_folder_was_moved(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("pyproject.toml", "requirements.lock"):
        (tmp_path / name).touch()
    (tmp_path / ".venv").mkdir()
    stamp = tmp_path / ".venv" / ".ready"
    for place, again in ((tmp_path, False), ("/elsewhere", True), ("", False)):
        stamp.write_text(f"98 {place}".strip() + "\n")
        planned = subprocess.run(
            ["make", "-n", "doctor"], cwd=tmp_path, capture_output=True, text=True
        ).stdout
        assert ("rm -rf .venv" in planned) is again


# ---------------------------------------------------------------- notebooks


BOOK = """profile: str = ""  # of the config
data: str = "world"  # not read
seed: int = 0  # of nothing
lambda_s: float = 1.0  # weight
steps: int = 0  # 0 means the profile's"""


@pytest.fixture
def book(tmp_path) -> Path:
    """A notebook of the user that settles its parameters and prints what they came to; it names no kernel."""
    made = nbformat.v4.new_notebook()
    code = "from semcg import notebook\ncfg, _ = notebook.settle(profile=profile, seed=seed, lambda_s=lambda_s, steps=steps)"
    code += "\nimport os, semcg\nprint('ENDED', cfg.lambda_s, cfg.steps, cfg.lambda_c, cfg.size, os.environ['OMP_WAIT_POLICY'], semcg.__file__)"
    made.cells = [nbformat.v4.new_code_cell(BOOK), nbformat.v4.new_code_cell(code)]
    made.cells[0].metadata["tags"] = ["parameters"]
    folder = tmp_path / "books"
    folder.mkdir()
    nbformat.write(made, folder / "mine.ipynb")
    return folder / "mine.ipynb"


def printed(output: Path) -> list[str]:
    texts = [
        o.get("text", "") for c in nbformat.read(output, as_version=4).cells for o in c.get("outputs", [])
    ]
    (line,) = (line for line in "".join(texts).splitlines() if line.startswith("ENDED"))
    return line.split(" ", 1)[1]


def test_a2b_other_parameters_have_another_executed_notebook_and_settings_are_in_the_record(
    home, book, semcg
):
    """Also D7 (threads wait passively), B11 (a kernel imports the code that started it) and any field of Config."""
    command = [sys.executable, "-m", "semcg_kit", "run", str(book), "--profile", "smoke"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    notebooks = home / "results" / "smoke" / "notebooks"
    (first,) = notebooks.glob("mine-??????-s0.ipynb")
    assert printed(first) == f"1.0 4 10.0 (64, 128) passive {ROOT}/semcg/__init__.py"
    before = first.read_bytes()
    numbers = home / "numbers.toml"
    numbers.write_bytes(b"\xef\xbb\xbflambda_c = 5.0\nsteps = 7\nseed = 2\nprofile = 'mini'\n")
    done = semcg(
        "run", book, "--profile", "smoke", "--config", numbers, "--set", "steps=0", "-p", "lambda_s=3"
    )
    assert done.returncode == 0, done.stderr
    (output,) = notebooks.glob("mine-??????-lambda_c=5.0-lambda_s=3.0-s2.ipynb")
    assert printed(output).startswith("3.0 0 5.0 (64, 128)"), (
        "an option comes before the file, the file before the profile"
    )
    record = files.read_json(output.with_suffix(".json"))
    assert record["settings"] == {"lambda_c": 5.0, "steps": 0, "lambda_s": 3.0}
    assert record["parameters"]["lambda_s"] == 3.0
    assert record["key"]["settings"] == record["settings"]
    assert first.read_bytes() == before


def test_a2b_an_evaluation_with_settings_leaves_the_profile_s_own_alone(home, monkeypatch):
    made = config.make("smoke", seed=1)
    usual, own = course.evaluation_folder(made, {}), course.evaluation_folder(made, {"lambda_c": 5.0})
    assert own.name == "evaluation-lambda_c=5.0-s1"
    for texts in ("usual", "with settings"):
        for settings in ({}, {"lambda_c": 5.0}) if texts == "usual" else ({"lambda_c": 5.0},):
            with course.own_evaluation(made, settings):
                files.write_text(usual / "table.txt", f"{texts} {settings}")
    assert (usual / "table.txt").read_text() == "usual {}"
    assert (own / "table.txt").read_text() == "with settings {'lambda_c': 5.0}"
    with course.own_evaluation(made, {"lambda_c": 5.0}):
        files.write_text(usual / "table.txt", "being written")
        with monkeypatch.context() as beside:  # another process, which this one plays
            beside.setattr(locks, "_held", {})
            beside.setitem(locks.hold.__kwdefaults__, "patience", 0.1)
            with (
                pytest.raises(BlockingIOError, match="the evaluation in"),
                course.own_evaluation(made, {}),
            ):
                pytest.fail("it began beside the other")
        assert (usual / "table.txt").read_text() == "being written"
    assert (usual / "table.txt").read_text() == "usual {}"
    for settings in ({"lambda_c": 5.0}, {}):
        shutil.move(usual, usual.with_name(f".{usual.name}.usual"))  # as a kill leaves it
        files.write_text(usual / "table.txt", "killed")
        with course.own_evaluation(made, settings):
            assert not usual.exists() if settings else (usual / "table.txt").read_text() == "usual {}"
        assert (usual / "table.txt").read_text() == "usual {}"


def test_b9_a_name_means_the_course_s_notebook_and_a_path_any(home, book, monkeypatch):
    monkeypatch.chdir(book.parent)
    shutil.copy(book, "01_data")
    shutil.copy(book, "01_data.ipynb")
    ours = ROOT / "notebooks" / "01_data.ipynb"
    assert course.notebook_path("01_data") == ours
    assert course.notebook_path("./01_data") == (book.parent / "01_data").resolve()
    assert course.notebook_path("mine.ipynb") == book.resolve()
    with pytest.raises(FileNotFoundError, match="no notebook mine; the course has 00_start_here"):
        course.notebook_path("mine")


def test_notebooks_of_one_name_have_executed_copies_of_their_own(book, tmp_path):
    ours, made = course.notebook_path("03_cyclegan"), config.make("smoke")
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy(book, tmp_path / folder / ours.name)
    paths = [ours, tmp_path / "a" / ours.name, tmp_path / "b" / ours.name]
    names = [course.output_of(path, made, {}).name for path in paths]
    assert names[0] == "03_cyclegan-s0.ipynb"
    assert len(set(names)) == 3


@pytest.mark.parametrize(
    ("name", "parameter", "file"),
    [("06_evidence", "evidence", "mine/measures.csv"), ("07_real_time", "picture", "mine/street.png")],
)
def test_what_a_parameter_names_is_seen_from_the_working_folder_and_looked_into(
    home, tmp_path, monkeypatch, name, parameter, file
):
    seen = []

    def execute(notebook, output, parameters, **_):
        seen.append(parameters[parameter])
        nbformat.write(nbformat.v4.new_notebook(), output)
        return {"status": "ok", "runs": {}, "data": {}, "seconds": 0.0}

    (home / "results" / "smoke" / "notebooks").mkdir(parents=True)
    (tmp_path / "mine").mkdir()
    monkeypatch.setattr(course, "execute", execute)
    monkeypatch.chdir(tmp_path)
    given = "mine" if parameter == "evidence" else file
    for content, executed in (("a", 1), ("a", 1), ("b", 2)):
        Path(file).write_text(content)
        commands.run(name, profile="smoke", set_=[f"{parameter}={given}"])
        assert seen == [str(tmp_path / given)] * executed


SENTENCES = [
    (["run", "06_evidence", "--data", "{books}"], "06_evidence has no parameter data"),
    (
        ["run", "06_evidence", "--set", "lambda_c=3"],
        "06_evidence has no parameter lambda_c; it has profile, evidence",
    ),
    (
        ["run", "03_cyclegan", "--set", "lambda_c=-1"],
        "lambda_c = -1: input should be greater than or equal to 0",
    ),
    (["course", "--set", "lamda_c=1"], "lamda_c = 1: no such field; there is lambda_c"),
    (["course", "--set", "crop"], "'crop': write name=value, for example lambda_c=5"),
    (["course", "--config", "{books}/mine.ipynb"], "mine.ipynb is not TOML"),
    (["sweep", "--dry-run", "--set", "lambda_s=2"], "lambda_s: condition 'CycleGAN' sets this itself"),
]


@pytest.mark.parametrize(("arguments", "words"), SENTENCES, ids=lambda v: v if isinstance(v, str) else "")
def test_b10_what_a_command_cannot_use_is_refused_in_a_sentence(home, book, semcg, arguments, words):
    folder = book.parent
    done = semcg(*(text.format(books=folder) for text in arguments))
    assert done.returncode == 2
    assert done.stderr.startswith(f"semcg: {words}") or words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (home / "results").exists()


@pytest.mark.parametrize("content", ["[]", "{}", "x", '{"cells": 3, "nbformat": 4, "nbformat_minor": 5}'])
def test_d4_a_file_that_is_no_notebook_is_named(tmp_path, content):
    path = tmp_path / "mine.ipynb"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"mine\.ipynb is not a notebook: "):
        course.notebook_path(str(path))


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"WORLD_SIZE": "abc"}, "WORLD_SIZE = 'abc': torchrun and Slurm set a number here"),
        ({"WORLD_SIZE": "2", "RANK": "x"}, "RANK = 'x'"),
        ({"SLURM_STEP_NUM_TASKS": "2"}, "SLURM_PROCID = ''"),
        ({"SEMCG_HOME": "~nosuchuser/x"}, "SEMCG_HOME = '~nosuchuser/x': there is no such user"),
    ],
)
def test_d5_an_odd_environment_is_named(monkeypatch, variables, words):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=re.escape(words)):
        files.home() if "SEMCG_HOME" in variables else devices.place()


def test_d5_a_scheduler_that_is_none_is_named():
    with pytest.raises(
        OSError, match=r"no Dask scheduler at 'http://x y' .*write --scheduler tcp://host:8786"
    ):
        cluster.Dask(scheduler="http://x y")


def test_a4_the_lab_opens_copies(tmp_path):
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "notebooks").mkdir()
    for name in ("00.ipynb", "01.ipynb"):
        (tmp_path / "notebooks" / name).write_text("original")
    (tmp_path / "my-notebooks").mkdir()
    (tmp_path / "my-notebooks" / "01.ipynb").write_text("changed")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / ".venv" / "bin" / "python").chmod(0o755)
    (tmp_path / ".venv" / ".ready").write_text("1\n")
    done = subprocess.run(["make", "lab"], cwd=tmp_path, capture_output=True, text=True)
    assert "delete its copy" in done.stdout
    assert "-m jupyterlab --ip=127.0.0.1 my-notebooks" in done.stdout
    copies = {path.name: path.read_text() for path in (tmp_path / "my-notebooks").iterdir()}
    assert copies == {"00.ipynb": "original", "01.ipynb": "changed"}


# ---------------------------------------------------------------- scores


FRAME = "frankfurt_000000_00{:04d}"


@pytest.fixture
def as_published(tmp_path) -> tuple[np.ndarray, np.ndarray, Path]:
    """Predictions and labels (3, H, W) as train ids, and a folder with them in label ids, named as by Cityscapes."""
    draw = np.random.default_rng(0)
    label = draw.choice([*range(18), 255], (3, 24, 31)).astype(np.uint8)  # class 18 is predicted alone
    pred = np.where(
        draw.random(label.shape) < 0.5, label, draw.choice([*range(19), 255], label.shape)
    ).astype(np.uint8)
    truth, flat = tmp_path / "gtFine" / "val" / "frankfurt", tmp_path / "predictions"
    truth.mkdir(parents=True)
    flat.mkdir()
    for k in range(3):
        name = FRAME.format(k)
        Image.fromarray(labels.to_label_ids(label[k])).save(truth / f"{name}_gtFine_labelIds.png")
        Image.fromarray(labels.to_colors(label[k])).save(truth / f"{name}_gtFine_color.png")
        Image.fromarray(label[k]).save(truth / f"{name}_gtFine_labelTrainIds.png")
        Image.fromarray(labels.to_label_ids(pred[k])).save(flat / f"{name}_leftImg8bit_pred_labelIds.png")
    return pred, label, tmp_path


def test_score_is_the_published_evaluation(as_published, semcg):
    """Equal to 1e-12 to cityscapesScripts on the very files, in label ids and in train ids."""
    pytest.importorskip("cityscapesscripts")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling as scripts
    pred, label, folder = as_published
    flat, truth = folder / "predictions", folder / "gtFine" / "val"
    scripts.args.evalInstLevelScore, scripts.args.JSONOutput, scripts.args.quiet = False, False, True
    pairs = [sorted(map(str, where.rglob("*_labelIds.png"))) for where in (flat, truth)]
    theirs = scripts.evaluateImgLists(*pairs, scripts.args)

    counts, frames, holds = evaluate.frames.scored(flat, truth)
    ours = evaluate.frames.score_table(counts)
    assert (frames, holds) == (3, "label")
    for name in labels.names():
        assert ours[name] == pytest.approx(theirs["classScores"][name], abs=1e-12)
    assert ours["mean IoU, labeled or predicted"] == pytest.approx(theirs["averageScoreClasses"], abs=1e-12)
    assert ours["mean IoU, labeled classes"] == pytest.approx(
        19 / 18 * theirs["averageScoreClasses"], abs=1e-12
    )
    for k in range(3):
        Image.fromarray(pred[k]).save(flat / f"{FRAME.format(k)}_leftImg8bit_pred_labelIds.png")
    assert evaluate.frames.score_table(evaluate.frames.scored(flat, truth, "train")[0]) == ours
    done = semcg("score", flat, truth, "--ids", "train")
    assert done.returncode == 0, done.stderr
    assert f"{ours['pixel accuracy']:.4f}" in done.stdout
    assert "3 frames, predictions read as train ids; 18 of 19 classes are labeled" in done.stdout
    assert "is --ids right?" not in done.stdout
    assert "predicted to be none of the 19 classes; is --ids right?" in semcg("score", flat, truth).stdout


def test_b13_what_was_not_measured_or_is_equal_is_not_called_higher(capsys):
    """The sentences of notebook 05 on frames without vehicles, buildings, signs and sky, and on equal translations."""
    cells = {
        c.id: c.source for c in nbformat.read(ROOT / "notebooks" / "05_evaluation.ipynb", as_version=4).cells
    }
    names = {"evaluate": evaluate, "metrics": metrics, "mark": "", "nets": ("CycleGAN", "semantic")}
    road = torch.zeros(19, 20, dtype=torch.int64)
    road[0, 0] = 100
    names["counts"] = {"CycleGAN": road, "semantic": road}
    for cell in ("c14", "c16"):
        exec(cells[cell], names)
    said = capsys.readouterr().out
    assert said.count("not to be compared") == 3
    assert "mean of all       CycleGAN 1.000, semantic 1.000: not higher" in said
    assert "loses most of the sky" not in said


def test_b14_figures_are_the_course_s_whatever_the_user_s_matplotlibrc_says(tmp_path):
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nfont.size: 40\nimage.origin: lower\n")
    code = """
import sys, numpy as np
from semcg.plots import frames, styled
picture = frames.sheet([[np.arange(600, dtype=np.uint8).reshape(10, 20, 3)]], names=["a"], titles=["b"])
with styled():
    picture.savefig(sys.argv[1])
"""
    made = []
    for name, setting in (("plain", {}), ("theirs", {"MATPLOTLIBRC": str(tmp_path / "matplotlibrc")})):
        command = [sys.executable, "-c", code, str(tmp_path / f"{name}.png")]
        done = subprocess.run(command, env=os.environ | setting, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        made.append(np.array(Image.open(tmp_path / f"{name}.png")))
    np.testing.assert_array_equal(*made)


def test_e5_translations_of_deleted_frames_are_told(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    for name in "abc":
        Image.fromarray(np.full((16, 16, 3), ord(name), np.uint8)).save(tmp_path / "in" / f"{name}.png")
    weights = ROOT / "results" / "reference" / "generators" / "semantic_recolor"
    images.translate(tmp_path / "in", tmp_path / "out", weights, device="cpu")
    assert "any more" not in capsys.readouterr().out
    (tmp_path / "in" / "b.png").unlink()
    images.translate(tmp_path / "in", tmp_path / "out", weights, device="cpu")
    assert "1 more there, for example b.png, have no frame in" in capsys.readouterr().out


def test_b4_evaluate_warns_of_labels_that_are_implausible_for_streets(tmp_path, capsys):
    """Labels of another scheme may have train ids' values: sky that is numbered 0, and then counts as road."""
    draw = np.random.default_rng(0)
    for ids, warned in (((0, 2, 10), False), ((5, 11, 17), True)):
        root = tmp_path / str(warned)
        for folder, picture in (
            ("images", draw.integers(0, 256, (32, 64, 3), np.uint8)),
            ("labels", np.repeat(np.array(ids, np.uint8), (8, 10, 14))[:, None].repeat(64, 1)),
        ):
            (root / folder).mkdir(parents=True)
            Image.fromarray(picture).save(root / folder / "1.png")
        images.evaluate(root / "images", root / "labels", Path("judge"), device="cpu")
        assert ("do they hold train ids?" in capsys.readouterr().out) == warned


def test_e1_score_says_what_does_not_pair_and_what_is_there(as_published):
    _, _, folder = as_published
    flat, truth = folder / "predictions", folder / "gtFine" / "val"
    Image.fromarray(np.full((24, 31), 19, np.uint8)).save(flat / f"{FRAME.format(0)}.png")
    (flat / f"{FRAME.format(0)}_leftImg8bit_pred_labelIds.png").unlink()
    with pytest.raises(
        ValueError, match=r"0000\.png holds values that are no train id.* 19 .*`semcg score` by --ids"
    ):
        evaluate.frames.scored(flat, truth, "train")
    (flat / f"{FRAME.format(0)}.png").unlink()
    with pytest.raises(
        ValueError,
        match=r"no picture in .* for 1 of 3 file\(s\): frankfurt_000000_000000_gtFine.*It holds frank",
    ):
        evaluate.frames.scored(flat, truth)
    (folder / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no PNG or JPEG file in"):
        evaluate.frames.scored(folder / "empty", truth)
