"""The standard suites, 68 tests, with a primary that answers 503 to everything: the fallback answers."""

from __future__ import annotations

from integration_tests.langchain import standard


class TestChatUnit(standard.ChatUnit):
    primary_status = 503


class TestChat(standard.Chat):
    primary_status = 503


class TestEmbeddingUnit(standard.EmbeddingUnit):
    primary_status = 503


class TestEmbedding(standard.Embedding):
    primary_status = 503
