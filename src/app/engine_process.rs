//! The engine processes' side of the binary: `c1m-top engine JSON`.

use std::process::ExitCode;

use crate::engine::config::EngineConfig;
use crate::engine::main_loop::{self, Engine};
use crate::{client, server};

/// The name in `top` and in the kernel's log, at most 15 bytes: without it an engine is called after the link it was started
/// by, `exe`.
fn call_itself(name: &str) {
    // A name is no reason to fail.
    let _ = std::fs::write("/proc/self/comm", name);
}

/// Runs an engine. What cannot be had is said in one line on standard error with status 2; the dashboard passes it on.
pub(super) fn run(config: &str) -> ExitCode {
    let started = serde_json::from_str(config)
        .map_err(|e| std::io::Error::other(format!("engine configuration: {e}")))
        .and_then(|config| -> std::io::Result<(Box<dyn Engine>, usize)> {
            Ok(match config {
                EngineConfig::Server(config) => {
                    call_itself("c1m-top-server");
                    server::start(config).map(|(e, n)| (Box::new(e) as _, n))?
                }
                EngineConfig::Client(config) => {
                    call_itself("c1m-top-client");
                    client::start(config).map(|(e, n)| (Box::new(e) as _, n))?
                }
            })
        });
    let (mut engine, slots) = match started {
        Ok(started) => started,
        Err(e) => {
            eprintln!("{e}");
            return ExitCode::from(2);
        }
    };
    match main_loop::run(engine.as_mut(), slots) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}
