"""The built-in pack of documents: one file per tool."""
