//! `cargo bench --bench traffic [-- SECONDS]`: how long a message takes to come back, from when it was due, at parts of what
//! the two ends can echo together; beside it a ping-pong at the same rate in the same run.

#![expect(clippy::cast_precision_loss, reason = "rates and times far below 2^52")]

#[expect(dead_code, reason = "every benchmark includes all of it and uses its part")]
#[path = "../measure/mod.rs"]
mod measure;
#[path = "../../tests/support/mod.rs"]
mod support;

mod floor;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use c1m_top::protocol::{EngineStats, Role, Traffic};
use c1m_top::units::{grouped, parse_count, whole};

use floor::MESSAGE;
use measure::kernel::{self, Sockets};
use measure::{Interrupted, Outcome};
use support::Control;

/// Connections that send.
const CONNECTIONS: u64 = 1_000;

/// Asked for to find out how many come back: more than two cores have been seen to echo.
const TOO_MANY: u64 = 1_000_000;

/// The rate of the goal, messages a second, and the parts of saturation, percent.
const GOAL: u64 = 1_000;
const PARTS: [u64; 4] = [1, 10, 50, 90];

/// How long each row is measured unless told otherwise.
const TIME: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let Some(arguments) = measure::arguments() else {
        println!("traffic: a benchmark, run by `cargo bench --bench traffic`");
        return ExitCode::SUCCESS;
    };
    match traffic(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("traffic: {e}");
            ExitCode::FAILURE
        }
    }
}

fn traffic(arguments: &[String]) -> Outcome<()> {
    let time = arguments.first().map(|a| parse_count(a)).transpose()?.map_or(TIME, Duration::from_secs);
    let stop = Interrupted::catch()?;
    println!("{CONNECTIONS} connections, messages of {MESSAGE} B, due to echo\n{}\n", kernel::describe()?);
    let (saturation, _) = run(TOO_MANY, time, &stop)?;
    println!("saturation: {} messages a second\n", grouped(whole(saturation)));
    println!("| asked/s | of it | came/s | p50 us | p99 us | p99.9 us | floor p50 | p99 | p99.9 | late | CPU us |");
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (per_s, part) in
        [(GOAL, None)].into_iter().chain(PARTS.map(|p| (whole(saturation * p as f64 / 100.0), Some(p))))
    {
        let (came, measured) = run(per_s, time, &stop)?;
        let floor = floor::measure(per_s, time.min(TIME))?;
        let floor = floor.map_or("- | - | -".to_owned(), |f| format!("{:.0} | {:.0} | {:.0}", f.p50, f.p99, f.p999));
        let part = part.map_or("-".to_owned(), |p| format!("{p} %"));
        println!(
            "| {} | {part} | {} | {} | {} | {} | {floor} | {:.2} % | {:.1} |",
            grouped(per_s),
            grouped(whole(came)),
            measured.traffic.echo.p50_us,
            measured.traffic.echo.p99_us,
            measured.traffic.echo.p999_us,
            measured.traffic.late as f64 / (measured.traffic.sent.max(1)) as f64 * 100.0,
            measured.cpu_us,
        );
    }
    Ok(())
}

/// What a run came to.
struct Measured {
    traffic: Traffic,
    /// CPU time of both ends for a message.
    cpu_us: f64,
}

/// Messages that came back a second, and what the client says of them.
fn run(per_s: u64, time: Duration, stop: &Interrupted) -> Outcome<(f64, Measured)> {
    let sockets = Sockets::open()?;
    let before = sockets.in_use()?;
    let every_us = CONNECTIONS * 1_000_000 / per_s;
    let traffic = format!("--active 100% --message {MESSAGE} --every {every_us}us");
    let options = format!("--server --client 127.0.0.1 9900 --ports 1 --target {CONNECTIONS} {traffic}");
    let mut run = support::Run::start(&options);
    run.until("the target", |p| p.event("phase/holding").is_some());
    let [mut server, mut client] = [Role::Server, Role::Client].map(|role| Control::wait_for(run.engine(role)));
    stop.sleep(Duration::from_millis(500))?;
    let mut ends = || (server.stats(), client.stats());
    let from = ends();
    stop.sleep(time)?;
    let to = ends();
    run.interrupt();
    sockets.wait_for(before + 8, Instant::now(), Duration::from_mins(1), stop)?;
    let sent = |stats: &EngineStats| stats.traffic.ok_or("the client sends nothing");
    let (first, last) = (sent(&from.1)?, sent(&to.1)?);
    if last.mismatched > 0 || last.echoed > last.sent {
        return Err(format!("{} of {} echoed, {} changed", last.echoed, last.sent, last.mismatched).into());
    }
    let messages = (last.echoed - first.echoed) as f64;
    let seconds = (to.1.t_us - from.1.t_us) as f64 / 1e6;
    let cpu_us = (to.0.cpu_us - from.0.cpu_us + to.1.cpu_us - from.1.cpu_us) as f64 / messages.max(1.0);
    Ok((messages / seconds, Measured { traffic: last, cpu_us }))
}
