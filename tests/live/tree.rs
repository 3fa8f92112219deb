//! A foreign program of more processes than one: master and workers, as they come and go.

use std::io::{BufRead, BufReader, Lines, Write};
use std::net::TcpStream;
use std::process::{ChildStdout, Command, Stdio};

use c1m_top::model::{LimitState, ProcessLine, Severity, Verdict};

use super::support::{Printed, Run, Started, own_processes, require, succeed};

/// A master whose workers accept on its listener. A line `N M` has worker N, which is started first where there is none, accept
/// M connections and keep them; `N leave` ends it. Each is answered with a line.
const MASTER: &str = "
import os, signal, socket, sys
s = socket.socket()
s.bind(('127.0.0.1', 0))
s.listen(1000)
spare = [open('/dev/null') for _ in range(7)]
print(s.getsockname()[1], flush=True)
def work(orders, done):
    kept = []
    for line in orders:
        if line.strip() == 'leave':
            os._exit(0)
        kept += [s.accept()[0] for _ in range(int(line))]
        done.write(b'%d\\n' % os.getpid()); done.flush()
    # Without its master it goes on with what it holds.
    signal.pause()
workers = {}
for line in sys.stdin:
    n, order = line.split()
    if n not in workers:
        (a, b), (c, d) = os.pipe(), os.pipe()
        if os.fork() == 0:
            os.close(b); os.close(c)
            work(os.fdopen(a), os.fdopen(d, 'wb'))
        os.close(a); os.close(d)
        workers[n] = (os.fdopen(b, 'wb'), os.fdopen(c, 'rb'))
    give, told = workers[n]
    give.write(order.encode() + b'\\n'); give.flush()
    print(told.readline().decode().strip() or 'gone', flush=True)
    if order == 'leave':
        os.wait()
        del workers[n]
";

struct Master {
    process: Started,
    lines: Lines<BufReader<ChildStdout>>,
    port: u16,
    clients: Vec<TcpStream>,
}

impl Master {
    fn start() -> Self {
        let mut command = Command::new("python3");
        command.args(["-c", MASTER]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Started::spawn(&mut command);
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines.next().unwrap().unwrap().parse().unwrap();
        Self { process, lines, port, clients: Vec::new() }
    }

    /// Gives a worker an order; what it answers.
    fn order(&mut self, worker: u32, order: &str) -> String {
        writeln!(self.process.stdin.as_ref().unwrap(), "{worker} {order}").unwrap();
        self.lines.next().unwrap().unwrap()
    }

    /// Has a worker take so many connections; its number.
    fn take(&mut self, worker: u32, connections: usize) -> u32 {
        let port = self.port;
        self.clients.extend((0..connections).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()));
        self.order(worker, &connections.to_string()).parse().unwrap()
    }
}

/// The newest that was told of the program.
fn process(printed: &Printed) -> Option<&ProcessLine> {
    printed.samples.last()?.process.as_ref()
}

/// Connections by process.
fn held(process: &ProcessLine) -> Vec<(u32, u64)> {
    process.members.iter().filter_map(|m| Some((m.pid, m.connections?))).collect()
}

#[test]
fn workers_are_counted_one_by_one_as_they_come_and_go() {
    require!(Root, Program("python3"));
    own_processes!();
    let mut master = Master::start();
    // Held before it is watched.
    let first = master.take(1, 60);
    let pid = master.process.id();
    let mut run = Run::start(&format!("--attach {pid} --interval 100ms"));
    run.until("the first worker", |p| process(p).is_some_and(|p| held(p) == [(pid, 0), (first, 60)]));
    let second = master.take(2, 140);
    run.until("the second worker", |p| {
        let shares = [(pid, 0), (second, 140), (first, 60)];
        process(p).is_some_and(|p| (p.processes, p.connections) == (3, Some(200)) && held(p) == shares)
    });
    let seen = process(&run.printed()).unwrap().clone();
    assert_eq!((seen.pid, seen.queued, seen.close_wait), (pid, Some(0), Some(0)), "{seen:?}");
    let listener = &seen.listeners[0];
    assert_eq!((listener.address.as_str(), listener.port), ("127.0.0.1", master.port));
    let rss: Option<u64> = seen.members.iter().map(|m| m.rss_bytes).sum();
    assert_eq!(seen.rss_bytes, rss, "{seen:?}");

    // By the number of the master, alone, its worker, or by any name of theirs.
    for (attach, count) in [
        (format!("{first} --only"), 60),
        (format!("{first},{second}"), 200),
        (format!(":{}", master.port), 200),
        (format!("{pid} --only"), 0),
    ] {
        let ended = Run::start(&format!("--attach {attach} --duration 300ms --interval 100ms")).finish();
        let counted = process(&ended).and_then(|p| p.connections);
        assert_eq!((ended.code, counted), (Some(0), Some(count)), "{attach}: {}", ended.log());
    }

    // One that leaves with its connections is news, the next one is not.
    assert_eq!(master.order(2, "leave"), "gone");
    run.until("the second worker's end", |p| process(p).is_some_and(|p| held(p) == [(pid, 0), (first, 60)]));
    master.take(3, 1);
    run.until("the third worker", |p| process(p).is_some_and(|p| p.connections == Some(61)));
    let ended = run.interrupt();
    assert_eq!((ended.code, ended.summary().verdict), (Some(0), Verdict::Watched), "{}", ended.log());
    let parted: Vec<_> = ended.events.iter().filter(|e| e.id.starts_with("parted/")).collect();
    assert_eq!((parted.len(), parted[0].severity), (1, Severity::Warning), "{}", ended.log());
    assert!(parted[0].text.contains(&format!("({second}) has ended, and up to 140 connections with it")));
    assert_eq!(ended.summary().process.as_ref().and_then(|p| p.connections), Some(200), "its peak");
}

#[test]
fn a_program_lives_until_its_last_process_has_ended() {
    require!(Root, Program("python3"));
    own_processes!();
    let mut master = Master::start();
    let worker = master.take(1, 30);
    let mut run = Run::start(&format!("--attach {} --interval 100ms", master.process.id()));
    run.until("its worker", |p| process(p).is_some_and(|p| p.processes == 2));
    // Its worker goes on with what it holds, as init's child.
    master.process.kill().unwrap();
    master.process.wait().unwrap();
    run.until("its end", |p| process(p).is_some_and(|p| p.processes == 1 && p.connections == Some(30)));
    kill(worker);
    let ended = run.finish();
    assert_eq!((ended.code, ended.summary().verdict), (Some(4), Verdict::ProcessDied), "{}", ended.log());
}

/// Ends a process that is not our child.
fn kill(pid: u32) {
    succeed(Command::new("kill").args(["-KILL", &pid.to_string()]));
}

#[test]
fn connections_that_are_never_closed_are_a_leak() {
    require!(Root, Program("python3"));
    own_processes!();
    let mut master = Master::start();
    master.take(1, 200);
    let mut run = Run::start(&format!("--attach {} --interval 200ms", master.process.id()));
    run.until("its connections", |p| process(p).is_some_and(|p| p.connections == Some(200)));
    for _ in 0..20 {
        master.clients.drain(..8);
        std::thread::sleep(std::time::Duration::from_millis(700));
    }
    let ended = run.interrupt();
    let leak = ended.event("leak/close_wait").unwrap_or_else(|| panic!("{}", ended.log()));
    assert!(leak.text.contains("does not close connections its peers have closed"), "{}", leak.text);
    assert!(leak.text.contains("it is out of open files in"), "{}", leak.text);
    assert_eq!(ended.limit("nofile").state, LimitState::Ok, "{}", ended.log());
}
