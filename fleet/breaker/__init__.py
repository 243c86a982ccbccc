"""When a model's server is left alone, and when it is asked again."""
