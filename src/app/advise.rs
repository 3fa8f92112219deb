//! `c1m-top check` and `c1m-top tune`: gathers what is asked and what is there, prints what `advise` makes of it.

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::print::print;
use super::tuning::{self, Done, Sysctls};
use super::{Failure, parts, plan, replay, runs};
use crate::advise::catalogue;
use crate::advise::obsolete::{self, Finding};
use crate::advise::state::Here;
use crate::advise::{
    self, Addresses, Ask, Measured, OwnEngines, Program, Proposal, Report, Side, Surroundings, Traffic, table,
};
use crate::cli::{AskArgs, CheckArgs, ProgramArg, ReportArg, RoleArg, TuneArgs};
use crate::client;
use crate::engine::config::{ClientConfig, Common};
use crate::engine::pool::{MOST_WORKERS, OWN, SPARE};
use crate::output::object;
use crate::probe::{self, Roots, Sampler, Watch};
use crate::record::RunRole;
use crate::sample::Kernel;
use crate::units::{grouped, whole};

/// The target fits, or all was set.
const FITS: u8 = 0;
/// It does not.
const DOES_NOT: u8 = 3;

/// Connections per second to assume where none are given.
const RATE: u64 = 50_000;

/// `c1m-top check`.
pub(super) fn check(args: &CheckArgs) -> Result<u8, Failure> {
    if args.limits {
        match args.ask.output {
            ReportArg::Text => print(&catalogue::write())?,
            ReportArg::Json => print_json(&Limits { limits: catalogue::entries() })?,
        }
        return Ok(FITS);
    }
    if let Some(run) = &args.from {
        return check_from(run, args);
    }
    let (ask, report) = examine(&args.ask, None)?;
    match args.ask.output {
        ReportArg::Text => print(&table::write(&ask, &report))?,
        ReportArg::Json => print_json(&report)?,
    }
    Ok(if report.fits { FITS } else { DOES_NOT })
}

/// How many connections this machine would hold at the cost that a run has measured.
fn check_from(run: &str, args: &CheckArgs) -> Result<u8, Failure> {
    let recording = runs::open(run)?;
    let summary = replay::outcome(&recording);
    let cost = &summary.bytes_per_connection;
    let user = cost.user.unwrap_or_else(|| cost.server_user.unwrap_or(0.0) + cost.client_user.unwrap_or(0.0));
    let Some(total) = cost.total else {
        return Err(Failure::Usage(format!("--from {run}: it opened too few connections to tell what one costs")));
    };
    let mut ask = args.ask.clone();
    (ask.role, ask.program) = match recording.header().role {
        RunRole::Both => (RoleArg::Both, ProgramArg::Own),
        RunRole::Server => (RoleArg::Server, ProgramArg::Own),
        RunRole::Client => (RoleArg::Client, ProgramArg::Own),
        RunRole::Attach | RunRole::Watch => (RoleArg::Server, ProgramArg::Other),
    };
    let measured = Measured { total_bytes: total, user_bytes: user.min(total) };
    let (ask, report) = examine(&ask, Some(measured))?;
    let holds = report.first_limit.as_ref().map(|first| first.connections);
    match args.ask.output {
        ReportArg::Json => print_json(&AtCost { report: &report, from: run, bytes_per_connection: total, holds })?,
        ReportArg::Text => {
            let first = report.first_limit.as_ref().map_or_else(
                || "no limit of this machine is in sight".to_owned(),
                |first| {
                    format!("about {} fit here, then comes {} ({})", grouped(first.connections), first.id, first.scope)
                },
            );
            let what = &recording.header().what;
            print(&format!(
                "At the {} B a connection of that run ({what}): {first}.\n\n{}",
                grouped(whole(total.round())),
                table::write(&ask, &report)
            ))?;
        }
    }
    Ok(if report.fits { FITS } else { DOES_NOT })
}

/// The report on a run's cost, as JSON.
#[derive(Serialize)]
struct AtCost<'a> {
    #[serde(flatten)]
    report: &'a Report,
    /// The run.
    from: &'a str,
    /// What a connection cost in it.
    bytes_per_connection: f64,
    /// Connections up to the first limit; null where none is in sight.
    holds: Option<u64>,
}

/// Every limit there is, as JSON.
#[derive(Serialize)]
#[serde(tag = "kind", rename = "limits")]
struct Limits {
    limits: Vec<catalogue::Entry>,
}

