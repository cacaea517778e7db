"""What a learner can turn and click. Each explorer has a still picture next to it in its notebook.

Every control has a text description and can be moved by keyboard; every picture has an alt text, and what changed is
also described in words. Nothing here trains or reads by itself: an explorer is handed what it shows.
"""

from semcg.widgets.explorers import field_of_view, field_panels, microscope, street, street_panels
from semcg.widgets.training import Live, weight, weight_figure, weight_losses, weight_pictures

__all__ = ["Live", "field_of_view", "field_panels", "microscope", "street", "street_panels"]
__all__ += ["weight", "weight_figure", "weight_losses", "weight_pictures"]
