"""Exercises and quizzes: solutions pass, planted mistakes are named, nothing raises, notebooks hold what is checked."""

import ast
import copy
import inspect
import os
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from skimage.exposure import match_histograms

from semcg import config, exercises, files, labels, losses, metrics, protocol, statistics
from semcg.exercises import SHEETS, cells, minutes
from semcg.exercises.feedback import WAITS, feedback, graded, quiz_text
from semcg.exercises.kinds import Question
from semcg.plots import frames
from semcg.runs import recipes
from semcg.runs.course import REPORT, SEQUENCE

NOTEBOOKS = [sheet.notebook for sheet in SHEETS.values()]
FOLDER = Path(__file__).parent.parent / "notebooks"
ALL = [(f"{s.number}.{n}", e) for s in SHEETS.values() for n, e in enumerate(s.exercises, 1)]
each_exercise = pytest.mark.parametrize(("which", "exercise"), ALL, ids=[which for which, _ in ALL])
each_sheet = pytest.mark.parametrize("sheet", SHEETS.values(), ids=SHEETS)


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def answer(exercise, function):
    """What a learner hands in who wrote this function, or whose value it gives."""
    return function if exercise.arguments else function()


def pasted(source: str, sheet, name: str):
    """Run a piece of code as a cell of a notebook would, with the notebook's imports, and return what it defines."""
    first = [c for c in read(sheet.notebook).cells if c.cell_type == "code"][1].source
    imports = [n for n in ast.parse(first).body if isinstance(n, ast.Import | ast.ImportFrom)]
    cell: dict = {}
    exec("\n".join(map(ast.unparse, imports)), cell)
    exec(compile(source, "<cell>", "exec"), cell)
    return cell[name]


# ---------------------------------------------------------------- exercises


def test_every_notebook_has_its_sheet():
    assert sorted(NOTEBOOKS) == sorted(path.stem for path in FOLDER.glob("[0-9]*.ipynb"))
    assert {*SEQUENCE, REPORT} <= set(NOTEBOOKS)
    for sheet in SHEETS.values():
        assert 4 <= len(sheet.exercises) + 1 <= 6, "with the open question"
        assert 2 <= len(sheet.questions) <= 3
        assert not sheet.exercises[0].arguments or len(sheet.exercises[0].shown.splitlines()) <= 4, (
            "begin easily"
        )
    names = [e.name for _, e in ALL]
    assert len(set(names)) == len(names)
    assert all(name.startswith("my_") for name in names), "and shadow nothing of the notebook"


@each_exercise
def test_the_solution_shown_is_right(which, exercise):
    """What the notebook folds away, pasted into a cell that has the notebook's imports."""
    assert feedback(exercise, pasted(exercise.shown, SHEETS[which[:2]], exercise.name)).startswith("Right.")


@each_exercise
def test_every_planted_mistake_is_named(which, exercise):
    assert len(exercise.wrong) >= 3
    for sentence, mistake in exercise.wrong.items():
        said = feedback(exercise, answer(exercise, mistake))
        assert said.startswith("Not yet.")
        assert sentence in said, f"{which}: {sentence!r} got {said!r}"


@each_exercise
def test_an_untouched_starter_gets_a_friendly_word(which, exercise, capsys):
    exercises.check(which, pasted(exercise.starter, SHEETS[which[:2]], exercise.name))
    said = capsys.readouterr().out
    assert said == f'{which}  {WAITS} Stuck? exercises.hint("{which}")\n'
    exercises.hint(which)
    assert exercise.hint in capsys.readouterr().out


