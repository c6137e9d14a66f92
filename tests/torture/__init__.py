"""Durability: what the index must survive. docs/reliability.md has the promises, each beside the test that holds it."""
