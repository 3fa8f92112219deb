//! A second control connection to an engine, beside the dashboard's.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use c1m_top::engine::path;
use c1m_top::protocol::{Command, EngineStats, Reply, Role};

use super::Outcome;

/// The connection.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) pid: u32,
    pub(crate) role: Role,
    stream: UnixStream,
    lines: BufReader<UnixStream>,
}

impl Engine {
    /// Connects to the engine `pid`, waiting for its socket up to 10 s.
    pub(crate) fn connect(pid: u32) -> Outcome<Self> {
        let until = Instant::now() + Duration::from_secs(10);
        let stream = loop {
            match path::find(pid).map(UnixStream::connect) {
                Some(Ok(stream)) => break stream,
                _ if Instant::now() > until => return Err(format!("engine {pid} has no control socket").into()),
                _ => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let lines = BufReader::new(stream.try_clone()?);
        let mut engine = Self { pid, role: Role::Server, stream, lines };
        match engine.reply()? {
            Reply::Hello(hello) => engine.role = hello.role,
            other => return Err(format!("engine {pid} greets with {other:?}").into()),
        }
        Ok(engine)
    }

    fn reply(&mut self) -> Outcome<Reply> {
        let mut line = String::new();
        if self.lines.read_line(&mut line)? == 0 {
            return Err(format!("the {} engine has ended", self.role.name()).into());
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// Sends a command and returns the answer; a change of phase in between is passed over.
    pub(crate) fn tell(&mut self, command: &Command) -> Outcome<Reply> {
        let mut line = serde_json::to_string(command)?;
        line.push('\n');
        self.stream.write_all(line.as_bytes())?;
        loop {
            match self.reply()? {
                Reply::Phase { .. } => {}
                Reply::Error { text } => return Err(text.into()),
                answer => return Ok(answer),
            }
        }
    }

    pub(crate) fn stats(&mut self) -> Outcome<EngineStats> {
        match self.tell(&Command::Stats { since: 0 })? {
            Reply::Stats(stats) => Ok(*stats),
            other => Err(format!("asked for statistics, got {other:?}").into()),
        }
    }
}
