//! A run served to Prometheus: the page itself, whoever abuses it, the end of a run, and a real Prometheus.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use c1m_top::model::Verdict;
use c1m_top::record::{self, Entry};
use c1m_top::sample::Sample;

use super::support::{
    Finished, PATIENCE, Run, Started, is_running, own_namespace, program, require, succeed, wait_until,
};
use super::tty::Tty;

const PORT: u16 = 9464;
const WHOLE: &str = "--server --client 127.0.0.1 9900 --metrics 9464";
pub(super) const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus");

/// A connection that gives up rather than hang.
fn connect(port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The head and the text of an answer.
fn answer(mut stream: &TcpStream) -> Option<(String, String)> {
    let mut all = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => all.extend_from_slice(&buffer[..n]),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    let text = String::from_utf8(all).unwrap();
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.to_owned(), body.to_owned()))
}

fn ask(port: u16, request: &str) -> Option<(String, String)> {
    let mut stream = connect(port).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    answer(&stream)
}

/// The metrics now; `None` where there are none yet, or no more.
fn scrape() -> Option<String> {
    let (head, text) = ask(PORT, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200 ").then_some(text)
}

fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

fn established(text: &str, role: &str) -> Option<f64> {
    value(text, &format!("c1m_top_connections{{role=\"{role}\",state=\"established\"}}"))
}

/// Memory of a process, bytes.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

#[test]
fn a_run_is_scraped_while_it_goes_on_and_once_after_its_end() {
    own_namespace!();
    let options = "--target 5k --hold 2s --active 10% --every 200ms --greet --metrics-linger 1h";
    let mut run = Run::start(&format!("{WHOLE} {options}"));
    run.until_holding();
    let text = wait_until("echoes at the target", || {
        let text = scrape().unwrap();
        value(&text, "c1m_top_echo_duration_seconds_count").is_some_and(|n| n >= 500.0).then_some(text)
    });
    assert_eq!((established(&text, "client"), established(&text, "server")), (Some(5000.0), Some(5000.0)), "{text}");
    assert_eq!(value(&text, "c1m_top_connections_opened_total{role=\"client\"}"), Some(5000.0));
    assert_eq!(value(&text, "c1m_top_connections_target"), Some(5000.0));
    assert_eq!(value(&text, "c1m_top_greetings_echoed_total"), Some(5000.0));
    assert_eq!(value(&text, "c1m_top_phase{phase=\"holding\"}"), Some(1.0));
    for times in ["connect", "handshake"] {
        let of = |part: &str| value(&text, &format!("c1m_top_{times}_duration_seconds{part}")).unwrap();
        assert_eq!((of("_count"), of("_bucket{le=\"+Inf\"}")), (5000.0, 5000.0));
        assert!(of("_sum") > 0.0 && of("_bucket{le=\"0.000001\"}") < 5000.0, "{text}");
    }
    assert!(text.contains("c1m_top_limit_bound{limit=\"nofile\",scope=\"client\",unit=\"count\"} "), "{text}");
    assert!(!text.contains("c1m_top_verdict"), "it goes on");
    for (request, part) in [
        ("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 "),
        ("GET /metric HTTP/1.1\r\n\r\n", "HTTP/1.1 404 "),
        ("DELETE /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405 "),
        ("no HTTP at all\r\n\r\n", "HTTP/1.1 400 "),
        ("HEAD /metrics HTTP/1.1\r\n\r\n", "text/plain; version=0.0.4"),
        (
            "GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text\r\n\r\n",
            "application/openmetrics-text; version=1.0.0",
        ),
    ] {
        let (head, _) = ask(PORT, request).unwrap();
        assert!(head.contains(part), "{request}: {head}");
    }
    // The summary does not wait for whoever scrapes, and the program does.
    run.until("the summary", |p| p.summary.is_some());
    assert!(is_running(run.pid()));
    let last = scrape().unwrap();
    assert_eq!(value(&last, "c1m_top_verdict{verdict=\"target_reached\"}"), Some(1.0), "{last}");
    assert_eq!(value(&last, "c1m_top_connections_closed_total{role=\"client\"}"), Some(5000.0), "{last}");
    let ended = run.finish();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:#?}");
    ended.assert_event("metrics", &["http://127.0.0.1:9464/metrics"]);
}

#[test]
fn whoever_ends_it_at_the_keyboard_does_not_wait_for_a_scraper() {
    own_namespace!();
    let start = || {
        let mut run = Run::start(&format!("{WHOLE} --target 1k --metrics-linger 1h"));
        run.until_holding();
        run
    };
    let ended = start().interrupt();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    // A supervisor's signal is followed by a last scrape; Ctrl-C ends the wait for it.
    let mut run = start();
    run.signal(libc::SIGTERM);
    run.until("the summary", |p| p.summary.is_some());
    assert!(is_running(run.pid()));
    assert_eq!(run.interrupt().code, Some(0));
    let mut unread = Run::start(&format!("{WHOLE} --target 1k --hold 0s --metrics-linger 0"));
    unread.until("the summary", |p| p.summary.is_some());
    assert_eq!(unread.finish().code, Some(0));
}

#[test]
fn on_the_screen_q_ends_at_once_and_a_run_that_ends_by_itself_says_what_it_waits_for() {
    own_namespace!();
    let options = format!("{WHOLE} --target 1k --metrics-linger 1h");
    // Large enough for the events of the start.
    let mut quit = Tty::start(&options, 50, 160, &[]);
    quit.shows("HOLDING");
    quit.shows("Metrics for Prometheus");
    quit.press("q");
    assert_eq!(quit.ended().exit_code(), 0);
    quit.is_restored();
    let mut alone = Tty::start(&format!("{options} --hold 1s"), 30, 100, &[]);
    alone.shows("for the last scrape");
    alone.is_restored();
    assert!(alone.text().contains("the target was reached"), "the summary comes first: {}", alone.text());
    alone.press("\u{3}");
    assert_eq!(alone.ended().exit_code(), 0);
}

#[test]
fn a_watched_server_has_its_processes_and_listeners() {
    own_namespace!();
    require!(Program("python3"));
    let script = "import socket,time;s=socket.socket();s.bind(('127.0.0.1',8080));s.listen(64);a=[s.accept() for _ in range(20)];time.sleep(600)";
    let server = Started::spawn(Command::new("python3").args(["-c", script]));
    let held: Vec<TcpStream> = (0..20).map(|_| wait_until("the server", || connect(8080).ok())).collect();
    let mut run = Run::start(&format!("--attach {} --metrics {PORT}", server.id()));
    run.until("a sample", |p| !p.samples.is_empty());
    let text = wait_until("its connections", || {
        let text = scrape()?;
        (established(&text, "process") == Some(20.0)).then_some(text)
    });
    let listener = "c1m_top_listener_connections{address=\"127.0.0.1\",port=\"8080\",state=\"established\"}";
    assert_eq!(value(&text, listener), Some(20.0), "{text}");
    assert_eq!(value(&text, "c1m_top_listener_backlog{address=\"127.0.0.1\",port=\"8080\"}"), Some(64.0), "{text}");
    let member = format!("c1m_top_member_connections{{pid=\"{}\",name=\"python3\"}}", server.id());
    assert_eq!((value(&text, &member), value(&text, "c1m_top_members")), (Some(20.0), Some(1.0)), "{text}");
    assert!(!text.contains("role=\"client\""), "{text}");
    drop(held);
    assert_eq!(run.interrupt().code, Some(0));
}

/// Ends a run that was abused, whose samples went on.
#[track_caller]
fn went_on(run: Run) -> Finished {
    let ended = run.interrupt();
    let (own, code) = (&ended.summary().dashboard, ended.code);
    eprintln!("measured: {} of {} samples late, {} B resident", own.late_samples, own.samples, own.rss_bytes);
    assert_eq!((code, ended.summary().verdict), (Some(0), Verdict::TargetReached), "{}", ended.log());
    ended
}

/// Waits for so many more samples.
fn more_samples(run: &mut Run, n: usize) {
    let before = run.printed().samples.len();
    run.until("more samples", |p| p.samples.len() >= before + n);
}

#[test]
fn whoever_does_not_read_or_sends_too_much_costs_a_bounded_amount() {
    own_namespace!();
    let mut run = Run::start(&format!("{WHOLE} --target 2k --interval 100ms"));
    run.until_holding();
    wait_until("the first scrape", scrape);
    let (pid, memory, open) = (run.pid(), resident(run.pid()), descriptors(run.pid()));
    let mut silent = Vec::new();
    for i in 0..1000 {
        let mut stream = connect(PORT).unwrap();
        // Some say nothing, some ask and do not read, some never come to an end.
        let said = match i % 3 {
            0 => Ok(()),
            1 => stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n"),
            _ => stream.write_all(b"GET /metrics HTTP/1.1\r\nX-Never-Ends: "),
        };
        // One that had to give way has been reset.
        drop(said);
        silent.push(stream);
    }
    // 10 MB, in a head and as a body.
    for (begin, want) in [
        ("GET /metrics HTTP/1.1\r\nX: ", "HTTP/1.1 431 "),
        ("GET /metrics HTTP/1.1\r\nContent-Length: 10000000\r\n\r\n", "HTTP/1.1 413 "),
    ] {
        let said = wait_until("an answer to 10 MB", || {
            let mut stream = connect(PORT).ok()?;
            stream.write_all(begin.as_bytes()).ok()?;
            // It may be told before it has sent all, and be cut off.
            let _ = (0..1000).try_for_each(|_| stream.write_all(&[b'x'; 10_000]));
            let _ = stream.shutdown(Shutdown::Write);
            let mut first = [0; 13];
            stream.read_exact(&mut first).ok()?;
            Some(String::from_utf8_lossy(&first).into_owned())
        });
        assert_eq!(said, want);
    }
    more_samples(&mut run, 20);
    let text = wait_until("a scrape among them", scrape);
    assert_eq!(established(&text, "client"), Some(2000.0), "{text}");
    // 64 connections at once, and the listener's own.
    assert!(descriptors(pid) <= open + 70, "{} of {open} before", descriptors(pid));
    let grown = resident(pid).saturating_sub(memory);
    assert!(grown < 32 << 20, "{grown} B more");
    drop(silent);
    let ended = went_on(run);
    assert_eq!(ended.summary().peak_established, Some(2000), "they are none of the run's connections");
}

#[test]
fn a_thousand_scrapers_at_once_get_their_answer() {
    own_namespace!();
    let mut run = Run::start(&format!("{WHOLE} --target 2k --interval 100ms"));
    run.until_holding();
    wait_until("the first scrape", scrape);
    let (pid, memory) = (run.pid(), resident(run.pid()));
    let began = Instant::now();
    let asked: Vec<TcpStream> = (0..1000)
        .map(|_| {
            let mut stream = connect(PORT).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
            stream
        })
        .collect();
    for stream in &asked {
        let (head, text) = answer(stream).unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert_eq!(established(&text, "client"), Some(2000.0));
    }
    eprintln!("measured: 1,000 scrapes in {:?}", began.elapsed());
    more_samples(&mut run, 10);
    let grown = resident(pid).saturating_sub(memory);
    assert!(grown < 32 << 20, "{grown} B more");
    went_on(run);
}

/// A Prometheus with its data in a directory, listening on 9090.
pub(super) fn prometheus(dir: &Path, config: &Path) -> Started {
    let mut command = Command::new("prometheus");
    command.args(["--log.level=error", "--web.listen-address=127.0.0.1:9090", "--storage.tsdb.retention.time=1y"]);
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.tsdb.path={}", dir.join("data").display()));
    let started = Started::spawn(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()));
    wait_until("Prometheus", || {
        let (head, _) = ask(9090, "GET /-/ready HTTP/1.0\r\n\r\n")?;
        head.contains(" 200 ").then_some(())
    });
    started
}

