"""The hot loop: engines, all of one contract (`engine`), with `reference` the oracle."""
