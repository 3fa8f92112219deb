//! The control connections: JSON lines from the dashboard that started this engine and from others of the same user,
//! answers back.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;

use mio::net::{UnixListener, UnixStream};
use mio::{Interest, Registry, Token};

use super::socket::Listening;
use crate::protocol::{Command, MAX_LINE, Reply};
use crate::sys;

/// Token of the listener; connections count up from the next.
const LISTENER: usize = 1;

/// The connection of the dashboard that started this engine, which it inherited.
pub const OWNER: usize = 0;

/// Most dashboards at once.
const MOST: usize = 32;

/// A dashboard that is connected.
#[derive(Debug)]
struct Peer {
    stream: UnixStream,
    pid: u32,
    /// Bytes of a line whose end has not come.
    partial: Vec<u8>,
}

/// Something that came over the control socket.
#[derive(Debug)]
pub enum Incoming {
    /// A new dashboard; answer it with the greeting.
    Joined(usize),
    /// A command to answer.
    Command(usize, Command),
    /// The process that started this engine has gone.
    OwnerGone,
    /// A line or a peer was refused; why.
    Refused(String),
}

/// Who is connected, and where others may connect.
#[derive(Debug)]
pub struct Control {
    /// `None` where no socket could be made: the owner alone is heard.
    listener: Option<(UnixListener, OwnedFd)>,
    peers: Vec<Option<Peer>>,
}

impl Control {
    /// Hears the owner, and whoever connects.
    ///
    /// # Errors
    /// When epoll fails.
    pub fn new(registry: &Registry, owner: StdStream, listening: Option<Listening>) -> io::Result<Self> {
        owner.set_nonblocking(true)?;
        let (pid, _) = sys::peer_credentials(owner.as_fd())?;
        let mut stream = UnixStream::from_std(owner);
        registry.register(&mut stream, Token(LISTENER + 1 + OWNER), Interest::READABLE)?;
        let listener = match listening {
            None => None,
            Some((listener, file)) => {
                listener.set_nonblocking(true)?;
                let mut listener = UnixListener::from_std(listener);
                registry.register(&mut listener, Token(LISTENER), Interest::READABLE)?;
                Some((listener, file))
            }
        };
        Ok(Self { listener, peers: vec![Some(Peer { stream, pid, partial: Vec::new() })] })
    }

    /// Handles an event; one whose token is not the control socket's is not for it.
    pub fn event(&mut self, registry: &Registry, token: Token, out: &mut Vec<Incoming>) {
        if token.0 == LISTENER {
            self.accept(registry, out);
        } else if let Some(index) = token.0.checked_sub(LISTENER + 1).filter(|i| *i < self.peers.len()) {
            self.read(index, out);
        }
    }

    fn accept(&mut self, registry: &Registry, out: &mut Vec<Incoming>) {
        while let Some((listener, _)) = &self.listener
            && let Ok((stream, _)) = listener.accept()
        {
            match self.admit(registry, stream) {
                Ok(index) => out.push(Incoming::Joined(index)),
                Err(why) => out.push(Incoming::Refused(why)),
            }
        }
    }

    /// Takes a peer of the same user. The kernel keeps others from the socket already; the check holds for the moment in
    /// which it has a name, and against a descriptor handed on.
    fn admit(&mut self, registry: &Registry, mut stream: UnixStream) -> Result<usize, String> {
        let (pid, uid) =
            sys::peer_credentials(stream.as_fd()).map_err(|e| format!("a peer without credentials: {e}"))?;
        if uid != sys::euid() {
            return Err(format!("process {pid} of user {uid}: only the engine's own user may control it"));
        }
        let index = match self.peers.iter().position(Option::is_none) {
            // The owner's place is not given away: its end is the engine's.
            Some(free) if free != OWNER => free,
            Some(_) => return Err(format!("process {pid}: the engine is ending")),
            None if self.peers.len() < MOST => {
                self.peers.push(None);
                self.peers.len() - 1
            }
            None => return Err(format!("process {pid}: {MOST} dashboards are already connected")),
        };
        registry
            .register(&mut stream, Token(LISTENER + 1 + index), Interest::READABLE)
            .map_err(|e| format!("process {pid}: {e}"))?;
        self.peers[index] = Some(Peer { stream, pid, partial: Vec::new() });
        Ok(index)
    }

    /// Reads what a peer sent until it would block, as edge-triggered readiness asks for.
    fn read(&mut self, index: usize, out: &mut Vec<Incoming>) {
        let mut buf = [0u8; 4096];
        while let Some(peer) = self.peers[index].as_mut() {
            match peer.stream.read(&mut buf) {
                Ok(0) => self.leave(index, out),
                Ok(n) => {
                    peer.partial.extend_from_slice(&buf[..n]);
                    self.lines(index, out);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.leave(index, out),
            }
        }
    }

    /// Takes whole lines out of what has been read.
    fn lines(&mut self, index: usize, out: &mut Vec<Incoming>) {
        while let Some(peer) = self.peers[index].as_mut() {
            let Some(end) = peer.partial.iter().position(|b| *b == b'\n') else {
                if peer.partial.len() > MAX_LINE {
                    self.refuse(index, &format!("a line of over {MAX_LINE} bytes"), out);
                }
                return;
            };
            let line: Vec<u8> = peer.partial.drain(..=end).collect();
            match serde_json::from_slice::<Command>(&line) {
                Ok(command) => out.push(Incoming::Command(index, command)),
                Err(e) => self.refuse(index, &format!("not a command: {e}"), out),
            }
        }
    }

    /// Says why and hangs up.
    fn refuse(&mut self, index: usize, why: &str, out: &mut Vec<Incoming>) {
        let pid = self.peers[index].as_ref().map_or(0, |p| p.pid);
        self.send(index, &Reply::Error { text: why.to_owned() });
        out.push(Incoming::Refused(format!("process {pid} sent {why}")));
        self.leave(index, out);
    }

    fn leave(&mut self, index: usize, out: &mut Vec<Incoming>) {
        if let Some(peer) = self.peers[index].take() {
            let _ = peer.stream.shutdown(Shutdown::Both);
            if index == OWNER {
                out.push(Incoming::OwnerGone);
            }
        }
    }

    /// Answers one peer. One that does not read what it asked for is dropped rather than buffered for.
    pub fn send(&mut self, index: usize, reply: &Reply) {
        let Some(peer) = self.peers.get_mut(index).and_then(Option::as_mut) else { return };
        let Ok(mut line) = serde_json::to_vec(reply) else { return };
        line.push(b'\n');
        if peer.stream.write_all(&line).is_err() {
            // The read side reports the end, and with it whether it was the owner.
            let _ = peer.stream.shutdown(Shutdown::Both);
        }
    }

    /// Tells every peer.
    pub fn broadcast(&mut self, reply: &Reply) {
        (0..self.peers.len()).for_each(|index| self.send(index, reply));
    }
}
