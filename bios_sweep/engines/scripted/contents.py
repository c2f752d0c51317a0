"""What a Python function does, as plain values: followed from its source to all that it reaches.

A function of a notebook has no file that could be hashed. What decides its numbers is the text of its source
and of every function and class of one's own that it reaches, the values in its closure, its defaults and its
globals, the files of one's own modules, and the versions of packages. What none of these tells is refused:
an edited function must never take old trials for its own.
"""

from __future__ import annotations
import __future__

import ast
import dataclasses
import dis
import enum
import functools
import hashlib
import inspect
import linecache
import sys
import textwrap
import types
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import PurePath
from typing import Any

from bios_sweep.engines.scripted.imports import imported_by, is_own, module_file
from bios_sweep.errors import ConfigError

MAIN = "__main__"
FUTURE = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
OF_PYTHON = frozenset(  # entries of a class that the interpreter or a decorator makes from the others
    {
        *("__dict__", "__weakref__", "__module__", "__doc__", "__qualname__", "__firstlineno__"),
        *("__static_attributes__", "__abstractmethods__", "__annotations__", "__annotations_cache__"),
        *("__annotate_func__", "__dataclass_fields__", "__dataclass_params__", "_abc_impl"),
    }
)
MADE_BY_PYTHON = (types.MemberDescriptorType, types.GetSetDescriptorType)
GENERATED = "<string>"  # the file name of methods that `dataclass` writes