@each_exercise
def test_code_that_raises_gets_a_friendly_word(which, exercise):
    if not exercise.arguments:
        return  # a value that cannot be computed raises in the learner's own line
    arguments = ", ".join(exercise.arguments)
    for body, words in (
        ("return 1 / 0", "Your code raises ZeroDivisionError: division by zero, in its line 2"),
        ("return undefined_name + 1", "NameError"),
        ("raise AssertionError('mine')", "AssertionError: mine"),
    ):
        said = feedback(exercise, pasted(f"def f({arguments}):\n    {body}\n", SHEETS[which[:2]], "f"))
        assert said.startswith("Not yet.")
        assert words in said
        assert exercise.hint in said
    assert f"It is called as {exercise.name}({arguments})" in feedback(exercise, lambda: 1)
    assert "should be a function of" in feedback(exercise, 3)
    assert feedback(exercise, lambda *_: None).startswith("Not yet."), "no return"
    assert feedback(exercise, lambda *_: "a word").startswith("Not yet.")


@each_exercise
def test_an_answer_cannot_spoil_the_examples(which, exercise):
    """In-place code changes its own copies, not what the solution is asked on."""

    def spoiling(*given):
        result = exercise.solution(*copy.deepcopy(given))
        for g in given:
            if isinstance(g, torch.Tensor) and not g.requires_grad:
                g.zero_()
        return result

    if exercise.arguments and not exercise.judge:
        assert feedback(exercise, spoiling).startswith("Right.")


def test_solutions_agree_with_the_package():
    by_name = {e.name: e.solution for _, e in ALL}
    draw = torch.Generator().manual_seed(1)
    a, b = (torch.randn(2, 5, 3, 4, generator=draw) for _ in range(2))
    same = torch.testing.assert_close
    same(by_name["my_softmax_l2"](a, b), losses.softmax_l2(a, b))
    same(by_name["my_pseudo_label_loss"](a, b), losses.ce_pseudo(a, b))
    same(by_name["my_generator_loss"](a), losses.generator(a, kind="log"))
    same(by_name["my_cycle_loss"](a, b, b, 0 * b), losses.cycle(a, b) + losses.cycle(b, 0 * b))
    same(by_name["my_discriminator_loss"](a, b, lambda x: x), losses.discriminator(a, b, kind="log"))
    same(by_name["my_softmax"](a), a.softmax(1))
    networks = (lambda x: x / 2, lambda x: x + 1, lambda x: 3 * x, lambda x: x - 1)
    semantic = losses.semantic(3 * a, a / 2 - 1, kind="scores_l2") + losses.semantic(
        b - 1, 3 * b + 3, kind="scores_l2"
    )
    same(by_name["my_semantic_loss"](a, b, *networks, 7.0), 7 * semantic)
    table = torch.tensor([[30, 5, 7, 3], [4, 20, 6, 0], [1, 9, 11, 2]])
    same(torch.stack([by_name["my_iou"](table, c) for c in range(3)]).double(), metrics.iou(table))
    same(by_name["my_flip_share"](table, 0, 2).double(), metrics.flips(table)[0, 2])
    picture = torch.rand(3, 4, 5, generator=draw) * 2 - 1
    assert (by_name["my_bytes"](picture).permute(1, 2, 0).numpy() == frames.pixels(picture)).all()
    back = labels.to_label_ids(labels.to_train_ids(torch.arange(256, dtype=torch.uint8).numpy()))
    assert by_name["my_count"]() == (back == torch.arange(256).numpy()).sum()
    z, y = torch.randn(6, 3, generator=draw), torch.tensor([0, 1, 2, 255, 1, 0])
    w = torch.tensor([1.0, 2.0, 4.0])
    expected = torch.nn.functional.cross_entropy(z, y, w, ignore_index=255)
    same(by_name["my_cross_entropy"](z.softmax(1), y, w), expected)
    grey = torch.tensor([30, 10, 40, 20])
    matched = match_histograms(grey.numpy(), grey.numpy() * 2 + 5)
    assert (by_name["my_match"](grey, (grey * 2 + 5).flip(0)).numpy() == matched).all()


