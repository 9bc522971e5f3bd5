"""The layers of the package, and which module may import which. A layer is a set of folders."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from tests.support.each import each
from tests.support.sources import FILES, ROOT, module_of, nodes_of
from unified_llm._formats.codecs import FORMATS, codec_for
from unified_llm._providers import registry

# From the bottom up. A folder imports only from layers below its own.
LAYERS = (
    ("_lib", "_version"),
    ("exceptions", "types"),
    ("_core",),
    ("_policy", "_providers", "_formats", "_structured"),
    ("_backends", "_state", "_observe"),
    ("_config",),
    ("_client",),
    ("_adapters",),
    ("langchain", "llama_index", "openai_style", "batch", "testing", "_pyinstaller"),
    ("cli",),
    ("", "__main__"),
)
# Within a layer: ``exceptions`` and ``types`` import each other for types; the health registry logs state changes; the
# lines of batch files are requests in OpenAI's shape.
BESIDE = {("exceptions", "types"), ("types", "exceptions"), ("_state", "_observe"), ("batch", "openai_style")}
# These two may also form a cycle of modules, for type checkers only.
NAME_EACH_OTHER = {"exceptions", "types"}

# Third-party packages, and the folders that may import them.
THIRD_PARTY = {
    "httpx": ("_backends.http",),
    "httpcore": ("_backends.http",),
    "opentelemetry": ("_observe",),
    "mlx": ("_backends.mlx",),
    "openai": ("openai_style._errors",),
    "mlx_lm": ("_backends.mlx",),
    "jinja2": ("_backends.mlx",),
    "mlx_vlm": ("_backends.mlx.vision", "_backends.mlx.vision_loading"),
    "PIL": ("_backends.mlx.vision_images",),
    "tokenizers": ("_backends.mlx",),
    "huggingface_hub": ("_backends.mlx.download",),
    "llguidance": ("_backends.mlx",),
    "numpy": ("_backends.mlx", "batch._row_batches"),
    "pandas": ("batch._row_batches",),
    "redis": ("_state.redis",),
    "langchain": ("langchain",),
    "langchain_core": ("langchain",),
    "llama_index": ("llama_index",),
    "llama_index_instrumentation": ("llama_index",),  # llama-index-core depends on it
    "pydantic": ("_config", "langchain", "llama_index", "openai_style", "_adapters", "_client.map.response_records"),
    "pydantic_core": ("_lib", "openai_style", "_client.map.response_records"),
    "yaml": ("_lib.located_yaml",),
    "dotenv": ("_config.env_file",),
    "rich": ("cli", "_client.map.progress"),
    "typer": ("cli",),
    "pyarrow": ("batch._parquet", "batch._row_batches"),
    "PyInstaller": ("_pyinstaller",),
    "truststore": ("_backends.http",),
    "typing_extensions": ("_backends.http", "langchain", "llama_index", "openai_style"),  # pydantic depends on it
}


@dataclass(frozen=True)
class Import:
    """``module`` imports ``name``, both without the package's own name if it is ours."""

    module: str
    name: str
    ours: bool
    line: int

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.name}"


