"""Objects in the shape of OpenAI's SDK: parsed JSON with fields as attributes and as items.

A class declares its fields by annotations, and needs nothing else. An object keeps the JSON as it came; a nested object
is made when its field is read, and kept from then on, so that it can be changed. What is not read is never built.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from copy import copy, deepcopy
from dataclasses import asdict, is_dataclass
from typing import Any, ClassVar, NamedTuple, Self, TypeAlias, cast

from typing_extensions import override

from unified_llm._lib.short_repr import count
from unified_llm.openai_style._declared_fields import DeclaredField, read_annotations

FieldDict: TypeAlias = dict[str, Any]
"""Fields by their names; ``dict`` is a method's name in the classes here."""

Selection: TypeAlias = "Collection[Any] | Mapping[Any, Any] | bool | None"
"""Fields to include or exclude, as in Pydantic: names, or names with a selection inside each."""

# Strings that are no text of a prompt or an answer, and so may stand in a repr.
_SHOWN: tuple[str, ...] = (
    "id", "object", "type", "role", "model", "finish_reason", "status", "service_tier", "system_fingerprint",
    "owned_by", "format", "size", "quality",
)  # fmt: skip


# What a dump has as it is.
_SCALARS = frozenset({str, int, float, bool, type(None)})


class _Dumping(NamedTuple):
    """What to leave out of a dump, and how to name and write the rest."""

    is_json: bool
    by_alias: bool
    exclude_unset: bool
    exclude_none: bool
    exclude_defaults: bool


class _ModelFields:
    """The declared fields of a class, read where ``model_fields`` is."""

    def __get__(self, made: Any, kind: type[Any]) -> Mapping[str, DeclaredField]:
        """Return the fields by their names."""
        return _declared(kind)


