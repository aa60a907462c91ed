"""What an answer must look like to count: contracts, JSON Schemas, tool calls."""