/// What a query finds: `{labels} => value @[time]` a line.
pub(super) fn query(query: &str, more: &[&str]) -> String {
    let mut command = Command::new("promtool");
    succeed(command.args(["query", "instant"]).args(more).args(["http://127.0.0.1:9090", query]))
}

/// The value in such a line.
pub(super) fn found(line: &str) -> Option<f64> {
    line.split_once("=> ")?.1.split_whitespace().next()?.parse().ok()
}

#[test]
fn what_is_deployed_passes_promtool() {
    require!(Program("promtool"));
    for (what, file) in [("rules", "alerts.yml"), ("config", "prometheus.yml")] {
        succeed(Command::new("promtool").args(["check", what, &format!("{DEPLOY}/{file}")]));
    }
    let cases = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/prometheus/alerts.test.yml");
    succeed(Command::new("promtool").args(["test", "rules", cases]));
    let (rules, cases) =
        (fs::read_to_string(format!("{DEPLOY}/alerts.yml")).unwrap(), fs::read_to_string(cases).unwrap());
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 10, "{alerts:?}");
    for alert in alerts {
        assert!(
            cases.matches(alert).count() >= 2,
            "{alert}: there is no case in which it fires, or none in which it does not"
        );
    }
}

#[test]
fn prometheus_alerts_before_the_limit_and_keeps_the_last_state() {
    own_namespace!();
    require!(Program("prometheus"), Program("promtool"), Program("prlimit"));
    let dir = tempfile::tempdir().unwrap();
    // As it is deployed, only faster.
    let config = fs::read_to_string(format!("{DEPLOY}/prometheus.yml")).unwrap().replace("5s", "1s");
    fs::write(dir.path().join("prometheus.yml"), config).unwrap();
    fs::copy(format!("{DEPLOY}/alerts.yml"), dir.path().join("alerts.yml")).unwrap();
    let _prometheus = prometheus(dir.path(), &dir.path().join("prometheus.yml"));
    let limited = ["prlimit", "--nofile=3000"];
    let options = "--target 4k --rate 150 --workers 1 --no-guard --metrics-linger 1m";
    let mut run = Run::under(&limited, &format!("{WHOLE} {options}"));
    let alert = "ALERTS{alertname=\"C1mTopLimitSoon\",alertstate=\"firing\",limit=\"nofile\",scope=\"client\"}";
    let firing = wait_until("the alert", || Some(query(alert, &[])).filter(|found| !found.trim().is_empty()));
    let (reached, open) = {
        let printed = run.printed();
        (printed.summary.is_some(), printed.established())
    };
    assert!(!reached && open < 2900, "the alert comes before the limit, not at {open}: {firing}");
    let forecast = query("c1m_top_limit_forecast_connections{limit=\"nofile\",scope=\"client\"}", &[]);
    let forecast = found(&forecast).unwrap_or_else(|| panic!("{forecast}"));
    let text = scrape().unwrap();
    let check = Started::spawn(Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()));
    check_metrics(check, &text);
    run.until("the summary", |p| p.summary.is_some());
    let ended = run.finish();
    assert_eq!((ended.code, ended.summary().verdict), (Some(3), Verdict::LimitHit), "{}", ended.log());
    let peak = ended.peak() as f64;
    assert!((forecast / peak - 1.0).abs() < 0.05, "{forecast} was forecast at {open}, {peak} were reached");
    // The program has waited for Prometheus to see how it ended.
    let last = query("last_over_time(c1m_top_verdict[5m])", &[]);
    assert!(last.contains("verdict=\"limit_hit\"") && found(&last) == Some(1.0), "{last}");
}

