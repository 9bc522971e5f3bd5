"""Models in this process through MLX, and the embedded demo model.

Everything that uses MLX is in this package. Importing it imports neither mlx nor mlx-lm: the engine thread of the first
model that is used imports them.
"""

from __future__ import annotations

import platform
import sys
from importlib.util import find_spec
from pathlib import Path
from struct import calcsize
from typing import Final

INSTALL = "pip install 'unified-llm[mlx]'"
"""The command that an error message recommends where MLX is missing."""


# What the wheels of MLX are made for (pypi.org/project/mlx): their tags are macosx_14_0_arm64 and manylinux_2_35.
_OLDEST_MACOS: Final = 14
_OLDEST_GLIBC: Final = (2, 35)
_POINTER: Final = 8  # bytes


def unavailable_reason() -> str | None:
    """Check whether models can run here through MLX.

    Returns:
        None if they can, else one sentence that says why not and what to do.
    """
    is_installed = find_spec("mlx") is not None and find_spec("mlx_lm") is not None
    # A system that is too old for the wheels may have an MLX that was built on it.
    if system := _other_machine() or (None if is_installed else _old_system()):
        return (
            "MLX needs macOS 14 or newer on Apple silicon, or Linux on x86_64 or aarch64 with glibc 2.35 or newer, and "
            f"this is {system}: use another provider here."
        )
    return None if is_installed else f"MLX is not installed: run {INSTALL}."


def is_supported_platform() -> bool:
    """Check whether there is a wheel of MLX for this machine, installed or not."""
    return not (_other_machine() or _old_system())


def _other_machine() -> str | None:
    """Name the system and processor of a machine on which MLX does not run; None where it does.

    The markers of the extras in pyproject.toml say the same, but for Pythons of 32 bits, for which pip has no marker.
    """
    name, machine = platform.system(), platform.machine()
    if calcsize("P") < _POINTER:
        return f"a Python of 32 bits for {name} on {machine}"
    match sys.platform:
        case "darwin":
            return None if machine == "arm64" else f"macOS on {machine}"  # so says a Python for Intel on any Mac
        case "linux":
            return None if machine in {"x86_64", "aarch64"} else f"Linux on {machine}"
        case _:
            return f"{name} on {machine}"


def _old_system() -> str | None:
    """Name the version of a system for which there is no wheel; None where there is one, or it is not known."""
    if sys.platform == "darwin":
        version = platform.mac_ver()[0]
        major = version.partition(".")[0]
        # 10.16 is what a Python for old versions is told on any newer one.
        is_old = major.isdecimal() and int(major) < _OLDEST_MACOS and not version.startswith("10.16")
        return f"macOS {version}" if is_old else None
    library, version = platform.libc_ver()
    if library != "glibc":
        return f"Linux with {library or 'another C library than glibc'}"
    numbers = [int(part) for part in version.split(".")[:2] if part.isdecimal()]
    return f"Linux with glibc {version}" if tuple(numbers) < _OLDEST_GLIBC else None


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
