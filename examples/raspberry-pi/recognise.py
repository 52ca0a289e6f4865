"""The digits network from Python, on a Raspberry Pi: it needs NumPy and the generated package.

    PYTHONPATH=PROJECT/python python3 recognise.py DRAWINGS

DRAWINGS is drawings.inc of examples/drawings. Prints for each drawing which digit the network sees,
and its int8 outputs, one for each digit.
"""

import re
import sys
from pathlib import Path

import numpy as np
from digits_int8 import INPUTS, Model

SHADES = {" ": 0.0, "+": 0.6, "#": 1.0}
SIDE = 8


def main(path: Path) -> None:
    """Looks at every drawing in the file."""
    rows = re.findall(rf'^"(.{{{SIDE}}})"$', path.read_text(), re.MULTILINE)
    shades = np.array([[SHADES[pixel] for pixel in row] for row in rows])
    model = Model()
    for index, image in enumerate(shades.reshape(-1, SIDE, SIDE)):
        (output,) = model(INPUTS[0].quantize(image))
        words = " ".join(str(each) for each in output.ravel())
        print(f"drawing {index} is a {output.argmax()}: {words}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
