"""Teams: the same files as every surface has."""
