#!/usr/bin/env python3
"""Publishes one event through Redis: demo/examples/redis/publish.py '{"text":"hi"}' [url] (pip install redis)"""

import sys
import uuid

import redis


def publish(client: redis.Redis, channel: str, json_text: str) -> str:
    """Adds the event to the stream that the hub takes events from. A retry with the same id publishes it once."""
    return client.xadd("{sse}:in", {"channel": channel, "data": json_text, "json": 1, "id": str(uuid.uuid4())})


if __name__ == "__main__":
    _, text, *rest = sys.argv
    print(publish(redis.Redis.from_url(rest[0] if rest else "redis://localhost:6379"), "board", text).decode())
