//! Saves every byte whose only copy is on the worker, then decommissions it.
