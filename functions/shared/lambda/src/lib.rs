//! The Lambda glue: configuration, logs, metrics, errors, outcomes.
