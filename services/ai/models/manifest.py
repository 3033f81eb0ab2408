"""Manifests: what a model is, where its files come from and how they are built. A TOML file each; see docs/ai.md.

The operator's folder is read after our own: a manifest there takes the place of ours of the same name, or adds to them.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.ai.models.errors import ModelError

OURS = Path(__file__).parent
ANY_LANGUAGE = "any"
TASKS = (
    "voice-activity",
    "speech",
    "face-detection",
    "expression",
    "translation",
    "summary",
)
"""What a model may be for, in the order in which they are prepared and listed."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_KINDS = ("package", "npm", "url", "path")


@dataclass(frozen=True, slots=True)
class Member:
    """A file out of a source: `member` is its path in the archive, `file` what the recipe knows it as."""

    member: str
    file: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Source:
    """Where files come from: a wheel of the Python index, a tarball of the npm registry, a URL, or a path of this machine.

    Sources of one `set` complement each other: several members of one `file` are its parts, joined in order. Sets are
    alternatives, tried in order. A source without members is itself the file of the name `file`.
    """

    kind: str
    place: str
    version: str
    sha256: str
    set: str
    file: str
    members: tuple[Member, ...]

    @property
    def label(self) -> str:
        """What people know it as."""
        return f"{self.place} {self.version}".rstrip()


@dataclass(frozen=True, slots=True)
class Manifest:
    """A model. `recipe` is empty where its files are used as they come; `parameters` are the recipe's.

    `settings` are for what uses the model, such as the size of its input; they lie beside its files, in settings.json.
    """

    name: str
    version: str
    task: str
    licence: str
    languages: tuple[str, ...]
    sources: tuple[Source, ...]
    recipe: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    is_operators: bool = False

    @property
    def label(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    @property
    def sets(self) -> Mapping[str, Sequence[Source]]:
        """The alternatives, by name, in order."""
        found: dict[str, list[Source]] = {}
        for source in self.sources:
            found.setdefault(source.set, []).append(source)
        return found

    def digest(self, recipe_version: int) -> str:
        """Make a key of all that decides what is built."""
        files = [
            [source.set, source.sha256, *((each.file, each.sha256) for each in source.members)]
            for source in self.sources
        ]
        decides = [self.name, self.version, files, self.recipe, recipe_version]
        decides += [self.parameters, self.settings]
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]


def manifests(operators: Path | None = None, ours: Path = OURS) -> list[Manifest]:
    """Read all manifests, by task and name. Raises ModelError naming the one that can't be read."""
    found: dict[str, Manifest] = {}
    for folder in (ours, operators):
        for path in sorted(folder.glob("*.toml")) if folder else ():
            for manifest in _read(path, is_operators=folder is not ours):
                found[manifest.name] = manifest
    return sorted(found.values(), key=lambda each: (TASKS.index(each.task), each.name))


def named(known: Iterable[Manifest], name: str) -> Manifest:
    """Find a model by its name. Raises ModelError."""
    names = []
    for manifest in known:
        if manifest.name == name:
            return manifest
        names.append(manifest.name)
    raise ModelError(f"There is no model {name}; there are {', '.join(names)}.")


def choose(known: Iterable[Manifest], task: str, language: str = ANY_LANGUAGE) -> Manifest:
    """Choose the model of a task: the operator's before ours, one of that language (BCP 47) before one of any.

    Raises ModelError.
    """
    base = language.lower().partition("-")[0]
    fitting = [
        each for each in known if each.task == task and {base, ANY_LANGUAGE} & {*each.languages}
    ]
    if not fitting:
        raise ModelError(f"There is no model for {task} ({language}): add a manifest to {OURS}.")
    return min(fitting, key=lambda each: (not each.is_operators, base not in each.languages))


def in_use(known: Sequence[Manifest], tasks: Collection[str]) -> list[Manifest]:
    """Leave out the models that `choose` never chooses, and those for other tasks."""
    return [
        each
        for each in known
        if each.task in tasks
        and any(choose(known, each.task, language) is each for language in each.languages)
    ]


def _read(path: Path, *, is_operators: bool) -> Iterator[Manifest]:
    try:
        yield _manifest(tomllib.loads(path.read_text()), is_operators=is_operators)
    except (OSError, KeyError, TypeError, ValueError) as error:
        reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else error
        raise ModelError(f"The manifest {path} can't be read: {reason}.") from None


def _manifest(values: dict[str, Any], *, is_operators: bool) -> Manifest:
    build = dict(values.get("build", {}))
    made = Manifest(
        name=_matching(_NAME, values["name"], "name"),
        version=str(values["version"]),
        task=values["task"],
        licence=values["licence"],
        languages=tuple(values["languages"]),
        sources=tuple(_source(each) for each in values["source"]),
        recipe=build.pop("recipe", ""),
        parameters=build,
        settings=values.get("settings", {}),
        is_operators=is_operators,
    )
    if made.task not in TASKS:
        raise ValueError(f"the task {made.task!r} is none of {', '.join(TASKS)}")
    return made


def _source(values: dict[str, Any]) -> Source:
    kinds = [kind for kind in _KINDS if kind in values]
    if len(kinds) != 1:
        raise ValueError(f"a source has one of {', '.join(_KINDS)}")
    kind = kinds[0]
    made = Source(
        kind=kind,
        place=values[kind],
        version=str(values["version"]) if kind in ("package", "npm") else "",
        sha256=_matching(_SHA256, values["sha256"], "sha256"),
        set=values.get("set", ""),
        file=_plain(values.get("file", Path(values[kind]).name)),
        members=tuple(
            Member(
                each["member"],
                _plain(each.get("file", Path(each["member"]).name)),
                _matching(_SHA256, each["sha256"], "sha256"),
            )
            for each in values.get("members", ())
        ),
    )
    if kind in ("package", "npm") and not made.members:
        raise ValueError(f"{made.label} names no members")
    return made


def _matching(pattern: re.Pattern[str], text: str, name: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(f"{name} is {text!r}")
    return text


def _plain(name: str) -> str:
    """Take a file's name. Raises ValueError for what leads out of its folder."""
    if not name or name in (".", "..") or Path(name).name != name:
        raise ValueError(f"{name!r} is not a file's name")
    return name


__all__ = [
    "ANY_LANGUAGE",
    "TASKS",
    "Manifest",
    "Member",
    "Source",
    "choose",
    "in_use",
    "manifests",
    "named",
]
