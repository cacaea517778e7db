"""Exercises and quizzes: right answers pass, wrong ones get the reply that names the mistake, the notebooks agree."""

import copy
import os
import re
import tomllib
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from nbformat.v4 import new_code_cell, new_notebook, new_output
from skimage.exposure import match_histograms
from torch import nn

from notebooks import exercises
from notebooks.exercises import Question, feedback, graded, quiz_text, teaching
from semcg import config, files, labels, losses, metrics, protocol, statistics
from semcg.plots import frames
from semcg.runs import recipes
from semcg_kit.execution.course import EVIDENCE, SEQUENCE

SHEETS = exercises.sheets()
NOTEBOOKS = [sheet.notebook for sheet in SHEETS.values()]
FOLDER = Path(__file__).parent.parent / "notebooks"
ALL = {e.id: e for sheet in SHEETS.values() for e in sheet.exercises}
CORPUS = [
    answer
    for path in sorted(Path(__file__).parent.glob("exercise_answers*.toml"))
    for answer in tomllib.loads(path.read_text(encoding="utf-8"))["answer"]
]
each_exercise = pytest.mark.parametrize("exercise", ALL.values(), ids=ALL)
each_sheet = pytest.mark.parametrize("sheet", SHEETS.values(), ids=SHEETS)


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def pasted(source: str, name: str):
    """Run a piece of code as a notebook's cell would, and return what it defines."""
    cell = {"torch": torch, "np": np, "F": F, "nn": nn, "math": __import__("math"), "labels": labels}
    exec(compile(source, "<cell>", "exec"), cell)
    return cell[name]


def solution(name: str):
    exercise = next(e for e in ALL.values() if e.name == name)
    return pasted(exercise.solution, name)


def reply(which: str, source: str) -> str:
    return feedback(ALL[which], pasted(source, ALL[which].name))


# ---------------------------------------------------------------- answers


def test_every_notebook_has_its_sheet():
    assert sorted(NOTEBOOKS) == sorted(path.stem for path in FOLDER.glob("[0-9]*.ipynb"))
    assert {*SEQUENCE, EVIDENCE} <= set(NOTEBOOKS)
    for sheet in SHEETS.values():
        assert 4 <= len(sheet.exercises) + 1 <= 6, "with the open question"
        assert 2 <= len(sheet.questions) <= 3
        assert sheet.exercises[0].solution.count("\n") < 4, "begin easily"
    names = [e.name for e in ALL.values()]
    assert len(set(names)) == len(names)
    assert all(name.startswith("my_") for name in names), "and shadow nothing of the notebook"


@each_exercise
def test_the_solution_is_right_and_no_hint_gives_it_away(exercise, capsys):
    assert feedback(exercise, pasted(exercise.solution, exercise.name)).startswith("Right.")
    exercises.hint(exercise.id)
    exercises.hint(exercise.id, 2)
    nudge, strong = capsys.readouterr().out.splitlines()
    assert exercise.hints[0] in nudge
    assert exercise.hints[1] in strong
    result = exercise.solution.rpartition("return" if exercise.arguments else "=")[2].strip()
    for text in exercise.hints:
        assert len(result) < 12 or result not in text
        if not exercise.arguments:
            assert not re.search(
                rf"\b{pasted(exercise.solution, exercise.name):g}\b", re.sub(r"Eq\. \(.\)", "", text)
            ), "not the number either"


@each_exercise
def test_every_mistake_of_a_sheet_fits_and_is_named(exercise):
    for named, *codes in exercise.mistakes:
        for code in codes:
            answer = exercise.answer(code)
            assert answer is not None, f"{code!r} does not fit the solution"
            assert named in feedback(exercise, answer), code


@pytest.mark.filterwarnings("ignore")
def test_answers_of_the_corpus(capsys):
    """All right ones are accepted, no wrong one is, and nearly all wrong ones get a reply that names the mistake."""
    refused, accepted, unnamed = [], [], []
    for answer in CORPUS:
        said = reply(answer["to"], answer["code"])
        if "mistake" not in answer:
            refused += [] if said.startswith("Right") else [(answer, said)]
        elif said.startswith("Right"):
            accepted.append((answer, said))
        elif not re.search(answer["mistake"], said, re.IGNORECASE):
            unnamed.append((answer, said))
    wrong = sum("mistake" in answer for answer in CORPUS)
    rate = 1 - (len(unnamed) + len(accepted)) / wrong
    with capsys.disabled():
        print(f"\n{wrong} wrong answers, {rate:.1%} get the reply that names the mistake; "
              f"{len(CORPUS) - wrong} right ones, {len(refused)} refused")  # fmt: skip
    assert not refused
    assert not accepted
    assert rate >= 0.95, unnamed


