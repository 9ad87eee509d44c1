"""The nouns: frozen dataclasses, enums and ids; standard library only."""
