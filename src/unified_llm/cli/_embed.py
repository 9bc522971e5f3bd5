"""``embed``: texts to vectors."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from unified_llm.cli._options import TargetOptions
from unified_llm.cli._terminal import Terminal


@dataclass(frozen=True)
class VectorOptions:
    """What vectors are made."""

    dimensions: Annotated[
        int | None,
        typer.Option("--dimensions", metavar="N", help="Length of the vectors, where the model can choose it."),
    ] = None
    purpose: Annotated[
        str | None,
        typer.Option("--purpose", metavar="NAME", help="query or document, for models that tell these apart."),
    ] = None
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", metavar="N", help="The most texts in one request.")
    ] = None


def embed(
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT", hidden=True),
    ] = None,
    *,
    vectors: VectorOptions,
    targets: TargetOptions,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, with the model and the usage.")
    ] = False,
    terminal: Terminal,
) -> None:
    """Turn texts into vectors.

    Each TEXT is one. - stands for the lines of standard input, which are the texts where none is given. Each vector is
    printed as a JSON array, in a line of its own.
    """
    from unified_llm.cli._prompt import read_texts
    from unified_llm.cli._responses import as_json_line, note_fallback
    from unified_llm.cli._targets import open_client

    inputs = read_texts(texts or ())
    chosen = {name: value for name, value in asdict(vectors).items() if value is not None}
    with open_client(targets, terminal, embeddings=True) as client:
        response = client.embed(inputs, **chosen)
    if as_json:
        terminal.write(
            as_json_line(
                {
                    "model": response.model,
                    "provider": response.provider,
                    "dimensions": len(response.vectors[0]),
                    "usage": None if response.usage is None else asdict(response.usage),
                    "attempts": [attempt.as_dict() for attempt in response.attempts],
                    "vectors": response.vectors,
                }
            )
        )
    else:
        for vector in response.vectors:
            terminal.write(as_json_line(vector))
    note_fallback(response.attempts, terminal)