@pytest.mark.parametrize("exercise", [e for e in ALL.values() if e.arguments], ids=lambda e: e.id)
def test_code_that_raises_gets_a_friendly_word(exercise):
    arguments = ", ".join(exercise.arguments)
    for body, words in (
        ("return 1 / 0", "Your code raises ZeroDivisionError: division by zero, in its line 2"),
        ("return undefined_name + 1", "NameError"),
        ("raise AssertionError('mine')", "AssertionError: mine"),
    ):
        said = feedback(exercise, pasted(f"def f({arguments}):\n    {body}\n", "f"))
        assert said.startswith("Not yet.")
        assert words in said
    assert f"It is called as {exercise.name}({arguments})" in feedback(exercise, lambda: 1)
    assert "should be a function of" in feedback(exercise, 3)
    for other in (lambda *_: None, lambda *_: "a word", lambda *_: [], lambda *_: {}, lambda *_: object()):
        assert feedback(exercise, other).startswith("Not yet.")


def test_an_answer_that_changes_its_arguments_in_place_is_judged_by_its_result():
    in_place = (
        "def my_mirror(x, y):\n    out = x.flip(-1), y.flip(-1)\n    x.zero_()\n    y.zero_()\n    return out"
    )
    assert reply("01.3", in_place) == "Right."
    in_place = (
        "def my_cycle_loss(a, b, c, d):\n    b -= a\n    d -= c\n    return b.abs().mean() + d.abs().mean()"
    )
    assert reply("00.3", in_place) == "Right."


@pytest.mark.parametrize(
    ("which", "answer", "said"),
    [
        ("00.1", 1.333, "Rounded. Exactly"),
        ("06.1", 0.055, "Rounded. Exactly"),
        ("05.1", 0.031, "Rounded. Exactly"),
        ("05.1", 0.03, "close"),
        ("07.1", 33, "close"),
        ("00.1", "4 / 3", "no quotes"),
        ("00.1", None, "no print"),
        ("06.1", 5.47, "percent"),
        ("02.1", 12.5, "How wide is the field before any convolution"),
        ("02.1", [15, 3], "one number"),
    ],
)
def test_a_number_may_be_rounded_and_close_ones_are_told_so(which, answer, said):
    assert said in feedback(ALL[which], answer)


def test_a_loss_has_to_pass_its_gradient_on():
    right = "-torch.sigmoid(D_t(x_t)).log().mean() - (1 - torch.sigmoid({})).log().mean()"
    loss = "def my_discriminator_loss(x_t, x_st, D_t):\n    return " + right
    assert reply("03.4", loss.format("D_t(x_st.detach())")) == "Right."
    assert "gradient reaches x_st" in reply("03.4", loss.format("D_t(x_st)"))
    assert "part of the gradient of D_t" in reply("03.4", loss.format("D_t(x_st).detach()"))
    number = "def my_generator_loss(fake):\n    return -torch.sigmoid(fake).log().mean().item()"
    assert "no gradient reaches fake" in reply("03.2", number)


