"""What a learner can turn and click. Each explorer has a still picture beside it in its notebook.

Every control has a text description and is moved by keyboard; every picture carries an alt text, and what changed is
also said in words, for those who do not see it. Nothing here trains or reads by itself: an explorer is handed what
it shows.
"""

from semcg.widgets.field import field_of_view, field_panels, microscope
from semcg.widgets.live import Live
from semcg.widgets.street import street, street_panels
from semcg.widgets.weight import weight, weight_figure, weight_losses, weight_pictures

__all__ = [
    "Live",
    "field_of_view",
    "field_panels",
    "microscope",
    "street",
    "street_panels",
    "weight",
    "weight_figure",
    "weight_losses",
    "weight_pictures",
]
