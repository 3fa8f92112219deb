//! Derives everything shown from a row of [`Sample`]s. Pure: no I/O, no clock, no thread, so that a recording drives it
//! as well as a live run.

pub mod chart;
pub mod event;
pub mod limit;
