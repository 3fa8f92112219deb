//! Real servers that are not ours, each filled to its limit by the program's client and watched by `--attach`: what is foretold
//! at half, what happens, what is said, and that the cure helps.
//!
//! Each test runs in network and pid namespaces of its own, so that a server ends with all its processes when the test does,
//! however that ends. nginx and redis belong to every run of the tests; the others take `C1M_TEST_LONG=1`.

#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod cases;
mod costs;
mod expect;
mod fill;
mod reload;
mod servers;
