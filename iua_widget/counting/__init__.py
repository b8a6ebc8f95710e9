"""The hot loop: one file an engine, all of one contract (`engine`), with `reference` the oracle."""
