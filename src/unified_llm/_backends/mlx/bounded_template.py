"""Jinja templates of strangers, rendered in a sandbox with bounds on time and size.

Jinja's sandbox keeps a template from Python's internals and from files. It does not keep one from running without end,
or from building a text that fills the memory. What a template can do is therefore counted::

    parse ──> tree ──> tree with counters ──> compile ──> render, with a new budget each time
                       in each loop's body, around ``~``,  │
                       between two compared values         ├── a loop's turn, a call, a filter, a test: the clock
                                                           └── texts, lists and numbers that were built: their size

One step between two looks at the clock takes a short time, since what it works on has a bounded size.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from datetime import datetime
from functools import wraps
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, cast

from jinja2 import TemplateError, nodes, pass_context
from jinja2.compiler import CodeGenerator
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

if TYPE_CHECKING:
    from jinja2.parser import Parser
    from jinja2.runtime import Context

MAX_SOURCE: Final = 100_000  # characters: several times those of the largest chat templates
_MAX_SECONDS: Final = 2.0  # of the thread's own time: what else the machine does is not counted
_MAX_CHARACTERS: Final = 64_000_000  # that one rendering builds, with all that it drops again
_ELEMENT: Final = 32  # characters that an element of a list counts as
_MAX_ELEMENTS: Final = _MAX_CHARACTERS // _ELEMENT + 1  # of a list: one more than can be counted
_MAX_NUMBER: Final = 1_000_000  # as an argument: widths, repetitions
_MAX_BITS: Final = 100_000  # of a whole number
# Widths that a number of six digits cannot have, those that are arguments themselves, and those of the argument *.
_WIDE_FORMAT: Final = re.compile(r"\d{7,}|:[^{}]*\{|%[^%a-zA-Z]*\*")
# What no chat template needs, and what takes much longer than its input is long.
_REMOVED_FILTERS: Final = ("urlize", "wordwrap", "random", "pprint", "xmlattr")
_REMOVED_METHODS: Final = frozenset({"translate", "expandtabs", "format_map"})


class TemplateRefusedError(Exception):
    """The template refused its input by ``raise_exception``.

    Attributes:
        words: What it said, where that is a text of the template itself; else None, since it may quote the input.
    """

    def __init__(self, words: str | None) -> None:
        super().__init__("the template refused its input")
        self.words = words


class TemplateBoundsError(Exception):
    """The template takes too long, or builds too much."""


class TemplateFailedError(Exception):
    """The template failed; the message is the type of the error, since its text may quote the input."""


class BoundedTemplate:
    """A compiled template. Not for several threads at once.

    Args:
        source: The template, with the extensions that chat templates have in Hugging Face's transformers.
        seconds: The time that one rendering may take, and the compilation, of the clock.
        characters: The size of all that one rendering may build.
        clock: The time in seconds.

    Raises:
        TemplateBoundsError: The template is too large.
        TemplateFailedError: It is no template.
    """

    def __init__(
        self,
        source: str,
        *,
        seconds: float = _MAX_SECONDS,
        characters: int = _MAX_CHARACTERS,
        clock: Callable[[], float] = time.thread_time,
    ) -> None:
        if len(source) > MAX_SOURCE:
            raise TemplateBoundsError("the template is too large")
        self._seconds, self._characters, self._clock = seconds, characters, clock
        self._environment = _Environment()
        self._environment.budget = _Budget(seconds, characters, clock)
        try:
            tree = self._environment.parse(source)
            self._texts = {node.value for node in tree.find_all(nodes.Const) if isinstance(node.value, str)}
            counted = cast("nodes.Template", _Counters().visit(tree))
            counted.set_environment(self._environment)
            self._template = self._environment.from_string(counted)
        except (RecursionError, MemoryError):  # the latter is how Python refuses to compile what is nested too deeply
            raise TemplateBoundsError("the template is nested too deeply") from None
        except (TemplateError, SyntaxError, ValueError) as error:  # the latter two of Python, for what Jinja made of it
            raise TemplateFailedError(type(error).__name__) from None

    def render(self, variables: Mapping[str, Any]) -> str:
        """Render the template.

        Args:
            variables: Values of JSON alone: an object's methods would be the template's to call.

        Raises:
            TemplateRefusedError: The template raised an exception of its own.
            TemplateBoundsError: It takes too long, builds too much, or wants something that the sandbox does not allow.
            TemplateFailedError: It failed in another way.
        """
        self._environment.budget = _Budget(self._seconds, self._characters, self._clock)
        text, error = self._try_to_render(variables)
        if error is not None:
            raise error  # here, so that its traceback has nothing of what the template did
        return text

    def _try_to_render(self, variables: Mapping[str, Any]) -> tuple[str, Exception | None]:
        pieces: list[str] = []
        try:
            for piece in self._template.generate(variables):
                self._environment.budget.spend(piece)
                pieces.append(piece)
        except _RaisedError as error:
            return "", TemplateRefusedError(error.words if error.words in self._texts else None)
        except TemplateBoundsError as error:
            return "", TemplateBoundsError(str(error))
        except (SecurityError, RecursionError, MemoryError, OverflowError) as error:
            return "", TemplateBoundsError(f"the template did what is not allowed ({type(error).__name__})")
        except Exception as error:  # noqa: BLE001 - whatever the template's code did
            return "", TemplateFailedError(type(error).__name__)
        return "".join(pieces), None


class _RaisedError(TemplateError):
    """``raise_exception`` was called."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words


