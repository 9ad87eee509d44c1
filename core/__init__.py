"""The agent and its government, with no idea who is talking to it."""