/// `c1m-top tune`.
pub(super) fn tune(args: &TuneArgs) -> Result<u8, Failure> {
    let sysctls = Sysctls::new("/proc/sys");
    let state = args.state.clone().map_or_else(tuning::default_state, Ok).map_err(Failure::Usage)?;
    if args.revert {
        let done = tuning::revert(&sysctls, &state, &here(&sysctls)?, args.force).map_err(Failure::Usage)?;
        let nothing = format!("Nothing to put back: there is no state file {}.", state.display());
        return finish(&done, &nothing, &state, args.ask.output);
    }
    let (ask, report) = examine(&args.ask, None)?;
    let proposal = Proposal::new(&report, configured(&sysctls));
    if args.apply {
        let done = tuning::apply(&sysctls, &state, &here(&sysctls)?, &proposal.sysctl).map_err(Failure::Usage)?;
        let status = finish(&done, "Nothing to set: every sysctl is large enough.", &state, args.ask.output)?;
        // Not the running kernel's to set: whoever starts the program does.
        let rest = proposal.service();
        if args.ask.output == ReportArg::Text && !rest.is_empty() {
            print(&format!("For the program's unit or login: {} (c1m-top tune prints the files)\n", rest.join(", ")))?;
        }
        return Ok(status);
    }
    match args.ask.output {
        ReportArg::Text => print(&proposal.write(&ask))?,
        ReportArg::Json => print_json(&proposal)?,
    }
    Ok(if proposal.fits_then { FITS } else { DOES_NOT })
}

/// Prints what was done to each key.
fn finish(done: &[Done], nothing: &str, state: &Path, output: ReportArg) -> Result<u8, Failure> {
    let kept = state.exists().then_some(state);
    if output == ReportArg::Json {
        print_json(&Changed { done, state: kept })?;
    } else {
        let mut text: String = if done.is_empty() { format!("{nothing}\n") } else { lines(done) };
        if let Some(state) = kept {
            let _ = writeln!(text, "Old values are kept in {}: {}", state.display(), tuning::revert_command(state));
        }
        print(&text)?;
    }
    Ok(if done.iter().all(Done::is_well) { FITS } else { DOES_NOT })
}

/// What was done, as JSON.
#[derive(Serialize)]
#[serde(tag = "kind", rename = "changed")]
struct Changed<'a> {
    done: &'a [Done],
    /// The state file, while there is something to put back.
    state: Option<&'a Path>,
}

fn lines(done: &[Done]) -> String {
    done.iter().map(|d| d.to_string() + "\n").collect()
}

/// Sysctls set for one run, put back when it ends. After a kill -9 the state file is still there: `c1m-top tune --revert`.
#[derive(Debug)]
pub(super) struct Tuned {
    sysctls: Sysctls,
    state: PathBuf,
    here: Here,
    /// What was done to each key.
    pub(super) done: Vec<Done>,
}

impl Tuned {
    /// Sets what a run lacks.
    pub(super) fn apply(args: &AskArgs) -> Result<Self, Failure> {
        let sysctls = Sysctls::new("/proc/sys");
        let state = tuning::default_state().map_err(Failure::Usage)?;
        if state.exists() {
            // Its old values are somebody else's to put back.
            return Err(Failure::Usage(format!(
                "--tune: sysctls are already tuned ({}): run without --tune, or put them back first (c1m-top tune --revert)",
                state.display()
            )));
        }
        let (_, report) = examine(args, None)?;
        let proposal = Proposal::new(&report, configured(&sysctls));
        let here = here(&sysctls)?;
        let done = tuning::apply(&sysctls, &state, &here, &proposal.sysctl).map_err(Failure::Usage)?;
        Ok(Self { sysctls, state, here, done })
    }
}

impl Drop for Tuned {
    fn drop(&mut self) {
        match tuning::revert(&self.sysctls, &self.state, &self.here, false) {
            Ok(done) if done.iter().all(Done::is_well) => {}
            Ok(done) => eprintln!(
                "c1m-top: not every sysctl could be put back (c1m-top tune --revert)\n{}",
                lines(&done).trim_end()
            ),
            Err(e) => eprintln!("c1m-top: sysctls were not put back: {e} (c1m-top tune --revert)"),
        }
    }
}

/// What is asked, compared with this machine.
fn examine(args: &AskArgs, measured: Option<Measured>) -> Result<(Ask, Report), Failure> {
    // The program first, this process (which would start c1m-top's engines) last.
    let watches: Vec<Watch> = args.pid.into_iter().chain([std::process::id()]).map(Watch::process).collect();
    let (kernel, _) = Sampler::new(Roots::default(), &watches).map_err(|e| Failure::Usage(e.to_string()))?.read();
    let ask = Ask { measured, ..ask(args, &kernel).map_err(Failure::Usage)? };
    let report = advise::check(&ask, &kernel, &surroundings(&Roots::default()));
    Ok((ask, report))
}

