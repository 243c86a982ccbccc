"""Claude by Anthropic's API. Only `client` imports the SDK, and only a worker that needs it."""
