from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from tests.support.mlx_calls import TIMEOUT, AskModel, Submit, collect, prompt
from unified_llm import LLMClient, health_snapshot
from unified_llm._backends.mlx import demo_folder, unavailable_reason
from unified_llm._backends.mlx.engine import Engine
from unified_llm._backends.mlx.engine_types import EngineError, EngineKey, Output
from unified_llm._backends.mlx.engines import close_engines, get_engine
from unified_llm.exceptions import UnsupportedOperationError

pytestmark = pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason()))


def loading_error(folder: Path) -> EngineError:
    """Submit two requests, before and after loading has failed; both must get the same error."""
    engine = Engine(EngineKey(folder))
    failures = []
    for _ in range(2):
        outputs: SimpleQueue[Output] = SimpleQueue()
        engine.submit(prompt("What is RAG?"), outputs.put)
        output = outputs.get(timeout=TIMEOUT)
        assert isinstance(output, EngineError)
        failures.append(output)
        engine.close()
    assert failures[0] is failures[1] is engine.ended
    return failures[0]


@pytest.mark.case(70)
def test_a_missing_folder_is_named_with_what_to_do(tmp_path: Path) -> None:
    failure = loading_error(tmp_path / "nothing")
    assert failure.kind == "model_not_found"
    assert str(failure).startswith(f"There is no model in {tmp_path / 'nothing'}: give the path of a folder that holds")


@pytest.mark.parametrize(
    ("file", "entry"), [("config.json", {"model_file": "evil.py"}), ("tokenizer_config.json", {"auto_map": {}})]
)
@pytest.mark.case(70)
def test_a_model_with_code_of_its_own_is_refused(tmp_path: Path, file: str, entry: dict[str, Any]) -> None:
    shutil.copytree(demo_folder(), tmp_path, dirs_exist_ok=True)
    path = tmp_path / file
    path.write_text(json.dumps(json.loads(path.read_text()) | entry))
    failure = loading_error(tmp_path)
    assert failure.kind == "unsupported"
    assert "Python code of its own" in str(failure)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", "{", "cannot be read as JSON"),
        ("config.json", "[]", "does not hold a JSON object"),
        ("model.safetensors", "", "is no whole safetensors file"),
    ],
)
@pytest.mark.case(70)
def test_a_damaged_model_is_not_taken_for_a_missing_one(tmp_path: Path, file: str, content: str, message: str) -> None:
    shutil.copytree(demo_folder(), tmp_path, dirs_exist_ok=True)
    (tmp_path / file).write_text(content)
    assert message in str(loading_error(tmp_path))


def test_a_model_whose_files_lead_elsewhere_is_refused(tmp_path: Path) -> None:
    model, elsewhere = tmp_path / "model", tmp_path / "elsewhere.json"
    shutil.copytree(demo_folder(), model)
    (model / "tokenizer.json").rename(elsewhere)
    (model / "tokenizer.json").symlink_to(elsewhere)
    failure = loading_error(model)
    assert failure.kind == "unsupported"
    assert "tokenizer.json of the model in" in str(failure)
    assert "is a link to a file elsewhere" in str(failure)


def test_local_15_files_that_cannot_be_loaded_are_loaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Local 15: an architecture that the installed mlx-lm does not know, before a fallback and alone."""
    import mlx_lm

    loads: list[str] = []
    real = mlx_lm.load

    def load(path: str, *args: Any, **options: Any) -> Any:
        loads.append(path)
        return real(path, *args, **options)

    monkeypatch.setattr(mlx_lm, "load", load)
    shutil.copytree(demo_folder(), tmp_path, dirs_exist_ok=True)
    config = tmp_path / "config.json"
    known = config.read_text()
    config.write_text(json.dumps(json.loads(known) | {"model_type": "mystery"}))
    client = LLMClient(f"mlx/{tmp_path}", fallbacks=["mlx/demo"])
    for _ in range(3):
        assert client.generate("What is a token?").used_fallback
    with pytest.raises(UnsupportedOperationError, match=r"does not know the type 'mystery' .* pip install -U mlx-lm"):
        LLMClient(f"mlx/{tmp_path}").generate("What is a token?")
    assert loads.count(str(tmp_path)) == 1
    assert {row["target"]: row["consecutive_failures"] for row in health_snapshot()}[f"mlx/{tmp_path}"] == 0
    config.write_text(known)
    assert not client.generate("What is a token?").used_fallback, "the files have changed"


def test_local_15_an_answer_without_a_limit_has_the_rest_of_the_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Local 15: a model that never ends fills its window; only the demo model stops at 512 tokens."""
    module = importlib.import_module("mlx_lm.generate")
    real = module.BatchGenerator
    monkeypatch.setattr(module, "BatchGenerator", lambda model, **_: real(model))
    shutil.copytree(demo_folder(), tmp_path, dirs_exist_ok=True)
    answer = LLMClient(f"mlx/{tmp_path}").generate("What is a token?")
    assert answer.usage is not None
    assert (answer.finish_reason, answer.usage.total_tokens) == ("length", 1024)


