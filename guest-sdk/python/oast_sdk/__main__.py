"""`python -m oast_sdk FILE NAME VERSION`: says what plugin a file has and what module makes a component of it, for `oast plugin
build`. A fault of the file ends with status 1."""

import importlib.util
import json
import os
import sys
import traceback


# The clock and the dice are gone before the author's code is imported, files after.
ENTRY = """from oast_sdk.sealed import close, seal

seal()

import plugin
from oast_sdk.component import exports

globals().update(exports(plugin.{attribute}.oast_plugin, {name!r}, {version!r}))
close()
"""


def main(path, name, version):
    """Imports the file, and prints the kind of its plugin and the component's module."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    spec = importlib.util.spec_from_file_location("plugin", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["plugin"] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        sys.exit("".join(traceback.format_exception(error.with_traceback(own(error.__traceback__, path)))))
    found = [attribute for attribute, value in vars(module).items() if hasattr(value, "oast_plugin")]
    if len(found) != 1:
        which = ", ".join(f"`{attribute}`" for attribute in found) or "none"
        sys.exit(f"`{path}` has one plugin, under `@transform` or `@aggregate`; it has {which}")
    entry = ENTRY.format(attribute=found[0], name=name, version=version)
    print(json.dumps({"kind": getattr(module, found[0]).oast_plugin.kind, "entry": entry}))


def own(frames, path):
    """The part of a traceback that begins in the author's file."""
    while frames is not None and not frames.tb_frame.f_code.co_filename.endswith(os.path.basename(path)):
        frames = frames.tb_next
    return frames


if __name__ == "__main__":
    main(*sys.argv[1:])
