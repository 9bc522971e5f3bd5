"""Python code that came with a model is found before a library could import it, wherever its files name it."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.each import each
from unified_llm._backends.mlx.engine_types import UnloadableError
from unified_llm._backends.mlx.own_code import find_own_code

MODEL: Final[dict[str, Any]] = {"auto_map": {"AutoModel": "model.Model"}}
PROCESSOR: Final[dict[str, Any]] = {"auto_map": {"AutoProcessor": "p.P"}}
NUMBERS = count()


def write(folder: Path, files: dict[str, Any], code: str | None) -> Path:
    folder = folder / str(next(NUMBERS))
    folder.mkdir()
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    if code:
        (folder / code).parent.mkdir(parents=True, exist_ok=True)
        (folder / code).touch()
    return folder


@each(
    ("files", "code", "refused"),
    [
        ({}, "model.py", None),
        ({"config.json": MODEL}, None, None),
        ({"config.json": MODEL}, "model.py", "config.json"),
        ({"config.json": MODEL}, "model.PY", "config.json"),
        ({"config.json": MODEL}, "model.cpython-313-x86_64-linux-gnu.so", "config.json"),
        ({"config.json": MODEL}, "deep/er/model.py", "config.json"),
        ({"config.json": {"text_config": {"auto_map": {"AutoConfig": "model.C"}}}}, "model.py", "config.json"),
        ({"config.json": {"parts": [{"encoder": MODEL}]}}, "model.py", "config.json"),
        ({"config.json": {"auto_map": {"AutoModel": "org/repo--model.Model"}}}, None, "config.json"),
        ({"config.json": {"auto_map": {"AutoModel": "org--model.Model"}}}, None, "config.json"),
        ({"config.json": {"auto_map": {"AutoModel": "/opt/model.Model"}}}, None, "config.json"),
        ({"config.json": {"auto_map": {"AutoModel": "..\\model.Model"}}}, None, "config.json"),
        ({"config.json": {"auto_map": {}}}, "model.py", None),
        ({"config.json": {"auto_map": None}}, "model.py", None),
        ({"config.json": {"auto_map": {"AutoModel": "builtin"}}}, "model.py", None),
        # Escapes, and braces in texts: as a library reads JSON.
        ({"config.json": '{"auto\\u005fmap": {"AutoModel": "model.Model"}}'}, "model.py", "config.json"),
        ({"config.json": '{"auto_map": {"a": "}", "AutoModel": "model\\u002eModel"}}'}, "model.py", "config.json"),
        ({"config.json": {"custom_pipelines": {"x": {"impl": "pipe.Pipe"}}}}, "pipe.py", "config.json"),
        ({"config.json": {"custom_pipelines": {"x": {"impl": "org/repo--pipe.Pipe"}}}}, None, "config.json"),
        ({"config.json": {"model_file": "code.py"}}, None, "config.json"),
        ({"config.json": {"model_file": "../../code.txt"}}, None, "config.json"),
        ({"config.json": {"text_config": {"model_file": "code"}}}, None, "config.json"),
        ({"config.json": {"model_file": None}}, "code.py", None),
        ({"processor_config.json": PROCESSOR}, "p.py", "processor_config.json"),
        ({"preprocessor_config.json": PROCESSOR}, "p.py", "preprocessor_config.json"),
        ({"video_preprocessor_config.json": PROCESSOR}, "p.py", "video_preprocessor_config.json"),
        ({"generation_config.json": PROCESSOR}, "p.py", "generation_config.json"),
        ({"processor_config.json": {"image_processor": PROCESSOR}}, "p.py", "processor_config.json"),
        ({"tokenizer/tokenizer_config.json": PROCESSOR}, "p.py", "tokenizer_config.json"),
        ({"tokenizer_config.json": {"auto_map": {"AutoTokenizer": ["t.T", None]}}}, "t.py", "tokenizer_config.json"),
        # A tokenizer with a class of its own cannot do without it.
        ({"tokenizer_config.json": {"auto_map": {"AutoTokenizer": ["t.T", None]}}}, None, "tokenizer_config.json"),
        # Names of classes are looked up in the libraries alone.
        (
            {"processor_config.json": {"processor_class": "p.P"}, "config.json": {"architectures": ["m.M"]}},
            "p.py",
            None,
        ),
        ({"chat_template.json": MODEL, "chat_template.jinja": "{{ auto_map }}"}, "model.py", None),
        ({"config.json": {"trust_remote_code": True}}, "model.py", None),
    ],
)
def test_python_code_that_came_with_a_model_is_found_before_anything_is_loaded(
    files: dict[str, Any], code: str | None, refused: str | None, tmp_path: Path
) -> None:
    assert find_own_code(write(tmp_path, files, code)) == refused


def test_code_behind_links_counts_as_that_of_the_model(tmp_path: Path) -> None:
    code = write(tmp_path, {}, "model.py")
    linked, behind = write(tmp_path, {"config.json": MODEL}, None), write(tmp_path, {"config.json": MODEL}, None)
    (linked / "model.py").symlink_to(code / "model.py")
    (behind / "parts").symlink_to(code, target_is_directory=True)
    settings = write(tmp_path, {}, "model.py")
    (settings / "config.json").symlink_to(linked / "config.json")
    assert [find_own_code(folder) for folder in (linked, behind, settings)] == ["config.json"] * 3


@each("content", ["{", "[" * 10_000, '{"auto_map": '])
def test_a_configuration_that_cannot_be_read_is_refused(content: str, tmp_path: Path) -> None:
    with pytest.raises(UnloadableError, match=r"preprocessor_config\.json cannot be read"):
        find_own_code(write(tmp_path, {"preprocessor_config.json": content}, None))