def test_an_unknown_mistake_is_described_by_its_first_difference():
    def said(expression: str) -> str:
        return reply("04.2", f"def my_softmax_l2(a, b):\n    right = (b.softmax(1) - a.softmax(1)).square().sum(1).mean()\n    return {expression}")  # fmt: skip

    assert "It is 7 times what it should be" in said("7 * right")
    assert "The sign is flipped." in said("-right")
    assert "One number is asked for" in said("(b - a) * right")
    assert "nan or inf" in said("right * float('nan')")
    assert "0 everywhere" in reply("03.2", "def my_generator_loss(fake):\n    return 0 * fake.sum()")
    assert "close" in said("1.001 * right")
    assert ALL["04.2"].hints[0] in said("(b - a).square().mean().sqrt() + 1")
    wrong = "def my_bytes(x):\n    v = ((x + 1) * 127.5).round().to(torch.uint8)\n    v.view(-1)[7] = 99\n    return v"
    assert "t [7] it gives 99 where 7 is right; 1 of 256 values differ" in reply("01.2", wrong)
    assert "Tensor of torch.float32, not Tensor of torch.uint8" in reply(
        "01.2", "def my_bytes(x):\n    return ((x + 1) * 127.5).round()"
    )
    pair = "def my_softmax(z):\n    return (z - z.max(dim=1, keepdim=True)).exp()"
    assert "take .values" in reply("02.2", pair)


def test_two_slips_at_once_are_both_named():
    both = "def my_generator_loss(fake):\n    return torch.sigmoid(fake).log().sum()"
    said = reply("03.2", both)
    assert "sign is flipped" in said
    assert "summed over the patches" in said
    axis = "def my_softmax(z):\n    return z.exp() / z.exp().sum(dim=-1, keepdim=True)"
    assert "wrong axis" in reply("02.2", axis)


def test_solutions_agree_with_the_package():
    draw = torch.Generator().manual_seed(1)
    a, b = (torch.randn(2, 5, 3, 4, generator=draw) for _ in range(2))
    same = torch.testing.assert_close
    same(solution("my_softmax_l2")(a, b), losses.softmax_l2(a, b))
    same(solution("my_pseudo_label_loss")(a, b), losses.ce_pseudo(a, b))
    same(solution("my_generator_loss")(a), losses.generator(a, kind="log"))
    same(solution("my_cycle_loss")(a, b, b, 0 * b), losses.cycle(a, b) + losses.cycle(b, 0 * b))
    same(solution("my_discriminator_loss")(a, b, lambda x: x), losses.discriminator(a, b, kind="log"))
    same(solution("my_softmax")(a), a.softmax(1))
    networks = (lambda x: x / 2, lambda x: x + 1, lambda x: 3 * x, lambda x: x - 1)
    forth = losses.semantic(3 * a, a / 2 - 1, kind="scores_l2")
    back = losses.semantic(b - 1, 3 * b + 3, kind="scores_l2")
    same(solution("my_semantic_loss")(a, b, *networks, 7.0), 7 * (forth + back))
    table = torch.tensor([[30, 5, 7, 3], [4, 20, 6, 0], [1, 9, 11, 2]])
    same(torch.stack([solution("my_iou")(table, c) for c in range(3)]).double(), metrics.iou(table))
    same(solution("my_flip_share")(table, 0, 2).double(), metrics.flips(table)[0, 2])
    picture = torch.rand(3, 4, 5, generator=draw) * 2 - 1
    assert (solution("my_bytes")(picture).permute(1, 2, 0).numpy() == frames.pixels(picture)).all()
    back = labels.to_label_ids(labels.to_train_ids(torch.arange(256, dtype=torch.uint8).numpy()))
    assert solution("my_count") == (back == torch.arange(256).numpy()).sum()
    z, y = torch.randn(6, 3, generator=draw), torch.tensor([0, 1, 2, 255, 1, 0])
    w = torch.tensor([1.0, 2.0, 4.0])
    same(solution("my_cross_entropy")(z.softmax(1), y, w), F.cross_entropy(z, y, w, ignore_index=255))
    gray = torch.tensor([30.0, 10.0, 40.0, 20.0])
    matched = match_histograms(gray.numpy(), gray.numpy() * 2 + 5)
    assert (solution("my_match")(gray, (gray * 2 + 5).flip(0)).numpy() == matched).all()
    assert (
        ALL["00.2"].why.count(repr(labels.names()[10])) == ALL["00.2"].why.count(f"is {labels.IGNORE}") == 1
    )


