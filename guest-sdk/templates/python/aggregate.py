"""The plugin `{{name}}`."""

from dataclasses import dataclass

from oast_sdk import MergeLaw, aggregate


@dataclass
class Input:
    """The columns that come in."""

    value: float | None


@dataclass
class Output:
    """The features that come out."""

    count: int
    largest: float | None


@aggregate(merge_law=MergeLaw.EXACT)
@dataclass
class {{type}}:
    """The number of values, and the largest of them."""

    count: int = 0
    largest: float | None = None

    def update(self, row: Input):
        if row.value is not None:
            self.count += 1
            self.largest = row.value if self.largest is None else max(self.largest, row.value)

    def merge(self, later: "{{type}}"):
        self.count += later.count
        if later.largest is not None:
            self.largest = later.largest if self.largest is None else max(self.largest, later.largest)

    def finish(self) -> Output:
        return Output(count=self.count, largest=self.largest)
