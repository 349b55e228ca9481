#!/usr/bin/env bash
# Publishes one event with redis-cli: demo/examples/redis/publish.sh '{"text":"hi"}' [url]
# The id makes a retry safe: the hub accepts each id once within 10 minutes.
set -eu
id=$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')
redis-cli -u "${2:-redis://localhost:6379}" -e XADD '{sse}:in' '*' channel board data "$1" json 1 id "$id"
