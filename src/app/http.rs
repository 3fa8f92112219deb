//! A small HTTP server for one page: whoever asks is bounded in number, in bytes and in time, and nobody is waited for.
//!
//! One thread has all connections. Where there are too many, the oldest gives way once it has had its time; a head that is too
//! long, or a body, is answered and not kept.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mio::net::{TcpListener as Listener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use super::request::{Answer, Head, read};
use crate::output::metrics::Format;

/// Connections at once.
const MOST: usize = 64;
/// Bytes of a request's head.
const MOST_HEAD: usize = 8 * 1024;
/// What is read at once of what nobody wants.
const DISCARDED: usize = 16 * 1024;
/// And how much of it in all: whoever sends on without an end does not keep the one thread from others.
const MOST_DISCARDED: usize = 16 << 20;
/// How long a connection may last.
const LONGEST: Duration = Duration::from_secs(10);
/// How long one is safe from whoever comes after it.
const SAFE: Duration = Duration::from_secs(1);
/// How long whoever has sent too much is listened to, so that the answer reaches them before the connection is reset.
const DISCARDING: Duration = Duration::from_secs(2);
/// Connections taken before those that are there are looked after.
const BATCH: usize = 16;

const LISTENER: Token = Token(usize::MAX);

/// What is served.
pub(super) trait Site: Send + 'static {
    /// The page now; `None` where it cannot be had at this moment.
    fn page(&mut self, format: Format) -> Option<Arc<str>>;

    /// It has been sent whole.
    fn sent(&mut self, page: &Arc<str>);
}

/// Serves, in a thread of its own, until the program ends.
///
/// # Errors
/// There is no descriptor or no thread for it.
pub(super) fn serve(listener: TcpListener, site: impl Site) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let mut listener = Listener::from_std(listener);
    let poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut server = Server { listener, poll, site, clients: (0..MOST).map(|_| None).collect(), waiting: false };
    thread::Builder::new().name("metrics".into()).spawn(move || server.run())?;
    Ok(())
}

struct Server<S> {
    listener: Listener,
    poll: Poll,
    site: S,
    clients: Vec<Option<Client>>,
    /// Somebody may wait to be accepted.
    waiting: bool,
}

/// A connection.
struct Client {
    stream: TcpStream,
    since: Instant,
    until: Instant,
    state: State,
}

enum State {
    /// What has come of its head.
    Asking(Vec<u8>),
    /// What it gets, and how much of that has been sent.
    Answered { answer: Answer, sent: usize },
    /// It has its answer; what it still sends is thrown away.
    Discarding { bytes: usize },
}

impl<S: Site> Server<S> {
    fn run(&mut self) {
        let mut events = Events::with_capacity(MOST + 1);
        loop {
            let until = self.clients.iter().flatten().map(|client| client.until).min();
            let left = until.map(|at| at.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
            let wait = match self.waiting {
                true if self.place(Instant::now()).is_some() => Some(Duration::ZERO),
                // Whoever waits for a place gets it when somebody has been here for long enough.
                true => Some(left.unwrap_or(SAFE).min(SAFE / 10)),
                false => left,
            };
            if let Err(e) = self.poll.poll(&mut events, wait)
                && e.kind() != io::ErrorKind::Interrupted
            {
                return;
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.waiting = true,
                    Token(place) => self.look(place),
                }
            }
            let now = Instant::now();
            for client in &mut self.clients {
                if client.as_ref().is_some_and(|client| client.until <= now) {
                    *client = None;
                }
            }
            self.take(now);
        }
    }

    /// Takes whoever waits, as far as there are places.
    fn take(&mut self, now: Instant) {
        for _ in 0..BATCH {
            if !self.waiting {
                return;
            }
            let Some(place) = self.place(now) else { return };
            match self.listener.accept() {
                Ok((mut stream, _)) => {
                    let both = Interest::READABLE | Interest::WRITABLE;
                    if self.poll.registry().register(&mut stream, Token(place), both).is_ok() {
                        let state = State::Asking(Vec::new());
                        self.clients[place] = Some(Client { stream, since: now, until: now + LONGEST, state });
                        self.look(place);
                    }
                }
                // Nobody waits; or there are no descriptors, and it is tried again with the next who comes.
                Err(_) => self.waiting = false,
            }
        }
    }

    /// A free place; or that of whoever has an answer already; or that of the oldest, where it has had its time.
    fn place(&self, now: Instant) -> Option<usize> {
        let ease = |client: &Option<Client>| match client {
            None => Some((0, now)),
            Some(Client { state: State::Discarding { .. }, since, .. }) => Some((1, *since)),
            Some(client) => (now.saturating_duration_since(client.since) >= SAFE).then_some((2, client.since)),
        };
        let places = self.clients.iter().enumerate().filter_map(|(i, client)| Some((ease(client)?, i)));
        places.min().map(|(_, i)| i)
    }

    /// Does what can be done for a connection.
    fn look(&mut self, place: usize) {
        let Some(client) = self.clients.get_mut(place).and_then(Option::as_mut) else { return };
        if !client.go_on(&mut self.site) {
            self.clients[place] = None;
        }
    }
}

impl Client {
    /// Goes on as far as the socket allows; whether there is more to come.
    fn go_on(&mut self, site: &mut impl Site) -> bool {
        loop {
            match &mut self.state {
                State::Asking(head) => match ask(&mut self.stream, head) {
                    Asked::NotYet => return true,
                    Asked::Gone => return false,
                    Asked::Whole(head) => {
                        self.state = State::Answered { answer: Answer::to(head, |format| site.page(format)), sent: 0 };
                    }
                },
                State::Answered { answer, sent } => match self.stream.write(answer.rest(*sent)) {
                    Ok(n) if n > 0 => *sent += n,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => return true,
                    _ if answer.rest(*sent).is_empty() => {
                        if let Some(page) = answer.page() {
                            site.sent(page);
                        }
                        if self.stream.shutdown(Shutdown::Write).is_err() {
                            return false;
                        }
                        self.until = self.until.min(Instant::now() + DISCARDING);
                        self.state = State::Discarding { bytes: 0 };
                    }
                    _ => return false,
                },
                State::Discarding { bytes } => {
                    let mut buffer = [0; DISCARDED];
                    match self.stream.read(&mut buffer) {
                        Ok(n) if n > 0 && *bytes < MOST_DISCARDED => *bytes += n,
                        Err(e) if e.kind() == io::ErrorKind::WouldBlock => return true,
                        Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                        _ => return false,
                    }
                    if Instant::now() >= self.until {
                        return false;
                    }
                }
            }
        }
    }
}

enum Asked {
    Whole(Head),
    NotYet,
    Gone,
}

/// Reads on in a request's head.
fn ask(stream: &mut TcpStream, head: &mut Vec<u8>) -> Asked {
    let mut buffer = [0; 2048];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Asked::Gone,
            Ok(n) => {
                head.extend_from_slice(&buffer[..n]);
                if let Some(read) = read(head, MOST_HEAD) {
                    return Asked::Whole(read);
                }
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Asked::NotYet,
            Err(_) => return Asked::Gone,
        }
    }
}
