"""
Dataclasses to plain JSON values and back, by their type hints. Pure.

A mapping whose keys are tuples becomes a list of rows, the parts of the key first. What an older
version did not write is absent: None where the hint allows it, otherwise empty or the default.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any


def dump(value: Any) -> Any:
    """Return `value` as what `json.dumps` takes."""
    if dataclasses.is_dataclass(value):
        return {f.name: dump(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        if any(isinstance(key, tuple) for key in value):
            return [[*key, dump(inner)] for key, inner in value.items()]
        return {key: dump(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [dump(inner) for inner in value]
    return value


def load(hint: Any, data: Any) -> Any:
    """Return the value of type `hint` that `dump` made `data` of; raise ValueError if none is."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return data
    if origin in (types.UnionType, typing.Union):
        inner = next(argument for argument in arguments if argument is not types.NoneType)
        return None if data is None else load(inner, data)
    if origin is tuple:
        return _tuple(arguments, data)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(arguments[0], arguments[1], data)
    if dataclasses.is_dataclass(hint):
        return _record(hint, data)
    if type(data) is not hint:
        raise ValueError(f"{data!r} is no {hint.__name__}")
    return data


@functools.cache
def hints(record: Any) -> Mapping[str, Any]:
    """Return the type of each field of a dataclass, in order."""
    found = typing.get_type_hints(record)
    return {field.name: found[field.name] for field in dataclasses.fields(record)}


def absent(record: Any, name: str) -> Any:
    """Return what the field is where nothing was written; raise ValueError where it must be."""
    field = next(f for f in dataclasses.fields(record) if f.name == name)
    hint = hints(record)[name]
    if field.default is not dataclasses.MISSING:
        return field.default
    if types.NoneType in typing.get_args(hint):
        return None
    origin = typing.get_origin(hint)
    if origin is tuple:
        return ()
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {}
    raise ValueError(f"{name} is missing")


def _tuple(arguments: tuple[Any, ...], data: Any) -> tuple[Any, ...]:
    if not isinstance(data, list):
        raise ValueError(f"{data!r} is no list")
    if arguments[-1] is Ellipsis:
        return tuple(load(arguments[0], each) for each in data)
    return tuple(load(hint, each) for hint, each in zip(arguments, data, strict=True))


def _mapping(key: Any, value: Any, data: Any) -> dict[Any, Any]:
    # An empty mapping is written as an object, whatever its keys would be.
    if typing.get_origin(key) is tuple and data != {}:
        rows = load(tuple[Any, ...], data)
        return {load(key, list(row[:-1])): load(value, row[-1]) for row in rows}
    if not isinstance(data, dict):
        raise ValueError(f"{data!r} is no object")
    return {name: load(value, each) for name, each in data.items()}


def _record(hint: Any, data: Any) -> Any:
    if not isinstance(data, dict):
        raise ValueError(f"{data!r} is no {hint.__name__}")
    return hint(
        **{
            name: load(inner, data[name]) if name in data else absent(hint, name)
            for name, inner in hints(hint).items()
        }
    )
