"""From translated frames to measures: what a judge reads in them, the distance to the oracle, and the tables.

Whatever counts pixels returns the table of `semcg.metrics.confusion`, summed over all frames; the numbers are taken
from the sum. Frames are scored whole, at the size of their labels, in float32.

    parts = collect(G_st, folder=data, judge=judge, Sem_t=Sem_t, reader=train_reader(data), back=G_ts)
    values(parts)["plates read", "all"]     # every measure of a translation, from one pass over its frames
"""

from semcg.evaluate.frames import counts_of_folders, oracle_distance, segmentation_counts
from semcg.evaluate.known import AXIS, BorrowedColors, known
from semcg.evaluate.measures import Pictures, collect, target_features
from semcg.evaluate.parts import (
    Parts,
    contradictions,
    counts_of,
    frame_counts,
    read_parts,
    values,
    write_parts,
)
from semcg.evaluate.reading import read_scenes, train_reader
from semcg.evaluate.scoring import label_pairs, score_table, scored
from semcg.evaluate.tables import (
    COLUMNS,
    class_table,
    comparison_table,
    comparison_text,
    flip_share,
    flip_table,
    judged,
    sky_kept,
)

__all__ = [
    "AXIS",
    "BorrowedColors",
    "COLUMNS",
    "Parts",
    "Pictures",
    "class_table",
    "collect",
    "contradictions",
    "comparison_table",
    "comparison_text",
    "counts_of",
    "counts_of_folders",
    "flip_share",
    "flip_table",
    "frame_counts",
    "judged",
    "known",
    "label_pairs",
    "oracle_distance",
    "read_parts",
    "read_scenes",
    "segmentation_counts",
    "score_table",
    "scored",
    "sky_kept",
    "target_features",
    "train_reader",
    "values",
    "write_parts",
]
