//! A second dashboard's end of the control socket, spoken by hand.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use c1m_top::engine::page::Reader;
use c1m_top::engine::socket;
use c1m_top::protocol::{Command, EngineStats, Hello, Reply};

use super::wait_until;

/// A connection to one engine.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) pid: u32,
    stream: BufReader<UnixStream>,
    pub(crate) hello: Hello,
    page: Reader,
}

impl Control {
    /// Connects to an engine and reads its greeting; `None` when it has no control socket (yet).
    pub(crate) fn connect(pid: u32) -> Option<Self> {
        Self::greeted(pid, socket::connect(pid).ok()??)
    }

    /// Reads the greeting of an engine that begins.
    pub(crate) fn greeted(pid: u32, stream: UnixStream) -> Option<Self> {
        // Only a defect leaves a command without an answer.
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let mut stream = BufReader::new(stream);
        match next(&mut stream)? {
            Reply::Hello(hello) => {
                let page = Reader::open(pid, hello.page).unwrap_or_else(|e| panic!("{e}"));
                Some(Self { pid, stream, hello, page })
            }
            other => panic!("an engine began with {other:?}"),
        }
    }

    /// Connects to an engine that is starting.
    pub(crate) fn wait_for(pid: u32) -> Self {
        wait_until("the control socket", || Self::connect(pid))
    }

    /// Sends bytes as they are. The engine may hang up meanwhile.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes);
    }

    /// The next reply that is not about a phase; `None` once the engine has hung up.
    pub(crate) fn reply(&mut self) -> Option<Reply> {
        loop {
            match next(&mut self.stream)? {
                Reply::Phase { .. } => {}
                reply => return Some(reply),
            }
        }
    }

    /// Sends a command and returns its reply.
    pub(crate) fn ask(&mut self, command: &Command) -> Reply {
        let mut line = serde_json::to_vec(command).unwrap();
        line.push(b'\n');
        self.raw(&line);
        self.reply().expect("an answer")
    }

    /// Sends a command that is answered with "ok".
    pub(crate) fn tell(&mut self, command: &Command) {
        assert_eq!(self.ask(command), Reply::Ok, "{command:?}");
    }

    /// The engine's counters and all its events.
    pub(crate) fn stats(&mut self) -> EngineStats {
        self.page.read().unwrap()
    }
}

fn next(stream: &mut BufReader<UnixStream>) -> Option<Reply> {
    let mut line = String::new();
    match stream.read_line(&mut line) {
        Ok(0) => None,
        Ok(_) => Some(serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))),
        Err(e) if e.kind() == ErrorKind::ConnectionReset => None,
        Err(e) => panic!("control socket: {e}"),
    }
}