/// Has promtool judge the text.
#[track_caller]
fn check_metrics(mut promtool: Started, text: &str) {
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let status = promtool.wait().unwrap();
    assert!(status.success(), "promtool check metrics: {status}\n{text}");
}

#[test]
fn a_recording_becomes_blocks_that_prometheus_answers_from() {
    own_namespace!();
    require!(Program("prometheus"), Program("promtool"));
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let options = "--target 6k --rate 2k --hold 1s --interval 200ms --record";
    let ended = Run::start(&format!("--server --client 127.0.0.1 9900 {options} {}", at("run.c1m"))).finish();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let export = || {
        let mut command = program();
        command.args(["runs", "export", "--openmetrics", &at("run.c1m"), "-o", &at("run.om")]);
        command
    };
    succeed(&mut export());
    let again = export().output().unwrap();
    assert!(again.status.code() == Some(2) && String::from_utf8_lossy(&again.stderr).contains("--force"), "{again:?}");
    succeed(Command::new("promtool").args(["tsdb", "create-blocks-from", "openmetrics", &at("run.om"), &at("data")]));
    fs::write(at("prometheus.yml"), "").unwrap();
    let _prometheus = prometheus(dir.path(), Path::new(&at("prometheus.yml")));
    let text = fs::read_to_string(at("run.om")).unwrap();
    let series = "c1m_top_connections{role=\"client\",state=\"established\"} ";
    let points: Vec<(f64, f64)> = text
        .lines()
        .filter_map(|line| line.strip_prefix(series)?.split_once(' '))
        .map(|(value, time)| (value.parse().unwrap(), time.parse().unwrap()))
        .collect();
    let shown: Vec<f64> = ended.samples.iter().map(|s| s.established as f64).collect();
    assert!(points.len() >= shown.len(), "{} of {} samples", points.len(), shown.len());
    assert!(points.is_sorted_by(|a, b| a.1 < b.1), "{points:?}");
    // Each is found again at its own time.
    for (value, time) in points.iter().step_by(points.len().div_ceil(5)) {
        let line = query(series.trim(), &[&format!("--time={time}")]);
        assert_eq!(found(&line), Some(*value), "{line}");
    }
    let end = format!("--time={}", points.last().unwrap().1);
    let peak = query("max_over_time(c1m_top_connections{role=\"client\"}[1h])", &[&end]);
    assert!(peak.lines().any(|line| line.contains("established") && found(line) == Some(6000.0)), "{peak}");
    let verdict = query("c1m_top_verdict", &[&end]);
    assert!(verdict.contains("target_reached"), "{verdict}");
    let took = query("histogram_quantile(0.5, sum by (le) (c1m_top_connect_duration_seconds_bucket))", &[&end]);
    let median = ended.summary().connect.unwrap().p50_us as f64 / 1e6;
    let took = found(&took).unwrap_or_else(|| panic!("{took}"));
    assert!(took <= 2.0 * median && median <= 2.0 * took, "{took} for {median}");
    eprintln!("measured: {} B of text for {} samples", text.len(), points.len());
    // The answers come from the blocks.
    assert!(fs::read_dir(at("data")).unwrap().flatten().any(|entry| entry.path().join("meta.json").exists()));
}

