"""What changed between two looks at a part of the world, as events. Pure: no I/O, no clock."""
