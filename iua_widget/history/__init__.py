"""What is kept of many looks at one model: a set of dead units a look, at every tolerance."""
