"""Networks and layers that no library has. Imports torch and nothing of ours."""
