"""What integrators install: the wheel has the client with the stubs and types, and needs nothing of the server."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

from tests.running_stack import ROOT
from tests.sdk_wheel import build

GRPCS_OWN = {"typing_extensions"}
"""What grpcio itself needs, beside the parts of grpc that it loads where they are."""

LOADED = """
import sys
sys.path.insert(0, sys.argv[1])
import parley.client
assert parley.client.__file__.startswith(sys.argv[1]), parley.client.__file__
for name in parley.client.__all__:
    getattr(parley.client, name)
ours = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
print(*sorted(name for name in ours if not name.startswith("_")))
"""


def test_the_wheel_has_what_it_must_and_imports_alone(tmp_path: Path) -> None:
    path = build(tmp_path)
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
        told = Parser().parsestr(wheel.read(metadata).decode())
        wheel.extractall(tmp_path / "installed")
    stubs = {str(path.relative_to(ROOT / "gen")) for path in (ROOT / "gen").rglob("*_pb2*.py*")}
    stubs = {name for name in stubs if "__pycache__" not in name}
    assert stubs <= names
    assert {"parley/client/__init__.py", "parley/client/LICENSE"} <= names
    assert {"parley/py.typed", "buf/py.typed"} <= names, "type checkers look into it"
    assert not [name for name in names if "__pycache__" in name or name.startswith("google/")]
    needs = [each for each in told.get_all("Requires-Dist", []) if "extra" not in each]
    needed = {re.split("[<>=]", each)[0] for each in needs}
    assert needed == {"googleapis-common-protos", "grpcio", "protobuf"}
    command = [sys.executable, "-I", "-c", LOADED, str(tmp_path / "installed")]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = {name for name in done.stdout.split() if not name.startswith("grpc")}
    assert loaded <= {"buf", "cython_runtime", "google", "parley", "sitecustomize", *GRPCS_OWN}
