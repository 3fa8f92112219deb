//! Runs held against each other and reported, by the program itself: from files made of synthetic samples, from runs that were
//! recorded, and in a browser under a strict content policy.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod browser;
mod compare;
mod files;
mod real;
mod report;
#[expect(dead_code, reason = "what other tests use")]
#[path = "../synthetic/mod.rs"]
mod synthetic;