def test_the_statistics_of_the_exercises_are_those_of_the_report():
    """Against the package's functions, and on the protocol's own numbers where the text speaks of them."""
    by_name = {e.name: e.solution for _, e in ALL}
    decided = protocol.read()
    draw = np.random.default_rng(2)
    a, b = ({seed: float(draw.random()) for seed in (5, 3, 4)} for _ in range(2))
    assert by_name["my_differences"](a, b) == statistics.paired(a, b).tolist()
    for m in (1, 2, 7):
        p = draw.random(m) ** 3
        expected = statistics.holm(dict(enumerate(p.tolist())))
        np.testing.assert_allclose(by_name["my_holm"](p), [expected[k] for k in range(m)])
    for _ in range(300):
        low, width, p = draw.normal(0, 0.03), 0.05 * draw.random(), draw.random() ** 3
        given = low, low + width, p
        assert by_name["my_verdict"](*given, 0.01) == statistics.verdict(
            *given, smallest_effect=0.01, seeds=12
        )
    least = by_name["my_least_p"]()
    assert least == statistics.holm({c: 2 / 2**8 for c in decided.correction})["C1"]
    assert statistics.sign_flip(np.ones(8)) * len(decided.correction) == least > decided.alpha
    assert 2 / 2**decided.least_seeds * len(decided.correction) <= decided.alpha, "and ten pairs can do it"
    for sd, effect in ((0.02, 0.01), (0.05, 0.04), (0.02, 0.0055)):
        n = by_name["my_pairs"](sd, effect)
        assert effect < statistics.detectable(sd, n), "Student's t asks for a few pairs more"
        assert statistics.detectable(sd, n + 3) <= effect


def test_a_mistake_that_nobody_planted_is_still_helped():
    exercise = next(e for _, e in ALL if e.name == "my_softmax_l2")
    said = {
        "three times": feedback(exercise, lambda a, b: 3 * exercise.solution(a, b)),
        "flipped": feedback(exercise, lambda a, b: -exercise.solution(a, b)),
        "shape": feedback(exercise, lambda a, b: (b - a).square()),
        "nan": feedback(exercise, lambda a, b: (b - a).sum() * float("nan")),
        "else": feedback(exercise, lambda a, b: (b - a).square().mean().sqrt() + 1),
    }
    assert "It is 3 times what it should be, everywhere" in said["three times"]
    assert "The sign is flipped" in said["flipped"]
    assert "The shape is (1, 4, 2, 3), it should be ()" in said["shape"]
    assert "nan or inf" in said["nan"]
    assert exercise.hint in said["else"]
    value = next(e for _, e in ALL if e.name == "my_width")
    assert "15" not in feedback(value, 12), "a wrong value does not give the right one away"
    assert value.hint in feedback(value, 12)


def test_two_slips_at_once_are_told_one_by_one():
    """A wrong axis, and an overflow beside: the first sample that is wrong decides."""
    exercise = next(e for _, e in ALL if e.name == "my_softmax")
    said = feedback(exercise, lambda z: z.exp() / z.exp().sum(dim=-1, keepdim=True))
    assert "wrong axis" in said


def test_an_unknown_exercise_is_refused():
    with pytest.raises(ValueError, match=r"no exercise '03.9'; notebook 03 has 03.1 to 03.4"):
        exercises.check("03.9", ...)
    with pytest.raises(ValueError, match="no exercises of notebook '09'; there are 00"):
        exercises.quiz("09", [])


# ---------------------------------------------------------------- quizzes

