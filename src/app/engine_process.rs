//! The engine processes' side of the binary: `c1m-top engine JSON`.

use std::process::ExitCode;

use crate::engine::config::EngineConfig;
use crate::engine::main_loop::{self, Engine};
use crate::{client, server};

/// Runs an engine. What cannot be had is said in one line on standard error with status 2; the dashboard passes it on.
pub(super) fn run(config: &str) -> ExitCode {
    let started = serde_json::from_str(config)
        .map_err(|e| std::io::Error::other(format!("engine configuration: {e}")))
        .and_then(|config| -> std::io::Result<(Box<dyn Engine>, usize)> {
            Ok(match config {
                EngineConfig::Server(config) => server::start(config).map(|(e, n)| (Box::new(e) as _, n))?,
                EngineConfig::Client(config) => client::start(config).map(|(e, n)| (Box::new(e) as _, n))?,
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
