//! Wires `schedule-worker` to the Lambda runtime.

fn main() {}
