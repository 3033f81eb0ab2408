"""grpc_tools' Python generator as a protoc plugin, for buf, which can only run plugins of that form.

A plugin reads a CodeGeneratorRequest on standard input and writes a CodeGeneratorResponse on standard output
(google/protobuf/compiler/plugin.proto); grpc_tools has the generator only inside its own protoc.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc


def generate(request: CodeGeneratorRequest) -> CodeGeneratorResponse:
    """Generate `*_pb2_grpc.py` for those of the request's files that have services."""
    served = {file.name for file in request.proto_file if file.service}
    targets = [name for name in request.file_to_generate if name in served]
    response = CodeGeneratorResponse(
        supported_features=CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
        | CodeGeneratorResponse.FEATURE_SUPPORTS_EDITIONS,
        minimum_edition=998,
        maximum_edition=1000,
    )
    if not targets:
        return response
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        descriptors = out / "request.binpb"
        descriptors.write_bytes(FileDescriptorSet(file=request.proto_file).SerializeToString())
        status = protoc.main(
            ["protoc", f"--descriptor_set_in={descriptors}", f"--grpc_python_out={out}", *targets]
        )
        if status != 0:
            response.error = f"grpc_tools.protoc ended with {status}"
            return response
        for path in sorted(out.rglob("*.py")):
            response.file.add(name=str(path.relative_to(out)), content=path.read_text())
    return response


def main() -> None:
    """Answer the request on standard input."""
    request = CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    sys.stdout.buffer.write(generate(request).SerializeToString())


if __name__ == "__main__":
    main()