class OpenAIObject:
    """Base of all objects that are returned in OpenAI's shape.

    Fields are read as attributes (``response.choices[0].message.content``) or as items
    (``response["choices"][0]["message"]["content"]``). A declared field that the provider did not send is None; a field
    that it sent and nobody declared can be read all the same, as plain parsed JSON. The repr has no text of a prompt or
    an answer.

    Attributes:
        unified_llm: What served the call (``served_by``, ``used_fallback``, ``attempts``); on the outermost object of a
            response alone, and in no dump.
    """

    __slots__ = ("__dict__", "__weakref__", "_json", "_request_id", "unified_llm")

    ALIASES: ClassVar[Mapping[str, str]] = {}
    """The names that fields have in the JSON, where Python has another name for them."""
    BOTH_NAMES: ClassVar[bool] = False
    """Whether dumps have such fields under both names, as those of OpenAI's SDK do for some classes."""

    model_fields: ClassVar = _ModelFields()

    # ``__dict__`` holds the fields that were converted or assigned, which count before those of the JSON.
    _json: Mapping[str, Any]
    _request_id: str | None
    unified_llm: Mapping[str, Any]

    def __init__(self, **fields: Any) -> None:
        self._json = {self.ALIASES.get(name, name): value for name, value in fields.items()}

    @classmethod
    def from_json(cls, parsed: Mapping[str, Any]) -> Self:
        """Wrap a parsed JSON object, which is neither copied nor looked at."""
        made = cls.__new__(cls)
        made._json = parsed  # noqa: SLF001
        return made

    @classmethod
    def model_construct(cls, _fields_set: Any = None, **fields: Any) -> Self:
        """Make an object of these fields; nothing is checked."""
        return cls(**fields)

    construct = model_construct

    @classmethod
    def model_validate(cls, obj: Any) -> Self:
        """Make an object of parsed JSON; fields are not checked.

        Raises:
            ValueError: It is no JSON object.
        """
        if isinstance(obj, cls):
            return obj
        if not isinstance(obj, Mapping):
            raise ValueError(  # noqa: TRY004 # which Pydantic turns into an error of its own
                f"{cls.__name__} is made of a mapping, not of {type(obj).__name__}."
            )
        return cls.from_json(cast("Mapping[str, Any]", obj))

    @classmethod
    def model_json_schema(cls, **_options: Any) -> FieldDict:
        """Return the names of the fields as a JSON schema; their values are not described."""
        names = (field.key for field in _declared(cls).values())
        return {"type": "object", "title": cls.__name__, "properties": {name: {} for name in names}}

    @classmethod
    def model_validate_json(cls, json_data: str | bytes) -> Self:
        """Make an object of the text of a JSON object."""
        return cls.model_validate(json.loads(json_data))

    def __getattr__(self, name: str) -> Any:
        # Reached for a name that is not in ``__dict__``: a field that was not read before, or none at all.
        if name[:1] != "_":
            try:
                return self._read(name)
            except KeyError:
                pass
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def _read(self, name: str) -> Any:
        """Return a field of the JSON, converted as it is declared, and keep what was made of it."""
        kind = type(self)
        declared = (_FIELDS.get(kind) or _declared(kind)).get(name)
        if declared is None:
            return self._json[name]
        key, convert = declared
        value = self._json.get(key)
        if value is not None and convert is not None:
            value = convert(value)
        if value is not None or key in self._json:
            self.__dict__[name] = value  # where the next read finds it, without a call
        return value

    def _value(self, name: str) -> Any:
        own = self.__dict__
        return own[name] if name in own else self._read(name)

    def __getitem__(self, name: str) -> Any:
        return self._value(name)

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self, name, value)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field, or the default where there is none of that name, or it is None."""
        value = self._value(name) if name in self else None
        return default if value is None else value

    def __contains__(self, name: object) -> bool:
        return name in _declared(type(self)) or name in self.__dict__ or name in self._json

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Iterate over the names of all fields and their values, as the objects of OpenAI's SDK do."""
        return ((name, self._value(name)) for name in self._names())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OpenAIObject) or type(self) is not type(other):
            return NotImplemented
        return self.model_dump() == other.model_dump()

    __hash__ = None  # type: ignore[assignment] # it can be changed

    def _names(self) -> list[str]:
        """Return the names of all fields: the declared ones, then others that came, then others that were assigned."""
        declared = _declared(type(self))
        if not self.ALIASES and self._json.keys() <= declared.keys() and self.__dict__.keys() <= declared.keys():
            return [*declared]
        hidden = () if self.BOTH_NAMES else self.ALIASES.values()
        others = (name for name in self._json if name not in declared and name not in hidden)
        return list(dict.fromkeys((*declared, *others, *self.__dict__)))

    @property
    def model_fields_set(self) -> set[str]:
        """Names of the fields that came or were assigned."""
        by_key = {key: name for name, key in self.ALIASES.items()}
        return {by_key.get(key, key) for key in self._json} | set(self.__dict__)

    @property
    def model_extra(self) -> FieldDict:
        """Fields that came without being declared."""
        return {name: self._value(name) for name in self._names() if name not in _declared(type(self))}

    def model_dump(  # noqa: PLR0913 # arguments of Pydantic's method
        self,
        *,
        mode: str = "python",
        include: Selection = None,
        exclude: Selection = None,
        by_alias: bool | None = None,
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        warnings: bool | str = True,  # noqa: ARG002
        round_trip: bool = False,  # noqa: ARG002
        serialize_as_any: bool = False,  # noqa: ARG002
        context: Any = None,  # noqa: ARG002
    ) -> FieldDict:
        """Return all fields as a dictionary, nested objects included.

        Args:
            mode: ``python``, or ``json`` for values that JSON has (of parsed objects).
            include: Names of fields to include, or names with a selection inside each (``{"choices": {0: True}}``).
            exclude: Names of fields to leave out, in the same forms.
            by_alias: Use the names that the fields have in the JSON.
            exclude_unset: Leave out fields that did not come.
            exclude_defaults: Leave out declared fields that are None.
            exclude_none: Leave out all fields that are None.
            warnings: Without effect; accepted as in Pydantic, as are the arguments after it.
            round_trip: Without effect.
            serialize_as_any: Without effect.
            context: Without effect.
        """
        dumping = _Dumping(mode == "json", bool(by_alias), exclude_unset, exclude_none, exclude_defaults)
        return self._dump(dumping, include, exclude)

    def model_dump_json(self, *, indent: int | None = None, **options: Any) -> str:
        """Return all fields as JSON text; options as for ``model_dump``."""
        separators = (",", ":") if indent is None else (",", ": ")
        fields = self.model_dump(mode="json", **options)
        return json.dumps(fields, ensure_ascii=False, indent=indent, separators=separators)

    def to_dict(
        self,
        *,
        mode: str = "python",
        use_api_names: bool = True,
        exclude_unset: bool = True,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        warnings: bool = True,  # noqa: ARG002
    ) -> FieldDict:
        """Return the fields that came or were assigned, as a dictionary; arguments as for ``model_dump``."""
        return self._dump(_Dumping(mode == "json", use_api_names, exclude_unset, exclude_none, exclude_defaults))

    def to_json(
        self,
        *,
        indent: int | None = 2,
        use_api_names: bool = True,
        exclude_unset: bool = True,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        warnings: bool = True,  # noqa: ARG002
    ) -> str:
        """Return the fields that came or were assigned as JSON text; arguments as for ``model_dump``."""
        return self.model_dump_json(
            indent=indent, by_alias=use_api_names, exclude_unset=exclude_unset,
            exclude_defaults=exclude_defaults, exclude_none=exclude_none,
        )  # fmt: skip

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy, with other values for some fields; nested objects are copied with ``deep`` alone."""
        copied = deepcopy(self) if deep else copy(self)
        for name, value in (update or {}).items():
            setattr(copied, name, value)
        return copied

    # Names of Pydantic 1 that programs still use.
    copy = model_copy

    @classmethod
    def parse_obj(cls, obj: Any) -> Self:
        """Do the same as ``model_validate``."""
        return cls.model_validate(obj)

    def dict(self, **options: Any) -> FieldDict:
        """Return all fields as a dictionary; options as for ``model_dump``."""
        return self.model_dump(**options)

    def json(self, **options: Any) -> str:
        """Return all fields as JSON text; options as for ``model_dump``."""
        return self.model_dump_json(**options)

    def _dump(self, dumping: _Dumping, include: Selection = None, exclude: Selection = None) -> FieldDict:
        declared = _declared(type(self))
        fields_set = self.model_fields_set if dumping.exclude_unset else None
        dumped: FieldDict = {}
        inside: Selection = None
        left_out: Selection = None
        for name in self._names():
            if include is not None and not (inside := _selected(include, name)):
                continue
            if exclude is not None and (left_out := _selected(exclude, name)) is True:
                continue
            if fields_set is not None and name not in fields_set and name not in self._json:
                continue
            value = self._value(name)
            if value is None and (dumping.exclude_none or (dumping.exclude_defaults and name in declared)):
                continue
            if type(value) not in _SCALARS:
                value = self._dump_value(value, dumping, None if inside is True else inside, left_out)
            dumped[self.ALIASES.get(name, name) if dumping.by_alias else name] = value
        return dumped

    @staticmethod
    def _dump_value(value: Any, dumping: _Dumping, include: Selection, exclude: Selection) -> Any:
        """Return a value as plain data: nested objects, and what the caller's own classes made of an answer."""
        if isinstance(value, OpenAIObject):
            return value._dump(dumping, include, exclude)  # noqa: SLF001
        if isinstance(value, list):
            return [
                OpenAIObject._dump_value(item, dumping, None if inside is True else inside, left_out)
                for position, item in enumerate(value)
                for inside, left_out in [(_selected(include, position), _selected(exclude, position))]
                if (include is None or inside) and left_out is not True
            ]
        if isinstance(value, dict):
            return {
                key: OpenAIObject._dump_value(item, dumping, None, None)
                for key, item in cast("FieldDict", value).items()
            }
        if hasattr(value, "model_dump"):
            return value.model_dump(mode="json" if dumping.is_json else "python", by_alias=dumping.by_alias)
        return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value

    @override
    def __repr__(self) -> str:
        """Return the class, what identifies the object, numbers, and how much is in its lists; no text."""
        shown = (f"{name}={text}" for name in self._names() if (text := _shown(name, self._value(name))))
        return f"{type(self).__name__}({', '.join(shown)})"

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        """Let Pydantic models have fields of this class, made of an object or a dictionary."""
        from pydantic_core import core_schema

        serialization = core_schema.plain_serializer_function_ser_schema(cls.model_dump)
        return core_schema.no_info_plain_validator_function(cls.model_validate, serialization=serialization)

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: Any, _handler: Any) -> FieldDict:
        """Describe the object, as web frameworks do in the description of an API."""
        return cls.model_json_schema()


_FIELDS: dict[type[Any], Mapping[str, DeclaredField]] = {}


def _declared(kind: type[Any]) -> Mapping[str, DeclaredField]:
    """Return the fields that a class declares; its annotations are read once."""
    fields = _FIELDS.get(kind)
    if fields is None:
        fields = _FIELDS[kind] = read_annotations(kind, OpenAIObject)
    return fields


def _selected(selection: Selection, name: Any) -> Selection:
    """Return what a selection has for a field or a position: True for all of it, None for nothing."""
    if isinstance(selection, Mapping):
        chosen = selection.get(name, selection.get("__all__"))
        return True if chosen is ... else chosen or None
    return True if isinstance(selection, Collection) and name in selection else None


def _shown(name: str, value: Any) -> str:
    """Return what a repr shows of a field; nothing for texts."""
    match value:
        case str():
            return repr(value) if name in _SHOWN else ""
        case bool() | int() | float() | OpenAIObject():
            return repr(value)
        case list():
            return f"[{count(len(value), 'item')}]"
        case _:
            return ""
