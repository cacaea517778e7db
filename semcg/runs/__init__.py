"""Where results live, what made them, how they are saved and resumed."""

from semcg.runs import recipes
from semcg.runs.datasets import about, data, draw, target_train, with_labels
from semcg.runs.keeping import keep, with_snapshots
from semcg.runs.recipes import Recipe
from semcg.runs.store import Run, load, log_event, machine, open_run, software
