"""The miniature street world: what stands in a street, how it is seen, and the two ways it looks.

    scene = Scene.sample(7, "source")
    game, label = render(scene, "game", (128, 256))
    camera, same_label = render(scene, "camera", (128, 256))    # the oracle translation of `game`

`parts`, `layout` and `scene` say what stands there, `canvas`, `draw` and the things' own modules how it is
seen, `materials` and `styles` how it looks; `write` fills a folder with it.
"""

from semcg.world.draw import annotations
from semcg.world.scene import LAYOUTS, Scene
from semcg.world.styles import STYLES, render
from semcg.world.write import VERSION, write

__all__ = ["LAYOUTS", "STYLES", "VERSION", "Scene", "annotations", "render", "write"]
