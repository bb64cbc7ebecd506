//! Wires `resolve-node` to the Lambda runtime.

fn main() {}
