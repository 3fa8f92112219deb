//! The walk that every case takes: a server is watched while clients fill it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use c1m_top::model::RunPhase;

use super::servers::Server;
use super::support::{Finished, Printed, Run};

/// Who fills a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filler {
    /// The program's client, which says nothing on its connections.
    Ours,
    /// One that has begun a request on each: nginx closes the oldest of those that have not, and takes the new one.
    Requests,
    /// One that logs in as clients of postgres do: one that says nothing it holds for a minute, however many there are.
    Logins,
}

/// What a filling came to.
#[derive(Debug)]
pub(crate) struct Filled {
    pub(crate) watcher: Finished,
    /// The program's client, where it filled.
    pub(crate) client: Option<Finished>,
    /// Connections that were open at the client when it could open no more, or had all.
    pub(crate) open: u64,
}

/// Time in which the watcher counts what was opened last.
const SETTLED: Duration = Duration::from_secs(1);

/// Opens so many connections to a server, at a rate that takes three seconds or a little more, while it is watched; ends the watching while all
/// are there that will be.
pub(crate) fn fill(server: &Server, filler: Filler, connections: u64) -> Filled {
    let mut watcher = Run::start(&format!("--attach {} --interval 200ms --duration 2m", server.attach));
    // What it has at rest is known before the first connection.
    watcher.until("samples of a server at rest", |p| p.samples.len() > 2);
    match filler {
        Filler::Ours => ours(server, connections, watcher),
        Filler::Requests => spoken(server, connections, watcher, request),
        Filler::Logins => spoken(server, connections, watcher, log_in),
    }
}

fn ours(server: &Server, connections: u64, watcher: Run) -> Filled {
    // Not so fast that a queue of 128 overflows while a server takes a breath.
    let rate = connections.div_ceil(3).min(700);
    let mut client = Run::start(&format!(
        "--client 127.0.0.1 {} --ports 1 --target {connections} --rate {rate} --no-guard --hold 4s --duration 1m \
         --interval 200ms",
        server.port
    ));
    let at_its_end =
        |p: &Printed| p.samples.last().is_some_and(|s| matches!(s.phase, RunPhase::Holding | RunPhase::Stopped));
    client.until("the client being at its end", at_its_end);
    std::thread::sleep(SETTLED);
    let watcher = watcher.interrupt();
    let open = client.printed().established();
    Filled { watcher, client: Some(client.finish()), open }
}

/// Opens connections that say something, and goes on for two seconds more, as clients do who need one.
fn spoken(server: &Server, connections: u64, watcher: Run, open: fn(&mut TcpStream) -> io::Result<bool>) -> Filled {
    let pause = Duration::from_secs(3) / u32::try_from(connections).unwrap();
    let mut held: Vec<TcpStream> = Vec::new();
    for n in 0..connections + 100 {
        if held.len() as u64 == connections {
            break;
        }
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        // Who is refused may find that out while it speaks.
        if open(&mut stream).unwrap_or(false) {
            held.push(stream);
        }
        std::thread::sleep(if n < connections { pause } else { Duration::from_millis(20) });
    }
    std::thread::sleep(SETTLED);
    let watcher = watcher.interrupt();
    held.retain(is_open);
    Filled { watcher, client: None, open: held.len() as u64 }
}

/// Begins a request.
fn request(stream: &mut TcpStream) -> io::Result<bool> {
    stream.write_all(b"GET / HTTP/1.1\r\n")?;
    Ok(true)
}

/// Begins a session of postgres, whose place it is told of.
fn log_in(stream: &mut TcpStream) -> io::Result<bool> {
    // Length, version 3.0 of the protocol, and a user who may take the last places (`superuser_reserved_connections`).
    stream.write_all(b"\0\0\0\x17\0\x03\0\0user\0postgres\0\0")?;
    // The first message is R, authenticated, or E, an error.
    let mut kind = [0];
    stream.read_exact(&mut kind)?;
    Ok(kind == *b"R")
}

/// Whether the other end has not closed it.
fn is_open(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut rest = [0; 4096];
    loop {
        match (&mut &*stream).read(&mut rest) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(e) => return e.kind() == ErrorKind::WouldBlock,
        }
    }
}
