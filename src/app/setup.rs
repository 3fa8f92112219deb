//! Everything a run needs before its first sample: engines started or attached to, the sampler opened, the model told.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::net::IpAddr;

use super::advise::Tuned;
use super::attach::{self, Found};
use super::child::{self, Engine};
use super::controller::Terms;
use super::link::Link;
use super::plan::Plan;
use super::{Failure, announce};
use crate::client;
use crate::engine::config::{self, EngineConfig};
use crate::model::{Setup, safe_target};
use crate::probe::{self, Hidden, Roots, Sampler, Unseen, Watch};
use crate::sample::{Absent, Kernel};
use crate::sys;
use crate::units::{grouped, micros};

/// A run that is ready to start.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) engines: Vec<Engine>,
    pub(super) links: Vec<Link>,
    pub(super) sampler: Sampler,
    pub(super) setup: Setup,
    /// The first process that is watched.
    pub(super) watched: Option<u32>,
    pub(super) terms: Terms,
    /// Sysctls that were set for it. Dropped last, when nothing needs them any more.
    pub(super) tuned: Option<Tuned>,
    /// What the client's host name was taken for, and what its addresses and ports allow: an id and a sentence each.
    pub(super) notes: Vec<(&'static str, String)>,
}

/// Starts or attaches. A worker of a fleet does not begin before all are ready.
pub(super) fn prepare(mut plan: Plan, interactive: bool, in_fleet: bool) -> Result<Ready, Failure> {
    // Before this run has opened anything.
    let kernel = (plan.client.is_some() || plan.server.is_some() || plan.tune.is_some()).then(look).transpose()?;
    let chosen = kernel.as_ref().and_then(|kernel| choose_target(&mut plan, kernel));
    // For the target that is run for; before the ports are counted, of which it may add some; and declared before the engines,
    // which are gone when it is dropped.
    let tuned = plan.tune.as_ref().map(Tuned::apply).transpose()?;
    let capacity = check_capacity(&mut plan)?;
    // A target that was lowered to what ports allow says so; why it would otherwise have been another is no news then.
    let (note, capacity) = match capacity {
        Some(Capacity { is_target: true, text }) => (Some(text), None),
        other => (chosen, other.map(|c| c.text)),
    };
    let mut notes =
        vec![("part", plan.part_note.take()), ("endpoint", plan.endpoint_note.take()), ("capacity", capacity)];
    let changed = tuned.as_ref().map_or(0, |tuned| tuned.done.iter().filter(|done| done.is_well()).count());
    if let Some([what, until]) = kernel.as_ref().and_then(|kernel| announce::lines(&plan, kernel, changed)) {
        if interactive {
            // They stay above the summary when the dashboard has left. A terminal that has gone is noticed when it is taken.
            let _ = writeln!(io::stdout(), "{what}\n{until}");
        }
        notes.extend([("plan", Some(what)), ("plan/until", Some(until))]);
    }
    let mut engines = Vec::new();
    let mut links = Vec::new();
    let configs = [plan.server.clone().map(EngineConfig::Server), plan.client.clone().map(EngineConfig::Client)];
    for config in configs.into_iter().flatten() {
        let (engine, link) = child::start(&config)?;
        engines.push(engine);
        links.push(link);
    }
    let mut program = None;
    if let Some(selector) = &plan.attach {
        let chosen = attach::choose(selector.as_ref(), plan.only, plan.app_limit)?;
        let found = match chosen.pids.as_slice() {
            [one] => attach::find(*one)?,
            _ => Found::Foreign(None),
        };
        match found {
            Found::Engines(found) => links = found,
            Found::Foreign(why) => {
                notes.push(("attach", why));
                program = Some(chosen);
            }
        }
    }
    let hellos = links.iter().map(Link::hello);
    let watches: Vec<Watch> = hellos.map(|hello| Watch::named(hello.pid, hello.role.name())).collect();
    let sampler = match &program {
        Some(attach) => Sampler::of_program(Roots::default(), attach),
        None => Sampler::new(Roots::default(), &watches),
    };
    let mut sampler = sampler.map_err(|e| Failure::Usage(e.to_string()))?;
    if let Some(hello) = links.first().map(Link::hello) {
        sampler.only_listeners(hello.port..=hello.port.saturating_add(hello.ports.saturating_sub(1)));
    }
    notes.push(("attach/namespace", sampler.unseen().as_ref().map(not_seen)));
    let first = program.as_ref().and_then(|attach| attach.pids.first());
    let hidden = first.and_then(|pid| probe::hidden(&Roots::default(), *pid));
    notes.push(("attach/privilege", hidden.as_ref().map(not_read)));
    let setup = setup(&plan, &links, note);
    let terms = Terms {
        own_client: plan.client.is_some(),
        own_server: plan.server.is_some(),
        interactive,
        guard: plan.guard,
        hold: plan.hold,
        duration: plan.duration,
        close: plan.close,
        close_rate: plan.close_rate,
        in_fleet,
    };
    let notes = notes.into_iter().filter_map(|(id, text)| Some((id, text?))).collect();
    let main = links.first().map(|link| link.hello().pid).or(first.copied());
    Ok(Ready { engines, links, sampler, setup, watched: main, terms, tuned, notes })
}

/// What is lost of a target in another network namespace, and who would have it.
fn not_seen(unseen: &Unseen) -> String {
    let Unseen { pid, why, what } = unseen;
    let (refused, who) = match why {
        Absent::NeedsRoot { .. } if sys::euid() == 0 => {
            ("which takes CAP_SYS_ADMIN to enter".to_owned(), "; root of the machine sees them")
        }
        Absent::NeedsRoot { .. } => ("which this user may not enter".to_owned(), "; root sees them"),
        why => (format!("which cannot be entered ({why})"), ""),
    };
    let what = what.join(", ");
    format!("process {pid} is in another network namespace, {refused}: {what} cannot be seen{who}")
}

