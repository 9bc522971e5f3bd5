"""Writes docs/providers.md from the provider table: run it after changing a row."""  # noqa: INP001 - a script

from __future__ import annotations

from pathlib import Path

from unified_llm.providers.table import ALIASES, ROWS, Row

PAGE = Path(__file__).with_name("providers.md")

_HEAD = """\
# Providers

<!-- Written by docs/generate_providers.py from src/unified_llm/providers/rows.py. Change the rows, not this page. -->

A model string is `provider/model`. The key comes from `api_key=`, or from the first of these environment variables
that is set; a key from the environment is sent to the provider's own hosts alone.

"""
_COLUMNS = (
    ("tools", "tools"),
    ("JSON", "json_object"),
    ("JSON schema", "json_schema"),
    ("images", "images"),
    ("embeddings", "embeddings"),
    ("model list", "models"),
)
_CAPABILITIES = """
## What they can do

What the endpoint can do with a model that has the ability; `models.py` knows of models that have less or more. A
request that needs what a target lacks is never sent to it.

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
    return _HEAD + _table(where) + _CAPABILITIES + _table(can) + _NOTES + "\n".join(notes) + "\n"


def _name(row: Row, aliases: dict[str, str]) -> str:
    alias = f", `{aliases[row.name]}`" if row.name in aliases else ""
    return f"[`{row.name}`]({row.docs}){alias}"


def _address(row: Row) -> str:
    return f"`{row.base_url}`" if row.base_url else "none needed" if row.wire == "mlx" else "yours"


def _code(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(rows: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
