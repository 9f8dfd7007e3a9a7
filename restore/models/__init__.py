"""Networks: manifest rows, checkpoint files, adapters and the cache of loaded models."""