def test_the_statistics_of_the_exercises_are_those_of_the_report():
    """Against the package's functions, and on the protocol's own numbers where the text speaks of them."""
    decided = protocol.read()
    draw = np.random.default_rng(2)
    a, b = ({seed: float(draw.random()) for seed in (5, 3, 4)} for _ in range(2))
    assert solution("my_differences")(a, b) == statistics.paired(a, b).tolist()
    for m in (1, 2, 7):
        p = draw.random(m) ** 3
        expected = statistics.holm(dict(enumerate(p.tolist())))
        np.testing.assert_allclose(solution("my_holm")(p), [expected[k] for k in range(m)])
    verdict = solution("my_verdict")
    for _ in range(300):
        low, width, p = draw.normal(0, 0.03), 0.05 * draw.random(), draw.random() ** 3
        given = low, low + width, p
        assert verdict(*given, 0.01) == statistics.verdict(*given, smallest_effect=0.01, seeds=12)
    least = solution("my_least_p")
    assert least == statistics.holm(dict.fromkeys("abcdefg", 2 / 2**8))["a"]
    assert statistics.sign_flip(np.ones(8)) * 7 == least > decided.alpha
    assert 2 / 2**decided.least_seeds * len(decided.correction) <= decided.alpha, "and ten pairs can do it"
    assert (decided.least_seeds, len(decided.seeds), len(decided.correction)) == (10, 12, 8)
    assert "(8 · 2/2⁹ = 0.031). It asks for ten, and plans twelve" in ALL["05.1"].why
    for sd, effect in ((0.02, 0.01), (0.05, 0.04), (0.02, 0.0055)):
        n = solution("my_pairs")(sd, effect)
        assert effect < statistics.detectable(sd, n), "Student's t asks for a few pairs more"
        assert statistics.detectable(sd, n + 3) <= effect


def test_an_unknown_exercise_is_refused():
    with pytest.raises(ValueError, match=r"no exercise '03.9'; notebook 03 has 03.1 to 03.4"):
        exercises.check("03.9", ...)
    with pytest.raises(ValueError, match="no exercises for notebook '09'; there are 00"):
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
    "05": [({"identity": 0.7, "CycleGAN": 0.5, "semantic": 0.9}, "semantic")],
    "06": [
        ({"held": 0, "tested": 7}, "none"),
        ({"held": 5, "tested": 7}, "some, not all"),
        ({"held": 7, "tested": 7}, "all of them"),
    ],
    "07": [
        ({"alone": 100.0, "of four": 60.0}, "less than three quarters of it"),
        ({"alone": 100.0, "of four": 90.0}, "between three quarters and five quarters of it"),
        ({"alone": 100.0, "of four": 130.0}, "more than five quarters of it"),
    ],
    "08": [
        ({"game": 0.99, "recolor": 0.2}, "fewer than half of them"),
        ({"game": 0.99, "recolor": 0.8}, "half of them or more, but fewer than nine tenths"),
        ({"game": 0.99, "recolor": 0.97}, "nine tenths or more"),
    ],
}  # fmt: skip


@each_sheet
def test_every_choice_has_a_reason_and_one_is_right(sheet):
    """One question of a sheet asks about the run: it has no answer without the run's numbers."""
    for question in sheet.questions:
        for values, right in EXAMPLES[sheet.number] if question.values else [({}, question.right)]:
            said = {
                c: graded(question, x, values) for x, c in zip("abcdefgh", question.choices, strict=False)
            }
            assert [c for c, s in said.items() if ": Right. " in s] == [right]
            assert all(len(s.partition(". ")[2]) > 20 for s in said.values()), "a reason for each"
        assert question.values or len({*said.values()}) == len(said), "reasons of their own"
    (computed,) = (q for q in sheet.questions if q.values)
    compile(computed.values, "values", "eval")
    for missing in ({}, dict.fromkeys(EXAMPLES[sheet.number][0][0], float("nan"))):
        assert "does not have the numbers" in graded(computed, "a", missing)


@each_sheet
def test_a_quiz_waits_and_takes_anything(sheet, capsys):
    exercises.quiz(sheet.number, [""] * len(sheet.questions))
    untouched = capsys.readouterr().out
    assert untouched.count("No letter yet") == len(sheet.questions)
    assert all(q.text in untouched for q in sheet.questions)
    for answers in ([], ["a"], "a", ["", "", "", "", "a"], [..., None, 7], ["z", "ab", "?"]):
        assert "Right." not in quiz_text(sheet.questions, answers, {}).replace("a: Right.", "")