EXAMPLES = {
    "00": [({"stated": 17, "all": 55}, "between a quarter and a half"), ({"stated": 40, "all": 55}, "more than half")],
    "01": [({"source": 0.5, "target": 0.2}, "source"), ({"source": 0.2, "target": 0.21}, "about the same, within 2 percentage points")],
    "02": [({"Sem_s": 0.1, "Sem_t": 0.4, "judge": 0.5}, "judge"), ({"Sem_s": 0.1, "Sem_t": 0.6, "judge": 0.5}, "Sem_t")],
    "03": [({"first": 2.0, "last": 0.5}, "it fell to less than half of what it was"), ({"first": 2.0, "last": 3.0}, "it rose")],
    "04": [
        ({"scores_l2": 0.6, "scores_norm": 0.8, "softmax_l2": 0.2, "ce_pseudo": 0.3, "kl": 0.1}, "softmax_l2"),
        ({"scores_l2": 0.1, "scores_norm": 0.8, "softmax_l2": 0.2, "ce_pseudo": 0.3, "kl": 0.1}, "scores_l2"),
    ],
    "05": [({"CycleGAN": 0.5, "semantic (paper)": 0.9, "semantic (ours)": 0.8}, "semantic (paper)")],
    "06": [
        ({"confirmed": 0, "tested": 7}, "none"),
        ({"confirmed": 5, "tested": 7}, "some, not all"),
        ({"confirmed": 7, "tested": 7}, "all of them"),
    ],
    "07": [
        ({"alone": 100.0, "of four": 60.0}, "less than three quarters of it"),
        ({"alone": 100.0, "of four": 90.0}, "between three quarters and five quarters of it"),
        ({"alone": 100.0, "of four": 130.0}, "more than five quarters of it"),
    ],
}  # fmt: skip


@each_sheet
def test_every_choice_has_a_reason_and_one_is_right(sheet):
    for question in sheet.questions:
        cases = EXAMPLES[sheet.number] if question.values else [({}, question.right)]
        for values, right in cases:
            said = {
                c: graded(question, x, values) for x, c in zip("abcdefgh", question.choices, strict=False)
            }
            assert [c for c, s in said.items() if ": Right. " in s] == [right]
            assert all(len(s.partition(". ")[2]) > 20 for s in said.values()), "a reason for each"
        if not question.values:
            assert len({*said.values()}) == len(said), "reasons of their own"


@each_sheet
def test_the_run_decides_where_the_run_is_asked(sheet):
    """One question a notebook, and its expression is Python; without the numbers there is no answer, and no error."""
    computed = [q for q in sheet.questions if q.values]
    assert len(computed) == 1
    compile(computed[0].values, "values", "eval")
    letter = "a"
    for missing in ({}, dict.fromkeys(EXAMPLES[sheet.number][0][0], float("nan"))):
        assert "not in this data" in graded(computed[0], letter, missing)


@each_sheet
def test_a_quiz_waits_and_bears_with_anything(sheet, capsys):
    exercises.quiz(sheet.number, [""] * len(sheet.questions))
    untouched = capsys.readouterr().out
    assert untouched.count("No letter yet") == len(sheet.questions)
    assert all(q.text in untouched for q in sheet.questions)
    for answers in ([], ["a"], ["", "", "", "", "a"], [..., None, 7], ["z", "ab", "?"]):
        assert "Right." not in quiz_text(sheet.questions, answers, {}).replace("a: Right.", "")
    assert "'z' is not one of the letters a, b, c" in quiz_text(sheet.questions[:1], ["z"], {})
    assert ": " in graded(sheet.questions[-1 - bool(sheet.questions[-1].values)], " A ", {}), (
        "blanks and capitals do not matter"
    )


def test_a_question_says_what_is_wrong_with_a_letter():
    question = Question(text="1 + 1?", choices={"3": "One too many.", "2": "Two ones."}, right="2")
    assert graded(question, "a", {}) == "a: No. One too many."
    assert graded(question, "b", {}) == "b: Right. Two ones."


# ---------------------------------------------------------------- in the notebooks


@each_sheet
def test_the_notebook_holds_what_is_checked(sheet):
    book = read(sheet.notebook)
    now = [(c.id, c.cell_type, c.source) for c in book.cells if cells.generated(c)]
    made = [(c.id, c.cell_type, c.source) for c in cells.cells_of(sheet)]
    assert now == made, f"{sheet.notebook} is out of date: make student"


