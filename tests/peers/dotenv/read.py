"""What python-dotenv reads: prints one JSON object, file -> name -> value (null: no value), or {"!": error}."""

import json
import sys

from dotenv import dotenv_values

out = {}
for path in sys.argv[1:]:
    try:
        out[path] = dict(dotenv_values(path))
    except Exception as error:  # whatever it raises is its answer
        out[path] = {"!": type(error).__name__}
json.dump(out, sys.stdout)
