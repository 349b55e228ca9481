#!/usr/bin/env bash
# Publishes one event with curl: demo/examples/publish.sh '{"text":"hi"}' [url]
set -eu
url=${2:-http://localhost:3000/channels/board}
# Whatever happens on the way, the hub takes what has the same key once.
key=$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

# What curl repeats: 408, 429, 5xx, and whatever breaks on the way.
status=$(curl --silent --show-error --retry 10 --retry-all-errors --retry-max-time 60 \
  -H "Idempotency-Key: $key" --json "$1" --output "$answer" --write-out '%{http_code}' "$url")
cat "$answer"
echo
[[ $status == 2* ]]
