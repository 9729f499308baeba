"""The plugin `{{name}}`."""

from dataclasses import dataclass

from oast_sdk import Drop, Reject, param, transform


@dataclass
class Input:
    """The columns that come in."""

    delay: float | None


@dataclass
class Output:
    """The columns that come out."""

    excess: float


@dataclass
class Settings:
    """The parameters that a definition gives."""

    tolerance: float = param(15.0, doc="Minutes that do not count.")


@transform
def {{ident}}(row: Input, settings: Settings) -> Output:
    """Keeps the rows whose delay exceeds the tolerance."""
    if row.delay is None:
        raise Reject("no_delay", "a row has a delay")
    if row.delay <= settings.tolerance:
        return Drop
    return Output(excess=row.delay - settings.tolerance)
