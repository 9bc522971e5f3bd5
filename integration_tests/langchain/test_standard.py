"""The standard suites, 68 tests, with a primary that answers."""

from __future__ import annotations

from integration_tests.langchain import standard


class TestChatUnit(standard.ChatUnit):
    pass


class TestChat(standard.Chat):
    pass


class TestEmbeddingUnit(standard.EmbeddingUnit):
    pass


class TestEmbedding(standard.Embedding):
    pass
