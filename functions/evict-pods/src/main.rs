//! Wires `evict-pods` to the Lambda runtime.

fn main() {}
