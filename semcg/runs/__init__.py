"""Where results live, what made them, how they are saved and resumed, and how a notebook is executed."""

from semcg.runs import recipes
from semcg.runs.datasets import about, data, draw, target_train, with_labels
from semcg.runs.keeping import keep
from semcg.runs.recipes import Recipe
from semcg.runs.record import machine, note, origin
from semcg.runs.store import Run, load, start
from semcg.runs.watching import watched

__all__ = [
    "Recipe",
    "Run",
    "about",
    "data",
    "draw",
    "keep",
    "load",
    "machine",
    "note",
    "origin",
    "recipes",
    "start",
    "target_train",
    "watched",
    "with_labels",
]
