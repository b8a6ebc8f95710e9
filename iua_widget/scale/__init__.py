"""The same counts from the ranks of a distributed job."""
