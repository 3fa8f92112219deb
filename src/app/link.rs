//! The dashboard's end of an engine: the control connection, and the page with its counters.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream as StdStream;
use std::time::{Duration, Instant};

use mio::net::UnixStream;
use mio::{Interest, Registry, Token};

use crate::engine::page::Reader;
use crate::protocol::{Command, EngineStats, Hello, MAX_LINE, PROTOCOL, Reply};
use crate::sample::{Absent, Reading};

/// The most an engine may send between two samples. Answers and phases are lines of a few words; a broken engine must cost
/// neither the memory nor the core of whoever watches it.
const MAX_ANSWERS: usize = 256 << 10;

/// One engine.
#[derive(Debug)]
pub(super) struct Link {
    /// `None` once it has ended.
    stream: Option<UnixStream>,
    partial: Vec<u8>,
    hello: Hello,
    page: Reader,
    /// The last event that was passed on.
    last_event: u64,
    /// Bytes that have come since the last sample.
    taken: usize,
    bye: bool,
}

/// What came.
#[derive(Debug)]
pub(super) enum FromEngine {
    /// Its phase has changed; which it is now, its report says.
    PhaseChanged,
    /// The engine refused something.
    Refused(String),
    /// The connection has ended; `bye`: the engine was told to end and said so.
    Gone { bye: bool },
}

impl Link {
    /// Takes a connection to an engine, waits for its greeting, `patience` at the most, and maps its counters.
    pub(super) fn greeted(stream: StdStream, patience: Duration) -> io::Result<Self> {
        let hello = match serde_json::from_slice(&first_line(&stream, Instant::now() + patience)?) {
            Ok(Reply::Hello(hello)) if hello.protocol == PROTOCOL => hello,
            Ok(Reply::Hello(hello)) => {
                return Err(io::Error::other(format!(
                    "the engine is version {} and speaks a different protocol from this one, {}",
                    hello.version,
                    env!("CARGO_PKG_VERSION")
                )));
            }
            _ => return Err(io::Error::other("not an engine of c1m-top")),
        };
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: Some(UnixStream::from_std(stream)),
            partial: Vec::new(),
            page: Reader::open(hello.pid, hello.page)?,
            hello,
            last_event: 0,
            taken: 0,
            bye: false,
        })
    }

    pub(super) fn hello(&self) -> &Hello {
        &self.hello
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.stream.as_mut().map_or(Ok(()), |stream| registry.register(stream, token, Interest::READABLE))
    }

    /// Sends a command. Commands are short and the engine reads at once, so that a full socket means a broken engine.
    pub(super) fn send(&mut self, command: &Command) -> io::Result<()> {
        let mut line = serde_json::to_vec(command)?;
        line.push(b'\n');
        self.stream.as_mut().map_or(Ok(()), |stream| stream.write_all(&line))
    }

    /// What it says of itself now, with the events that are new. Never waits; of an engine that has ended it is what it had
    /// reached.
    pub(super) fn stats(&mut self) -> Reading<Box<EngineStats>> {
        self.taken = 0;
        let mut stats = self.page.read().map_err(|why| Absent::Because(why.into()))?;
        stats.events.retain(|e| e.seq > self.last_event);
        self.last_event = stats.events.last().map_or(self.last_event, |e| e.seq);
        (stats.pid, stats.role) = (self.hello.pid, self.hello.role);
        Ok(Box::new(stats))
    }

    /// Reads what has come, until it would block.
    pub(super) fn read(&mut self) -> Vec<FromEngine> {
        let mut out = Vec::new();
        let mut buf = [0; 8192];
        let Some(stream) = &mut self.stream else { return out };
        let gone = loop {
            match stream.read(&mut buf) {
                Ok(0) => break true,
                Ok(n) if self.taken + n > MAX_ANSWERS => {
                    let pid = self.hello.pid;
                    out.push(FromEngine::Refused(format!(
                        "process {pid} sent over {} KiB unasked; it is now ignored",
                        MAX_ANSWERS >> 10
                    )));
                    break true;
                }
                Ok(n) => {
                    self.taken += n;
                    self.partial.extend_from_slice(&buf[..n]);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break false,
                Err(_) => break true,
            }
        };
        while let Some(end) = self.partial.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            match serde_json::from_slice(&line) {
                Ok(Reply::Phase { .. }) => out.push(FromEngine::PhaseChanged),
                Ok(Reply::Error { text }) => out.push(FromEngine::Refused(text)),
                Ok(Reply::Bye) => self.bye = true,
                Ok(Reply::Ok | Reply::Hello(_)) => {}
                Err(e) => out.push(FromEngine::Refused(format!("unreadable answer: {e}"))),
            }
        }
        if gone {
            self.stream = None;
            out.push(FromEngine::Gone { bye: self.bye });
        }
        out
    }
}

