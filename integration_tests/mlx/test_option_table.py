"""Each option on each path, by what it changes: see ``option_table``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from integration_tests.mlx.option_table import OPTIONS, PAGE, Option, with_table
from integration_tests.support.tiny_models import Shape, make_model
from unified_llm import LLMClient, LLMConfig, MLXConfig, exceptions
from unified_llm._backends.mlx import unavailable_reason
from unified_llm._backends.mlx.engines import close_engines
from unified_llm.types import LLMResponse

pytestmark = pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason()))

PATHS = ("batch", "serial, with a quantized cache", "serial, with a draft model")


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, LLMClient]]:
    folder: Path = make_model(tmp_path_factory.mktemp("tiny"), Shape(hidden=128))
    settings = (MLXConfig(), MLXConfig(kv_bits=8, kv_group_size=32), MLXConfig(draft_model=str(folder)))
    yield {
        path: LLMClient(LLMConfig(model=f"mlx/{folder}", mlx=mlx)) for path, mlx in zip(PATHS, settings, strict=True)
    }
    close_engines()


def ask(client: LLMClient, options: Mapping[str, Any]) -> LLMResponse:
    return client.generate("Hello", **{"max_tokens": 12, **options})


def named(options: tuple[Option, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("option", options, ids=[option.names.replace("`", "") for option in options])


@pytest.mark.parametrize("path", PATHS)
@named(tuple(option for option in OPTIONS if option.cases))
def test_an_option_does_what_the_table_says(clients: Mapping[str, LLMClient], option: Option, path: str) -> None:
    plain = ask(clients[path], option.base)
    for options, has_effect in option.cases:
        assert has_effect(plain, ask(clients[path], {**option.base, **options})), options


@named(tuple(option for option in OPTIONS if option.refused))
def test_what_the_table_has_as_refused_is_refused(clients: Mapping[str, LLMClient], option: Option) -> None:
    assert option.refused is not None
    options, error = option.refused
    with pytest.raises(getattr(exceptions, error)) as refused:
        ask(clients["batch"], options)
    assert len(str(refused.value)) < 400


def test_the_guide_has_the_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_table(page) == page, "run python -m integration_tests.mlx.option_table"