class _Budget:
    """Budget of one rendering: the time and the characters that are left."""

    def __init__(self, seconds: float, characters: int, clock: Callable[[], float]) -> None:
        self._end, self._left, self._clock = clock() + seconds, characters, clock

    def check(self) -> None:
        """Look at the clock."""
        if self._clock() > self._end:
            raise TemplateBoundsError("the template takes too long")

    def take(self, characters: int) -> None:
        """Count what is built, before it is built."""
        self._left -= characters
        if self._left < 0:
            raise TemplateBoundsError("the template builds too much text")

    def spend(self, value: object) -> None:
        """Count a value."""
        if isinstance(value, (str, bytes)):
            self.take(len(value))
        elif isinstance(value, int):
            self.take(value.bit_length() >> 3)
        elif isinstance(value, (list, tuple, dict, set)):
            self.take(len(cast("Sized", value)) * _ELEMENT)

    def walk(self, value: object, *, texts: bool = True) -> None:
        """Count all that a value contains, each time that it contains it: lists may share what is in them."""
        pending = [value]
        while pending:
            one = pending.pop()
            if isinstance(one, dict):
                children: list[object] = [*cast("dict[object, object]", one), *cast("Any", one).values()]
            elif isinstance(one, (list, tuple, set)):
                children = list(cast("Iterable[object]", one))
            else:
                if texts:
                    self.spend(one)
                continue
            self.take(len(children) * _ELEMENT)
            pending += children


