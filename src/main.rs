//! The `c1m-top` binary.

fn main() {}
