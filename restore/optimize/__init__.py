"""Faster copies of networks for requests with `stability_mode` optimized."""
