"""``ModelName``: the type of ``model=``, any string, of which editors complete the known ones.

A message that shows the type would list all of them. So it is ``str`` for mypy, which completes nothing, and for
signatures at run time. This has a module of its own, since pyright takes the last import of a name from another module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

MYPY = False  # mypy takes it for true
if MYPY:
    from builtins import str as ModelName  # noqa: N812 - an alias of a type
elif TYPE_CHECKING:
    from unified_llm._providers.known_models import ModelName
else:
    ModelName = str
__all__ = ["ModelName"]
