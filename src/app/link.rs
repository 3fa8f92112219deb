//! The dashboard's end of a control connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;
use std::time::Duration;

use mio::net::UnixStream;
use mio::{Interest, Registry, Token};

use crate::protocol::{Command, EngineStats, Hello, MAX_LINE, PROTOCOL, Reply};

/// How long an engine may take to greet.
const GREETING: Duration = Duration::from_secs(5);

/// A connection to one engine.
#[derive(Debug)]
pub(super) struct Link {
    stream: UnixStream,
    partial: Vec<u8>,
    hello: Hello,
    /// Statistics were asked for and have not come.
    pub(super) awaiting: bool,
    last_event: u64,
    bye: bool,
}

/// What came.
#[derive(Debug)]
pub(super) enum FromEngine {
    /// Statistics.
    Stats(Box<EngineStats>),
    /// Its phase has changed; which it is now, the next statistics say.
    PhaseChanged,
    /// The engine refused something.
    Refused(String),
    /// The connection has ended; `bye`: the engine was told to end and said so.
    Gone { bye: bool },
}

impl Link {
    /// Connects and waits for the greeting.
    pub(super) fn connect(path: &Path) -> io::Result<Self> {
        let stream = StdStream::connect(path)?;
        stream.set_read_timeout(Some(GREETING))?;
        let mut line = String::new();
        // One byte at a time would do; the greeting is alone on the connection until something is asked.
        BufReader::new((&stream).take(MAX_LINE as u64)).read_line(&mut line)?;
        let hello = match serde_json::from_str(&line) {
            Ok(Reply::Hello(hello)) if hello.protocol == PROTOCOL => hello,
            Ok(Reply::Hello(hello)) => {
                return Err(io::Error::other(format!(
                    "the engine is of version {} and speaks another protocol than this {}",
                    hello.version,
                    env!("CARGO_PKG_VERSION")
                )));
            }
            _ => return Err(io::Error::other("not an engine of c1m-top")),
        };
        stream.set_read_timeout(None)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: UnixStream::from_std(stream),
            partial: Vec::new(),
            hello,
            awaiting: false,
            last_event: 0,
            bye: false,
        })
    }

    pub(super) fn hello(&self) -> &Hello {
        &self.hello
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.stream, token, Interest::READABLE)
    }

    /// Sends a command. Commands are short and the engine reads at once, so that a full socket means a broken engine.
    pub(super) fn send(&mut self, command: &Command) -> io::Result<()> {
        let mut line = serde_json::to_vec(command)?;
        line.push(b'\n');
        self.stream.write_all(&line)
    }

    /// Asks for statistics, unless an answer is still to come.
    pub(super) fn ask(&mut self) -> io::Result<()> {
        if !self.awaiting {
            self.send(&Command::Stats { since: self.last_event })?;
            self.awaiting = true;
        }
        Ok(())
    }

    /// Reads what has come, until it would block.
    pub(super) fn read(&mut self) -> Vec<FromEngine> {
        let mut out = Vec::new();
        let mut buf = [0; 8192];
        let gone = loop {
            match self.stream.read(&mut buf) {
                Ok(0) => break true,
                Ok(n) => self.partial.extend_from_slice(&buf[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break false,
                Err(_) => break true,
            }
        };
        while let Some(end) = self.partial.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            match serde_json::from_slice(&line) {
                Ok(Reply::Stats(stats)) => {
                    self.awaiting = false;
                    self.last_event = stats.events.last().map_or(self.last_event, |e| e.seq);
                    out.push(FromEngine::Stats(stats));
                }
                Ok(Reply::Phase { .. }) => out.push(FromEngine::PhaseChanged),
                Ok(Reply::Error { text }) => out.push(FromEngine::Refused(text)),
                Ok(Reply::Bye) => self.bye = true,
                Ok(Reply::Ok | Reply::Hello(_)) => {}
                Err(e) => out.push(FromEngine::Refused(format!("unreadable answer: {e}"))),
            }
        }
        if gone {
            out.push(FromEngine::Gone { bye: self.bye });
        }
        out
    }
}
