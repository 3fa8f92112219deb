//! A run from its start to its end: everything is opened in the order in which it can fail, then the loop goes round.

use std::cell::LazyCell;
use std::io::{self, IsTerminal};
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use super::controller::Controller;
use super::message::{self, Message};
use super::metrics::Door;
use super::processes::Processes;
use super::screen::Screen;
use super::session::{End, Session};
use super::setup::{self, Ready};
use super::state::State;
use super::view::View;
use super::{Failure, ending, fleet, no_thread, plan, recording, watcher};
use crate::cli::{OutputArg, RunArgs};
use crate::config::Config;
use crate::model::Severity;
use crate::output::{FORMATS, Writer};
use crate::record::Header;

/// Messages that wait for the loop. The probe thread blocks when it is full, which is right: nobody looks.
const CHANNEL: usize = 64;

/// Runs what the command line asks for; returns the exit status.
pub(super) fn run(args: &RunArgs) -> Result<u8, Failure> {
    let mut plan = plan::plan(args).map_err(Failure::Usage)?;
    // One that can neither place its cursor nor clear itself is as good as a file.
    let on_terminal = io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
    let dashboard = on_terminal && args.output_file.is_none();
    let lines = match args.output.unwrap_or(if dashboard { OutputArg::Tui } else { OutputArg::Lines(FORMATS[0]) }) {
        OutputArg::Tui if !on_terminal => {
            return Err(Failure::Usage("--output tui needs a terminal; write --output text or json".into()));
        }
        OutputArg::Tui => None,
        OutputArg::Lines(format) => Some(Writer::open(format, args.output_file.as_deref()).map_err(Failure::Usage)?),
    };
    // The configuration file is for the screen alone.
    let config = match &lines {
        None => Config::of_user(|name| std::env::var_os(name)).map_err(Failure::Usage)?,
        Some(_) => Config::default(),
    };
    plan.interval = config.interval.filter(|_| args.interval.is_none()).unwrap_or(plan.interval);
    let interval = plan.interval;
    let engine = plan.server.as_ref().map(|s| &s.common).or(plan.client.as_ref().map(|c| &c.common));
    let here = engine.filter(|_| plan.server.is_some() || plan.both_ends());
    let door = args.metrics.map(|at| Door::open(at, here)).transpose().map_err(Failure::Usage)?;
    let file = recording::open(args)?;
    let port = plan.port;
    let failed = |e: io::Error| no_thread::failure("the dashboard", &e);
    let (to, messages) = sync_channel::<Message>(CHANNEL);
    // Before anything is changed that must be put back.
    message::catch_signals(to.clone()).map_err(failed)?;
    // Refused by its fleet, it starts nothing; dropped, it leaves the fleet.
    let (mut fleet, joined) = fleet::join(args, &plan, to.clone())?.unzip();
    let Ready { engines, links, sampler, setup, watched, terms, tuned, notes } =
        setup::prepare(plan, lines.is_none(), fleet.is_some())?;
    // Made once, and only for whoever wants it: it reads every source.
    let clock_offset_us = fleet.as_ref().map(|fleet| fleet.clock_offset_us);
    let header = LazyCell::new(|| Header { clock_offset_us, ..recording::header(args, setup.clone(), port, watched) });
    let named = fleet.as_ref().map(|fleet| fleet.name.as_str());
    let metrics = door.map(|door| door.serve(&header, named, to.clone()));
    let metrics = metrics.transpose().map_err(|e| no_thread::failure("the metrics", &e))?;
    if let Some(fleet) = &mut fleet {
        fleet.describe(header.clone());
    }
    let (recorder, unrecorded) = match file {
        Some(Ok(file)) => match file.begin(header.clone())? {
            Ok(recorder) => (Some(recorder), None),
            Err(why) => (None, Some(why)),
        },
        Some(Err(why)) => (None, Some(why)),
        None => (None, None),
    };
    let mut state = State::new(setup, recorder);
    let processes = Processes::new(engines, links.len());
    let view = match lines {
        Some(lines) => Ok(View::Lines(lines)),
        None => Screen::open(&args.screen, config, to.clone()).map(|screen| View::Screen(Box::new(screen))),
    };
    let begun = view.and_then(|view| Ok((view, watcher::start(sampler, links, interval, to.clone())?)));
    let (view, (probe, thread)) = begun.map_err(|e| {
        state.discard();
        failed(e)
    })?;
    message::report_panic(thread, to.clone(), Message::ThreadFailed);
    let served = metrics.as_ref().map(|metrics| ("metrics", metrics.where_to_read()));
    let notes = notes.into_iter().chain(joined.into_iter().flatten());
    for (id, sentence) in notes.chain(unrecorded.map(|why| ("recording", why))).chain(served) {
        state.note(Severity::Info, id, sentence);
    }
    for done in tuned.iter().flat_map(|t| &t.done) {
        let severity = if done.is_well() { Severity::Info } else { Severity::Warning };
        state.note(severity, &format!("tuned/{}", done.key), done.to_string());
    }
    let controller = Controller::new(terms, Instant::now());
    let mut session = Session::new(state, controller, processes, probe, to, view, tuned, fleet);
    let end = session.until_end(&messages);
    let left = session.left || matches!(end, Ok(End::AtOnce));
    let status = ending::finish(session, end, &args.expect, metrics.as_ref())?;
    if let Some(metrics) = metrics.filter(|_| !left) {
        metrics.linger(&messages, args.metrics_linger);
    }
    Ok(status)
}
