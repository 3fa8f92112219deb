//! The heap of a foreign server, filled until it dies of it: node and the JVM, each with a small heap of its own.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use c1m_top::model::SampleLine;

use super::support::{Home, Run, Started, own_namespace, require};

/// Keeps 160 objects for each connection, some 12 kB; says where it listens.
const NODE: &str = "const held = [];
// A count of connections is doubted where it comes near that of descriptors: as any server, this one has files open.
for (let i = 0; i < 100; i++) require('fs').openSync('/dev/null');
const server = require('net').createServer(socket => {
  held.push([socket, Array.from({ length: 160 }, (_, i) => ({ a: i, b: i + 1, c: 'x', d: null }))]);
  socket.on('error', () => {});
});
server.listen(0, '127.0.0.1', 4096, () => console.log(server.address().port));";

/// Keeps 20 kB for each connection; says where it listens.
const JAVA: &str = "import java.net.*; import java.nio.channels.*; import java.util.*;
public class Heap {
  public static void main(String[] args) throws Exception {
    ServerSocketChannel server = ServerSocketChannel.open();
    server.bind(new InetSocketAddress(\"127.0.0.1\", 0), 4096);
    System.out.println(server.socket().getLocalPort());
    List<Object> held = new ArrayList<>();
    for (int i = 0; i < 100; i++) held.add(new java.io.FileInputStream(\"/dev/null\"));
    while (true) {
      held.add(server.accept());
      for (int i = 0; i < 20; i++) held.add(new byte[1008]);
    }
  }
}";

/// Fills a server that `command` starts, and asserts what was said before its end and at it.
fn fill(command: &mut Command, set_by: &str) {
    let mut server = Started::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()));
    let mut port = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let port = port.trim();
    let pid = server.id();
    let mut watcher = Run::start(&format!("--attach {pid} --interval 100ms --duration 50s"));
    watcher.until("a sample", |p| !p.samples.is_empty());
    let client = Run::start(&format!(
        "--client 127.0.0.1 {port} --target 9k --ports 1 --rate 300 --duration 40s --hold 1s --interval 500ms"
    ));
    // A zombie of this test is no living process.
    server.wait().unwrap();
    let died = watcher.finish();
    client.interrupt();
    died.assert_event("death/", &["heap was at ", set_by, "it ran out of heap"]);
    assert_eq!(died.code, Some(4), "{died:#?}");
    // What it held; not what the namespace has, which is told where its own count is not known.
    let held = |s: &SampleLine| s.process.as_ref().and_then(|p| p.connections);
    let peak = died.samples.iter().filter_map(held).max().unwrap();
    // At half of the way: within the bounds that were told then, and no alarm.
    let half = died.samples.iter().rev().find(|s| held(s).is_some_and(|n| n > 0 && n <= peak / 2)).unwrap();
    let nearest = half.nearest_limit.as_ref().filter(|l| l.id.name() == "runtime");
    let nearest = nearest.unwrap_or_else(|| panic!("no forecast at half of {peak}: {half:#?}"));
    let (at, doubt) = (nearest.connections.unwrap(), nearest.plus_minus.unwrap());
    eprintln!("{set_by}: ended at {peak}; at {} it was to be {at} ± {doubt}", half.established);
    assert!((at.saturating_sub(doubt)..=at + doubt).contains(&peak), "{at} ± {doubt} for {peak}: {nearest:#?}");
    let early = died.events.iter().filter(|e| e.t_ms <= half.t_ms);
    let early: Vec<_> = early.filter(|e| e.text.contains("heap limit")).collect();
    assert!(early.is_empty(), "{early:#?}");
}

#[test]
fn a_node_that_runs_out_of_heap_was_told_and_is_named() {
    require!(Program("node"));
    own_namespace!();
    fill(Command::new("node").args(["--max-old-space-size=64", "-e", NODE]), "--max-old-space-size=64");
}

#[test]
fn a_jvm_that_runs_out_of_heap_was_told_and_is_named() {
    require!(Program("javac"));
    own_namespace!();
    let source = Home::path().join("Heap.java");
    std::fs::write(&source, JAVA).unwrap();
    let compiled = Command::new("javac").arg("-d").arg(Home::path()).arg(&source).status().unwrap();
    assert!(compiled.success());
    for collector in ["-XX:+UseSerialGC", "-XX:+UseG1GC"] {
        let mut java = Command::new("java");
        fill(java.args(["-Xmx64m", collector, "-cp"]).arg(Home::path()).arg("Heap"), "-Xmx64m");
    }
}
