"""What a PyTorch model computes, layer by layer, leaving no trace on it."""
