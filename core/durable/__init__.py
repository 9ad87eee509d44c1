"""The only importer of DBOS: dispatching segments and taking over from the dead."""