@each_sheet
def test_filling_in_twice_changes_nothing_and_keeps_the_rest(sheet):
    book = read(sheet.notebook)
    bare = copy.deepcopy(book)
    bare.cells = [c for c in bare.cells if not cells.generated(c)]
    filled = cells.filled(bare, sheet)
    assert cells.filled(filled, sheet) == filled
    assert [c.source for c in filled.cells] == [c.source for c in book.cells], "before the last cell"
    assert len({c.id for c in filled.cells}) == len(filled.cells)
    nbformat.validate(filled)
    assert [c.execution_count for c in filled.cells if c.cell_type == "code"] == list(
        range(1, 1 + sum(c.cell_type == "code" for c in filled.cells))
    )


def test_a_notebook_that_fell_behind_is_written_and_only_that_one(tmp_path):
    for sheet in SHEETS.values():
        nbformat.write(cells.filled(read(sheet.notebook), sheet), tmp_path / f"{sheet.notebook}.ipynb")
    assert cells.write(tmp_path, list(SHEETS.values())) == []
    path = tmp_path / "03_cyclegan.ipynb"
    book = nbformat.read(path, as_version=4)
    next(c for c in book.cells if c.id == "exercises-1").source = "my_patch = 34"
    nbformat.write(book, path)
    assert cells.write(tmp_path, list(SHEETS.values())) == [path]
    assert nbformat.read(path, as_version=4) == cells.filled(read("03_cyclegan"), SHEETS["03"])


@each_sheet
def test_starters_run_in_the_cell_that_was_written(sheet, capsys):
    """The whole exercise cells, as written: they print what is stored as their output."""
    for cell in cells.cells_of(sheet):
        if cell.cell_type == "code" and cell.id.startswith("exercises"):
            exec(compile(cell.source, cell.id, "exec"), {})
            assert capsys.readouterr().out == cell.outputs[0].text


# ---------------------------------------------------------------- minutes


def test_minutes_are_stated_and_current():
    """To read: within a quarter of what the words give now. To run: `semcg status` compares, where it was run."""
    course = {}
    for name in NOTEBOOKS:
        book = read(name)
        said = minutes.stated(book)
        now = minutes.reading(book)
        assert abs(said.read - now) <= max(5, now / 4), (
            f"{name}: {said.read} minutes stated, {now} by its words: semcg times"
        )
        typed = minutes._TIME.sub("", book.cells[0].source)
        assert not re.search(r"\b(minutes?|hours?)\b", typed), f"{name}: a time that no command renews"
        assert said.seconds, f"{name}: its time to run was never measured: semcg times"
        assert said.profile == "mini", f"{name}: the map of 00 compares the notebooks under one profile"
        course[name] = (minutes.question_of(book), said)
    first = read(NOTEBOOKS[0])
    assert minutes.with_map(first, course) == first, (
        "the map of 00 says what the first cells say: semcg times"
    )


def test_minutes_to_run_are_the_notebooks_own_plus_its_trainings(tmp_path):
    def record(name: str, **more) -> None:
        told = {"status": "ok", "seconds": 100.0, "trained": {}, "why": {}, "runs": {}} | more
        files.write_json(tmp_path / "notebooks" / f"{name}.json", told)

    for run, seconds in (("cyclegan-s0", 300.0), ("sem_s-s0", 500.0)):
        files.write_json(tmp_path / run / "provenance.json", {"seconds": seconds})
    record("03_cyclegan-s0", why={"cyclegan-s0": "reused"}, runs={"cyclegan-s0": "f", "sem_s-s0": "f"})
    assert minutes.measured(tmp_path, "03_cyclegan") == 400, "what it only read does not count"
    record("03_cyclegan-s0", seconds=390.0, trained={"cyclegan-s0": 290.0})
    assert minutes.measured(tmp_path, "03_cyclegan") == 400
    record("03_cyclegan-s0", status="failed")
    assert minutes.measured(tmp_path, "03_cyclegan") is None
    record("03_cyclegan-s0", why={"gone-s0": "reused"})
    assert minutes.measured(tmp_path, "03_cyclegan") is None
    assert minutes.measured(tmp_path, "04_semantic_cyclegan") is None


