//! What strangers do to the server's ports loses it nothing.

#![expect(clippy::cast_possible_truncation, reason = "bytes of a pattern and of a checksum")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::support::{Control, Run, own_namespace, require, succeed, wait_until};

const AT: &str = "127.0.0.1:9901";

/// A server in this namespace and a connection to its control socket.
fn server() -> (Run, Control) {
    let run = Run::start("--server --listen 127.0.0.1 --ports 4");
    let engines = run.engines(true, false);
    (run, Control::connect(engines.server.unwrap()).unwrap())
}

fn connect() -> TcpStream {
    let stream = TcpStream::connect(AT).unwrap();
    // Only a defect leaves an echo out this long.
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    stream
}

/// Sends a line and reads it back.
fn echoes(stream: &mut TcpStream, text: &[u8]) {
    stream.write_all(text).unwrap();
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(back, text);
}

fn open_becomes(server: &mut Control, want: u64) {
    let mut last = u64::MAX;
    wait_until(&format!("{want} connections open"), || {
        last = server.stats().open;
        (last == want).then_some(())
    });
}

/// Closes with a reset.
fn reset(stream: &TcpStream) {
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
}

#[test]
fn garbage_resets_and_silence_lose_nothing() {
    own_namespace!();
    let (_run, mut server) = server();
    let mut good = connect();
    echoes(&mut good, b"first");

    let silent: Vec<TcpStream> = (0..200).map(|_| connect()).collect();
    open_becomes(&mut server, 201);

    // Every byte value comes back as it went.
    let noise: Vec<u8> = (0..40_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut loud = connect();
    echoes(&mut loud, &noise);

    // Reset in every state: at once, after sending, with an echo unread.
    for i in 0..300 {
        let mut stream = connect();
        if i % 3 > 0 {
            stream.write_all(&noise[..1000]).unwrap();
        }
        if i % 3 > 1 {
            stream.read_exact(&mut [0; 10]).unwrap();
        }
        reset(&stream);
    }
    // Half closed: what was sent before the end still comes back.
    let mut half = connect();
    half.write_all(b"the end").unwrap();
    half.shutdown(std::net::Shutdown::Write).unwrap();
    let mut back = Vec::new();
    half.read_to_end(&mut back).unwrap();
    assert_eq!(back, b"the end");

    open_becomes(&mut server, 202);
    drop((silent, loud));
    open_becomes(&mut server, 1);
    echoes(&mut good, b"still here");
    let stats = server.stats();
    assert_eq!((stats.errors, stats.buffered_bytes), (Vec::new(), 0));
}

/// A SYN as it stands after the IP header (RFC 9293, 3.1), with its checksum.
fn syn(source: Ipv4Addr, source_port: u16, to: SocketAddrV4) -> [u8; 20] {
    let mut segment = [0; 20];
    segment[0..2].copy_from_slice(&source_port.to_be_bytes());
    segment[2..4].copy_from_slice(&to.port().to_be_bytes());
    segment[12] = 5 << 4;
    segment[13] = 2;
    segment[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
    // The pseudo header: both addresses, the protocol (6) and the length.
    let pseudo = [source.octets(), to.ip().octets(), [0, 6, 0, 20]].concat();
    let words = pseudo.chunks(2).chain(segment.chunks(2));
    let sum: u32 = words.map(|w| u32::from(u16::from_be_bytes([w[0], w[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !((folded & 0xffff) + (folded >> 16)) as u16;
    segment[16..18].copy_from_slice(&checksum.to_be_bytes());
    segment
}

#[test]
fn half_open_connections_are_none() {
    require!(Veth);
    own_namespace!();
    // Answers to 10.9.0.99 go to a neighbour that is not there.
    let device = "ip link add d0 type veth peer name d1 && ip addr add 10.9.0.1/24 dev d0 && \
                  ip link set d0 up && ip link set d1 up && \
                  ip neigh add 10.9.0.99 lladdr 02:00:00:00:00:63 dev d0";
    succeed(std::process::Command::new("sh").args(["-c", device]));
    let run = Run::start("--server --listen 10.9.0.1 --ports 4");
    let mut server = Control::connect(run.engines(true, false).server.unwrap()).unwrap();
    let source = Ipv4Addr::new(10, 9, 0, 99);
    let raw = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::TCP)).unwrap();
    // From an address that is not this machine's.
    raw.set_ip_transparent_v4(true).unwrap();
    raw.bind(&SocketAddrV4::new(source, 0).into()).unwrap();
    for i in 0..500 {
        let to = SocketAddrV4::new(Ipv4Addr::new(10, 9, 0, 1), 9900 + i % 4);
        raw.send_to(&syn(source, 20_000 + i, to), &to.into()).unwrap();
    }
    // State 03 is SYN_RECV (include/net/tcp_states.h). A handful of sockets: this file may be read.
    wait_until("half-open connections", || {
        let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
        (table.lines().filter(|l| l.split_whitespace().nth(3) == Some("03")).count() >= 400).then_some(())
    });
    let mut good = TcpStream::connect("10.9.0.1:9901").unwrap();
    echoes(&mut good, b"served");
    let stats = server.stats();
    assert_eq!((stats.open, stats.opened, stats.errors), (1, 1, Vec::new()));
}

#[test]
fn a_flood_of_short_connections() {
    own_namespace!();
    let (_run, mut server) = server();
    let mut good = connect();
    for i in 0..5_000 {
        let stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], 9900 + i % 4))).unwrap();
        if i % 2 == 0 {
            reset(&stream);
        }
    }
    open_becomes(&mut server, 1);
    echoes(&mut good, b"still here");
    let stats = server.stats();
    // One that is reset while it waits in the queue may be accepted all the same, or never be seen (accept(2)).
    assert!(stats.opened <= 5_001 && stats.opened >= 2_501, "{}", stats.opened);
    assert_eq!(stats.opened - stats.closed, 1);
    assert!(stats.errors.is_empty(), "{:?}", stats.errors);
}

#[test]
fn a_peer_that_does_not_read_is_not_read_from() {
    own_namespace!();
    let (_run, mut server) = server();
    let mut good = connect();
    let mut deaf: Vec<TcpStream> = (0..10).map(|_| connect()).collect();
    let mut sent = [0usize; 10];
    for (stream, sent) in deaf.iter_mut().zip(&mut sent) {
        stream.set_nonblocking(true).unwrap();
        // Until nothing more is taken for a while: every buffer on the way is full.
        let mut quiet = 0;
        while quiet < 20 {
            let chunk: Vec<u8> = (*sent..*sent + 4096).map(|i| (i % 251) as u8).collect();
            match stream.write(&chunk) {
                Ok(n) => (*sent, quiet) = (*sent + n, 0),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    quiet += 1;
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(e) => panic!("{e}"),
            }
            assert!(*sent < 1 << 30, "the server takes without end");
        }
    }
    let buffered = server.stats().buffered_bytes;
    assert!(buffered > 0 && buffered <= 10 * 64 * 1024, "{buffered}");
    echoes(&mut good, b"others are served");

    for (stream, sent) in deaf.iter_mut().zip(sent) {
        stream.set_nonblocking(false).unwrap();
        let mut back = vec![0; sent];
        stream.read_exact(&mut back).unwrap();
        assert!(back.iter().enumerate().all(|(i, b)| *b == (i % 251) as u8), "an echo differs");
        echoes(stream, b"and again");
    }
    assert_eq!(server.stats().buffered_bytes, 0);
    open_becomes(&mut server, 11);
}

#[test]
fn a_slow_reader_that_leaves_gives_its_buffer_back() {
    own_namespace!();
    let (_run, mut server) = server();
    let mut deaf = connect();
    deaf.set_nonblocking(true).unwrap();
    let chunk = vec![7; 64 * 1024];
    wait_until("a full pipe", || {
        while deaf.write(&chunk).is_ok() {}
        (server.stats().buffered_bytes > 0).then_some(())
    });
    reset(&deaf);
    drop(deaf);
    wait_until("the buffer given back", || (server.stats().buffered_bytes == 0).then_some(()));
    open_becomes(&mut server, 0);
}