def test_a_letter_may_be_written_in_several_ways():
    question = Question(text="1 + 1?", choices={"three": "One too many.", "two": "Two ones."}, right="two")
    assert graded(question, "a", {}) == "a: No. One too many."
    for letter in ("b", " B ", "b)", "(b)", "b.", "two"):
        assert graded(question, letter, {}) == "b: Right. Two ones."
    assert graded(question, "z", {}) == "'z' is not one of the letters a, b."


# ---------------------------------------------------------------- in the notebooks


@each_sheet
def test_the_notebook_has_what_is_checked(sheet):
    book = read(sheet.notebook)
    assert teaching.filled(book, sheet) == book, f"{sheet.notebook} is out of date: semcg student"


@each_sheet
def test_filling_in_keeps_the_rest(sheet):
    book = read(sheet.notebook)
    bare = copy.deepcopy(book)
    bare.cells = [c for c in bare.cells if not teaching.generated(c)]
    filled = teaching.filled(bare, sheet)
    assert [c.source for c in filled.cells] == [c.source for c in book.cells], "before the last cell"
    assert len({c.id for c in filled.cells}) == len(filled.cells)
    nbformat.validate(filled)
    counts = [c.execution_count for c in filled.cells if c.cell_type == "code"]
    assert counts == list(range(1, 1 + len(counts)))


def test_a_notebook_that_is_out_of_date_is_written_and_only_that_one(tmp_path, monkeypatch):
    for name in NOTEBOOKS:
        (tmp_path / f"{name}.ipynb").write_bytes((FOLDER / f"{name}.ipynb").read_bytes())
    monkeypatch.setattr(teaching, "FOLDER", tmp_path)
    assert teaching.update() == []
    path = tmp_path / "03_cyclegan.ipynb"
    book = nbformat.read(path, as_version=4)
    next(c for c in book.cells if c.id == "exercises-1").source = "my_patch = 34"
    nbformat.write(book, path)
    assert teaching.update() == [path]
    assert nbformat.read(path, as_version=4) == read("03_cyclegan")


@each_sheet
def test_starters_run_in_the_cell_that_was_written(sheet, capsys):
    """The exercise cells as written: they print what is stored as their output."""
    for cell in read(sheet.notebook).cells:
        if cell.cell_type == "code" and cell.id.startswith("exercises"):
            exec(compile(cell.source, cell.id, "exec"), {})
            assert capsys.readouterr().out == cell.outputs[0].text


# ---------------------------------------------------------------- minutes


def test_minutes_are_stated_and_current():
    """To read: within a quarter of what the words give now."""
    course = {}
    for name in NOTEBOOKS:
        book = read(name)
        said = teaching.stated(book)
        now = teaching.reading(book)
        assert abs(said.read - now) <= max(5, now / 4), (
            f"{name}: {said.read} minutes stated, {now} by its words: semcg times"
        )
        typed = re.sub(r"<!-- time .*?end of time -->", "", book.cells[0].source, flags=re.DOTALL)
        assert not re.search(r"\b(minutes?|hours?)\b", typed), f"{name}: a time that no command renews"
        assert said.seconds, f"{name}: its time to run was never measured: semcg times"
        assert said.profile == "mini", f"{name}: the map of 00 compares the notebooks under one profile"
        course[name] = (teaching.question(book), said)
    first = read(NOTEBOOKS[0])
    assert teaching.with_map(first, course) == first, (
        "the map of 00 says what the first cells say: semcg times"
    )


def test_minutes_to_run_are_those_of_the_newest_execution_that_ended_well(tmp_path):
    def record(name: str, age: float = 0, **more) -> None:
        path = tmp_path / "notebooks" / f"{name}.json"
        files.write_json(path, {"status": "ok", "seconds": 100.0, "trained": {}, "why": {}} | more)
        os.utime(path, (1e9 - age, 1e9 - age))

    def measured() -> float | None:
        return teaching.measured(tmp_path, "03_cyclegan")

    assert measured() is None
    for run, seconds in (("cyclegan-s0", 300.0), ("sem_s-s0", 500.0)):
        files.write_json(tmp_path / run / "provenance.json", {"seconds": seconds})
    record("03_cyclegan-s0", 300, why={"cyclegan-s0": "reused"}, runs={"cyclegan-s0": "f", "sem_s-s0": "f"})
    assert measured() == 400, "a run that it only read does not count"
    record("03_cyclegan-s0", 300, seconds=390.0, trained={"cyclegan-s0": 290.0})
    assert measured() == 400
    record("03_cyclegan-s3", 200, seconds=40.0)
    record("03_cyclegan-s1", 100, status="failed", seconds=1.0)
    record("03_cyclegan_of_mine", 0, seconds=5.0)
    assert measured() == 40
    (tmp_path / "notebooks" / "03_cyclegan-s4.json").write_text("cut sh")
    assert measured() == 40
    record("03_cyclegan-s0", 0, why={"gone-s0": "reused"})
    (tmp_path / "notebooks" / "03_cyclegan-s4.json").unlink()
    assert measured() is None


