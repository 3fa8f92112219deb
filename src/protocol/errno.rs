//! The errnos that a connection-scale run can meet: name and meaning.

use super::FailedCall;

/// Number, name, and what happened, as the rest of a sentence that begins with operation and count.
const TABLE: &[(i32, &str, &str)] = &[
    (libc::EPERM, "EPERM", FORBIDDEN),
    (libc::EINTR, "EINTR", OTHER),
    (libc::EIO, "EIO", OTHER),
    (libc::EAGAIN, "EAGAIN", "no more threads are allowed"),
    (libc::ENOMEM, "ENOMEM", "the kernel had no memory for it"),
    (libc::EACCES, "EACCES", FORBIDDEN),
    (libc::EINVAL, "EINVAL", "the kernel rejects it as invalid"),
    (libc::ENFILE, "ENFILE", "the system is at its open-file limit"),
    (libc::EMFILE, "EMFILE", "the process is at its open-file limit"),
    (libc::ENOSPC, "ENOSPC", "the user has no epoll watches left"),
    (libc::EPIPE, "EPIPE", "the other end had closed the connection"),
    (libc::EPROTO, "EPROTO", OTHER),
    (libc::EADDRINUSE, "EADDRINUSE", "the address and port are taken"),
    (libc::EADDRNOTAVAIL, "EADDRNOTAVAIL", "no local port is left for these sources and destination ports"),
    (libc::ENETDOWN, "ENETDOWN", OTHER),
    (libc::ENETUNREACH, "ENETUNREACH", "there is no route to that network"),
    (libc::ECONNABORTED, "ECONNABORTED", "the other end gave up before the connection was accepted"),
    (libc::ECONNRESET, "ECONNRESET", "the other end reset the connection"),
    (libc::ENOBUFS, "ENOBUFS", "the kernel had no buffers for it"),
    (
        libc::ETIMEDOUT,
        "ETIMEDOUT",
        "no answer: the server is not accepting (its accept queue is full, or it is out of open files), packets are dropped on the way (a full conntrack table, a firewall), or the other host is down",
    ),
    (libc::ECONNREFUSED, "ECONNREFUSED", "nothing listens there, or a firewall refuses"),
    (
        libc::EHOSTUNREACH,
        "EHOSTUNREACH",
        "no host answers at that address: a missing route, a firewall, or a full neighbour table",
    ),
];

const FORBIDDEN: &str = "the kernel or a firewall forbids it";
/// Of what is named alone, and of what is not in the table.
const OTHER: &str = "see errno(3)";

/// A call that failed, for the dashboard.
pub fn failed(op: &str, errno: i32) -> FailedCall {
    FailedCall { op: op.to_owned(), errno, name: name(errno) }
}

/// The symbolic name of an errno: `EMFILE`; `errno 123` for one that is not in the table; `none` for 0.
pub fn name(errno: i32) -> String {
    if errno == 0 {
        return "none".to_owned();
    }
    TABLE.iter().find(|row| row.0 == errno).map_or_else(|| format!("errno {errno}"), |row| row.1.to_owned())
}

/// What an errno of this name means, in plain words.
pub fn meaning(name: &str) -> &'static str {
    TABLE.iter().find(|row| row.1 == name).map_or(OTHER, |row| row.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_errno_has_one_row() {
        for (i, (errno, known, text)) in TABLE.iter().enumerate() {
            assert!(TABLE[..i].iter().all(|row| row.0 != *errno && row.1 != *known), "{known} twice");
            assert_eq!((name(*errno).as_str(), meaning(known)), (*known, *text));
        }
        assert_eq!(name(0), "none");
        assert_eq!((name(123).as_str(), meaning("errno 123")), ("errno 123", OTHER));
    }
}
