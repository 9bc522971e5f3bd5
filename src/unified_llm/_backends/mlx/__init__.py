"""Models in this process through MLX, and the embedded demo model.

Everything that uses MLX is in this package. Importing it imports neither mlx nor mlx-lm: the engine thread of the first
model that is used imports them.
"""

from __future__ import annotations

import platform
import sys
from importlib.util import find_spec
from pathlib import Path

INSTALL = "pip install 'unified-llm[mlx]'"
"""The command that an error message recommends where MLX is missing."""


def unavailable_reason() -> str | None:
    """Check whether models can run here through MLX.

    Returns:
        None if they can, else one sentence that says why not and what to do.
    """
    if not is_supported_platform():
        return (
            "MLX needs macOS on Apple silicon or Linux, and this is "
            f"{platform.system()} on {platform.machine()}: use another provider here."
        )
    if find_spec("mlx") is None or find_spec("mlx_lm") is None:
        return f"MLX is not installed: run {INSTALL}."
    return None


def is_supported_platform() -> bool:
    """Check whether MLX is built for this platform at all, installed or not."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    return sys.platform == "linux" and platform.machine() in {"x86_64", "aarch64"}


def demo_folder() -> Path:
    """Return the folder of the embedded demo model, which is what ``mlx/demo`` means.

    The model has about one million parameters and answers a short list of questions; it shows that the machinery
    works and is no chat model.

    Raises:
        ConfigurationError: The package is in an archive, and the model cannot be unpacked.
    """
    folder = Path(__file__).parent / "demo"
    if folder.is_dir():
        return folder
    from unified_llm._backends.mlx.unpack_demo import unpack_demo

    return unpack_demo() or folder