def test_minutes_are_rewritten(tmp_path):
    for name in NOTEBOOKS:
        (tmp_path / f"{name}.ipynb").write_bytes((FOLDER / f"{name}.ipynb").read_bytes())
    files.write_json(
        tmp_path / "mini" / "notebooks" / "01_data.json",
        {"status": "ok", "seconds": 1234.0, "trained": {}, "why": {}},
    )
    lines = teaching.write_minutes(tmp_path, NOTEBOOKS, tmp_path / "mini")
    assert "about 21 minutes to run (measured, profile `mini`)" in lines[1]
    assert "no execution in mini" in lines[0]
    book = nbformat.read(tmp_path / "01_data.ipynb", as_version=4)
    assert teaching.stated(book).seconds == 1234
    first = nbformat.read(tmp_path / "00_start_here.ipynb", as_version=4)
    assert "| 21 minutes |" in "".join(c.source for c in first.cells)
    book.cells[0].source = book.cells[0].source.replace("about 21 minutes", "about 2 minutes")
    with pytest.raises(ValueError, match="its numbers say"):
        teaching.stated(book)


def test_more_words_take_longer():
    book = read("03_cyclegan")
    longer = copy.deepcopy(book)
    longer.cells[3].source += " word" * 170 * 10
    assert teaching.reading(longer) == teaching.reading(book) + 10
    quizzed = copy.deepcopy(book)
    next(c for c in quizzed.cells if c.id == "exercises-open").source += " word" * 5000
    assert teaching.reading(quizzed) == teaching.reading(book)


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
        text = re.sub(r"\S*<!-- .*?-->|\]\(http[^)]*\)", "", text)
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
    book_cells = read(name).cells
    opening = book_cells[0].source
    for words in ("**The question:**", "**You will learn**", "**You need**", "**Time:**"):
        assert words in opening, words
    assert 3 <= len(re.findall(r"^- ", opening, re.MULTILINE)) <= 7
    headings = [
        line
        for c in book_cells
        if c.cell_type == "markdown"
        for line in re.findall(r"^## .+", c.source, re.MULTILINE)
    ]
    assert headings[-3:] == ["## What was shown, and what was not", "## Check yourself", "## Exercises"]
    closing = next(c.source for c in book_cells if "## What was shown" in c.source)
    assert "ot shown" in closing
    asks = re.compile(r"\*\*(?:Before you|Predict|Write down|Look before)|\?\*\*")
    section, asked, shows = "", False, False
    for cell in [*book_cells, nbformat.v4.new_markdown_cell("## end")]:
        for part in (
            re.split(r"^(?=## )", cell.source, flags=re.MULTILINE) if cell.cell_type == "markdown" else []
        ):
            if part.startswith("## "):
                assert asked or not shows, f"{name}: {section} shows a result and asks for no prediction"
                section, asked, shows = part.splitlines()[0], False, False
            asked |= bool(asks.search(part))
        shows |= cell.cell_type == "code" and not teaching.generated(cell) and bool(section)


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


def test_text_that_a_kernel_sent_in_pieces_is_one_output():
    cell = new_code_cell("print(1); print(2)", id="a")
    cell.outputs = [new_output("stream", name="stdout", text=f"{n}\n") for n in (1, 2)]
    executed = new_notebook(cells=[cell])
    (kept,) = teaching.cleaned(executed, source=new_notebook(cells=[cell])).cells[0].outputs
    assert kept.text == "1\n2\n"