def test_minutes_to_run_are_those_of_the_newest_execution_that_ended_well(tmp_path):
    def record(name: str, age: float, **more) -> None:
        path = tmp_path / "notebooks" / f"{name}.json"
        files.write_json(path, {"status": "ok", "trained": {}, "why": {}} | more)
        os.utime(path, (1e9 - age, 1e9 - age))

    record("03_cyclegan-s0", 300, seconds=100.0)
    record("03_cyclegan-s3", 200, seconds=40.0)
    assert minutes.measured(tmp_path, "03_cyclegan") == 40
    record("03_cyclegan-s1", 100, status="failed", seconds=1.0)
    record("03_cyclegan_of_mine", 0, seconds=5.0)
    assert minutes.measured(tmp_path, "03_cyclegan") == 40
    (tmp_path / "notebooks" / "03_cyclegan-s4.json").write_text("cut sh")
    assert minutes.measured(tmp_path, "03_cyclegan") == 40
    record("03_cyclegan-s0", 0, seconds=70.0)
    assert minutes.measured(tmp_path, "03_cyclegan") == 70


def test_minutes_are_rewritten(tmp_path):
    for name in NOTEBOOKS:
        (tmp_path / f"{name}.ipynb").write_bytes((FOLDER / f"{name}.ipynb").read_bytes())
    files.write_json(
        tmp_path / "mini" / "notebooks" / "01_data.json",
        {"status": "ok", "seconds": 1234.0, "trained": {}, "why": {}},
    )
    lines = minutes.write(tmp_path, NOTEBOOKS, tmp_path / "mini")
    assert "01_data: about" in lines[1]
    assert "about 21 minutes to run (measured, profile `mini`)" in lines[1]
    assert "no execution in mini" in lines[0]
    book = nbformat.read(tmp_path / "01_data.ipynb", as_version=4)
    assert minutes.stated(book).seconds == 1234
    assert "| 21 minutes |" in "".join(
        c.source for c in nbformat.read(tmp_path / "00_start_here.ipynb", as_version=4).cells
    )
    book.cells[0].source = book.cells[0].source.replace("about 21 minutes", "about 2 minutes")
    with pytest.raises(ValueError, match="its numbers say"):
        minutes.stated(book)


def test_more_words_take_longer():
    book = read("03_cyclegan")
    longer = copy.deepcopy(book)
    longer.cells[3].source += " word" * 170 * 10
    assert minutes.reading(longer) == minutes.reading(book) + 10
    quizzed = copy.deepcopy(book)
    next(c for c in quizzed.cells if c.id == "exercises-open").source += " word" * 5000
    assert minutes.reading(quizzed) == minutes.reading(book)


# ---------------------------------------------------------------- the notebooks' words

PROFILES = {name: config.make(name) for name in config.PROFILES}
KNOWN = (
    {name: getattr(PROFILES["paper"], name) for name in type(PROFILES["paper"]).model_fields}
    | PROFILES
    | {"conditions": recipes.conditions(PROFILES["mini"])}
)


def words_of(name: str) -> dict[str, str]:
    return {c.id: c.source for c in read(name).cells if c.cell_type == "markdown"}


