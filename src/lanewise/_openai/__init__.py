"""What OpenAI's JSON means, pure: request bodies, responses, stream events, choices and tool calls, tokens."""
