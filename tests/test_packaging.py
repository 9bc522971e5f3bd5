"""The package where it is no folder of files: in a zip file, or in a program made of what its statements import."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import unified_llm
from tests.support.sources import FILES, module_of, nodes_of, tree_of
from unified_llm._formats.codecs import FORMATS

PACKAGE = Path(unified_llm.__file__).parent
REPOSITORY = Path(__file__).parent.parent
# What a program imports; the rest must be imported by statements of these.
ENTRIES = {
    "", "exceptions", "types", "langchain", "llama_index", "testing", "__main__",
    "batch.ray",
}  # fmt: skip
BUILD_TOOLS = ("_pyinstaller",)  # only read while a program is built
FOR_TYPE_CHECKERS = ["_adapters.keywords", "langchain._keywords", "llama_index._keywords"]  # no program imports these
IMPORTERS = {"import_module", "__import__", "find_spec", "find_loader", "resolve_name"}


def our_files() -> Iterator[tuple[Path, str]]:
    for path in FILES:
        module = module_of(path)
        if not module.startswith(BUILD_TOOLS):
            yield path, module


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield all statements but those that only a type checker sees; Nuitka leaves these out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.expr):  # which has no statement in it
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for other in node.orelse:
                yield other
                yield from statements(other)
        else:
            yield node
            yield from statements(node)


def imported_modules(path: Path, modules: set[str]) -> set[str]:
    """Return our modules that a file imports by statements, with the packages around them."""
    names = set[str]()
    for node in statements(tree_of(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {f"{node.module}"}
    found = set[str]()
    for name in names:
        first, *parts = name.split(".")
        if first == "unified_llm":
            found |= {".".join(parts[:length]) for length in range(len(parts) + 1)}
    return found & modules


def name_of(function: ast.Name | ast.Attribute) -> str:
    return function.id if isinstance(function, ast.Name) else function.attr


def test_no_module_is_imported_by_a_name_that_is_built() -> None:
    """Programs that collect modules for a frozen program cannot know such a name."""
    wrong = []
    for path, module in our_files():
        for node in nodes_of(path):
            if not isinstance(node, ast.Call):
                continue
            if not (isinstance(node.func, ast.Name | ast.Attribute) and name_of(node.func) in IMPORTERS):
                continue
            match node.args:
                case [ast.Constant(str(imported)), *_] if not imported.startswith((".", "unified_llm")):
                    continue
                case [ast.JoinedStr(values=[ast.Constant("mlx_lm.tool_parsers."), _])]:  # the hook collects these
                    continue
                case _:
                    wrong.append(f"{module}:{node.lineno}: {ast.unparse(node)}")
    assert wrong == []


def test_import_statements_lead_to_every_module() -> None:
    paths = {module: path for path, module in our_files()}
    waiting, found = set(ENTRIES), set[str]()
    while waiting:
        module = waiting.pop()
        found.add(module)
        waiting |= imported_modules(paths[module], set(paths)) - found
    assert sorted(set(paths) - found) == FOR_TYPE_CHECKERS


def test_files_are_found_by_path_in_one_place() -> None:
    """A path beside ``__file__`` does not exist where the package is in an archive."""
    readers = {
        module
        for path, module in our_files()
        for node in nodes_of(path)
        if isinstance(node, ast.Name) and node.id == "__file__"
    }
    assert readers == {"_backends.mlx"}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a zip file that has the package, as ``zipapp`` and Spark's ``--py-files`` make one."""
    path = tmp_path_factory.mktemp("archive") / "packages.zip"
    with zipfile.ZipFile(path, "w") as file:
        for source in sorted(PACKAGE.rglob("*")):
            if source.is_file() and "__pycache__" not in source.parts:
                file.write(source, Path("unified_llm") / source.relative_to(PACKAGE))
    return path


def run(archive: Path, code: str, tmp_path: Path, **variables: str) -> str:
    """Return the output of a new interpreter that imports the package from the archive."""
    check = f"import unified_llm; assert unified_llm.__file__.startswith({str(archive)!r}), unified_llm.__file__\n"
    done = subprocess.run(
        # The oldest Typer imports what a newer Click calls deprecated.
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning:typer", "-c", check + code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(archive), str(REPOSITORY)]), **variables},
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.thorough
def test_a_package_in_a_zip_file_answers_in_every_format_and_every_module_can_be_imported(
    archive: Path, tmp_path: Path
) -> None:
    code = f"""
import asyncio, importlib, importlib.util, pkgutil, sys
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm import LLMClient
from unified_llm.langchain import ChatUnified
from unified_llm.llama_index import UnifiedLLM
from unified_llm._formats.codecs import FORMATS, codec_for

MODEL = "ollama/llama2"
with ScriptedTargets({{MODEL: [say("Hello")] * 5}}).running():
    client = LLMClient(MODEL)
    print(client.generate("Hello?").content)
    print("".join(chunk.content for chunk in client.stream("Hello?")))
    print(asyncio.run(client.agenerate("Hello?")).content)
    print(ChatUnified(model=MODEL).invoke("Hello?").content)
    print(UnifiedLLM(model=MODEL).complete("Hello?").text)
print(*[name for name in FORMATS if codec_for(name).framing])

left_out = [] if importlib.util.find_spec("pyarrow") else ["unified_llm.batch._parquet"]
for module in pkgutil.walk_packages(unified_llm.__path__, "unified_llm."):
    if not module.name.startswith("unified_llm._pyinstaller") and module.name not in left_out:
        importlib.import_module(module.name)
ours = [name for name in sys.modules if name.startswith("unified_llm.")]
print(len([*ours, *left_out]) >= {len(list(our_files())) - 1})
"""
    assert run(archive, code, tmp_path).splitlines() == ["Hello"] * 5 + [" ".join(FORMATS), "True"]


@pytest.mark.thorough
def test_the_demo_model_is_unpacked_from_a_zip_file_while_the_process_lives(archive: Path, tmp_path: Path) -> None:
    code = """
import json, os
from unified_llm._backends.mlx import demo_folder
folder = demo_folder()
print(json.dumps([str(folder), {path.name: path.stat().st_size for path in folder.iterdir()}]))
assert demo_folder() == folder, "the same at each call"
if hasattr(os, "fork"):
    if not (child := os.fork()):
        raise SystemExit
    os.waitpid(child, 0)
assert folder.is_dir(), "a child that exits does not remove the files of its parent"
"""
    folder, sizes = json.loads(run(archive, code, tmp_path, TMPDIR=str(tmp_path)))
    there = {path.name: path.stat().st_size for path in (PACKAGE / "_backends/mlx/demo").iterdir() if path.is_file()}
    assert sizes == there
    assert Path(folder).parent == tmp_path
    assert list(tmp_path.iterdir()) == [], "removed at exit"


@pytest.mark.thorough
def test_a_demo_model_that_cannot_be_unpacked_is_reported(archive: Path, tmp_path: Path) -> None:
    code = """
import tempfile
from unified_llm import LLMClient
from unified_llm._backends.mlx import demo_folder
from unified_llm.exceptions import ConfigurationError

def no_space(**_):
    raise OSError(28, "No space left on device", "/secret/path")

tempfile.mkdtemp = no_space
try:
    demo_folder()
except ConfigurationError as error:
    print(error)
"""
    assert run(archive, code, tmp_path) == (
        "The package is in an archive, and mlx/demo could not be unpacked into the folder of temporary files "
        "(No space left on device): let TMPDIR name a folder with space for it."
    )
