"""The SDK's clients and HTTP clients whose requests are routed."""
