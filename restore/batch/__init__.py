"""Processing of whole folders: `restore batch IN OUT`."""
