//! Reads the kernel: one file per source, all opened before the ramp and re-read with `pread` at offset 0; and one netlink
//! socket.
//!
//! Every reading costs the same whatever the number of connections: nothing here reads `/proc/net/tcp` or lists a
//! whole descriptor directory. Two things walk sockets: the census of a program that is no engine, in a thread of its own and at a
//! pace, and the peers of one port, when the user asks for them. A source that is not there has its reason in words; a parser never guesses.

mod allowance;
mod app_limit;
mod beam;
mod census;
mod cgroup;
mod config_files;
mod conntrack;
mod find;
mod heap;
mod hidden;
mod host;
mod hsperf;
mod kept;
mod kernel_log;
mod link;
mod listeners;
mod machine;
mod meminfo;
mod namespace;
mod neighbours;
mod net;
mod network;
mod peers;
mod pressure;
mod process;
mod program;
mod runtime;
mod sampler;
mod settings;
mod slab;
mod slab_pace;
mod snmp;
mod sockstat;
mod softnet;
mod source;
mod sysctls;
mod target;
mod text;
mod tree;
mod user;
mod vmstat;

pub use find::{Candidate, Selector, find, is_kernel_thread, parse_pid};
pub use hidden::{Hidden, hidden};
pub use machine::machine;
pub use network::Unseen;
pub use peers::peers;
pub use program::Attach;
pub use sampler::Sampler;
pub use source::Roots;
pub use sysctls::sysctls;
pub use target::Watch;
