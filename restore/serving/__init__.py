"""The Cog server: its schema, its launcher, its worker and the photos of its requests."""
