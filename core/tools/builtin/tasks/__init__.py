"""The built-in pack of projects, tasks and messages: one file per tool."""
