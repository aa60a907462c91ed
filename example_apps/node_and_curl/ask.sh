#!/bin/sh
# A shell asks for a task, whole and as a stream. OPENAI_BASE_URL and OPENAI_API_KEY say where, and who it is.
set -eu

ask() {
  curl -sS -N --fail-with-body "$OPENAI_BASE_URL/chat/completions" \
    -H "Authorization: Bearer $OPENAI_API_KEY" -H "Content-Type: application/json" "$@"
}

echo "whole:"
ask -D - -o /dev/null -d '{"model": "ticket-summary", "messages": [{"role": "user", "content": "Where is my parcel?"}]}' |
  grep -i '^x-lanewise-\(route\|lane\|attempts\)'

echo "streamed:"
ask -d '{"model": "ticket-summary", "stream": true, "messages": [{"role": "user", "content": "Where is my parcel?"}]}' |
  grep -o '"content":"[^"]*"' | cut -d'"' -f4 | tr -d '\n'
echo
