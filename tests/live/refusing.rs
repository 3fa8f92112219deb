//! Servers that refuse, reset, or close what they have accepted: the client does not hammer them, says what it saw, and comes
//! back where they hold again.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use c1m_top::model::Verdict;
use c1m_top::protocol::{EngineStats, Phase, Role, StopCause};
use c1m_top::sys;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::support::{Control, Run, own_namespace, wait_until};

const ALL: u64 = u64::MAX;

/// Connections that wait to be accepted at the most: they are opened before any loss is seen.
const QUEUE: i32 = 1024;

/// What a server does now.
#[derive(Debug)]
struct Rule {
    listens: AtomicBool,
    /// Connections it keeps; those beyond are closed.
    keeps: AtomicU64,
    /// Closed with a reset.
    resets: AtomicBool,
    /// How long those beyond may stay, milliseconds.
    stay_ms: AtomicU64,
    ended: AtomicBool,
    accepted: AtomicU64,
}

/// A server on 127.0.0.1:9900.
#[derive(Debug)]
struct Server {
    rule: Arc<Rule>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// One that keeps so many.
    fn keeping(keeps: u64) -> Self {
        sys::raise_nofile().unwrap();
        let rule = Arc::new(Rule {
            listens: AtomicBool::new(true),
            keeps: AtomicU64::new(keeps),
            resets: AtomicBool::new(false),
            stay_ms: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            accepted: AtomicU64::new(0),
        });
        let listener = listen(QUEUE);
        let of_thread = Arc::clone(&rule);
        let thread = std::thread::spawn(move || serve(&of_thread, listener));
        Self { rule, thread: Some(thread) }
    }

    fn accepted(&self) -> u64 {
        self.rule.accepted.load(SeqCst)
    }

    fn keep(&self, keeps: u64) {
        self.rule.keeps.store(keeps, SeqCst);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.rule.ended.store(true, SeqCst);
        let done = self.thread.take().unwrap().join();
        assert!(done.is_ok() || std::thread::panicking(), "the server failed");
    }
}

fn listen(backlog: i32) -> TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 9900)).into()).unwrap();
    socket.listen(backlog).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.into()
}