fn ask(args: &AskArgs, kernel: &Kernel) -> Result<Ask, String> {
    let which = parts::of(&args.parts)?;
    let target = parts::share(which, args.ramp.target_or_default(), "--target")?;
    let rate = args.ramp.rate.0.map(|whole| parts::share(which, whole, "--rate")).transpose()?;
    let port = args.addresses.port_or_default();
    let other = args.is_of_another_program();
    let ports = if other { args.addresses.ports.unwrap_or(1) } else { args.addresses.ports_or_default() };
    plan::check_ports(port, ports)?;
    let traffic = plan::traffic(&args.traffic);
    let traffic = traffic.map(|t| Traffic { share: t.share, message: t.message, every_us: t.every_us });
    let sources = plan::sources(&args.addresses.source)?;
    let to = sources.first().copied().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let own = parts::addresses(which, sources, to, (port, ports));
    let sources = own.sources;
    let workers = args.engines.workers.map(u64::from);
    let program = if other { Program::Other { processes: workers.unwrap_or(1) } } else { Program::Own };
    let role = match args.role {
        RoleArg::Server => Side::Server,
        RoleArg::Client => Side::Client,
        RoleArg::Both => Side::Both,
    };
    let addresses = if role == Side::Server { None } else { addresses(target, role, own.ports, &sources, kernel)? };
    // Lanes of the ramp, each with a window of its own.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let lanes = client::lanes(cores, target, u64::MAX);
    Ok(Ask {
        target,
        role,
        program,
        running: args.pid.is_some(),
        port,
        ports,
        sources_named: sources.len() as u64,
        addresses,
        traffic,
        rate: rate.unwrap_or(RATE),
        user_bytes: args.user_memory,
        measured: None,
        guard: (!args.ramp.no_guard).then_some(args.ramp.guard / 100.0),
        engines: OwnEngines {
            table_own: OWN + u64::from(SPARE),
            most_workers: MOST_WORKERS as u64,
            workers: workers.filter(|_| program == Program::Own),
            lanes: lanes as u64,
            in_flight: (lanes * client::WINDOW) as u64,
        },
    })
}

/// What a client with these addresses could open, as a run plans it.
fn addresses(
    target: u64,
    role: Side,
    (port, ports): (u16, u16),
    sources: &[IpAddr],
    kernel: &Kernel,
) -> Result<Option<Addresses>, String> {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let config = ClientConfig {
        common: Common { port, ports, workers: None, target },
        // Where a client alone will connect to is not known: of the family of its sources.
        target_ip: sources.first().copied().unwrap_or(loopback),
        zone: 0,
        // Without a name a client elsewhere than on loopback has one address.
        sources: if role == Side::Client && sources.is_empty() { vec![loopback] } else { sources.to_vec() },
        rate: None,
        greet: false,
        persist: false,
        traffic: None,
        share: None,
    };
    let plan = client::Plan::new(&config, kernel.net.ports.as_ref().ok().copied()).map_err(|e| e.to_string())?;
    let (sources, ports, per_pair) = plan.factors();
    Ok(per_pair.map(|per_pair| Addresses { sources: sources.max(1) as u64, ports: ports as u64, per_pair }))
}

fn surroundings(roots: &Roots) -> Surroundings {
    let number = |path: &str| -> Option<u64> {
        std::fs::read_to_string(roots.proc.join("sys/net").join(path)).ok()?.trim().parse().ok()
    };
    Surroundings { machine: probe::machine(), netdev_max_backlog: number("core/netdev_max_backlog") }
}

/// Obsolete and harmful settings, in the files of sysctl.d(5) and in the running kernel.
fn configured(sysctls: &Sysctls) -> Vec<Finding> {
    let mut files = Vec::new();
    for dir in ["/usr/lib/sysctl.d", "/usr/local/lib/sysctl.d", "/run/sysctl.d", "/etc/sysctl.d"] {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path());
        let mut here: Vec<PathBuf> = entries.filter(|p| p.extension().is_some_and(|e| e == "conf")).collect();
        here.sort();
        files.extend(here);
    }
    files.push("/etc/sysctl.conf".into());
    let mut found: Vec<Finding> = Vec::new();
    let mut seen: Vec<PathBuf> = Vec::new();
    for file in files {
        // Debian links 99-sysctl.conf to /etc/sysctl.conf.
        let real = file.canonicalize().unwrap_or_else(|_| file.clone());
        if !seen.contains(&real) {
            let text = std::fs::read(&file).unwrap_or_default();
            found.extend(obsolete::scan(&file.display().to_string(), &String::from_utf8_lossy(&text)));
            seen.push(real);
        }
    }
    for key in ["net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"] {
        found.extend(sysctls.read(key).ok().and_then(|value| obsolete::running(key, &value)));
    }
    found
}

fn here(sysctls: &Sysctls) -> Result<Here, Failure> {
    let unknown = |what: &str, e: &io::Error| Failure::Internal(format!("{what} cannot be read: {e}"));
    let boot_id = sysctls.read("kernel.random.boot_id").map_err(|e| unknown("the boot id", &e))?;
    let netns = std::fs::read_link("/proc/self/ns/net").map_err(|e| unknown("the network namespace", &e))?;
    Ok(Here { boot_id, netns: netns.to_string_lossy().into_owned() })
}

fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = object(value).map_err(|e| Failure::Internal(e.to_string()))?;
    print(&format!("{text}\n"))
}
