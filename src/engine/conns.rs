//! The connections of one worker: a table indexed by descriptor number, five bytes each and what the engine adds, nothing on
//! the heap beside it.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use mio::Token;

/// Descriptors in one piece of the table. A vector that grows leaves holes of its former sizes in the heap: with vectors of
/// nine bytes a client took 18 a connection, with pieces it takes 11 (measured).
const PIECE: usize = 1024;

/// The token of a connection in epoll: its number.
pub fn token(fd: RawFd) -> Token {
    Token(fd.cast_unsigned() as usize)
}

/// The number of the connection that has this token.
pub fn number(token: Token) -> RawFd {
    RawFd::try_from(token.0).unwrap_or(-1)
}

#[derive(Debug)]
struct Piece<T> {
    fds: [Option<OwnedFd>; PIECE],
    state: [u8; PIECE],
    extra: [T; PIECE],
}

/// Connections by descriptor number, with one byte of state each, and a `T` for an engine that has more to keep of each.
#[derive(Debug, Default)]
pub struct Conns<T = ()> {
    pieces: Vec<Box<Piece<T>>>,
    open: usize,
}

impl<T: Copy + Default> Conns<T> {
    /// Takes a connection with its first state; its `T` is the default one.
    pub fn insert(&mut self, fd: OwnedFd, state: u8) {
        let at = token(fd.as_raw_fd()).0;
        while at / PIECE >= self.pieces.len() {
            let piece = Piece { fds: [const { None }; PIECE], state: [0; PIECE], extra: [T::default(); PIECE] };
            self.pieces.push(Box::new(piece));
        }
        let (piece, at) = (&mut self.pieces[at / PIECE], at % PIECE);
        piece.fds[at] = Some(fd);
        piece.state[at] = state;
        piece.extra[at] = T::default();
        self.open += 1;
    }

    /// The piece in which a number has its place, and where in it.
    fn place(&self, fd: RawFd) -> Option<(&Piece<T>, usize)> {
        let at = usize::try_from(fd).ok()?;
        Some((self.pieces.get(at / PIECE)?, at % PIECE))
    }

    fn place_mut(&mut self, fd: RawFd) -> Option<(&mut Piece<T>, usize)> {
        let at = usize::try_from(fd).ok()?;
        Some((self.pieces.get_mut(at / PIECE)?, at % PIECE))
    }

    /// State of a connection; `None` when the number is not one of ours.
    pub fn state(&self, fd: RawFd) -> Option<u8> {
        self.place(fd).and_then(|(piece, at)| piece.fds[at].as_ref().map(|_| piece.state[at]))
    }

    /// Changes the state of a connection that is in the table.
    pub fn set_state(&mut self, fd: RawFd, state: u8) {
        if let Some((piece, at)) = self.place_mut(fd) {
            piece.state[at] = state;
        }
    }

    /// What the engine keeps of a connection beside its state.
    pub fn extra(&self, fd: RawFd) -> Option<T> {
        self.place(fd).and_then(|(piece, at)| piece.fds[at].as_ref().map(|_| piece.extra[at]))
    }

    /// Changes what is kept of a connection that is in the table.
    pub fn set_extra(&mut self, fd: RawFd, extra: T) {
        if let Some((piece, at)) = self.place_mut(fd) {
            piece.extra[at] = extra;
        }
    }

    /// The socket of a connection.
    pub fn get(&self, fd: RawFd) -> Option<&OwnedFd> {
        self.place(fd).and_then(|(piece, at)| piece.fds[at].as_ref())
    }

    /// Takes a connection out; dropping it closes it.
    pub fn remove(&mut self, fd: RawFd) -> Option<OwnedFd> {
        let taken = self.place_mut(fd).and_then(|(piece, at)| piece.fds[at].take());
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
        RawFd::try_from(self.pieces.len() * PIECE).unwrap_or(RawFd::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn holds_by_number_and_counts() {
        let mut conns: Conns<u32> = Conns::default();
        assert_eq!((conns.bound(), conns.state(0)), (0, None));
        let fd = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
        let raw = fd.as_raw_fd();
        conns.insert(fd, 3);
        assert_eq!((conns.len(), conns.state(raw), conns.state(raw + 1)), (1, Some(3), None));
        conns.set_state(raw, 4);
        conns.set_extra(raw, 5);
        assert_eq!((conns.state(raw), conns.extra(raw), conns.extra(raw + 1)), (Some(4), Some(5), None));
        let taken = conns.remove(raw).unwrap();
        assert!(conns.remove(raw).is_none());
        assert!(conns.is_empty());
        assert_eq!((conns.extra(raw), conns.extra(-1)), (None, None));
        conns.insert(taken, 0);
        assert_eq!(conns.extra(raw), Some(0), "nothing is left of the one before");
        assert_eq!(conns.state(-1), None);
        assert!(raw < conns.bound() && conns.state(conns.bound()).is_none());
        assert_eq!((number(token(raw)), number(Token(usize::MAX))), (raw, -1));
    }
}
