"""The authorization scenarios meet what the peers meet: a whole server, a provider not ours."""

from tests.peers.conftest import acme, npm, spawned

__all__ = ["acme", "npm", "spawned"]
