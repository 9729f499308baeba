"""Writes plugins/*/oracle.json: what other software computes from the same rows.

    python -m venv venv && venv/bin/pip install -r plugins/oracle/requirements.txt
    venv/bin/python plugins/oracle/make.py [PLUGIN...]

The rows are the same on every run. The tests of the plugins compare natively; that the component gives the bits of the
native code is the golden vectors' matter. A tolerance of 0 means the same bits, another one is relative, or absolute below 1.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np

import aggregates
import transforms

PLUGINS = Path(__file__).resolve().parent.parent


def plain(value):
    """A value as the rows of a test spell it."""
    if value is None:
        return None
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(element) for element in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        value = float(value)
        if math.isnan(value):
            return "NaN"
        return value if math.isfinite(value) else ("Infinity" if value > 0 else "-Infinity")
    return str(value)


def write(plugin, oracle, cases):
    lines = []
    for case in cases:
        fields = {key: plain(value) if key in ("rows", "expect") else value for key, value in case.items()}
        lines.append("    " + json.dumps(fields, ensure_ascii=False, sort_keys=False))
    text = f'{{\n  "oracle": {json.dumps(oracle)},\n  "cases": [\n' + ",\n".join(lines) + "\n  ]\n}\n"
    (PLUGINS / plugin / "oracle.json").write_text(text, encoding="utf-8")


def main():
    makers = {**transforms.MAKERS, **aggregates.MAKERS}
    for plugin in sys.argv[1:] or sorted(makers):
        oracle, make = makers[plugin]
        write(plugin, oracle, make())


if __name__ == "__main__":
    main()
