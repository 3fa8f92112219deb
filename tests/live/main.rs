//! The program itself on real sockets: the binary, network namespaces, cgroups, signals, a pseudo-terminal.
//!
//! Tests that open connections run in a network namespace of their own (`own_namespace!`), so that they can run side by side,
//! on the ports of the documentation, whatever else the machine does. Nothing is asserted about wall-clock time: waiting has a
//! generous deadline.

#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod attach;
mod bad_input;
mod container;
mod control;
mod death;
mod fleet_screen;
mod heap;
mod hostile;
mod limits;
mod metrics;
mod metrics_fleet;
mod names;
mod readme;
mod record;
mod refusing;
mod run;
mod screens;
mod tree;
mod tty;
mod verdicts;
mod words;
