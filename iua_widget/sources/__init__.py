"""Streams of responses: producers, stages, masks and positions."""
