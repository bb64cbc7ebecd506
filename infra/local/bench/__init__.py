"""What `make bench` measures: where the time of a join and a drain goes, what they call, and how fast they drain."""
