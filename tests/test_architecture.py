"""Which module may import which. The layers are those of the design: data flows down, answers flow back up."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import unified_llm
from unified_llm.providers import table

ROOT = Path(unified_llm.__file__).parent

# From the bottom up. A module is in the layer that names it, or else the longest prefix of it; the rest is the client.
LAYERS = {
    "ground": (
        "_version", "types", "messages", "content", "jsonx", "exceptions", "outcome", "exchange", "target", "secret",
        "url", "sse", "ndjson", "pieces", "schema", "facts", "notebook", "asks",
    ),
    # What the layers above agree on: the shape of a codec, and the switch for clock and connections.
    "contract": ("providers.codec", "runtime"),
    "edges": ("transport", "mlx", "state"),
    "policy": ("policy",),
    "providers": ("providers",),
    "client": (
        "client", "own", "caller", "call", "reshaped", "rules", "connections", "drive", "aside", "config", "resolve",
        "leftover", "request", "settings", "registry", "journal", "telemetry", "conventions", "stream", "discovery",
        "listing", "errors", "sharing", "foreign",
    ),
    "surfaces": ("langchain", "llama_index", "chain", "options", "testing", ""),
}  # fmt: skip

# Whom each layer may import, besides itself.
BELOW = {
    "ground": set[str](),
    "contract": {"ground"},
    "edges": {"ground", "contract"},
    # Pure decisions and pure codecs stand side by side and know of no edge.
    "policy": {"ground"},
    "providers": {"ground", "contract"},
    "client": {"ground", "contract", "edges", "policy", "providers"},
    "surfaces": {"ground", "contract", "edges", "policy", "providers", "client"},
}

# Third-party packages, and the folders that may import them.
OUTSIDERS = {
    "httpx": ("transport",),
    "httpcore": ("transport",),
    "opentelemetry": ("telemetry",),
    "mlx": ("mlx",),
    "mlx_lm": ("mlx",),
    "tokenizers": ("mlx",),
    "redis": ("state",),
    "langchain_core": ("langchain",),
    "llama_index": ("llama_index",),
    "llama_index_instrumentation": ("llama_index",),  # llama-index-core depends on it
    "pydantic": ("config", "langchain", "llama_index", "chain"),
    "pydantic_core": ("jsonx",),
    "typing_extensions": ("transport", "langchain", "llama_index"),  # pydantic depends on it
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


FILES = sorted(ROOT.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


def exists(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


def imports_of(path: Path) -> Iterator[Import]:
    """Every import, those inside functions and for type checkers included."""
    module = module_of(path)
    for node in ast.walk(TREES[path]):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            package = f"{node.module}".removeprefix("unified_llm").removeprefix(".")
            is_ours = f"{node.module}".split(".")[0] == "unified_llm"
            for alias in node.names:
                # ``from unified_llm.policy import hints`` is a module, ``from unified_llm.types import Usage`` a name.
                inside = f"{package}.{alias.name}".lstrip(".")
                names.append(f"unified_llm.{inside if exists(inside) else package}" if is_ours else f"{node.module}")
        for name in names:
            ours = name.split(".")[0] == "unified_llm"
            bare = name.removeprefix("unified_llm").lstrip(".") if ours else name
            yield Import(module, bare, ours, getattr(node, "lineno", 0))


def layer_of(module: str) -> str:
    """The layer that names the module, by the longest prefix."""
    found = [
        (len(prefix), layer)
        for layer, prefixes in LAYERS.items()
        for prefix in prefixes
        if module == prefix or (prefix and module.startswith(prefix + "."))
    ]
    assert found, f"{module} is in no layer: put it into LAYERS"
    return max(found)[1]


IMPORTS = [each for path in FILES for each in imports_of(path)]


def test_imports_are_found_at_all() -> None:
    found = {(each.module, each.name) for each in IMPORTS}
    assert ("connections", "transport") in found, "inside a function"
    assert ("runtime", "exchange") in found, "for type checkers"
    assert ("errors", "policy.hints") in found, "a module by the name of its package"
    assert ("transport.faults", "httpx") in found
    assert {layer_of(module_of(path)) for path in FILES} == set(LAYERS)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_only_what_is_below_it(layer: str) -> None:
    allowed = BELOW[layer] | {layer}
    wrong = [
        str(each)
        for each in IMPORTS
        if each.ours and layer_of(each.module) == layer and layer_of(each.name) not in allowed
    ]
    assert wrong == []


def test_no_layer_is_above_itself() -> None:
    order = list(LAYERS)
    for layer, below in BELOW.items():
        assert all(order.index(each) < order.index(layer) for each in below)


@pytest.mark.parametrize(
    ("folder", "other"),
    [
        ("policy", "providers"),
        ("providers", "policy"),
        ("transport", "mlx"),
        ("mlx", "transport"),
        ("state", "transport"),
    ],
)
def test_neighbours_do_not_know_each_other(folder: str, other: str) -> None:
    wrong = [str(each) for each in IMPORTS if within(each.module, folder) and each.ours and within(each.name, other)]
    assert wrong == []


def test_formats_do_not_know_each_other_and_nobody_knows_them() -> None:
    """The table imports a format by the name that a row gives; some are another's dialect."""
    formats = {f"providers.{wire}" for wire in table.WIRES}
    relatives = {
        ("providers.azure", "providers.openai_chat"),
        ("providers.azure_responses", "providers.azure"),
        ("providers.azure_responses", "providers.openai_responses"),
        ("providers.huggingface", "providers.openai_chat"),
        ("providers.openai_responses", "providers.openai_chat"),
    }
    pairs = {
        (source, aim)
        for each in IMPORTS
        for aim in formats
        if each.ours and within(each.name, aim) and not within(each.module, aim)
        for source in [next((one for one in formats if within(each.module, one)), each.module)]
    }
    assert pairs <= relatives


