"""Sample catalogue, people and events that `llmrec demo` and the documentation use."""
