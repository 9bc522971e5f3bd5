"""LangChain's standard suites for a model in this process: a tiny one with random weights, alone in its chain.

Its constraints make calls and JSON valid. What a test wants beyond that, a model has to mean: ``NEEDS_JUDGEMENT`` lists
those tests with what they want, and prints them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from integration_tests.langchain.needs_judgement import NEEDS_JUDGEMENT
from integration_tests.support.tiny_models import make_model
from unified_llm._backends.mlx import unavailable_reason
from unified_llm._backends.mlx.engines import close_engines
from unified_llm.langchain import ChatUnified

pytestmark = pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason()))

# So that texts end within a few hundred tokens: these are as unlikely as any other to a model without training.
_ENDS: Final = ('"', "<|im_end|>")
_BIAS: Final = 3


class UnitSwitches:
    """Switches of the suite that are on for any model."""

    chat_model_class = ChatUnified
    has_tool_calling = True
    has_tool_choice = True
    has_structured_output = True
    supports_json_mode = True
    returns_usage_metadata = True


class TestChatUnit(UnitSwitches, ChatModelUnitTests):
    """Ten tests that load no model."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "mlx/demo"}


class TestChat(UnitSwitches, ChatModelIntegrationTests):
    """Fifty tests, of which those are left out that need what the model lacks."""

    _params: ClassVar[dict[str, Any]]
    _other_model: ClassVar[str]

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _model(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        from tokenizers import Tokenizer

        folder = make_model(tmp_path_factory.mktemp("standard") / "model")
        cls._other_model = str(make_model(folder.with_name("other"), seed=1))
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        bias = {str(tokenizer.token_to_id(text)): _BIAS for text in _ENDS}
        cls._params = {
            "model": f"mlx/{folder}",
            "max_tokens": 1000,
            "temperature": 1.0,
            "seed": 7,
            "extra_body": {"logit_bias": bias},
        }
        yield
        close_engines()

    @pytest.fixture(autouse=True)
    def _judged(self, request: pytest.FixtureRequest) -> None:
        name = request.node.originalname
        if name in NEEDS_JUDGEMENT:
            pytest.skip(f"{name} needs a model's judgement: {NEEDS_JUDGEMENT[name]}")

    @pytest.fixture
    def vcr_cassette_dir(self, tmp_path: Path) -> str:
        """Return a folder without a recording: a model in this process sends no requests."""
        return str(tmp_path)

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return self._params

    @property
    def model_override_value(self) -> str:
        return self._other_model
