"""The door and what it asks: policy, budget, digest. Knows no vendor."""
