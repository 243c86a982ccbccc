"""OpenAI's embeddings: texts into vectors, by a llama-server that the API asks itself."""
