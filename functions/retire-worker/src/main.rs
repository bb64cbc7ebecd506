//! Wires `retire-worker` to the Lambda runtime.

fn main() {}
