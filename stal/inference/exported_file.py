"""The two formats of an exported detector: files of `torch.export`, and ONNX. Each is made, and run, from bytes.

Imports of ONNX stay in the functions: it is an extra.
"""

import io
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.export import ExportedProgram

from stal.errors import ConfigError, ExportError

FileFormat = Literal["pt2", "onnx"]

OUTPUTS = ("tubelets", "class_scores", "presence")
"""Names of what an exported detector gives, in the order of `Tubelets`."""

DESCRIPTION = "stal"
"""Where a file says what it is, as JSON: the key of an ONNX file's metadata, and of the extra files of a .pt2."""

_ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def check_format(file_format: str) -> FileFormat:
    """Return the format of this name if it can be written and read here.

    Raises:
        ConfigError: there is no such format, or its packages are not installed.
    """
    for known in get_args(FileFormat):
        if known == file_format:
            missing = [name for name in _ONNX_PACKAGES if find_spec(name) is None] if known == "onnx" else []
            if missing:
                raise ConfigError(f"ONNX needs {', '.join(missing)}: pip install 'stal[export]', or take --format pt2")
            return known
    raise ConfigError(f"--format {file_format!r} is none of {', '.join(get_args(FileFormat))}")


def write_bytes(
    program: ExportedProgram, file_format: FileFormat, dynamic_axes: Mapping[str, Mapping[int, str]], description: str
) -> bytes:
    """Return the content of a file of this format.

    Args:
        program: what is exported.
        file_format: `pt2` or `onnx`.
        dynamic_axes: the name of each input, and of those of its axes that may have any length.
        description: JSON that is stored in the file.

    Raises:
        ExportError: ONNX has no operation for one of the program.
    """
    if file_format == "onnx":
        return _write_onnx(program, dynamic_axes, description)
    file = io.BytesIO()
    torch.export.save(program, file, extra_files={DESCRIPTION: description})
    return file.getvalue()


def _write_onnx(program: ExportedProgram, dynamic_axes: Mapping[str, Mapping[int, str]], description: str) -> bytes:
    try:
        with warnings.catch_warnings():
            # Two inputs have as many clips, and their axis one name: it is told that it has it already.
            warnings.filterwarnings("ignore", message=".*will not be used, since it shares the same shape constraints")
            exported: Any = torch.onnx.export(
                program,
                dynamo=True,
                verbose=False,
                input_names=list(dynamic_axes),
                output_names=OUTPUTS,
                dynamic_shapes={name: dict(axes) for name, axes in dynamic_axes.items()},
            )
    except RuntimeError as error:
        raise ExportError(f"ONNX cannot express this detector: {error}; export it with --format pt2") from error
    exported.model.metadata_props[DESCRIPTION] = description
    return exported.model_proto.SerializeToString()


def run_bytes(content: bytes, file_format: FileFormat, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return what the file of this content computes on the CPU: in torch, or for ONNX in onnxruntime."""
    if file_format == "pt2":
        return list(torch.export.load(io.BytesIO(content)).module()(*inputs))
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [known.name for known in session.get_inputs()]
    feed = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
    return [torch.from_numpy(output) for output in session.run(list(OUTPUTS), feed)]
