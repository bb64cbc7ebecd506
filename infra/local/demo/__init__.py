"""`make demo`: one node's whole life in the local world, watched, told live, and written down as a report."""
