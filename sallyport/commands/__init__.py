"""The commands, a module for each noun: thin words over the parts."""