fn serve(rule: &Rule, first: TcpListener) {
    let mut listener = Some(first);
    let mut held: Vec<TcpStream> = Vec::new();
    let mut leaving: Vec<(Instant, TcpStream)> = Vec::new();
    while !rule.ended.load(SeqCst) {
        match (&listener, rule.listens.load(SeqCst)) {
            (Some(_), false) => listener = None,
            (None, true) => listener = Some(listen(QUEUE)),
            _ => {}
        }
        let keeps = rule.keeps.load(SeqCst);
        held.truncate(usize::try_from(keeps).unwrap());
        leaving.retain(|(until, _)| Instant::now() < *until);
        match listener.as_ref().map(TcpListener::accept) {
            Some(Ok((stream, _))) => {
                rule.accepted.fetch_add(1, SeqCst);
                if (held.len() as u64) < keeps {
                    held.push(stream);
                    continue;
                }
                if rule.resets.load(SeqCst) {
                    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
                }
                let stay = Duration::from_millis(rule.stay_ms.load(SeqCst));
                if !stay.is_zero() {
                    leaving.push((Instant::now() + stay, stream));
                }
            }
            Some(Err(e)) => {
                assert!(matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionAborted), "{e}");
                std::thread::sleep(Duration::from_millis(1));
            }
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// A client alone, and a look at its engine. With two threads it could open more than the queue takes, which are then
/// established to the client alone.
fn client(options: &str) -> (Run, Control) {
    let run = Run::start(&format!("--client 127.0.0.1 9900 --ports 1 --workers 1 --interval 200ms {options}"));
    let engine = run.engine(Role::Client);
    (run, Control::connect(engine).unwrap())
}

/// The client's engine once it has given up. The run has to stay: `--hold`.
#[track_caller]
fn given_up(control: &mut Control) -> EngineStats {
    let stats = wait_until("the client giving up", || Some(control.stats()).filter(|s| s.stop.is_some()));
    let stop = stats.stop.as_ref().unwrap();
    assert_eq!(stop.cause, StopCause::Refused, "{stop:?}");
    assert_eq!((stats.phase, stats.backoff_ms), (Phase::Stopped, 0));
    // By its own clock it has tried for ten seconds.
    assert!(stats.t_us - stats.ramp_started_us.unwrap() >= 10_000_000, "{stats:?}");
    stats
}

/// What the server saw beyond what it keeps is some hundred a second at the most, over the ten seconds before the client gave
/// up. At full speed it were tens of thousands a second.
#[track_caller]
fn not_hammered(seen: u64) {
    assert!(seen < 10 * 300, "{seen} in ten seconds");
}

#[test]
fn a_server_that_closes_at_once_is_not_hammered_and_given_up() {
    own_namespace!();
    for keeps in [3000, 0] {
        let server = Server::keeping(keeps);
        let (run, mut control) = client("--target 50k --hold 3s");
        let backing_off = wait_until("the back-off", || Some(control.stats()).filter(|s| s.backoff_ms >= 150));
        assert!(backing_off.backoff_ms <= 5000 && backing_off.stop.is_none(), "{backing_off:?}");
        let stats = given_up(&mut control);
        not_hammered(server.accepted() - keeps);
        let all_told = |s: &EngineStats| s.open == keeps && s.lifetime.count == s.lost;
        let rest = wait_until("the last being closed", || Some(control.stats()).filter(all_told));
        assert_eq!(rest.opened - rest.lost, keeps, "{rest:?}");
        let text = &stats.stop.as_ref().unwrap().text;
        assert!(text.starts_with("the server accepts and closes at once: "), "{text}");
        let held =
            if keeps == 0 { "; none held. " } else { "; 3,000 held. It is the server's own limit (its client limit)" };
        let run = run.finish();
        run.assert_event("phase/stopped", &[text, held, "not this machine"]);
        let summary = run.summary();
        let ended = (summary.verdict, run.code, summary.stopped_by.as_deref());
        assert_eq!(ended, (Verdict::ServerRefuses, Some(3), Some("app")), "{}", run.log());
        assert!(summary.lost > Some(0) && summary.lifetime_us.is_some_and(|l| l.count > 0), "{summary:?}");
    }
}

#[test]
fn a_server_that_resets_what_it_does_not_keep_is_not_hammered() {
    own_namespace!();
    let server = Server::keeping(200);
    server.rule.resets.store(true, SeqCst);
    let (_run, mut control) = client("--target 50k --hold 3s");
    let stats = given_up(&mut control);
    not_hammered(server.accepted() - 200);
    assert!(stats.lost + stats.refused >= server.accepted() - 200, "{stats:?}");
    let rest = wait_until("the last being reset", || Some(control.stats()).filter(|s| s.open == 200));
    assert_eq!(rest.opened - rest.lost, 200, "{rest:?}");
    assert!(stats.stop.unwrap().text.contains("200 held"));
}

#[test]
fn connections_that_are_closed_after_a_while_are_told_from_those_closed_at_once() {
    own_namespace!();
    let server = Server::keeping(100);
    server.rule.stay_ms.store(1000, SeqCst);
    let (_run, mut control) = client("--target 50k --rate 200 --hold 3s");
    let stats = given_up(&mut control);
    assert!((500_000..60_000_000).contains(&stats.lifetime.p50_us), "{:?}", stats.lifetime);
    let text = stats.stop.unwrap().text;
    assert!(text.contains("the server closes what it has accepted") && text.contains("or a timeout"), "{text}");
}

#[test]
fn a_server_that_does_not_listen_any_more_is_not_hammered() {
    own_namespace!();
    let server = Server::keeping(ALL);
    let (run, mut control) = client("--target 50k --rate 2k --hold 3s");
    wait_until("connections", || (server.accepted() > 500).then_some(()));
    server.rule.listens.store(false, SeqCst);
    let stats = given_up(&mut control);
    assert!(stats.refused > 0 && stats.refused < 3000, "{stats:?}");
    // What was in its queue has been reset.
    assert_eq!((stats.open, stats.opened - stats.lost), (server.accepted(), server.accepted()), "{stats:?}");
    let stop = stats.stop.unwrap();
    assert_eq!((stop.call.op.as_str(), stop.call.name.as_str()), ("connect", "ECONNREFUSED"));
    run.finish()
        .assert_event("phase/stopped", &["the server refuses or resets connections: ", "has stopped listening"]);
}

#[test]
fn the_target_is_reached_when_the_server_holds_again() {
    own_namespace!();
    for listens in [true, false] {
        let server = Server::keeping(500);
        let (mut run, mut control) = client("--target 3000");
        wait_until("losses", || (control.stats().lost > 0).then_some(()));
        server.rule.listens.store(listens, SeqCst);
        let trouble = wait_until("a long pause", || Some(control.stats()).filter(|s| s.backoff_ms > 500));
        assert!(listens || trouble.refused > 0, "{trouble:?}");
        server.keep(ALL);
        server.rule.listens.store(true, SeqCst);
        run.until_holding();
        let stats = wait_until("all of them", || Some(control.stats()).filter(|s| s.open == 3000));
        assert_eq!((stats.stop, stats.backoff_ms), (None, 0));
        run.interrupt();
    }
}

#[test]
fn a_client_that_persists_outlasts_a_server_that_refuses() {
    own_namespace!();
    // It is not there at all, then it keeps none, then it holds.
    let server = Server::keeping(0);
    server.rule.listens.store(false, SeqCst);
    wait_until("nobody listening", || TcpStream::connect("127.0.0.1:9900").err());
    let accepted = server.accepted();
    let (mut run, mut control) = client("--target 500 --persist");
    let later = |control: &mut Control, us: u64| {
        let end = control.stats().t_us + us;
        wait_until("more than ten seconds", || Some(control.stats()).filter(|s| s.t_us > end))
    };
    let stats = later(&mut control, 12_000_000);
    assert_eq!((stats.phase, stats.stop, stats.opened), (Phase::Ramping, None, 0));
    assert!(stats.refused > 0 && stats.refused < 1000 && stats.backoff_ms > 0, "{} refused", stats.refused);
    server.rule.listens.store(true, SeqCst);
    wait_until("losses", || (control.stats().lost > 0).then_some(()));
    let stats = later(&mut control, 12_000_000);
    assert_eq!((stats.phase, stats.stop), (Phase::Ramping, None));
    assert!(server.accepted() - accepted < 1000, "{} accepted", server.accepted());
    server.keep(ALL);
    run.until_holding();
    run.interrupt();
}

#[test]
fn what_is_lost_at_the_target_is_counted_and_not_replaced() {
    own_namespace!();
    let server = Server::keeping(ALL);
    let (mut run, mut control) = client("--target 300");
    run.until_holding();
    wait_until("all accepted", || (server.accepted() == 300).then_some(()));
    server.keep(100);
    // Counts are of this moment, the rest is of the engine's last report.
    let all_lost = |s: &EngineStats| s.lost == 200 && s.lifetime.count == 200;
    let stats = wait_until("the losses", || Some(control.stats()).filter(all_lost));
    assert_eq!((stats.opened, stats.open, stats.lifetime.count), (300, 100, 200));
    assert_eq!((stats.backoff_ms, stats.phase), (0, Phase::Holding));
    run.interrupt();
    assert_eq!(server.accepted(), 300);
}

#[test]
fn a_close_that_was_asked_for_is_no_loss() {
    own_namespace!();
    let server = Server::keeping(ALL);
    let (mut run, mut control) = client("--target 400 --close-rate 20");
    run.until_holding();
    wait_until("all accepted", || (server.accepted() == 400).then_some(()));
    run.signal(libc::SIGINT);
    wait_until("the close", || (control.stats().closed > 0).then_some(()));
    // The server is quicker.
    server.keep(0);
    let stats = wait_until("all closed", || Some(control.stats()).filter(|s| s.closed == 400));
    assert_eq!((stats.lost, stats.lifetime.count), (0, 0));
    run.finish();
}

#[test]
fn a_server_that_does_not_answer_is_given_up_after_two_rounds_of_connects() {
    own_namespace!();
    // Nobody accepts. To the last five the kernel does not answer (one more than the length of the queue fits in).
    let _listener = listen(100);
    let (_run, mut control) = client("--target 106 --hold 3s");
    wait_until("a full queue", || (control.stats().open == 101).then_some(()));
    let (_patient, mut other) = client("--target 50 --persist");
    let stats = wait_until("the client giving up", || Some(control.stats()).filter(|s| s.stop.is_some()));
    let stop = stats.stop.unwrap();
    assert_eq!((stop.cause, stop.call.name.as_str()), (StopCause::Stall, "ETIMEDOUT"), "{stop:?}");
    assert!(stop.text.contains("no connection succeeded for 20 s"), "{stop:?}");
    assert_eq!((stats.open, stats.refused, stats.lost), (101, 0, 0));
    let stats = wait_until("a third round", || {
        Some(other.stats()).filter(|s| s.errors.iter().any(|e| e.name == "ETIMEDOUT" && e.count > 100))
    });
    assert_eq!((stats.phase, stats.stop, stats.opened), (Phase::Ramping, None, 0));
}

type Answer = fn(&[u8]) -> Vec<u8>;

/// A server that answers what it receives by this, a connection at a time and byte by byte.
fn answering(answer: Answer, connections: usize) -> JoinHandle<Vec<TcpStream>> {
    let listener = TcpListener::bind("127.0.0.1:9900").unwrap();
    std::thread::spawn(move || {
        let serve = |_| {
            let mut stream = listener.accept().unwrap().0;
            stream.set_nodelay(true).unwrap();
            let mut word = [0; 5];
            stream.read_exact(&mut word).unwrap();
            for byte in answer(&word) {
                stream.write_all(&[byte]).unwrap();
                std::thread::sleep(Duration::from_millis(2));
            }
            stream
        };
        (0..connections).map(serve).collect()
    })
}

#[test]
fn a_greeting_counts_once_it_has_come_back_whole_and_equal() {
    own_namespace!();
    let word = |word: &[u8]| word.to_vec();
    let none = |_: &[u8]| Vec::new();
    let part = |word: &[u8]| word[..4].to_vec();
    // The end is right.
    let changed = |word: &[u8]| [b"j", &word[1..]].concat();
    let answers: [(Answer, u64, u64); 4] = [(word, 20, 0), (none, 0, 0), (part, 0, 0), (changed, 0, 20)];
    for (answer, greeted, differ) in answers {
        let server = answering(answer, 20);
        let (run, mut control) = client("--target 20 --greet");
        let _streams = server.join().unwrap();
        let count = |s: &EngineStats| s.errors.iter().filter(|e| e.op == "greeting").map(|e| e.count).sum::<u64>();
        // The server has accepted all of them perhaps before the client has been told of any.
        let stats = wait_until("the answers", || {
            Some(control.stats()).filter(|s| s.open == 20 && s.greeted == greeted && count(s) == differ)
        });
        assert!(stats.greet && stats.open == 20, "{stats:?}");
        run.interrupt();
    }
}
