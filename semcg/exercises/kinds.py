"""What an exercise, a quiz question and a notebook's sheet of them are.

An exercise is stated once: a solution, which is a function, and wrong versions of it, each with the sentence that it
deserves. The starter that a learner sees and the solution that a notebook folds away are cut from that function's source
(`Exercise.starter`, `Exercise.shown`), so neither can differ from what is checked.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Exercise", "Open", "Question", "Sheet"]

Reason = str | Callable[[Mapping], str]


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """A piece of code to write, which is checked on the spot.

    Parameters
    ----------
    title, task : str
        Heading, and what is asked, in Markdown.
    solution : callable
        The right answer. A function without arguments stands for a value: the learner then assigns its value to its
        name; else the learner writes a function of the same name and arguments.
    wrong : mapping of str to callable
        What to say -> a planted wrong answer, of the same form as the solution. A learner whose answer gives the same on every
        sample is told so. The solution and all of these must differ on the samples; a test holds that.
    hint : str
        Where to look; shown on demand, and to an answer that is wrong in a way nobody has planted.
    samples : callable, optional
        () -> list of argument tuples on which answers are compared.
    judge : callable, optional
        answer -> what is wrong with it, "" if nothing: in place of the comparison where many answers are right.
    package : str, optional
        Name of the package's own function of the same arguments, "losses.softmax_l2" say; a test compares.
    why : str
        A sentence or two below the solution.
    """

    title: str
    task: str
    solution: Callable
    wrong: Mapping[str, Callable]
    hint: str
    samples: Callable[[], list[tuple]] | None = None
    judge: Callable[[object], str] | None = None
    package: str = ""
    why: str = ""

    @property
    def name(self) -> str:
        """The name that the learner's answer gets."""
        return self.solution.__name__

    @property
    def arguments(self) -> tuple[str, ...]:
        """Names of the arguments; none for a value."""
        return tuple(inspect.signature(self.solution).parameters)

    @property
    def starter(self) -> str:
        """Python: what the learner begins with."""
        if not self.arguments:
            return f"{self.name} = ..."
        source, node = self._source()
        last = node.body[0] if ast.get_docstring(node) else None
        until = last.end_lineno if last else node.body[0].lineno - 1
        return "\n".join([*source.splitlines()[node.lineno - 1 : until], "    return ..."])

    @property
    def shown(self) -> str:
        """Python: the solution as the notebook folds it away."""
        source, node = self._source()
        if self.arguments:
            return source.strip()
        return f"{self.name} = {ast.get_source_segment(source, node.body[-1].value)}"

    def _source(self) -> tuple[str, ast.FunctionDef]:
        source = textwrap.dedent(inspect.getsource(self.solution))
        return source, ast.parse(source).body[0]


@dataclass(frozen=True, kw_only=True)
class Open:
    """A question without a check: the task in Markdown, and what a good answer touches."""

    title: str
    task: str
    good: str


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question with choices, each of which is answered with a reason.

    Parameters
    ----------
    text : str
        The question, plain text.
    choices : mapping of str to (str or callable)
        Choice -> why it is right or wrong; a callable makes the sentence from the run's values.
    right : str or callable
        The right choice, or values -> the right choice, where it depends on the run.
    values : str
        Python: expression in the notebook that gives the run's values, a mapping of names to numbers; "" if the answer
        does not depend on the run.
    """

    text: str
    choices: Mapping[str, Reason]
    right: str | Callable[[Mapping], str]
    values: str = ""


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """The quiz and the exercises of one notebook."""

    notebook: str
    questions: Sequence[Question]
    exercises: Sequence[Exercise]
    open: Open
    about_quiz: str = field(default="")

    @property
    def number(self) -> str:
        """ "03" for 03_cyclegan."""
        return self.notebook[:2]
