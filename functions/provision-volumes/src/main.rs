//! Wires `provision-volumes` to the Lambda runtime.

fn main() {}