def marked(text: str) -> list[tuple[str, object, object]]:
    """Return what a text marks as a number of the config, `10<!-- =lambda_c -->`: the marker, what stands there, what is right."""
    found = []
    for match in re.finditer(r"<!-- =(.+?) -->", text):
        right = eval(match[1], {"__builtins__": {}}, KNOWN)
        before = re.sub(
            r"\s*\\cdot 10\^\{(-?\d+)\}", r"e\1", text[max(0, match.start() - 40) : match.start()]
        )
        pattern = r"\d+ ?x ?\d+" if isinstance(right, tuple) else r"\d+(?:\.\d+)?(?:e-?\d+)?"
        seen = (re.findall(pattern, before) or [""])[-1]
        numbers = (
            tuple(map(float, re.split(" ?x ?", seen))) if isinstance(right, tuple) else float(seen or "nan")
        )
        found.append((match[1], numbers, right))
    return found


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_numbers_of_the_paper_are_those_of_the_config(name):
    for cell, text in words_of(name).items():
        for marker, seen, right in marked(text):
            assert seen == right, f"{name}, cell {cell}: {marker} is {right}, the text says {seen}"
        bare = re.sub(r"(?:\S+ pixels)?\S*<!-- =.+? -->", "", text)
        assert not re.search(r"\\lambda_[cs]\s*(?:=|\$ is) ?[1-9]", bare), (
            f"{name}, cell {cell}: mark it: 10<!-- =lambda_c -->"
        )
        assert not re.search(r"1024 ?x ?1024|\b768\b|\\cdot 10", bare), f"{name}, cell {cell}"


def test_markers_are_read():
    assert marked("$\\lambda_c = 10$<!-- =lambda_c -->") == [("lambda_c", 10.0, 10.0)]
    assert marked("$2 \\cdot 10^{-4}$<!-- =lr -->") == [("lr", 2e-4, 2e-4)]
    assert marked('to 1024x1024 pixels"<!-- =size -->')[0][1:] == ((1024.0, 1024.0), (1024, 1024))
    ((_, seen, right),) = marked("a weight of 9<!-- =lambda_c -->")
    assert seen != right
    assert sum(len(marked(t)) for name in NOTEBOOKS for t in words_of(name).values()) >= 15


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_markdown_holds_no_result(name):
    """No decimal number and no percentage, but section numbers, marked ones, and those of examples worked by hand."""
    for cell, text in words_of(name).items():
        text = re.sub(
            r"<details>.*?</details>|<!-- map -->.*?<!-- end of map -->|`[^`]*`", "", text, flags=re.DOTALL
        )
        text = re.sub(r"\S*<!-- .*?-->", "", text)
        text = re.sub(
            r"\(\d(?:\.\d)+\)|\bsections? \d(\.\d)+|\$\$.*?\$\$|\$[^$]*\$",
            "",
            text,
            flags=re.DOTALL | re.IGNORECASE,
        )
        found = re.findall(r"(?<![\w.])\d+\.\d+(?![\w.]*\d)|\d+ ?%", text)
        assert set(found) <= BY_HAND.get((name, cell), set()), f"{name}, cell {cell}: a result? {found}"


BY_HAND = {
    ("00_start_here", "c12"): {"0.7", "0.9", "0.2", "1.5"},
    ("00_start_here", "c18"): {"0.1"},
    ("01_data", "c19"): {"0.5"},
    ("01_data", "exercises-text-2"): {"65 %"},
    ("03_cyclegan", "c17"): {"0.1", "0.5", "0.8"},
    ("05_evaluation", "c20"): {"0.2"},
}
"""Decimals in Markdown that are the input of an example, not the result of a run."""


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_notebook_opens_asks_and_closes_as_promised(name):
    cells_now = read(name).cells
    opening = cells_now[0].source
    for words in ("**The question:**", "**You will learn**", "**You need**", "**Time:**"):
        assert words in opening, words
    assert 3 <= len(re.findall(r"^- ", opening, re.MULTILINE)) <= 7
    headings = [
        line
        for c in cells_now
        if c.cell_type == "markdown"
        for line in re.findall(r"^## .+", c.source, re.MULTILINE)
    ]
    assert headings[-3:] == ["## What was shown, and what was not", "## Check yourself", "## Exercises"]
    closing = next(c.source for c in cells_now if "## What was shown" in c.source)
    assert "ot shown" in closing
    asks = re.compile(r"\*\*(?:Before you|Predict|Write down|Look before)|\?\*\*")
    section, asked, shows = "", False, False
    for cell in [*cells_now, nbformat.v4.new_markdown_cell("## end")]:
        for part in (
            re.split(r"^(?=## )", cell.source, flags=re.MULTILINE) if cell.cell_type == "markdown" else []
        ):
            if part.startswith("## "):
                assert asked or not shows, f"{name}: {section} shows a result and asks for no prediction"
                section, asked, shows = part.splitlines()[0], False, False
            asked |= bool(asks.search(part))
        shows |= cell.cell_type == "code" and not cells.generated(cell) and bool(section)


