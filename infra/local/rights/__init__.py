"""What the roles of the product may do, against what was done in worlds: no right goes unused."""
