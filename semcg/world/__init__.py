"""The miniature street world: what is in a street, how it is drawn, and the two styles of its pictures.

    scene = Scene.sample(7, "source")
    game, label = render(scene, "game", (128, 256))
    camera, same_label = render(scene, "camera", (128, 256))    # the oracle translation of `game`

In reading order: `canvas` projects and fills, `street` and `things` know what they look like, `scene` samples a
street, `styles` paints it, `write` fills a folder.
"""

from semcg.world.scene import LAYOUTS, Scene, annotations
from semcg.world.styles import STYLES, render
from semcg.world.write import VERSION, write

__all__ = ["LAYOUTS", "STYLES", "VERSION", "Scene", "annotations", "render", "write"]
