"""Every name that the code can give to an event, found in its source.

A function that only passes on the name which it is given is followed to whoever calls it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from tasks.rotation.model import VersionState

TASKS: Final = Path(__file__).resolve().parents[2] / "tasks"
Function = ast.FunctionDef | ast.AsyncFunctionDef
Passing = dict[str, tuple[str, int]]
"""Functions that give an event the name which they are given: the parameter, and where it stands."""


@dataclass
class Source:
    """One module: its functions; those of them that pass a name on, and those of any module that do."""

    path: Path
    functions: list[Function]
    everywhere: Passing
    passing: Passing = field(default_factory=dict)

    def passes_on(self, called: str) -> tuple[str, int] | None:
        """Where the name stands among what this function is given; None when it makes no event."""
        return self.passing.get(called) or self.everywhere.get(called)


@cache
def event_names() -> frozenset[str]:
    """All names. Fails where a name is written in a way that is not understood here."""
    modules = [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in sorted(TASKS.rglob("*.py"))]
    ours = [(path, tree) for path, tree in modules if not {"emulator", "migrations"} & set(path.parts)]
    constants = dict(pair for _, tree in ours for pair in _constants(tree))
    everywhere: Passing = {"Event": ("name", 1)}
    sources = [Source(p, [n for n in ast.walk(tree) if isinstance(n, Function)], everywhere) for p, tree in ours]
    while any(_finds_another_passing(source) for source in sources):
        pass
    names: set[str] = set()
    for source in sources:
        for function in source.functions:
            for name in _names_in(source, function):
                names |= _values(source, function, name, constants)
    return frozenset(names)


def _constants(module: ast.Module) -> Iterator[tuple[str, str]]:
    """Texts that a module gives a name."""
    for node in module.body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=str(text))):
                yield name, text


def _finds_another_passing(source: Source) -> bool:
    """Whether one more of its functions passes on what it is given. What begins with an underscore is its module's."""
    for function in source.functions:
        parameters = _parameters(function)
        for name in _names_in(source, function):
            if isinstance(name, ast.Name) and name.id in parameters and not source.passes_on(function.name):
                known = source.passing if function.name.startswith("_") else source.everywhere
                known[function.name] = (name.id, parameters.index(name.id))
                return True
    return False


def _parameters(function: Function) -> list[str]:
    plain = [a.arg for a in (*function.args.posonlyargs, *function.args.args) if a.arg != "self"]
    return [*plain, *(a.arg for a in function.args.kwonlyargs)]


def _names_in(source: Source, function: Function) -> Iterator[ast.expr]:
    """The expressions that name the events which this function makes."""
    for call in ast.walk(function):
        if not isinstance(call, ast.Call):
            continue
        called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        place = source.passes_on(called)
        if place is None:
            continue
        parameter, position = place
        given = {k.arg: k.value for k in call.keywords}
        if parameter in given:
            yield given[parameter]
        elif len(call.args) > position:
            yield call.args[position]


def _values(source: Source, function: Function, name: ast.expr, constants: dict[str, str]) -> set[str]:
    """The texts that an expression may be."""
    if isinstance(name, ast.Attribute) and name.attr == "name":
        return set()  # of an event that was made before, elsewhere
    if isinstance(name, ast.Name) and name.id in _parameters(function):
        return set()  # of whoever calls it
    found = _texts(function, name, (), constants)
    assert found, f"{source.path.name}:{name.lineno}: which event is {ast.unparse(name)}? Teach this file"
    return found


Steps = tuple[int | None, ...]
"""From a value to a part of it: the element at a position, or, with None, each."""


def _texts(function: Function, value: ast.expr, steps: Steps, constants: dict[str, str]) -> set[str]:
    match value:
        case ast.Constant(value=str(text)):
            return {text}
        case ast.IfExp(body=one, orelse=other):
            return _texts(function, one, steps, constants) | _texts(function, other, steps, constants)
        case ast.JoinedStr(values=[ast.Constant(value="version_"), *_]):
            return {f"version_{state}" for state in VersionState}
        case ast.JoinedStr(values=[_, ast.Constant(value=str(ending))]):
            return {f"any{ending}"}
        case ast.Name(id=variable):
            known = {constants[variable]} if variable in constants else set()
            return known.union(*(_texts(function, v, s + steps, constants) for v, s in _assigned(function, variable)))
    return set().union(*(_texts(function, part, steps[1:], constants) for part in _parts(value, steps)))


def _parts(value: ast.expr, steps: Steps) -> list[ast.expr]:
    """What the first of these steps leads to."""
    match value, steps:
        case ((ast.List() | ast.Tuple()), (None, *_)):
            return value.elts
        case ((ast.List() | ast.Tuple()), (int(position), *_)):
            return value.elts[position : position + 1]
        case ((ast.ListComp() | ast.GeneratorExp()), (None, *_)):
            return [value.elt]
    return []


def _assigned(function: Function, variable: str) -> Iterator[tuple[ast.expr, Steps]]:
    """What a function puts into a variable: values, and the way from each to what ends there."""
    begin: Steps
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=targets, value=value):
                places, begin = [(target, value) for target in targets], ()
            case ast.AugAssign(target=target, value=value):
                places, begin = [(target, value)], ()
            case ast.For(target=target, iter=value) | ast.comprehension(target=target, iter=value):
                places, begin = [(target, value)], (None,)
            case _:
                continue
        for target, value in places:
            if isinstance(target, ast.Name) and target.id == variable:
                yield value, begin
            elif isinstance(target, ast.Tuple):
                names = [getattr(element, "id", "") for element in target.elts]
                yield from ((value, (*begin, names.index(variable))) for _ in names[:1] if variable in names)
