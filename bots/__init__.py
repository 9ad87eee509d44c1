"""The chat surfaces: where people already are. What they share stands here, each has a folder."""