/// The first line that comes, without its end.
fn first_line(mut stream: &StdStream, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut byte = [0];
    // A byte at a time: the greeting is short, and what follows it is not ours to take.
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the engine sends no greeting"));
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut byte) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the engine hung up")),
            Ok(_) if byte == *b"\n" => return Ok(line),
            Ok(_) if line.len() == MAX_LINE => return Err(io::Error::other("not an engine of c1m-top")),
            Ok(_) => line.push(byte[0]),
            // The time is over, or a signal came: the deadline says which.
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::engine::page::Page;
    use crate::protocol::Role;
    use std::thread;

    /// What an engine with these counters says first.
    pub(in crate::app) fn hello(protocol: u32, page: &Page) -> Vec<u8> {
        let hello = Hello {
            protocol,
            version: "0.0.0".into(),
            role: Role::Client,
            pid: std::process::id(),
            owner: 1,
            target: 0,
            address: "127.0.0.1".into(),
            port: 9900,
            ports: 1,
            page: page.number(),
        };
        let mut line = serde_json::to_vec(&Reply::Hello(hello)).unwrap();
        line.push(b'\n');
        line
    }

    /// What becomes of a connection on which this comes.
    fn greeted(bytes: &[u8], patience: Duration) -> Result<Link, String> {
        let (ours, mut theirs) = StdStream::pair().unwrap();
        // Fits into the socket's buffer.
        theirs.write_all(bytes).unwrap();
        Link::greeted(ours, patience).map_err(|e| e.to_string())
    }

    #[test]
    fn only_an_engine_of_this_protocol_is_listened_to() {
        let long = vec![b'x'; MAX_LINE + 1];
        let minute = Duration::from_mins(1);
        let page = Page::new().unwrap();
        let other = hello(PROTOCOL + 1, &page);
        let rows: [(&[u8], Duration, &str); 5] = [
            (b"HTTP/1.1 400 Bad Request\n", minute, "not an engine of c1m-top"),
            (b"{}\n", minute, "not an engine of c1m-top"),
            (&long, minute, "not an engine of c1m-top"),
            (&other, minute, "a different protocol"),
            (b"{\"kind\":", Duration::from_millis(50), "sends no greeting"),
        ];
        for (bytes, patience, want) in rows {
            let said = greeted(bytes, patience).unwrap_err();
            assert!(said.contains(want), "{said}");
        }
        assert_eq!(greeted(&hello(PROTOCOL, &page), minute).unwrap().hello().port, 9900);
    }

    #[test]
    fn an_engine_that_dribbles_has_one_deadline_for_all() {
        let (ours, mut theirs) = StdStream::pair().unwrap();
        let dribble = thread::spawn(move || {
            // Each byte within the time, the line never.
            while theirs.write_all(b" ").is_ok() {
                thread::sleep(Duration::from_millis(10));
            }
        });
        let said = Link::greeted(ours, Duration::from_millis(200)).unwrap_err().to_string();
        assert!(said.contains("sends no greeting"), "{said}");
        dribble.join().unwrap();
    }

    #[test]
    fn an_engine_that_floods_is_cut_off() {
        let page = Page::new().unwrap();
        for unit in [&b"x"[..], b"{\"kind\":\"ok\"}\n"] {
            let (ours, mut theirs) = StdStream::pair().unwrap();
            theirs.write_all(&hello(PROTOCOL, &page)).unwrap();
            let mut link = Link::greeted(ours, Duration::from_mins(1)).unwrap();
            let flood = thread::spawn(move || {
                let lot = unit.repeat(1000);
                while theirs.write_all(&lot).is_ok() {}
            });
            let seen = loop {
                let seen = link.read();
                assert!(link.partial.len() <= MAX_ANSWERS);
                if !seen.is_empty() {
                    break seen;
                }
                thread::yield_now();
            };
            assert!(matches!(&seen[..], [FromEngine::Refused(_), FromEngine::Gone { bye: false }]), "{seen:?}");
            drop(link);
            flood.join().unwrap();
        }
    }
}
