#!/usr/bin/env bash
# Listens with curl, and goes on where it was when the connection ends: demo/examples/listen.sh [url]
set -u
url=${1:-http://localhost:3000/channels/board}
last_event_id='' wait=2

while true; do
  event='' id=$last_event_id data=''
  while IFS= read -r line; do
    case $line in
      'event: '*) event=${line#event: } ;;
      'id: '*) id=${line#id: } ;;
      'data: '*) data+=${line#data: }$'\n' ;;
      'retry: '*) wait=$(( (${line#retry: } + 999) / 1000 )) ;;
      # An empty line ends an event. What the connection ended in the middle of comes again.
      '')
        last_event_id=$id
        case $event in
          hub.finished) exit 0 ;;
          hub.gap) echo "something is missing: $data" ;;
          hub.*) ;;
          *) printf '%s' "$data" ;;
        esac
        event='' data=''
        ;;
      # 22: the server refuses.
      'curl ended with 22') exit 1 ;;
    esac
  done < <(
    curl --silent --show-error --fail --no-buffer -H 'Accept: text/event-stream' \
      ${last_event_id:+-H "Last-Event-ID: $last_event_id"} "$url"
    echo "curl ended with $?"
  )
  sleep "$wait"
done
