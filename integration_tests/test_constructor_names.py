"""Arguments of the constructors of the official SDKs and LangChain's models: each has an answer of its own here."""

from __future__ import annotations

import inspect

import openai
from langchain_openai import AzureChatOpenAI, ChatOpenAI

from tests.config.test_constructor_names import GENERAL, SURFACES, refusal


def test_every_argument_of_openais_clients_and_of_langchains_models_has_an_answer_of_its_own() -> None:
    names = {
        name
        for model in (ChatOpenAI, AzureChatOpenAI)
        for field, info in model.model_fields.items()
        for name in (field, info.alias)
        if name
    }
    for client in (openai.OpenAI, openai.AsyncOpenAI, openai.AzureOpenAI):
        names |= set(inspect.signature(client.__init__).parameters) - {"self"}
    for surface in SURFACES:
        unanswered = {name for name in names if GENERAL in refusal(surface, name)}
        assert unanswered <= {"model_kwargs"}, surface
