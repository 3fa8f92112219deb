//! The engine processes' side of the binary: `c1m-top engine JSON`.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use super::no_thread;
use crate::engine::config::EngineConfig;
use crate::engine::main_loop::{self, Engine};
use crate::engine::socket;
use crate::{client, server, sys};

/// The name in `top` and in the kernel's log, at most 15 bytes: without it an engine is called after the link it was started
/// by, `exe`.
fn call_itself(name: &str) {
    // A name is no reason to fail.
    let _ = std::fs::write("/proc/self/comm", name);
}

/// The connection to the dashboard that started this engine: its standard input, so that no name has to be found and none
/// can be taken away.
fn channel() -> io::Result<UnixStream> {
    let channel: UnixStream = io::stdin().as_fd().try_clone_to_owned()?.into();
    channel.peer_addr().map_err(|_| io::Error::other("engines are started by c1m-top itself, not by hand"))?;
    // The workers' tables keep the standard streams; the connection has to end with the main thread's.
    std::mem::forget(sys::renumber(File::open("/dev/null")?.into(), 0)?);
    Ok(channel)
}

/// A job's scheduler and a service manager signal every process that they are to end. How a run ends says its dashboard, which
/// closes first; an engine that obeyed by itself left its connections in TIME_WAIT, and the dashboard with an engine that died.
fn leave_the_end_to_the_dashboard() -> io::Result<()> {
    [libc::SIGINT, libc::SIGTERM, libc::SIGHUP].into_iter().try_for_each(sys::ignore)
}

/// Runs an engine. What cannot be had is said in one line on standard error with status 2; the dashboard passes it on.
pub(super) fn run(config: &str) -> ExitCode {
    // The first to open descriptors: it takes one of a fixed number.
    let listening = socket::listen();
    let started = leave_the_end_to_the_dashboard().and_then(|()| channel()).and_then(|channel| {
        let config =
            serde_json::from_str(config).map_err(|e| io::Error::other(format!("engine configuration: {e}")))?;
        let (engine, slots): (Box<dyn Engine>, usize) = match config {
            EngineConfig::Server(config) => {
                call_itself("c1m-top-server");
                server::start(config).map(|(e, n)| (Box::new(e) as _, n))?
            }
            EngineConfig::Client(config) => {
                call_itself("c1m-top-client");
                client::start(config).map(|(e, n)| (Box::new(e) as _, n))?
            }
        };
        Ok((engine, slots, channel))
    });
    let (mut engine, slots, channel) = match started {
        Ok(started) => started,
        Err(e) => {
            eprintln!("{e}");
            return ExitCode::from(2);
        }
    };
    match main_loop::run(engine.as_mut(), slots, channel, listening) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            if let Some(limit) = no_thread::limit(&e) {
                eprintln!("cannot start an engine: {limit}");
                return ExitCode::from(2);
            }
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}
