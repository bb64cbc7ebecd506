//! Takes the decommissioned worker and its volumes away.
