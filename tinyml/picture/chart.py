"""What charts are made of: paths and texts with their places, ready to print as SVG.

Coordinates are SVG's (pixels, y downwards) and already rounded into the text of a path, so a
template only prints. Styles are the class names of `codegen/picture/style.css.j2`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mark:
    """A shape; `title` is what it says when pointed at ("" for nothing)."""

    style: str
    path: str
    """SVG path data."""
    title: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """Words at a place; `style` also says which side of (x, y) they stand on."""

    style: str
    x: str
    y: str
    words: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture: what it shows in words, its size, and its parts from back to front."""

    title: str
    width: int
    height: int
    marks: tuple[Mark, ...]
    texts: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """The rectangle that data are drawn in."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.top + self.height


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear map from values to pixels."""

    low: float
    high: float
    start: float
    """The pixel of `low`."""
    stop: float

    def __call__(self, value: float) -> float:
        """The pixel of `value`."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.stop - self.start)


def number(value: float) -> str:
    """A coordinate, to a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")


def box(left: float, top: float, right: float, bottom: float) -> str:
    """Path of a rectangle."""
    x0, y0, x1, y1 = map(number, (left, top, right, bottom))
    return f"M{x0} {y0}H{x1}V{y1}H{x0}Z"


def line(points: Iterable[tuple[float, float]]) -> str:
    """Path through points; "" for none."""
    text = "L".join(f"{number(x)} {number(y)}" for x, y in points)
    return f"M{text}" if text else ""


def dot(x: float, y: float, radius: float) -> str:
    """Path of a circle."""
    r, d = number(radius), number(2 * radius)
    return f"M{number(x - radius)} {number(y)}a{r} {r} 0 1 0 {d} 0a{r} {r} 0 1 0 -{d} 0Z"


def text(style: str, x: float, y: float, words: str) -> Text:
    """Words at a place."""
    return Text(style, number(x), number(y), words)


def round_steps(high: float, count: int) -> Sequence[int]:
    """About `count` round numbers from 0 to `high`: 1, 2 or 5 times a power of ten apart."""
    power = 1
    while True:
        for digit in (1, 2, 5):
            step = digit * power
            if step * count >= high:
                return range(0, int(high) + 1, step)
        power *= 10


def byte_grid(frame: Frame, scale: Scale, count: int) -> tuple[list[Mark], list[Text]]:
    """Lines across `frame` at round numbers of bytes, and the numbers beside them."""
    marks, texts = [], []
    for value in round_steps(scale.high, count):
        y = scale(value)
        marks.append(Mark("grid", line([(frame.left, y), (frame.right, y)])))
        texts.append(text("tick-y", frame.left - 6, y + 3.5, f"{value:,}"))
    return marks, texts
