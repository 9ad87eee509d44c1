"""The demo: two companies, their people, and the story that shows what the door is for."""
