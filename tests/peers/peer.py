"""What every Python peer needs: the sandbox's own view, and a count of checks."""

import json
import os
import sys
import urllib.request

failed = 0


def admin(method, path, body=None):
    """Asks the sandbox's administrative side."""
    request = urllib.request.Request(
        f"{os.environ['GITHUB_API_URL']}/_sandbox/{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def check(what, seen, wanted):
    """One line a check: `ok` or `not ok`."""
    global failed
    if seen == wanted:
        print(f"ok {what}")
    else:
        failed += 1
        print(f"not ok {what}: {seen!r} instead of {wanted!r}")


def done():
    sys.exit(1 if failed else 0)