def exists(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


def imports_of(path: Path) -> Iterator[Import]:
    """Yield every import, also those inside functions and for type checkers."""
    module = module_of(path)
    for node in nodes_of(path):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            package = f"{node.module}".removeprefix("unified_llm").removeprefix(".")
            is_ours = f"{node.module}".split(".")[0] == "unified_llm"
            for alias in node.names:
                # ``from unified_llm._policy import effects`` is a module, ``from unified_llm import LLMClient`` a name.
                inside = f"{package}.{alias.name}".lstrip(".")
                names.append(f"unified_llm.{inside if exists(inside) else package}" if is_ours else f"{node.module}")
        for name in names:
            ours = name.split(".")[0] == "unified_llm"
            bare = name.removeprefix("unified_llm").lstrip(".") if ours else name
            yield Import(module, bare, ours, getattr(node, "lineno", 0))


def layer_of(module: str) -> int:
    """Return the number of the layer that has the module's folder."""
    folder = module.partition(".")[0]
    return next(number for number, folders in enumerate(LAYERS) if folder in folders)


@cache
def all_imports() -> list[Import]:
    return [edge for path in FILES for edge in imports_of(path)]


def test_imports_are_found_at_all() -> None:
    pairs = {(edge.module, edge.name) for edge in all_imports()}
    assert ("_client.backends", "_backends.http") in pairs, "inside a function"
    assert ("_core.runtime", "_core.exchange") in pairs, "for type checkers"
    assert ("_client.errors", "_policy.retry_after") in pairs, "a module by the name of its package"
    assert ("_backends.http.errors", "httpx") in pairs
    assert {layer_of(module_of(path)) for path in FILES} == set(range(len(LAYERS)))


def test_every_folder_is_in_one_layer() -> None:
    folders = [folder for layer in LAYERS for folder in layer]
    existing = {
        path.name.removesuffix(".py")
        for path in ROOT.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert sorted(folders) == sorted(existing - {"__init__"} | {""})


def test_a_folder_imports_only_from_layers_below_it() -> None:
    wrong = []
    for edge in all_imports():
        if edge.ours:
            mine, theirs = edge.module.partition(".")[0], edge.name.partition(".")[0]
            if mine != theirs and (mine, theirs) not in BESIDE and layer_of(mine) <= layer_of(theirs):
                wrong.append(str(edge))
    assert wrong == []


def test_no_modules_import_each_other() -> None:
    """Imports inside functions and for type checkers count as well."""
    edges: dict[str, set[str]] = {module_of(path): set() for path in FILES}
    for edge in all_imports():
        folders = {edge.module.partition(".")[0], edge.name.partition(".")[0]}
        if edge.ours and edge.module != edge.name and folders != NAME_EACH_OTHER:
            edges[edge.module].add(edge.name)
    assert cycle_in(edges) == []


def cycle_in(edges: Mapping[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@each(
    ("folder", "other"),
    [
        ("_backends.http", "_backends.mlx"),
        ("_backends.mlx", "_backends.http"),
        ("_backends.objects", "_backends.http"),
    ],
)
def test_backends_do_not_import_each_other(folder: str, other: str) -> None:
    wrong = [
        str(edge) for edge in all_imports() if within(edge.module, folder) and edge.ours and within(edge.name, other)
    ]
    assert wrong == []


def test_formats_are_imported_by_the_table_of_formats_and_by_their_variants() -> None:
    formats = {f"_formats.{name}" for name in FORMATS}
    variants = {
        ("_formats.azure", "_formats.openai_chat"),
        ("_formats.azure_responses", "_formats.azure"),
        ("_formats.azure_responses", "_formats.openai_responses"),
        ("_formats.huggingface", "_formats.openai_chat"),
        ("_formats.openai_responses", "_formats.openai_chat"),
    }
    pairs = {
        (source, aim)
        for edge in all_imports()
        for aim in formats
        if edge.ours and within(edge.name, aim) and not within(edge.module, aim)
        for source in [next((name for name in formats if within(edge.module, name)), edge.module)]
    }
    assert pairs == variants | {("_formats.codecs", name) for name in formats}


def test_every_format_is_there() -> None:
    assert {spec.format for spec in registry.ROWS} - {"mlx"} <= set(FORMATS)
    for name in FORMATS:
        assert codec_for(name).framing in {"events", "lines"}


def within(module: str, folder: str) -> bool:
    return module == folder or module.startswith(folder + ".")


def test_third_party_packages_are_imported_in_their_folders_alone() -> None:
    wrong = []
    for edge in all_imports():
        package = edge.name.split(".")[0]
        if edge.ours or package in sys.stdlib_module_names:
            continue
        folders = THIRD_PARTY.get(package)
        if folders is None or not any(within(edge.module, folder) for folder in folders):
            wrong.append(str(edge))
    assert wrong == []


def test_every_permission_is_in_use() -> None:
    used = {edge.name.split(".")[0] for edge in all_imports() if not edge.ours}
    assert set(THIRD_PARTY) <= used


@each("folder", ["_policy", "_providers", "_formats", "_structured", "_core", "_lib", "exceptions", "types"])
def test_pure_layers_import_neither_clock_nor_randomness_nor_event_loop(folder: str) -> None:
    forbidden = {"asyncio", "time", "random", "secrets", "socket", "subprocess", "concurrent"}
    wrong = [
        str(edge)
        for edge in all_imports()
        if within(edge.module, folder)
        and edge.module not in {"_core.runtime", "_lib.fork_safe"}
        and not edge.ours
        and edge.name.split(".")[0] in forbidden
    ]
    assert wrong == []


def test_connections_are_secured_in_one_place() -> None:
    """Elsewhere ``ssl`` may be imported for the name of a type alone."""
    wrong = []
    for path in FILES:
        if within(module_of(path), "_backends.http"):
            continue
        for node in nodes_of(path):
            if isinstance(node, ast.Import) and any(alias.name == "ssl" for alias in node.names):
                wrong.append(f"{path.name}:{node.lineno}")
            if isinstance(node, ast.ImportFrom) and node.module == "ssl":
                wrong += [f"{path.name}:{node.lineno}" for alias in node.names if alias.name != "SSLContext"]
    assert wrong == []


def test_the_environment_is_read_in_few_places() -> None:
    """A key or URL that is read elsewhere would bypass the rules of which host it may be sent to."""
    readers = set()
    for path in FILES:
        for node in nodes_of(path):
            if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}:
                readers.add(module_of(path))
    assert readers == {
        "_core.environment",  # for all that follow the rules of the package
        "_backends.http.proxies_and_certificates",  # of the network
        "_backends.mlx.loading",  # MLX's own switch
        "cli._terminal",  # NO_COLOR and the like
    }


def test_only_the_runtime_waits() -> None:
    """Only there can a test replace the clock; ``asyncio.sleep(0)`` lets other tasks run, and a fork is no call."""
    waits = []
    for path in FILES:
        for node in nodes_of(path):
            match node:
                case ast.Call(ast.Attribute(ast.Name("time" | "asyncio"), "sleep"), [argument]):
                    if not (isinstance(argument, ast.Constant) and argument.value == 0):
                        waits.append(module_of(path))
                case _:
                    pass
    assert waits == ["_core.runtime", "_core.runtime", "_lib.fork_safe"]


def test_nothing_is_evaluated_unpickled_or_started() -> None:
    forbidden = {"eval", "exec", "compile", "__import__"}
    modules = {"pickle", "marshal", "shelve", "subprocess", "ctypes", "dill", "code"}
    allowed = {("_lib.system_memory", "ctypes")}  # malloc_trim, which Python has no function for
    found = [edge for edge in all_imports() if not edge.ours and edge.name.split(".")[0] in modules]
    assert {(edge.module, edge.name) for edge in found} >= allowed
    wrong = [str(edge) for edge in found if (edge.module, edge.name) not in allowed]
    yaml = {node.attr for node in nodes_of(ROOT / "_lib" / "located_yaml.py") if isinstance(node, ast.Attribute)}
    assert not any("load" in name.lower() for name in yaml - {"SafeLoader"})
    for path in FILES:
        wrong += [
            f"{path.name}:{node.lineno}: {node.func.id}"
            for node in nodes_of(path)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in forbidden
        ]
    assert wrong == []
