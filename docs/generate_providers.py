"""Writes docs/providers.md from the provider table and the marks of tests: run it after changing a row."""  # noqa: INP001 - a script

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from unified_llm._providers.registry import ALIASES, ROWS, ProviderSpec

PAGE = Path(__file__).with_name("providers.md")
TESTS = PAGE.parent.parent / "integration_tests"

_HEAD = """\
# Providers

<!-- Written by docs/generate_providers.py from src/unified_llm/_providers/. Change the rows, not this page. -->

A model string is `provider/model`. The key comes from `api_key=`, or from the first of these environment variables
that is set; a key from the environment is sent to the provider's own hosts alone.

"""
_COLUMNS = (
    ("tools", "tools"),
    ("JSON", "json_object"),
    ("JSON schema", "json_schema"),
    ("images", "images"),
    ("audio", "audio"),
    ("files", "files"),
    ("`n`", "n"),
    ("text completion", "as_text"),
    ("embeddings", "embeddings"),
    ("ranking", "rerank"),
    ("token count", "count_tokens"),
    ("model list", "models"),
)
_PROOFS = """
## Tested against what

Beside the recorded exchanges that every row is held to (`tests/fixtures/`), the client talks to these in
`make integration`: real servers where one can run on a test machine, or a strict fake that refuses what the API would
refuse, and to which the provider's own SDK talks as well; what both sent and read is then compared. This table is
written from the marks of those tests.

"""
_CAPABILITIES = """
## What they can do

What the endpoint can do with a model that has the ability; `models.py` knows of models that have less or more. A
request that needs what a target lacks is never sent to it, but for JSON, which is brought about in another way
([failover.md](failover.md#order)).

"""
_NOTES = """
## Worth knowing

"""


def render() -> str:
    """The page as it should be."""
    names = {name: alias for alias, name in ALIASES.items()}
    where = [["provider", "", "key", "address", "default address"], ["---"] * 5]
    where += [
        [_name(row, names), row.title, _code(row.key_env), _code(row.base_url_env), _address(row)] for row in ROWS
    ]
    can = [["provider", *(title for title, _ in _COLUMNS)], ["---"] * (len(_COLUMNS) + 1)]
    can += [[f"`{row.name}`", *("yes" if each in row.features else "" for _, each in _COLUMNS)] for row in ROWS]
    notes = [f"- **{row.title}**: {row.note}" for row in ROWS if row.note]
    proved = [["provider", "against", "what"], ["---"] * 3]
    proved += [
        [f"`{name}`", against, ", ".join(sorted(features))] for (name, against), features in sorted(proofs().items())
    ]
    page = _HEAD + _table(where) + _CAPABILITIES + _table(can) + _PROOFS + _table(proved)
    return page + _NOTES + "\n".join(notes) + "\n"


def proofs() -> Mapping[tuple[str, str], set[str]]:
    """What the integration tests say they show: features by provider, and by what it was tested against."""
    found: dict[tuple[str, str], set[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for provider, features, against in _marks(ast.parse(path.read_text(encoding="utf-8"))):
            found.setdefault((provider, against), set()).update(features)
    return found


def _marks(tree: ast.Module) -> Iterator[tuple[str, list[str], str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(ast.Attribute(attr="proves"), [provider, *features], [ast.keyword("against", against)]):
                yield (
                    ast.literal_eval(provider),
                    [ast.literal_eval(each) for each in features],
                    ast.literal_eval(against),
                )
            case _:
                pass


def _name(row: ProviderSpec, aliases: dict[str, str]) -> str:
    alias = f", `{aliases[row.name]}`" if row.name in aliases else ""
    return f"[`{row.name}`]({row.docs}){alias}"


def _address(row: ProviderSpec) -> str:
    return f"`{row.base_url}`" if row.base_url else "none needed" if row.format == "mlx" else "yours"


def _code(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(rows: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def main() -> int:
    """Write the page, or with ``--check`` compare it with the table."""
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(render(), encoding="utf-8")
        return 0
    if PAGE.read_text(encoding="utf-8") == render():
        return 0
    print("docs/providers.md is not what the provider table says: run make format", file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
