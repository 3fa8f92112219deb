//! The connections of one worker: a table indexed by descriptor number, five bytes each and what the engine adds, nothing on
//! the heap beside it.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Connections by descriptor number, with one byte of state each, and a `T` for an engine that has more to keep of each.
#[derive(Debug, Default)]
pub struct Conns<T = ()> {
    fds: Vec<Option<OwnedFd>>,
    state: Vec<u8>,
    extra: Vec<T>,
    open: usize,
}

impl<T: Copy + Default> Conns<T> {
    /// Takes a connection with its first state; its `T` is the default one.
    pub fn insert(&mut self, fd: OwnedFd, state: u8) {
        let at = fd.as_raw_fd() as usize;
        if at >= self.fds.len() {
            // A quarter more, not double: the table is bounded by RLIMIT_NOFILE, and what is not used is RSS all the same.
            let len = at + 1;
            if len > self.fds.capacity() {
                let more = (len / 4).max(256);
                self.fds.reserve_exact(more);
                self.state.reserve_exact(more);
                self.extra.reserve_exact(more);
            }
            self.fds.resize_with(len, || None);
            self.state.resize(len, 0);
            self.extra.resize(len, T::default());
        }
        self.fds[at] = Some(fd);
        self.state[at] = state;
        self.extra[at] = T::default();
        self.open += 1;
    }

    /// State of a connection; `None` when the number is not one of ours.
    pub fn state(&self, fd: RawFd) -> Option<u8> {
        self.get(fd).map(|_| self.state[fd as usize])
    }

    /// Changes the state of a connection that is in the table.
    pub fn set_state(&mut self, fd: RawFd, state: u8) {
        if let Some(slot) = usize::try_from(fd).ok().and_then(|at| self.state.get_mut(at)) {
            *slot = state;
        }
    }

    /// What the engine keeps of a connection beside its state.
    pub fn extra(&self, fd: RawFd) -> Option<T> {
        self.get(fd).map(|_| self.extra[fd as usize])
    }

    /// Changes what is kept of a connection that is in the table.
    pub fn set_extra(&mut self, fd: RawFd, extra: T) {
        if let Some(slot) = usize::try_from(fd).ok().and_then(|at| self.extra.get_mut(at)) {
            *slot = extra;
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
    #[expect(clippy::cast_possible_wrap, reason = "the number of a descriptor")]
    pub fn bound(&self) -> RawFd {
        self.fds.len() as RawFd
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn holds_by_number_and_counts() {
        let mut conns: Conns<u32> = Conns::default();
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
    }
}
