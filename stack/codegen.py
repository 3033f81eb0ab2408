"""Generated code: everything under gen/, made from protos/ and from nothing else.

Python stubs with types (`*_pb2.py`, `*_pb2_grpc.py`, `*.pyi`), the descriptor set that Envoy transcodes by
(`parley.binpb`, without comments), the OpenAPI document (`openapi.json`) and its page (`docs/`). Beside gen/,
docs/errors.md and requirements.lock. The same input gives the same bytes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from stack import apidocs, errorsdoc, openapi

ROOT = Path(__file__).resolve().parent.parent
DESCRIPTORS = "parley.binpb"
REQUIREMENTS = "requirements.lock"
ERRORS = Path("docs") / "errors.md"


def main(out: Path = ROOT / "gen") -> None:
    """Generate all of gen/ into `out`.

    Raises subprocess.CalledProcessError when buf refuses the protos (it has said why on standard error).
    """
    out.mkdir(parents=True, exist_ok=True)
    buf("generate", "--output", str(out))
    buf("build", "--as-file-descriptor-set", "--exclude-source-info", "-o", str(out / DESCRIPTORS))
    document = openapi.document(contracts())
    text = json.dumps(document, indent=2, ensure_ascii=False)
    (out / "openapi.json").write_text(text + "\n")
    apidocs.write(document, out / "docs")
    if out == ROOT / "gen":
        (ROOT / ERRORS).write_text(errorsdoc.text())
        (ROOT / REQUIREMENTS).write_text(requirements())


def contracts() -> FileDescriptorSet:
    """Read the contracts with their comments. Raises subprocess.CalledProcessError as `main` does."""
    with tempfile.TemporaryDirectory() as scratch:
        built = Path(scratch) / DESCRIPTORS
        buf("build", "--as-file-descriptor-set", "-o", str(built))
        return FileDescriptorSet.FromString(built.read_bytes())


def requirements() -> str:
    """Write the lock as pip reads it, hashes included: the fallback for where uv can't be had."""
    uv = Path(sys.executable).with_name("uv")
    what = ["--frozen", "--no-emit-project", "--all-groups", "--no-annotate", "--no-header"]
    command = [str(uv), "export", "--quiet", *what]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def buf(*arguments: str) -> None:
    """Run the environment's buf in the repository, with the environment's plugins on its PATH."""
    tools = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{tools}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONPATH": str(ROOT),
    }
    subprocess.run([str(tools / "buf"), *arguments], cwd=ROOT, env=environment, check=True)


if __name__ == "__main__":
    main()
