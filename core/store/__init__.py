"""The only SQL of ours: one repository per noun."""
