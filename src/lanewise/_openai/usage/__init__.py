"""What an answer used: tokens, tool calls and cost, as providers report them, in one form."""
