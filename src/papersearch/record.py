"""Values with named fields, for modules that every search loads.

A frozen dataclass generates and compiles its methods when its module is imported, which takes half a millisecond to two
for each; some twenty of them would take a fifth of the time in which a search starts. A Record only notes its names.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar

    from typing_extensions import Self, dataclass_transform
else:

    def dataclass_transform(**_):
        return lambda cls: cls


@dataclass_transform(frozen_default=True)
class Record:
    """Base of classes whose annotations are their fields, in order; what is assigned to one is its default.

    Records are made by position or by name, compared and hashed by their values, matched by position, and never
    changed: replace() makes another one. An empty dict as a default is a new one each time.
    """

    _names: ClassVar[tuple[str, ...]] = ()
    _all: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        cls._names = tuple(cls.__annotations__)
        cls._all = frozenset(cls._names)
        cls.__match_args__ = cls._names  # type: ignore[attr-defined, misc]

    def __init__(self, *values: Any, **named: Any) -> None:
        names = self._names
        state = self.__dict__
        if not named and len(values) == len(names):
            state.update(zip(names, values))  # noqa: B905 - they are as many
            return
        if not values and named.keys() == self._all:
            state.update(named)
            return
        if len(values) > len(names):
            raise TypeError(f"{type(self).__name__} has {len(names)} fields, not {len(values)}")
        for name, value in zip(names, values):  # noqa: B905 - the rest is looked for below
            state[name] = value
        for name, value in named.items():
            if name not in names or name in state:
                raise TypeError(f"{type(self).__name__} has no field {name!r}, or has it twice")
            state[name] = value
        if len(state) < len(names):
            for name in names:
                if name not in state:
                    try:
                        default = getattr(type(self), name)
                    except AttributeError:
                        raise TypeError(f"{type(self).__name__} needs a value for {name!r}") from None
                    state[name] = {} if default == {} else default

    def _values(self) -> tuple[Any, ...]:
        state = self.__dict__
        return tuple([state[name] for name in self._names])

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self._names)})"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} does not change; replace({name}=…) makes another one")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} does not change")

    def replace(self, **changes: Any) -> Self:
        """The same values but for those named."""
        return type(self)(**{name: changes.pop(name, self.__dict__[name]) for name in self._names}, **changes)

    def as_dict(self) -> dict[str, Any]:
        """The fields by name, in order."""
        return {name: self.__dict__[name] for name in self._names}