# ---------------------------------------------------------------- glossary


def anchors(name: str) -> set[str]:
    """What can be linked to in a notebook: headings, with dashes for blanks."""
    text = "\n".join(c.source for c in read(name).cells if c.cell_type == "markdown")
    return {heading.strip().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


def links(name: str) -> list[tuple[str, str]]:
    text = "\n".join(words_of(name).values())
    return re.findall(r"\]\((\w+)\.ipynb#?((?:[^()\s]|\([^()]*\))*)\)", text)


@pytest.mark.parametrize("name", [*NOTEBOOKS, "glossary"])
def test_links_between_notebooks_lead_somewhere(name):
    assert links(name)
    for file, anchor in links(name):
        assert (FOLDER / f"{file}.ipynb").is_file(), file
        assert not anchor or anchor in anchors(file), f"{name}: {file} has no heading {anchor}"


def test_the_glossary_is_used_and_leads_back():
    used = {anchor for name in NOTEBOOKS for file, anchor in links(name) if file == "glossary"}
    text = "\n".join(words_of("glossary").values())
    entries = re.split(r"^### ", text.partition("## Words")[2], flags=re.MULTILINE)[1:]
    assert len(entries) >= 40
    for entry in entries:
        assert re.search(r"Explained in \[\d\d, .+\]\(\d\d_\w+\.ipynb#", entry), entry
    words = [entry.splitlines()[0] for entry in entries]
    assert words == sorted(words, key=str.lower)
    assert len(used) >= 35
    assert all(c.cell_type == "markdown" for c in read("glossary").cells)


def test_every_notebook_stands_where_readers_and_teachers_look():
    top = read("glossary").cells[0].source
    rows = (FOLDER.parent / "docs" / "instructor.md").read_text(encoding="utf-8")
    for name in NOTEBOOKS:
        assert f"[{name[:2]}]({name}.ipynb)" in top, name
        assert f"\n| {name[:2]} | " in rows, f"{name}: what students should see there"


def test_an_explained_word_is_explained_where_the_glossary_says():
    """The section that an entry leads back to holds the word (or what it begins with)."""
    text, missing = "\n".join(words_of("glossary").values()), []
    for entry in re.split(r"^### ", text.partition("## Words")[2], flags=re.MULTILINE)[1:]:
        word = entry.splitlines()[0]
        stem = re.sub(r"(?:y|ing|ed|ency)$", "", word.lower().split()[0])[:8]
        for file, anchor in re.findall(
            r"\((\w+)\.ipynb#(\S+)\)", entry.partition("Explained in")[2].replace(") ·", ")\n")
        ):
            book = "\n".join(words_of(file).values())
            at = next(
                h
                for h in re.findall(r"^#+ .+$", book, re.MULTILINE)
                if h.lstrip("# ").replace(" ", "-") == anchor
            )
            level = len(at) - len(at.lstrip("#"))
            section = re.split(rf"^#{{1,{level}}} ", book.partition(at)[2], flags=re.MULTILINE)[0]
            if stem not in (at + section).lower():
                missing.append(f"{word}: not in {file}, {at}")
    assert not missing


def test_every_exercise_has_its_words():
    for which, e in ALL:
        assert e.task, which
        assert e.hint, which
        assert e.why, which
        if e.arguments:
            assert inspect.getdoc(e.solution), f"{which}: say the shapes in the starter"
    for sheet in SHEETS.values():
        assert sheet.open.task
        assert sheet.open.good
