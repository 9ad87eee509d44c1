"""Driving a run: the loop, what the model is shown, the events."""