def test_an_engine_that_cannot_start_says_so(demo: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    module = importlib.import_module("mlx_lm.generate")  # the package has a function of that name
    monkeypatch.setattr(module, "BatchGenerator", full)
    assert "failed (MemoryError)" in str(loading_error(demo.folder))


def test_a_model_needs_mlx(demo: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unified_llm._backends.mlx.loading.unavailable_reason", lambda: "MLX is not installed.")
    failure = loading_error(demo.folder)
    assert (failure.kind, str(failure)) == ("unsupported", "MLX is not installed.")


def test_there_is_one_engine_for_a_folder_and_a_new_one_after_it_ended(tmp_path: Path) -> None:
    engine = get_engine(tmp_path)
    engine.close()
    assert engine.ended is not None
    assert get_engine(tmp_path) is not engine
    assert get_engine(demo_folder()) is get_engine(demo_folder() / ".." / "demo")


def test_all_engines_are_closed_at_once(tmp_path: Path) -> None:
    engine = get_engine(tmp_path)
    close_engines()
    assert engine.ended is not None
    assert get_engine(tmp_path) is not engine


def test_an_engine_ends_while_another_thread_imports_mlx(tmp_path: Path) -> None:
    """End the engine of a folder without a model while `mlx.core` is in `sys.modules` without its attributes."""
    program = """
        import importlib.machinery, sys, threading
        from pathlib import Path
        import mlx
        from unified_llm._backends.mlx.engine import Engine
        from unified_llm._backends.mlx.engine_types import EngineKey

        begun, go_on = threading.Event(), threading.Event()

        class Loader(importlib.machinery.ExtensionFileLoader):
            def exec_module(self, module):
                begun.set()
                assert go_on.wait(30)
                super().exec_module(module)

        class Finder:
            def find_spec(self, name, path, target=None):
                if name == "mlx.core":
                    spec = importlib.machinery.PathFinder.find_spec(name, path)
                    spec.loader = Loader(name, spec.origin)
                    return spec

        sys.meta_path.insert(0, Finder())
        threading.Thread(target=__import__, args=("mlx.core",)).start()
        assert begun.wait(30)
        engine = Engine(EngineKey(Path(sys.argv[1])))
        while engine.ended is None:
            pass
        go_on.set()
        engine.close()
        """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_an_engine_is_not_closed_from_its_own_thread(demo: Engine, ask: AskModel) -> None:
    closed = threading.Event()

    def put(_: Output) -> None:
        demo.close()  # would wait for itself
        closed.set()

    demo.submit(prompt("What is RAG?"), put)
    assert closed.wait(TIMEOUT)
    assert ask("What is a token?").text.startswith("A token")


def test_closing_an_engine_ends_the_answers_that_it_was_writing() -> None:
    engine = Engine(EngineKey(demo_folder()))
    outputs: SimpleQueue[Output] = SimpleQueue()
    started, closing = threading.Event(), threading.Event()

    def put(output: Output) -> None:
        outputs.put(output)
        started.set()
        closing.wait(TIMEOUT)

    engine.submit(prompt("What is RAG?"), put)
    assert started.wait(TIMEOUT)
    closer = threading.Thread(target=engine.close)
    closer.start()
    while engine._queue.empty():
        time.sleep(0.001)
    closing.set()
    closer.join(TIMEOUT)
    with pytest.raises(EngineError, match="closed during the answer"):
        collect(outputs)


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter, where no other test has loaded anything."""
    setup = "import os, queue, sys\nfrom unified_llm._backends.mlx import demo_folder, unavailable_reason\n"
    setup += "from unified_llm._backends.mlx.engines import close_engines, get_engine\n"
    setup += "from unified_llm._backends.mlx.engine_types import Prompt\n"
    setup += "outputs = queue.SimpleQueue()\nquestion = Prompt(({'role': 'user', 'content': 'What is RAG?'},))\n"
    command = [sys.executable, "-W", "error", "-c", setup + code]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "code",
    [
        "get_engine(demo_folder()).submit(question, outputs.put)",  # while the model is being loaded
        "get_engine(demo_folder()).submit(question, outputs.put); outputs.get()",  # in the middle of a stream
    ],
)
def test_the_interpreter_exits_cleanly(demo: Engine, code: str) -> None:
    done = run(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_importing_the_package_imports_no_mlx() -> None:
    done = run("print([name for name in sys.modules if name.split('.')[0] in ('mlx', 'mlx_lm', 'transformers')])")
    assert done.stdout == "[]\n"


def test_an_engine_notices_a_fork_by_the_process_id(
    demo: Engine, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: here + 1)
    with pytest.raises(EngineError, match="does not survive a fork") as failure:
        collect(submit("What is RAG?"))
    assert failure.value.kind == "unsupported"
    demo.close()
    assert demo.ended is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_a_forked_child_gets_the_error_that_mlx_does_not_survive_a_fork(tmp_path: Path) -> None:
    done = run(
        f"import pathlib; nowhere = pathlib.Path({str(tmp_path)!r}); engine = get_engine(nowhere); engine.close()\n"
        "if child := os.fork():\n"
        "    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        "engine.submit(question, outputs.put); print(outputs.get())\n"
        "try: get_engine(nowhere)\n"
        "except Exception as error: print(error)\n"
        "from unified_llm._backends.mlx.engines import find_engine, snapshot, unload\n"
        "print(snapshot(), find_engine(engine.key), unload(engine.key))\n"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("MLX does not survive a fork") == 2
    assert done.stdout.endswith("[] None False\n")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
@pytest.mark.parametrize(
    ("parent", "printed"),
    [
        ("", "demo\n"),
        ("engine = get_engine(demo_folder()); engine.wait_loaded(); close_engines()", "MLX does not survive a fork"),
    ],
)
def test_a_forked_child_may_use_an_engine_where_its_parent_never_did(parent: str, printed: str) -> None:
    done = run(
        f"{parent}\n"
        "if child := os.fork():\n"
        "    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        "try: engine = get_engine(demo_folder()); engine.wait_loaded(); print(engine.folder.name)\n"
        "except Exception as error: print(error)\n"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(printed)
