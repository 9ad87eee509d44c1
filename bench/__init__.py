"""Benchmarks, each runnable on its own, peers in the same run."""
