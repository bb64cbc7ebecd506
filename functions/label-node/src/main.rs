//! Wires `label-node` to the Lambda runtime.

fn main() {}
