"""Generates docs/support.md and docs/support.json: what each provider supports, and the test that holds each cell.

``docs/generate_providers.py`` calls it. The cells are made of the features of the provider table.
"""  # noqa: INP001 - a script

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from unified_llm._core.features import Feature
from unified_llm._providers.models import MODELS
from unified_llm._providers.registry import ROWS, ProviderSpec

PAGE = Path(__file__).with_name("support.md")
MAP = PAGE.with_suffix(".json")
NO = "no"
_TEST = "tests/providers/test_support_matrix.py::test_a_cell_of_the_support_matrix_is_right[{provider}-{column}]"
_MLX_CHAT = "tests/backends/mlx/test_chat.py"
_MLX_INPUTS = "tests/backends/mlx/test_chat_inputs.py"
# MLX has no wire format, and what a model can do is read from its folder: its other cells are held by the test above.
_MLX = {
    "chat": ("yes", f"{_MLX_CHAT}::test_chunks_are_joined_and_counted"),
    "completion": ("text completion", f"{_MLX_INPUTS}::test_a_text_is_continued_without_the_chat_template"),
    "streaming": ("yes", f"{_MLX_CHAT}::test_chunks_are_handed_on_as_they_come"),
    "images": ("data", f"{_MLX_INPUTS}::test_an_image_reaches_a_model_that_reads_images_from_every_surface"),
    "embeddings": (
        "yes",
        "tests/backends/mlx/test_encoder.py::test_vectors_are_those_of_the_network_whatever_is_read_with_them",
    ),
}


class Column(NamedTuple):
    """A column: its name, its title, and what its cell is by the features of a provider."""

    name: str
    title: str
    cell: Callable[[frozenset[Feature]], str]


class Cell(NamedTuple):
    """What a provider supports, what some of its models support besides, by their pattern, and the test of both."""

    support: str
    models: Mapping[str, str]
    test: str


def _always(_: frozenset[Feature]) -> str:
    return "yes"


def _completion(features: frozenset[Feature]) -> str:
    return "text completion" if "as_text" in features else "by chat"


def _if(feature: Feature) -> Callable[[frozenset[Feature]], str]:
    return lambda features: "yes" if feature in features else NO


def _data_or_url(data: Feature, url: Feature | None = None) -> Callable[[frozenset[Feature]], str]:
    words = {data: "data", url: "URL"}
    return lambda features: ", ".join(word for feature, word in words.items() if feature in features) or NO


TEXT: Sequence[Column] = (
    Column("chat", "chat", _always),
    Column("completion", "completion", _completion),
    Column("streaming", "streaming", _if("streaming")),
    Column("embeddings", "embeddings", _if("embeddings")),
    Column("images", "reads images", _data_or_url("images", "image_urls")),
    Column("audio", "reads audio", _data_or_url("audio")),
    Column("files", "reads files", _data_or_url("files", "file_urls")),
)
MEDIA: Sequence[Column] = (
    Column("generate_image", "image generation", _if("generate_image")),
    Column("edit_image", "image editing", _if("edit_image")),
    Column("speech", "speech", _if("speech")),
    Column("transcription", "transcription", _if("transcription")),
    Column("translation", "translation of recordings", _if("translation")),
    Column("video", "video", _if("video")),
)
_BY_API = ("images", "audio", "files")


def cells() -> Mapping[str, Mapping[str, Cell]]:
    """Return every cell, by provider and column."""
    return {row.name: {column.name: _cell(row, column) for column in (*TEXT, *MEDIA)} for row in ROWS}


def _cell(row: ProviderSpec, column: Column) -> Cell:
    if row.format == "mlx" and column.name in _MLX:
        support, test = _MLX[column.name]
        return Cell(support, {}, test)
    more = {
        model.pattern: column.cell(row.features | model.gains)
        for model in MODELS
        if row.name in model.providers and column.cell(row.features | model.gains) != column.cell(row.features)
    }
    return Cell(column.cell(row.features), more, _TEST.format(provider=row.name, column=column.name))


