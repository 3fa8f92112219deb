//! What an errno of an engine means, in plain words.

/// What happened, as the rest of a sentence that begins with operation and count.
pub(super) fn meaning(name: &str) -> &'static str {
    match name {
        "EMFILE" => "the process's descriptor tables are full",
        "ENFILE" => "the machine's table of open files is full",
        "EADDRNOTAVAIL" => "no local port is left for these sources and destination ports",
        "EADDRINUSE" => "the address and port are taken",
        "ENOSPC" => "the user's epoll registrations are used up",
        "ENOMEM" => "the kernel had no memory for it",
        "ENOBUFS" => "the kernel had no buffers for it",
        "EAGAIN" => "no more threads are allowed",
        "ECONNREFUSED" => "nothing listens there, or a firewall refuses",
        "ETIMEDOUT" => {
            "no answer came: packets are dropped on the way, by a full conntrack table or a firewall, or the other host is down"
        }
        "ECONNRESET" => "the other end closed the connection hard",
        "EPIPE" => "the other end had closed the connection",
        "EHOSTUNREACH" => "no host answers at that address: a missing route, a firewall, or a full neighbour table",
        "ENETUNREACH" => "there is no route to that network",
        "ECONNABORTED" => "the other end gave up before the connection was accepted",
        "EACCES" | "EPERM" => "the kernel or a firewall forbids it",
        "EINVAL" => "the kernel takes it for invalid",
        _ => "see errno(3)",
    }
}

/// Whether this is how connections end when the other side closes or dies, and no fault of the run.
pub(super) fn is_goodbye(op: &str, name: &str) -> bool {
    matches!((op, name), ("read" | "write", "ECONNRESET" | "EPIPE" | "ETIMEDOUT"))
}
