#!/usr/bin/env python3
"""Publishes one event from Python: demo/examples/publish.py '{"text":"hi"}' [url]"""

import json
import random
import sys
import time
import urllib.error
import urllib.request
import uuid


def publish(url: str, data: object, attempts: int = 10) -> dict:
    """Publishes once, in any number of attempts: the hub accepts each key only once."""
    request = urllib.request.Request(
        url,
        data=json.dumps(data).encode(),
        headers={"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())},
    )
    for attempt in range(attempts):
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code < 500 or attempt == attempts - 1:
                raise SystemExit(error.read().decode())
        except OSError:
            # No answer is no news: it may have been published.
            if attempt == attempts - 1:
                raise
        time.sleep(random.uniform(0, min(10, 0.2 * 2**attempt)))


if __name__ == "__main__":
    _, text, *rest = sys.argv
    print(json.dumps(publish(rest[0] if rest else "http://localhost:3000/channels/board", json.loads(text))))