def test_every_format_is_there() -> None:
    assert {each.wire for each in table.ROWS} - {"mlx"} <= set(table.WIRES)
    for wire in table.WIRES:
        assert table.codec_for(wire).framing in {"events", "lines"}


def within(module: str, folder: str) -> bool:
    return module == folder or module.startswith(folder + ".")


def test_every_outsider_is_known_and_stays_in_its_place() -> None:
    wrong = []
    for each in IMPORTS:
        package = each.name.split(".")[0]
        if each.ours or package in sys.stdlib_module_names:
            continue
        places = OUTSIDERS.get(package)
        if places is None or not any(within(each.module, place) for place in places):
            wrong.append(str(each))
    assert wrong == []


def test_every_permission_is_in_use() -> None:
    used = {each.name.split(".")[0] for each in IMPORTS if not each.ours}
    assert set(OUTSIDERS) <= used


@pytest.mark.parametrize("folder", ["policy", "providers", *LAYERS["ground"]])
def test_what_decides_knows_neither_clock_nor_chance_nor_loop(folder: str) -> None:
    forbidden = {"asyncio", "time", "random", "secrets", "socket", "subprocess", "concurrent"}
    wrong = [
        str(each)
        for each in IMPORTS
        if within(each.module, folder) and not each.ours and each.name.split(".")[0] in forbidden
    ]
    assert wrong == []


def test_connections_are_secured_in_one_place() -> None:
    """Elsewhere ``ssl`` may be imported for the name of a type alone."""
    wrong = []
    for path in FILES:
        if within(module_of(path), "transport"):
            continue
        for node in ast.walk(TREES[path]):
            if isinstance(node, ast.Import) and any(alias.name == "ssl" for alias in node.names):
                wrong.append(f"{path.name}:{node.lineno}")
            if isinstance(node, ast.ImportFrom) and node.module == "ssl":
                wrong += [f"{path.name}:{node.lineno}" for alias in node.names if alias.name != "SSLContext"]
    assert wrong == []


def test_only_the_client_layer_reads_the_environment() -> None:
    """A key or an address from somewhere else would escape the rules of where it may go."""
    readers = set()
    for path in FILES:
        for node in ast.walk(TREES[path]):
            if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}:
                readers.add(module_of(path))
    # Proxies and certificates of the network are found by the transport; how MLX is used, by its own switch.
    assert {each for each in readers if layer_of(each) != "client"} <= {"transport.trust", "mlx.loading"}


def test_only_the_runtime_waits() -> None:
    """There a test can put its own clock in; ``asyncio.sleep(0)`` only lets others run."""
    waits = []
    for path in FILES:
        for node in ast.walk(TREES[path]):
            match node:
                case ast.Call(ast.Attribute(ast.Name("time" | "asyncio"), "sleep"), [argument]):
                    if not (isinstance(argument, ast.Constant) and argument.value == 0):
                        waits.append(module_of(path))
                case _:
                    pass
    assert waits == ["runtime", "runtime"]


def test_nothing_is_evaluated_unpickled_or_started() -> None:
    forbidden = {"eval", "exec", "compile", "__import__"}
    modules = {"pickle", "marshal", "shelve", "subprocess", "ctypes", "yaml", "dill", "code"}
    wrong = [str(each) for each in IMPORTS if not each.ours and each.name.split(".")[0] in modules]
    for path in FILES:
        wrong += [
            f"{path.name}:{node.lineno}: {node.func.id}"
            for node in ast.walk(TREES[path])
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in forbidden
        ]
    assert wrong == []
