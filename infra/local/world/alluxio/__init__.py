"""Alluxio for real, without containers: a master, a job master, an under store directory, and a server for test files.

Start it with ``python -m world.alluxio`` (see ``__main__``). Workers are not started here: they run in the pods of the
nodes (``world.nodes``).
"""
