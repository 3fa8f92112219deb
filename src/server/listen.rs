//! The listening sockets.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};

use crate::engine::config::ServerConfig;

/// Asked of listen(2). The kernel cuts it to `net.core.somaxconn` (4096 since Linux 5.4), which on a hundred ports is more
/// than a ramp can overflow; std's and mio's 128 is not.
const BACKLOG: i32 = 65_535;

/// Binds and listens on every address and port of the configuration, in this order.
///
/// # Errors
/// A sentence with the address and port that failed, and what to do.
pub(super) fn bind(config: &ServerConfig) -> io::Result<Arc<[OwnedFd]>> {
    let every = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    let any = config.listen.is_empty();
    let addresses: &[IpAddr] = if any { &every } else { &config.listen };
    let mut sockets = Vec::new();
    for &ip in addresses {
        for port in (config.common.port..).take(usize::from(config.common.ports)) {
            match listen(SocketAddr::new(ip, port)) {
                Ok(socket) => sockets.push(socket.into()),
                // A kernel without IPv6 still has every IPv4 address.
                Err(e) if any && ip.is_ipv6() && no_ipv6(&e) => break,
                Err(e) => return Err(explain(&e, ip, port)),
            }
        }
    }
    Ok(sockets.into())
}

fn no_ipv6(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

fn listen(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // IPv4 has sockets of its own: through a dual-stack listener its connections would be the larger IPv6 sockets.
        socket.set_only_v6(true)?;
    }
    // Connections of the last run may still be in TIME_WAIT on this port.
    socket.set_reuse_address(true)?;
    // What is accepted has it too: an echo does not wait until the one before has been acknowledged.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

fn explain(e: &io::Error, ip: IpAddr, port: u16) -> io::Error {
    let at = SocketAddr::new(ip, port);
    let text = match e.raw_os_error() {
        Some(libc::EADDRINUSE) => {
            format!(
                "cannot listen on {at}: the port is in use; choose others with --port, or end the program that has it (ss -ltnp 'sport = :{port}')"
            )
        }
        Some(libc::EADDRNOTAVAIL) => {
            format!("cannot listen on {at}: the address is not one of this machine's (--listen; see: ip address)")
        }
        Some(libc::EACCES) => {
            format!("cannot listen on {at}: ports below 1024 need privilege; choose others with --port")
        }
        Some(libc::EMFILE) => {
            format!(
                "cannot listen on {at}: the limit on open files is reached; listen on fewer ports (--ports) or raise ulimit -n"
            )
        }
        _ => format!("cannot listen on {at}: {e}"),
    };
    io::Error::new(e.kind(), text)
}
