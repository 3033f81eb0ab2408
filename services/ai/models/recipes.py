"""How sources become ONNX: the table of recipes, each a module's `build`, imported when it is needed.

A recipe is `build(sources, into, progress)`: `sources` are files by name, `into` an empty folder to fill, `progress` is
told how far it is, 0 to 1. One that has `parameters` of the manifest takes them by keyword. Raise its version when what
it makes changes: then everybody builds anew.
"""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.ai.models.errors import ModelError


@dataclass(frozen=True, slots=True)
class Recipe:
    """Where a recipe's `build` is."""

    module: str
    version: int


RECIPES: Mapping[str, Recipe] = {
    "": Recipe("services.ai.models.recipes", 1),
    "whisper": Recipe("services.ai.whisper.build", 3),
    "tfjs": Recipe("services.ai.faces.tfjs", 1),
    "face-api": Recipe("services.ai.faces.face_api", 1),
}


def recipe(name: str) -> Recipe:
    """Find a recipe. Raises ModelError."""
    if (found := RECIPES.get(name)) is None:
        raise ModelError(
            f"There is no recipe {name!r}; there are {', '.join(sorted(RECIPES)[1:])}."
        )
    return found


def run(
    name: str,
    sources: Mapping[str, Path],
    into: Path,
    progress: Callable[[float], None],
    parameters: Mapping[str, Any],
) -> None:
    """Run a recipe."""
    importlib.import_module(recipe(name).module).build(sources, into, progress, **parameters)


def build(sources: Mapping[str, Path], into: Path, progress: Callable[[float], None]) -> None:
    """Take the files as they are."""
    for name, path in sources.items():
        shutil.move(path, into / name)
    progress(1.0)


__all__ = ["RECIPES", "Recipe", "build", "recipe", "run"]
