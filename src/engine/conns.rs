//! The connections of one worker: a table indexed by descriptor number, five bytes each and nothing on the heap beside it.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use mio::Token;

/// The token of a connection in epoll: its number.
pub fn token(fd: RawFd) -> Token {
    Token(fd.cast_unsigned() as usize)
}

/// The number of the connection that has this token.
pub fn number(token: Token) -> RawFd {
    RawFd::try_from(token.0).unwrap_or(-1)
}

/// Connections by descriptor number, with one byte of state each.
#[derive(Debug, Default)]
pub struct Conns {
    fds: Vec<Option<OwnedFd>>,
    state: Vec<u8>,
    open: usize,
}

impl Conns {
    /// Takes a connection with its first state.
    pub fn insert(&mut self, fd: OwnedFd, state: u8) {
        let at = token(fd.as_raw_fd()).0;
        if at >= self.fds.len() {
            // A quarter more, not double: the table is bounded by RLIMIT_NOFILE, and what is not used is RSS all the same.
            let len = at + 1;
            if len > self.fds.capacity() {
                let more = (len / 4).max(256);
                self.fds.reserve_exact(more);
                self.state.reserve_exact(more);
            }
            self.fds.resize_with(len, || None);
            self.state.resize(len, 0);
        }
        self.fds[at] = Some(fd);
        self.state[at] = state;
        self.open += 1;
    }

    /// State of a connection; `None` when the number is not one of ours.
    pub fn state(&self, fd: RawFd) -> Option<u8> {
        self.get(fd).map(|_| self.state[token(fd).0])
    }

    /// Changes the state of a connection that is in the table.
    pub fn set_state(&mut self, fd: RawFd, state: u8) {
        if let Some(slot) = usize::try_from(fd).ok().and_then(|at| self.state.get_mut(at)) {
            *slot = state;
        }
    }

    /// The socket of a connection.
    pub fn get(&self, fd: RawFd) -> Option<&OwnedFd> {
        self.fds.get(usize::try_from(fd).ok()?)?.as_ref()
    }

    /// Takes a connection out; dropping it closes it.
    pub fn remove(&mut self, fd: RawFd) -> Option<OwnedFd> {
        let at = usize::try_from(fd).ok()?;
        let taken = self.fds.get_mut(at)?.take();
        self.open -= usize::from(taken.is_some());
        taken
    }

    /// Connections in the table.
    pub fn len(&self) -> usize {
        self.open
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.open == 0
    }

    /// Numbers are below this.
    pub fn bound(&self) -> RawFd {
        RawFd::try_from(self.fds.len()).unwrap_or(RawFd::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn holds_by_number_and_counts() {
        let mut conns = Conns::default();
        let fd = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
        let raw = fd.as_raw_fd();
        conns.insert(fd, 3);
        assert_eq!((conns.len(), conns.state(raw), conns.state(raw + 1)), (1, Some(3), None));
        conns.set_state(raw, 4);
        assert_eq!(conns.state(raw), Some(4));
        assert!(conns.remove(raw).is_some());
        assert!(conns.remove(raw).is_none());
        assert!(conns.is_empty());
        assert_eq!(conns.state(-1), None);
        assert_eq!((number(token(raw)), number(Token(usize::MAX))), (raw, -1));
    }
}