/// The machine and this process, as they are before a run.
fn look() -> Result<Kernel, Failure> {
    let own = Watch::process(std::process::id());
    Ok(Sampler::new(Roots::default(), &[own]).map_err(|e| Failure::Internal(e.to_string()))?.read().0)
}

/// What of a target, and of the machine, this user may not read, and who would have it.
fn not_read(hidden: &Hidden) -> String {
    let Hidden { pid, user, of_process, of_machine } = hidden;
    let to_root = if user == "root" { "as root".to_owned() } else { format!("as {user} or root") };
    let of_process = match of_process.as_slice() {
        [] => String::new(),
        all => format!(
            "process {pid} belongs to {user}, and this user cannot see {}: run c1m-top {to_root} to see them",
            all.join(", ")
        ),
    };
    let of_machine = match of_machine.as_slice() {
        [] => String::new(),
        all => format!("only root can see {}", all.join(" and ")),
    };
    [of_process, of_machine].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

/// A run that names no target aims at one million, or at what this machine can hold. Returns the sentence that says so. A
/// server alone aims at nothing, but what is tuned for it is not more than it can hold either.
fn choose_target(plan: &mut Plan, kernel: &Kernel) -> Option<String> {
    if plan.target_given || (plan.client.is_none() && plan.tune.is_none()) {
        return None;
    }
    let cgroups = kernel.processes.first().and_then(|t| t.memcg.as_ref().ok()).cloned().unwrap_or_default();
    let (target, note) = safe_target(kernel, plan.both_ends(), &cgroups, plan.part);
    if let Some(ask) = &mut plan.tune {
        ask.ramp.target = Some(target);
    }
    let client = plan.client.as_mut()?;
    client.common.target = target;
    if let Some(server) = &mut plan.server {
        server.common.target = target;
    }
    Some(note)
}

/// What the client's addresses and ports allow.
struct Capacity {
    /// The target was lowered to it.
    is_target: bool,
    /// In a sentence.
    text: String,
}

/// What the client's addresses and ports allow, before anything is opened: a target above it is refused, a default one
/// lowered to it.
fn check_capacity(plan: &mut Plan) -> Result<Option<Capacity>, Failure> {
    let Some(config) = plan.client.as_mut() else { return Ok(None) };
    let addresses = client::Plan::new(config, client::local_ports()).map_err(|e| Failure::Usage(e.to_string()))?;
    let (sources, ports, local) = addresses.factors();
    let (Some(capacity), Some(local)) = (addresses.capacity(), local) else { return Ok(None) };
    let count =
        |n: usize, what: &str, more: &str| format!("{} {what}{}", grouped(n as u64), if n == 1 { "" } else { more });
    let product = format!(
        "{} x {} x {} local ports",
        count(sources.max(1), "source address", "es"),
        count(ports, "destination port", "s"),
        grouped(local)
    );
    let target = config.common.target;
    if target > capacity && plan.target_given {
        let needed = target.div_ceil(local * sources.max(1) as u64);
        let more_sources = target.div_ceil(local * ports as u64);
        let (more, what) = match plan.part {
            None => (
                format!("use --ports {needed} (on the server as well), or {more_sources} source addresses (--source)"),
                String::new(),
            ),
            Some(part) => (
                "use more --ports (on the server as well), or more source addresses (--source)".to_owned(),
                format!(" of {part}"),
            ),
        };
        let (target, capacity) = (grouped(target), grouped(capacity));
        return Err(Failure::Usage(format!(
            "--target {target}{what} is more than the {capacity} that {product} allow: {more}"
        )));
    }
    // A chosen target is to be reached: a port that another program listens on is none of this run's.
    let others = if plan.target_given { BTreeSet::new() } else { client::listening() };
    let free = addresses.capacity_beside(&others).unwrap_or(capacity).max(1);
    if target <= free {
        let text = format!("Addresses and ports allow {} connections: {product}.", grouped(capacity));
        return Ok(Some(Capacity { is_target: false, text }));
    }
    config.common.target = free;
    if let Some(server) = &mut plan.server {
        server.common.target = free;
    }
    let beside = if free < capacity { ", less those that other programs listen on" } else { "" };
    let text = format!("target {}, all that addresses and ports allow: {product}{beside}", grouped(free));
    Ok(Some(Capacity { is_target: true, text }))
}

fn setup(plan: &Plan, links: &[Link], note: Option<String>) -> Setup {
    let hellos = || links.iter().map(Link::hello);
    // The client's greeting says where to; without one, the server's says where it listens.
    let named = hellos().last();
    let endpoint = named.map(|h| {
        let last = h.port + (h.ports - 1);
        if h.ports == 1 { format!("{}:{}", h.address, h.port) } else { format!("{}:{}-{last}", h.address, h.port) }
    });
    let listen = plan.server.as_ref().map(|server| match server.listen.as_slice() {
        listen if !listen.is_empty() && listen.iter().all(IpAddr::is_loopback) => {
            format!("loopback only ({})", config::describe(listen))
        }
        listen => config::describe(listen),
    });
    Setup {
        machine: probe::machine(),
        own_engines: plan.server.is_some() || plan.client.is_some(),
        part: plan.part,
        merged: None,
        target: hellos().map(|h| h.target).find(|t| *t > 0),
        target_note: note,
        endpoint,
        listen,
        guard_per_mille: Some(plan.guard_per_mille),
        interval_ms: micros(plan.interval) / 1000,
        hold_ms: plan.hold.map(|hold| micros(hold) / 1000),
    }
}
