"""Tool calls of a stream, from fragments that servers identify in different ways."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from unified_llm._formats import custom_tools
from unified_llm._formats.history import Identifiers
from unified_llm._formats.json_values import is_object, json_text, small_int, text_or_none
from unified_llm.types.messages import ToolCallChunk

# Bytes that a call and a fragment of its arguments take besides their texts, roughly.
_CALL_SIZE: Final = 256
_FRAGMENT_SIZE: Final = 64


class ToolCalls:
    """Numbers the tool calls of one stream, for all the ways in which servers use ``index`` and ``id``.

    OpenAI keys fragments by ``index`` and sends ``id`` and ``name`` once. Other servers send parallel calls that all
    have index 0 and different ids, or no ``index``, or no ``id``, or a different ``id`` on each fragment of one call.
    So a call begins at an unknown index, or where a name comes with another ``id``; a fragment with the ``id`` of an
    earlier call belongs to that call. Fragments before the name are kept, because our first fragment must contain the
    name.
    """

    __slots__ = ("_by_id", "_identifiers", "_latest_by_index", "_open_inputs", "_unnamed", "pending_size")

    def __init__(self) -> None:
        self._latest_by_index: dict[int | None, _Call] = {}  # the server's index → its latest call
        self._by_id: dict[tuple[int | None, str], _Call] = {}  # the server's index and id → the call
        self._unnamed: dict[int, _Call] = {}  # calls without a name, by their identity, in the order in which they came
        self._open_inputs: list[_Call] = []  # calls of custom tools, whose JSON is closed at the end
        self._identifiers = Identifiers()
        self.pending_size = 0  # bytes, roughly

    @property
    def any(self) -> bool:
        """Return whether a call was emitted."""
        return len(self._identifiers) > 0

    def read(self, fragment: object) -> ToolCallChunk | None:
        """Convert a fragment to our type; None if it adds nothing, or is kept until the call has a name."""
        if not is_object(fragment):
            return None
        is_custom = is_object(fragment.get("custom"))
        function = fragment["custom"] if is_custom else fragment.get("function")
        if not is_object(function):
            return None
        name = text_or_none(function.get("name"))
        call = self._find(small_int(fragment.get("index")), text_or_none(fragment.get("id")), name)
        if is_custom:
            call.is_custom = True
            arguments = custom_tools.escape(text_or_none(function.get("input")) or "")
        else:
            arguments = json_text(function.get("arguments"))
            if arguments == "null" and not call.has_arguments:  # Groq, for a tool without parameters
                arguments = ""
        call.has_arguments = call.has_arguments or bool(arguments)
        if call.position is not None:
            return ToolCallChunk(call.position, arguments=arguments) if arguments else None
        if arguments:
            call.pending_arguments.append(arguments)
            self._hold(call, _FRAGMENT_SIZE + len(arguments))
        return None if name is None else self._begin(call, name)

    def flush(self) -> list[ToolCallChunk]:
        """Return the calls that have no name at the end of the stream, and the ends of custom tools' arguments."""
        unnamed = [self._begin(call, "") for call in list(self._unnamed.values())]
        ends = [
            ToolCallChunk(call.position, arguments=custom_tools.CLOSING)
            for call in self._open_inputs
            if call.position is not None
        ]
        self._open_inputs = []
        return [*unnamed, *ends]

    def _find(self, index: int | None, server_id: str | None, name: str | None) -> _Call:
        """Return the call of a fragment; create it for the first one."""
        call = self._by_id.get((index, server_id)) if server_id else None
        if call is None:
            call = self._latest_by_index.get(index)
        if call is None or call.is_another(index, server_id, name):
            call = _Call(server_id)
            if server_id:
                self._by_id[index, server_id] = call
            self._unnamed[id(call)] = call
            self._hold(call, _CALL_SIZE + len(server_id or ""))
        self._latest_by_index[index] = call
        return call

    def _begin(self, call: _Call, name: str) -> ToolCallChunk:
        del self._unnamed[id(call)]
        self._hold(call, -call.size)
        arguments, call.pending_arguments = "".join(call.pending_arguments), []
        if call.is_custom:
            arguments = custom_tools.OPENING + arguments
            self._open_inputs.append(call)
        call.position = len(self._identifiers)
        return ToolCallChunk(call.position, self._identifiers.take(call.server_id), name, arguments)

    def _hold(self, call: _Call, size: int) -> None:
        call.size += size
        self.pending_size += size


@dataclass(slots=True)
class _Call:
    """One call.

    Attributes:
        server_id: The server's identifier.
        position: Its number, once it was emitted.
        pending_arguments: The arguments that came before that.
        size: Their bytes.
        is_custom: It is a call of a custom tool.
        has_arguments: A fragment of arguments has come.
    """

    server_id: str | None
    position: int | None = None
    pending_arguments: list[str] = field(default_factory=list[str])
    size: int = 0
    is_custom: bool = False
    has_arguments: bool = False

    def is_another(self, index: int | None, server_id: str | None, name: str | None) -> bool:
        """Return whether a fragment with the same index belongs to the next call."""
        if name is None or self.position is None:
            return False
        return index is None if server_id is None else server_id != self.server_id
