//! What server and client engines share: configuration, workers with private descriptor tables, counters, the pace of
//! opening and closing, and the control connections.
//!
//! An engine is one process. Its main thread owns the control connections and the [`pool::Pool`]; worker threads own the
//! connections. `RLIMIT_NOFILE` bounds one descriptor *table*, so every worker takes a table of its own
//! (`unshare(CLONE_FILES)`) and with it a full limit of its own.

pub mod closing;
pub mod config;
pub mod conns;
pub mod control;
pub mod counters;
pub mod main_loop;
pub mod pace;
pub mod page;
pub mod pool;
pub mod socket;
pub mod wait;
