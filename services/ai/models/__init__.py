"""Models: which there are (`*.toml`, here and in the operator's folder), how their files are had, built and checked.

A manifest pins its sources by sha256 and names the recipe that builds them into ONNX. Each model is built once, into a
folder of its own in the cache, which is there whole or not at all. `python -m services.ai.models` does it by hand;
`keeper` does it beside a running service.
"""

from services.ai.models.errors import ModelError
from services.ai.models.keeper import Keeper, State
from services.ai.models.manifest import TASKS, Manifest, choose, in_use, manifests, named
from services.ai.models.store import prepare, problems, ready

__all__ = [
    "TASKS",
    "Keeper",
    "Manifest",
    "ModelError",
    "State",
    "choose",
    "in_use",
    "manifests",
    "named",
    "prepare",
    "problems",
    "ready",
]
