"""Parameters: the JSON object of a definition as a dataclass."""

import dataclasses
import json
import typing

from .schema import ConfigureError, optional, shown

EXPECTED = {
    float: ("a number", "1.5"),
    int: ("an integer", "10"),
    bool: ("true or false", "true"),
    str: ("a text", '"name"'),
    list: ("a list", "[]"),
    dict: ("an object", "{}"),
}


def param(default=dataclasses.MISSING, *, doc=""):
    """A parameter with a documentation: `minutes: float = param(15.0, doc="Minutes that do not count.")`."""
    if isinstance(default, (list, dict)):
        return dataclasses.field(default_factory=lambda: type(default)(default), metadata={"doc": doc})
    return dataclasses.field(default=default, metadata={"doc": doc})


class Params:
    """The reader of one dataclass of parameters, or of none."""

    def __init__(self, of):
        self.of = of
        if of is not None and not dataclasses.is_dataclass(of):
            raise TypeError(f"`{shown(of)}` is not a set of parameters: write `@dataclass` over a class of typed fields")
        self.fields = dataclasses.fields(of) if of is not None else ()
        hints = typing.get_type_hints(of) if of is not None else {}
        self.hints = {field.name: optional(hints[field.name]) for field in self.fields}
        for name, (hint, _) in self.hints.items():
            if (typing.get_origin(hint) or hint) not in EXPECTED:
                raise TypeError(
                    f"`{of.__name__}.{name}`: a parameter cannot be `{shown(hint)}`; "
                    "use float, int, bool, str, list or dict, each with or without `| None`"
                )

    def parse(self, text):
        """Reads the parameters; an error names the parameter, what was expected and an example."""
        try:
            given = json.loads(text)
        except ValueError as error:
            raise ConfigureError(f"parameters: not valid JSON: {error}") from None
        if not isinstance(given, dict):
            raise ConfigureError(f'parameters: expected an object, for example `{{"limit":10}}`, got `{compact(given)}`')
        for name in given:
            if name not in self.hints:
                raise ConfigureError(f"unknown parameter `{name}`: {self.known()}")
        values = {field.name: self.read(field, given) for field in self.fields}
        return self.of(**values) if self.of is not None else None

    def known(self):
        names = ", ".join(f"`{name}`" for name in self.hints)
        return f"expected one of {names}" if names else "there are none, for example `{}`"

    def read(self, field, given):
        hint, nullable = self.hints[field.name]
        if field.name not in given:
            if field.default is not dataclasses.MISSING:
                return field.default
            if field.default_factory is not dataclasses.MISSING:
                return field.default_factory()
            if nullable:
                return None
            raise wrong(field.name, hint, "nothing")
        value = given[field.name]
        if value is None and nullable:
            return None
        return convert(field.name, hint, value)

    def documentation(self):
        """One Markdown list item for each parameter."""
        return "".join(self.document(field) for field in self.fields)

    def document(self, field):
        hint, nullable = self.hints[field.name]
        expected, example = EXPECTED[typing.get_origin(hint) or hint]
        if field.default is not dataclasses.MISSING:
            default = f"default `{compact(field.default)}`"
        elif field.default_factory is not dataclasses.MISSING:
            default = f"default `{compact(field.default_factory())}`"
        else:
            default = "optional" if nullable else f"required, for example `{example}`"
        doc = field.metadata.get("doc", "")
        return f"- `{field.name}`: {expected}, {default}. {doc}".rstrip() + "\n"


def convert(name, hint, value):
    kind = typing.get_origin(hint) or hint
    if kind is float and type(value) in (int, float):
        return float(value)
    if type(value) is not kind:
        raise wrong(name, hint, f"`{compact(value)}`")
    if kind is list and typing.get_args(hint):
        element = typing.get_args(hint)[0]
        return [convert(name, element, part) for part in value] if element in EXPECTED else value
    return value


def wrong(name, hint, got):
    expected, example = EXPECTED[typing.get_origin(hint) or hint]
    return ConfigureError(f"parameter `{name}`: expected {expected}, for example `{example}`, got {got}")


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
