//! Runs on several hosts, which meet in a real Redis: started together, seen as one, held together, commanded, and what is said
//! when something of it fails. Each test runs in a network namespace of its own.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod commands;
mod cut;
mod guard;
mod lists;
mod store;
mod tls;
mod together;
mod trouble;
mod user;
mod view;
mod waiting;