class Contents:
    """Reads one function, called `name` in messages.

    modules: names of those that it reaches, own and installed. by_value: own ones that no other process could
    import, so that what it reaches of them must travel.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._met: dict[int, int] = {}  # functions and classes may refer to each other
        self._inside: list[int] = []
        self.modules: set[str] = set()
        self.by_value: set[str] = set()

    def read(self, value: Any, where: str) -> Any:
        """A value as plain values, equal where it does the same. where: how a person finds it.

        Raises:
            ConfigError: its content is not to be known.
        """
        kind = type(value)
        if value is None or kind in (bool, int, float, complex, str, range, types.EllipsisType):
            return [kind.__name__, repr(value)]
        if kind in (bytes, bytearray):
            return [kind.__name__, hashlib.sha256(value).hexdigest()]
        if isinstance(value, types.ModuleType):
            self.modules.add(value.__name__)
            return ["module", value.__name__]
        if isinstance(value, types.FunctionType):
            return self._once(value, self._function, where)
        if isinstance(value, type):
            return self._once(value, self._class, where)
        if isinstance(value, types.MethodType):
            return ["method", self.read(value.__func__, where), self.read(value.__self__, where)]
        named = _installed_name(value)
        if named:
            return self._named(*named)
        if id(value) in self._inside:
            raise self._unknown(where, "holds itself")
        self._inside.append(id(value))
        try:
            return self._parts(value, where)
        finally:
            self._inside.pop()

    def _parts(self, value: Any, where: str) -> Any:
        """Values that hold other values."""
        kind = type(value)
        if kind in (list, tuple):
            parts = (self.read(part, f"{where}[{place}]") for place, part in enumerate(value))
            return [kind.__name__, *parts]
        if kind in (set, frozenset):
            return [kind.__name__, *sorted((self.read(part, where) for part in value), key=repr)]
        if kind is dict:
            pairs = [
                [self.read(key, where), self.read(part, f"{where}[{key!r}]")] for key, part in value.items()
            ]
            return ["dict", pairs]
        if isinstance(value, enum.Enum):
            return ["enum", self.read(kind, where), value.name]
        if isinstance(value, PurePath):
            return ["path", str(value)]
        if isinstance(value, staticmethod | classmethod):
            return [kind.__name__, self.read(value.__func__, where)]
        if isinstance(value, property):
            return ["property", *(self.read(part, where) for part in (value.fget, value.fset, value.fdel))]
        if isinstance(value, functools.partial):
            return ["partial", *(self.read(part, where) for part in (value.func, value.args, value.keywords))]
        if dataclasses.is_dataclass(value):
            state = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
            state |= getattr(value, "__dict__", {})  # beside its fields too
            return ["dataclass", self.read(kind, where), self._each(state, f"{where}'s")]
        if kind.__module__ == "numpy" and hasattr(value, "tobytes") and not value.dtype.hasobject:
            digest = hashlib.sha256(value.tobytes()).hexdigest()
            return ["array", value.dtype.str, list(value.shape), digest]
        raise self._unknown(where, f"is of the type {kind.__qualname__}")

    def _once(self, value: Any, reader: Any, where: str) -> Any:
        """A function or class met again is only named: two may refer to each other."""
        if id(value) in self._met:
            return ["again", self._met[id(value)]]
        self._met[id(value)] = len(self._met)
        return reader(value, where)

    def _named(self, module: str, qualname: str) -> Any:
        self.modules.add(module)
        return ["named", module, qualname]

    def _function(self, function: types.FunctionType, where: str) -> Any:
        module = function.__module__ or MAIN
        if self._found_by_name(function):
            return self._named(module, function.__qualname__)
        closure = _closure(function)
        held = [
            self.read([function.__defaults__, function.__kwdefaults__], f"{where}'s defaults"),
            self._each(closure, f"{where}'s closure value"),
        ]
        if module != MAIN and not is_own(module, sys.path):
            return [*self._named(module, function.__qualname__), *held]
        names = sorted(_global_names(function.__code__) & set(function.__globals__))
        reached = self._each({name: function.__globals__[name] for name in names}, "the global value")
        return ["function", self._text(function, where), *held, reached]

    def _each(self, values: Mapping[str, Any], where: str) -> dict[str, Any]:
        return {name: self.read(value, f"{where} {name}") for name, value in sorted(values.items())}

    def _text(self, function: types.FunctionType, where: str) -> str:
        """The source, looked up again: it must be what runs here, and not what was written since."""
        code = function.__code__
        linecache.checkcache(code.co_filename)
        whole = "".join(linecache.getlines(code.co_filename, function.__globals__))
        if not whole:
            raise self._unknown(where, "has no source that could be read")
        if not _says(whole, code):
            raise ConfigError(
                f"{self._name}: {where} is not what {code.co_filename} says by now; start Python again, so "
                "that what runs is what is written"
            )
        lines, first = inspect.getsourcelines(code)
        package = str(function.__globals__.get("__package__") or "")
        for node in ast.walk(ast.parse(whole)):
            if getattr(node, "lineno", 0) in range(first, first + len(lines)):
                self.modules.update(imported_by(node, package))
        text = textwrap.dedent("".join(lines))
        several = code.co_name == "<lambda>"  # may stand in one line
        return f"{text}{code.co_code.hex()} {code.co_names}" if several else text

    def _class(self, cls: type, where: str) -> Any:
        if self._found_by_name(cls) or (cls.__module__ != MAIN and not is_own(cls.__module__, sys.path)):
            return self._named(cls.__module__, cls.__qualname__)
        how = repr(getattr(cls, "__dataclass_params__", ""))
        notes = {name: str(kind) for name, kind in inspect.get_annotations(cls).items()}
        bases = [self.read(base, where) for base in cls.__bases__]
        return ["class", cls.__qualname__, bases, self._each(_parts_of(cls), f"{where}'s"), notes, how]

    def _found_by_name(self, value: Any) -> bool:
        """Whether another process finds it by module and name; its file then says all."""
        module = value.__module__
        if module == MAIN or _looked_up(module, value.__qualname__) is not value:
            return False
        if is_own(module, sys.path) and module_file(module, sys.path) is None:
            self.by_value.add(module)
            return False
        return True

    def _unknown(self, where: str, what: str) -> ConfigError:
        return ConfigError(
            f"{self._name}: {where} {what}, and what it holds cannot be hashed; make it inside the function, "
            "or give version='1', and another one whenever what is computed changes"
        )


def _parts_of(cls: type) -> dict[str, Any]:
    """What a class is made of, without what the interpreter or a decorator makes from it."""
    parts = dict(vars(cls))
    if issubclass(cls, enum.Enum):
        values = {member.name: member.value for member in cls}
        return values | {name: part for name, part in parts.items() if isinstance(part, types.FunctionType)}
    fields = dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()
    made = {f"{field.name}()": field.default_factory for field in fields if callable(field.default_factory)}
    kept = {name: part for name, part in parts.items() if name not in OF_PYTHON and not _is_made(part)}
    return kept | made


def _closure(function: types.FunctionType) -> dict[str, Any]:
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # not filled yet
            found[name] = cell.cell_contents
    return found


def _global_names(code: types.CodeType) -> set[str]:
    loads = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
    steps = (step for inner in _codes(code) for step in dis.get_instructions(inner))
    return {step.argval for step in steps if step.opname in loads}


def _says(text: str, code: types.CodeType) -> bool:
    """Whether a source text, compiled, has the very code: whole, or by statements as IPython does it.

    The two differ where a cell imports a module and calls what is in it: Python then looks up otherwise.
    """
    flags = (code.co_flags & FUTURE) | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # a cell may await
    compiled = functools.partial(
        compile, filename=code.co_filename, mode="exec", flags=flags, dont_inherit=True
    )
    try:
        whole = ast.parse(text)
        units = (text, *(ast.Module(body=[one], type_ignores=whole.type_ignores) for one in whole.body))
        return any(code in _codes(compiled(unit)) for unit in units)
    except SyntaxError:
        return False


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _codes(inner)


def _is_made(part: Any) -> bool:
    inner = inspect.unwrap(part) if isinstance(part, types.FunctionType) else part
    generated = isinstance(inner, types.FunctionType) and inner.__code__.co_filename == GENERATED
    return generated or isinstance(part, MADE_BY_PYTHON)


def _installed_name(value: Any) -> tuple[str, str] | None:
    """Module and name of what a package or Python itself defines; None for any other value."""
    module = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", getattr(value, "__name__", None))
    if not isinstance(module, str) or not isinstance(name, str) or module == MAIN or is_own(module, sys.path):
        return None
    return (module, name) if _looked_up(module, name) is value else None


def _looked_up(module: str, qualname: str) -> Any:
    found: Any = sys.modules.get(module)
    for name in qualname.split("."):
        found = getattr(found, name, None)
    return found
