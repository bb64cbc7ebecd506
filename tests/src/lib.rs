//! Contract, adapter, workflow and end-to-end tests.
