"""The command line: counting, and what can be done with saved files, in a terminal or in CI."""