def render() -> str:
    """Return the text of the page."""
    matrix = cells()
    media_rows = [row for row in ROWS if any(matrix[row.name][column.name].support != NO for column in MEDIA)]
    page = _HEAD + _table(TEXT, ROWS, matrix) + _APIS + "".join(_further_apis()) + _MEDIA_HEAD
    return page + _table(MEDIA, media_rows, matrix) + _TESTS + _tests(matrix)


def render_map() -> str:
    """Return the map from cells to tests, as JSON."""
    by_name = {name: {column: cell._asdict() for column, cell in row.items()} for name, row in cells().items()}
    return json.dumps(by_name, indent=1) + "\n"


def _table(columns: Sequence[Column], rows: Sequence[ProviderSpec], matrix: Mapping[str, Mapping[str, Cell]]) -> str:
    lines = [["provider", *(column.title for column in columns)], ["---"] * (len(columns) + 1)]
    lines += [[f"`{row.name}`", *(_shown(matrix[row.name][column.name]) for column in columns)] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _shown(cell: Cell) -> str:
    words = {"yes": "✓", NO: "✗", "text completion": "✓", "by chat": "✓ by chat"}
    further = [f"`{pattern}`: {words.get(support, support)}" for pattern, support in cell.models.items()]
    return "<br>".join([words.get(cell.support, f"✓ {cell.support}"), *further])


def _further_apis() -> Sequence[str]:
    """Return a line for each provider that reads more in another of its formats."""
    lines: list[str] = []
    for row in ROWS:
        for api, features in row.api_features.items():
            more = [
                f"{column.title} ({column.cell(features)})"
                for column in TEXT
                if column.name in _BY_API and len(column.cell(features)) > len(column.cell(row.features))
            ]
            lines += [f'- `{row.name}` with `api="{api}"`: {", ".join(more)}\n'] if more else []
    return lines


def _tests(matrix: Mapping[str, Mapping[str, Cell]]) -> str:
    """Return the tests of each column, and those that one provider has instead."""
    lines = [["column", "test"], ["---"] * 2]
    titles = {column.name: column.title for column in (*TEXT, *MEDIA)}
    for name in next(iter(matrix.values())):
        lines.append([titles[name], f"`{_TEST.format(provider='<provider>', column=name)}`"])
        for provider, row in matrix.items():
            if row[name].test != _TEST.format(provider=provider, column=name):
                lines.append([f"{titles[name]} of `{provider}`", f"`{row[name].test}`"])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


_HEAD = """\
# Support matrix

<!-- Generated by docs/generate_support.py from src/unified_llm/_providers/. Change the rows, not this page. -->

What each provider's endpoint can do, with a model that can. ✗: a request is refused before anything is sent, by
`UnsupportedOperationError`, or goes to a fallback that can. Below it are models that can more. Every cell is held by a
[test](#tests).

- [Text](#text)
- [Media](#media)
- [Tests](#tests)

## Text

*Completion* is `LLMClient.complete` and `Completion.create`: ✓ where the API continues a text (`as_text=True`);
elsewhere a chat answers it. OpenAI has [shut down](media.md#models-that-were-shut-down) its own models for it. *Data*
is bytes that are sent along (a path, bytes, an open file), *URL* is an address that the provider fetches:
[messages.md](messages.md#images-audio-and-files). Text files can be read by all of them.

"""
_APIS = """
More in another of the provider's formats:

"""
_MEDIA_HEAD = """
## Media

What a provider makes of a prompt or a recording: [media.md](media.md). Those that are not in the table make none.
Written from the documentation and SDKs of the providers, not tried against the services. OpenAI has
[shut down](media.md#models-that-were-shut-down) its API for videos; servers that imitate it have their own.

"""
_TESTS = """
## Tests

The test of a cell sends a request through the client, the policy and the provider's format, answers it with a recorded
response of that provider or format, and checks both; chats, completions and embeddings also through `ChatCompletion`,
`Completion` and `Embedding`. For ✗ it checks that nothing is sent. The table has the test of each column,
[support.json](support.json) that of each cell. `tests/providers/test_support_matrix.py` also checks that each of them
exists, and that it fails if its cell says the opposite.

"""