/// The most memory that a program takes until it ends well, bytes.
#[track_caller]
fn most_resident(command: &mut Command) -> u64 {
    let mut started = Started::spawn(command);
    let mut most = 0;
    let status = wait_until("its end", || {
        let status = fs::read_to_string(format!("/proc/{}/status", started.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        most = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).map_or(most, |kb: u64| kb * 1024);
        started.try_wait().unwrap()
    });
    assert!(status.success(), "{command:?}: {status}");
    most
}

#[test]
fn a_longer_run_takes_no_more_memory_to_export() {
    let recorded = record::open(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/results/200k.c1m"))).unwrap();
    let samples: Vec<_> = recorded
        .entries()
        .filter_map(|entry| if let Entry::Sample { sample, .. } = entry { Some(sample) } else { None })
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let mut measured = Vec::new();
    for count in [200, 2000] {
        let (run, text) = (dir.path().join("run.c1m"), dir.path().join("run.om"));
        let entries = samples.iter().cycle().take(count).zip(0..).map(|(sample, i)| {
            let mut sample: Sample = sample.as_ref().clone();
            (sample.t_ms, sample.wall_ms) = (i * 1000, samples[0].wall_ms + i * 1000);
            Entry::Sample { shown: true, sample: sample.into() }
        });
        record::write_all(fs::File::create(&run).unwrap(), recorded.header().clone(), entries).unwrap();
        let mut export = program();
        let most = most_resident(export.args(["runs", "export", "--openmetrics", "--force", "-o"]).args([&text, &run]));
        let exported = fs::read_to_string(&text).unwrap();
        let points = exported.lines().filter(|line| line.starts_with("c1m_top_own_resident_memory_bytes ")).count();
        assert_eq!(points, count);
        measured.push((most, exported.len() as u64));
    }
    eprintln!("measured: {measured:?} bytes of memory and of text");
    let [(short, little), (long, much)] = measured[..] else { panic!("{measured:?}") };
    assert!(much > little + (20 << 20), "it is long enough to tell");
    assert!(long < short + (16 << 20), "{long} B of memory for {much} B, {short} for {little}");
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left.len(), 2, "nothing is left behind: {left:?}");
}