class _Counters(NodeTransformer):
    """Puts calls of the environment's methods into the tree of a template; its own are named by the nodes."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_call("count_turn", [], node.lineno), lineno=node.lineno))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _call("join_texts", node.nodes, node.lineno)

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        operands = (node.expr, *(operand.expr for operand in node.ops))
        if not any(isinstance(operand, nodes.Const) for operand in operands):
            node.expr = _call("count_compared", [node.expr], node.lineno)
            for operand in node.ops:
                operand.expr = _call("count_compared", [operand.expr], node.lineno)
        return node


def _call(method: str, arguments: list[nodes.Expr], line: int) -> nodes.Call:
    return nodes.Call(nodes.EnvironmentAttribute(method, lineno=line), arguments, [], None, None, lineno=line)


class _BoundedCodeGenerator(CodeGenerator):
    """Looks at the clock: for some templates, code takes a time that grows with the square of their length."""

    def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Any:
        cast("_Environment", self.environment).budget.check()
        return super().visit(node, *args, **kwargs)


class _Generation(Extension):
    """``{% generation %}``, which marks for a training what the model has written: its body alone."""

    tags = {"generation"}  # noqa: RUF012 - Jinja's own declaration

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox, as transformers sets it up for chat templates, with counters.

    Attributes:
        budget: That of the current rendering.
    """

    code_generator_class = _BoundedCodeGenerator
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        self.budget = _Budget(0.0, 0, lambda: 0.0)
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[_Generation, loopcontrols],
            finalize=_count_shown,
            optimized=False,  # constants are not computed while a template is compiled, which has no budget
        )
        for name in _REMOVED_FILTERS:
            self.filters.pop(name, None)
        self.globals.pop("lipsum", None)
        self.globals |= {"raise_exception": _raise, "strftime_now": _strftime_now}
        self.filters["tojson"] = self._to_json
        self.filters = {name: self._counted(name, function) for name, function in self.filters.items()}
        tests: dict[str, Any] = self.tests
        self.tests = {name: self._counted(name, function) for name, function in tests.items()}

    def _counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)  # which copies what Jinja has noted of its arguments
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.budget.check()
            passed = 1 if hasattr(function, "jinja_pass_arg") else 0
            if name in {"join", "list"}:  # of values that are made one by one
                args = (*args[:passed], list(islice(args[passed], _MAX_ELEMENTS)), *args[passed + 1 :])
            self._check_arguments(name, args[passed:], kwargs)
            result = function(*args, **kwargs)
            self.budget.spend(result)
            return result

        return counted

    def _check_arguments(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Refuse numbers that are no widths, and count beforehand what is much larger than the arguments."""
        values: list[Any] = [*args, *kwargs.values()]
        if any(isinstance(value, int) and abs(value) > _MAX_NUMBER for value in values[1:]):
            raise TemplateBoundsError("the template uses numbers that are too large")
        if name == "sum" and any(isinstance(value, (list, tuple)) for value in values[1:]):
            raise TemplateBoundsError("the template adds up lists")  # which copies what was added before, each time
        if name == "replace" and len(values) > 2 and isinstance(values[0], str):
            self.budget.take(values[0].count(str(values[1])) * len(str(values[2])) + len(values[0]))
        elif name == "format" and isinstance(values[0], str):
            self._check_format(values[0], values[1:])
        elif name in {"join", "string", "length", "list", "indent", "e", "escape", "forceescape"}:
            self.budget.walk(list(values[:1]))
            if name in {"join", "indent"} and isinstance(values[0], (str, list, tuple)) and len(values) > 1:
                width = values[1] if isinstance(values[1], int) else len(str(values[1]))
                self.budget.take(len(cast("Sized", values[0])) * width)

    def _check_format(self, text: str, values: Sequence[Any]) -> None:
        if _WIDE_FORMAT.search(text):
            raise TemplateBoundsError("the template formats numbers too widely")
        for value in values:
            self.budget.walk(value)
        longest = max((len(value) for value in values if isinstance(value, str)), default=0)
        self.budget.take((text.count("{") + text.count("%")) * longest + len(text))

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call what a template calls."""
        self.budget.check()
        method = getattr(obj, "__wrapped__", obj)  # the sandbox wraps the formatting of texts
        text = getattr(method, "__self__", None)
        if isinstance(text, str):
            name = method.__name__
            if name in _REMOVED_METHODS:
                raise SecurityError(f"{name} is not allowed")
            if name == "join" and args and not isinstance(args[0], (str, list, tuple)):
                args = (list(args[0]), *args[1:])
            # The separator is the text whose method it is.
            values = (*args, text) if name == "join" else (text, *args)
            self._check_arguments(name, values, kwargs)
        elif obj not in (self.count_turn, self.join_texts, self.count_compared):
            self._check_arguments("", (None, *args), kwargs)
        result = super().call(context, obj, *args, **kwargs)
        self.budget.spend(result)
        return result

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute what may grow: sums, products, powers, and texts with values in them."""
        self.budget.check()
        if operator == "%" and isinstance(left, str):
            self._check_format(left, right if isinstance(right, tuple) else (right,))
        elif operator == "*":
            if isinstance(left, int) and isinstance(right, int):
                _check_bits(left.bit_length() + right.bit_length())
            self.budget.take(_size(left) * right if isinstance(right, int) and _size(left) else 0)
            self.budget.take(_size(right) * left if isinstance(left, int) and _size(right) else 0)
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            _check_bits(left.bit_length() * abs(right))
        elif operator == "+":
            self.budget.take(_size(left) + _size(right))
        return super().call_binop(context, operator, left, right)

    def concat(self, pieces: Iterable[str]) -> str:
        """Join the output of a macro, or of a block whose output is assigned."""
        pieces = list(pieces)
        self.budget.take(sum(map(len, pieces)))
        return "".join(pieces)

    def count_turn(self) -> str:
        """Count a turn of a loop."""
        self.budget.check()
        return ""

    def join_texts(self, *values: Any) -> str:
        """Join the values around ``~``."""
        for value in values:
            self.budget.walk(value)
        return "".join(map(str, values))

    def count_compared(self, value: Any) -> Any:
        """Count what is compared."""
        self.budget.walk(value, texts=False)
        return value

    def _to_json(  # noqa: PLR0917 - as in transformers
        self,
        value: Any,
        ensure_ascii: bool = False,  # noqa: FBT001, FBT002
        indent: int | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,  # noqa: FBT001, FBT002
    ) -> str:
        if isinstance(indent, (int, str)) and (indent if isinstance(indent, int) else len(indent)) > 16:
            raise TemplateBoundsError("the template indents too far")
        self.budget.walk(value)
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


@pass_context
def _count_shown(context: Context, value: Any) -> Any:
    """Count a value before it becomes text. Jinja computes no constant beforehand, since this takes the context."""
    if isinstance(value, (dict, list, tuple, set)):
        cast("_Environment", context.environment).budget.walk(value)
    return value


def _raise(message: object) -> None:
    raise _RaisedError(str(message))


def _strftime_now(pattern: str) -> str:
    return datetime.now().strftime(pattern[:200])  # noqa: DTZ005 - local time, as in transformers


def _size(value: object) -> int:
    if isinstance(value, (str, bytes)):
        return len(value)
    return len(cast("Sized", value)) * _ELEMENT if isinstance(value, (list, tuple)) else 0


def _check_bits(bits: int) -> None:
    if bits > _MAX_BITS:
        raise TemplateBoundsError("the template uses numbers that are too large")
