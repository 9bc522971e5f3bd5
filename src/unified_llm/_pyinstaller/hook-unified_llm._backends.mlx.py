"""What a program with ``mlx/`` models needs besides the modules that are imported by statements."""

from __future__ import annotations

from PyInstaller.utils.hooks import can_import_module, collect_data_files, collect_submodules

datas = collect_data_files("unified_llm._backends.mlx")  # the demo model
hiddenimports: list[str] = []
if can_import_module("mlx") and can_import_module("mlx_lm"):
    datas += collect_data_files("mlx", includes=["**/*.metallib"])  # the kernels of Apple's GPUs
    hiddenimports += collect_submodules(
        "mlx", filter=lambda name: "distributed" not in name
    )  # imported by its extension
    # mlx-lm imports the module of a model by the name in its configuration.
    hiddenimports += collect_submodules("mlx_lm.models")
    hiddenimports += collect_submodules("mlx_lm.tool_parsers")
