"""Network architectures that no library provides. Imports torch, numpy and nets only."""
