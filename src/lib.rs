//! `c1m-top` runs and watches a connection-scale experiment: a million TCP connections and beyond.
//!
//! The map, with the only directions in which modules may use one another (`tests/structure.rs` holds them):
//!
//! | module | what it is for | may use |
//! | --- | --- | --- |
//! | [`units`] | numbers with units, read and written | nothing |
//! | [`protocol`] | what dashboard and engine say to each other | nothing |
//! | [`sys`] | system calls, and every `unsafe` line of the program but one call | nothing |
//! | [`part`] | which part of a run this is, and what of the run is its own | nothing |
//! | [`sample`] | the raw record of one moment | `protocol`, `units` |
//! | [`probe`] | reads the kernel into a [`sample::Kernel`]; knows nothing of engines | `sample::kernel`, `sample::Machine`, `sample::Own`, `sys`, `units` |
//! | [`limits`] | every limit, one file each: names, reading, need, cure; pure | `sample`, `protocol`, `units` |
//! | [`model`] | derives everything shown; pure | `limits`, `sample`, `part`, `protocol`, `units` |
//! | [`engine`] | what server and client share: workers, tables, control connections, the page of counters | `part`, `protocol`, `sys`, `units` |
//! | [`server`], [`client`] | the two engines | `engine`, `protocol`, `sys`, `units` |
//! | [`output`] | a run as text, JSON or metrics | `fleet`, `model`, `limits`, `sample`, `protocol`, `units` |
//! | [`fleet`] | a run on several hosts: what its workers publish, the store that they meet in, all of them as one | `model`, `limits`, `part`, `protocol`, `units` |
//! | [`record`] | a run as a file: written, read, played again | `model`, `limits`, `sample`, `protocol`, `units` |
//! | [`merge`] | the recorded parts of a run as one; pure but for the file | `record`, `model`, `limits`, `sample`, `part`, `protocol`, `units` |
//! | [`report`] | runs held against each other, and as a page, a picture, a few lines; pure | `model`, `limits`, `sample`, `protocol`, `units` |
//! | [`ui`] | terminal, input, views | `fleet`, `model`, `limits`, `sample`, `protocol`, `sys`, `units` |
//! | [`advise`] | what a target needs of this machine, before any connection; pure | `limits`, `sample`, `units` |
//! | [`config`] | the configuration file of the screen | `ui`, `units` |
//! | [`cli`] | the command line, types only | `fleet`, `output`, `ui`, `model`, `probe`, `part`, `units` |
//! | [`app`] | modes, processes, threads: the only one that sees all | everything |

// What tests share names this crate as the tests beside `src/` do.
#[cfg(test)]
extern crate self as c1m_top;

pub mod advise;
pub mod app;
pub mod cli;
pub mod client;
pub mod config;
pub mod engine;
pub mod fleet;
pub mod limits;
pub mod merge;
pub mod model;
pub mod output;
pub mod part;
pub mod probe;
pub mod protocol;
pub mod record;
pub mod report;
pub mod sample;
pub mod server;
pub mod sys;
pub mod ui;
pub mod units;
