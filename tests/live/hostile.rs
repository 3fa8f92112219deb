//! What strangers do to the server's ports loses it nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use super::support::{Control, Run, in_namespace, wait_until};

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
    in_namespace("hostile::garbage_resets_and_silence_lose_nothing", || {
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
    });
}

#[test]
fn a_flood_of_short_connections() {
    in_namespace("hostile::a_flood_of_short_connections", || {
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
    });
}

#[test]
fn a_peer_that_does_not_read_is_not_read_from() {
    in_namespace("hostile::a_peer_that_does_not_read_is_not_read_from", || {
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
    });
}

#[test]
fn a_slow_reader_that_leaves_gives_its_buffer_back() {
    in_namespace("hostile::a_slow_reader_that_leaves_gives_its_buffer_back", || {
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
    });
}
