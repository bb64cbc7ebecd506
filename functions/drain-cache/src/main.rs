//! Wires `drain-cache` to the Lambda runtime.

fn main() {}
