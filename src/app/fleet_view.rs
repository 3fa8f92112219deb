//! `c1m-top fleet`: looks at a fleet once a second, on its screen, as text or JSON, or gives it a command.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::print::print;
use super::{Failure, fleet, fleet_screen, gather};
use crate::cli::{FleetArgs, FleetOutputArg};
use crate::fleet::{Address, FleetCommand, FleetVerdict, FleetView, Looker, StoreError, WorkerEvent};
use crate::model::Severity;
use crate::output::{fleet_line, fleet_rows, fleet_summary, harmless, object};
use crate::units::{parse_count, parse_rate};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// How long a store is tried that has never answered.
const TRIED: Duration = Duration::from_secs(3);

/// `c1m-top fleet`.
pub(super) fn run(args: &FleetArgs) -> Result<u8, Failure> {
    gather::check(&args.to)?;
    let (address, words) = address(&args.words).map_err(Failure::Usage)?;
    let authority = fleet::authority(args.fleet_ca.as_deref(), &address).map_err(Failure::Usage)?;
    let order = order(words).map_err(Failure::Usage)?;
    let mut looker = Looker::new(&address, authority.as_deref()).map_err(Failure::Usage)?;
    let unusable = |e: &StoreError| Failure::Usage(format!("the store {address}: {e}"));
    if let Some(order) = order {
        let Some(token) = fleet::token() else {
            return Err(Failure::Usage(format!("a command needs the workers' token in {}", fleet::TOKEN)));
        };
        let Some(view) = looker.look(false).map_err(|e| unusable(&e))? else {
            return Err(Failure::Usage(format!("no worker has joined the fleet {address} yet")));
        };
        let command = order(view.divided_by());
        let clients = view.clients().count();
        if let Some(why) = fleet::refuse(&command, clients) {
            return Err(Failure::Usage(why));
        }
        looker.command(&token, command).map_err(|e| unusable(&e))?;
        let s = if clients == 1 { "" } else { "s" };
        print(&format!("sent to {clients} client{s}; c1m-top fleet shows what they do\n"))?;
        return Ok(0);
    }
    // One that can neither place its cursor nor clear itself is as good as a file.
    let on_terminal = io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
    let screen = on_terminal && args.to.output_file.is_none() && args.duration.is_none();
    let output = args.output.unwrap_or(if screen { FleetOutputArg::Tui } else { FleetOutputArg::Text });
    if output == FleetOutputArg::Tui {
        if !on_terminal {
            return Err(Failure::Usage("--output tui needs a terminal; write --output text or json".into()));
        }
        return fleet_screen::show(looker, args.last, &args.screen);
    }
    let to: Box<dyn Write> = match &args.to.output_file {
        Some(path) => Box::new(File::create(path).map_err(|e| Failure::Usage(format!("{}: {e}", path.display())))?),
        None => Box::new(io::stdout()),
    };
    let mut shown = Shown { to, json: output == FleetOutputArg::Json, rows: HashMap::new(), events: HashMap::new() };
    let began = Instant::now();
    let mut seen: Option<FleetView> = None;
    let mut told = false;
    let mut away = false;
    loop {
        match looker.look(args.last) {
            Ok(Some(view)) => {
                if std::mem::take(&mut away) {
                    shown.say(&format!("the store {address} is back"))?;
                }
                let over = view.is_over() || args.last;
                if shown.view(&view, over)? == Reader::Gone {
                    return Ok(0);
                }
                if over {
                    shown.summary(&view)?;
                    return Ok(view.verdict.status());
                }
                seen = Some(view);
            }
            Ok(None) if args.last => {
                return Err(Failure::Usage(format!("no run of the fleet {address} in the last hour")));
            }
            Ok(None) if seen.is_none() && !std::mem::replace(&mut told, true) => {
                shown.say(&format!("waiting for the first worker of {address}"))?;
            }
            Ok(None) => {}
            Err(e @ StoreError::Unusable(_)) => return Err(unusable(&e)),
            Err(e) if seen.is_none() && !told && began.elapsed() > TRIED => return Err(unusable(&e)),
            Err(e) => {
                if !std::mem::replace(&mut away, true) && (seen.is_some() || told) {
                    shown.say(&format!("the store {address} is unreachable ({e}): the workers go on"))?;
                }
            }
        }
        if args.duration.is_some_and(|duration| began.elapsed() >= duration) {
            return match &seen {
                Some(view) => {
                    shown.summary(view)?;
                    Ok(view.verdict.status())
                }
                None => Err(Failure::Usage(format!("no worker has joined the fleet {address}"))),
            };
        }
        thread::sleep(LOOK);
    }
}

/// The address, and the words of a command behind it.
fn address(words: &[String]) -> Result<(Address, &[String]), String> {
    if let Some((first, rest)) = words.split_first()
        && first.contains("://")
    {
        return Ok((first.parse()?, rest));
    }
    let named = fleet::address(None)?;
    let missing = || format!("which fleet? Write redis://HOST/NAME, or set {}", fleet::FLEET);
    named.map(|address| (address, words)).ok_or_else(missing)
}

/// A command, once it is known what its number is divided by.
type Order = Box<dyn FnOnce(u64) -> FleetCommand>;

/// The command that these words are.
fn order(words: &[String]) -> Result<Option<Order>, String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Ok(Some(match words.as_slice() {
        [] => return Ok(None),
        ["pause"] => Box::new(|_| FleetCommand::Pause),
        ["resume"] => Box::new(|_| FleetCommand::Resume),
        ["close"] => Box::new(|_| FleetCommand::Close),
        ["rate"] => return Err("rate needs a value: rate 50k, or rate max".to_owned()),
        ["target"] => return Err("target needs a value: target 800k".to_owned()),
        ["rate", rate] => {
            let per_s = parse_rate(rate)?;
            Box::new(move |of| FleetCommand::Rate { per_s, of })
        }
        ["target", count] => {
            let connections = parse_count(count)?;
            Box::new(move |of| FleetCommand::Target { connections, of })
        }
        other => {
            // A mistyped address may have a password in it.
            let secret = |word: &&&str| word.contains(['@', ':']);
            let other = if other.iter().any(|word| secret(&word)) {
                "this".to_owned()
            } else {
                format!("'{}'", other.join(" "))
            };
            return Err(format!("{other} is not a fleet command; write pause, resume, rate 50k, target 800k or close"));
        }
    }))
}

/// Whether anybody reads.
#[derive(PartialEq, Eq)]
enum Reader {
    There,
    Gone,
}

/// What has been shown, and where.
struct Shown {
    to: Box<dyn Write>,
    json: bool,
    /// By worker: the word of its state.
    rows: HashMap<String, &'static str>,
    /// By worker and id: how bad an event was when it was shown. Its count grows and is no news.
    events: HashMap<(String, String), Severity>,
}

/// An object a second.
#[derive(Serialize)]
#[serde(tag = "kind", rename = "fleet")]
struct Line<'a> {
    #[serde(flatten)]
    view: &'a FleetView,
}

/// An object an event.
#[derive(Serialize)]
#[serde(tag = "kind", rename = "fleet_event")]
struct Happened<'a> {
    host: &'a str,
    worker: String,
    #[serde(flatten)]
    event: &'a WorkerEvent,
}

/// The last object.
#[derive(Serialize)]
#[serde(tag = "kind", rename = "fleet_summary")]
struct Summary<'a> {
    fleet: &'a str,
    #[serde(flatten)]
    verdict: &'a FleetVerdict,
    missing: &'a [String],
    bottleneck: Option<&'a crate::fleet::Bottleneck>,
}

impl Shown {
    /// Shows what is new; the rows of one that is `over` are in its summary.
    fn view(&mut self, view: &FleetView, over: bool) -> Result<Reader, Failure> {
        let mut text = String::new();
        for (row, event) in view.events.iter().rev() {
            let who = &view.rows[*row].state.who;
            if !is_news(&mut self.events, &who.id, event) {
                continue;
            }
            let line = if self.json {
                json(&Happened { host: &who.host, worker: who.name(), event })?
            } else {
                format!("  {}: {}\n", who.name(), event.text)
            };
            text.push_str(&line);
        }
        let here: HashSet<&str> = view.rows.iter().map(|row| row.state.who.id.as_str()).collect();
        self.events.retain(|(id, _), _| here.contains(id.as_str()));
        if self.json {
            text += &json(&Line { view })?;
        } else if !over {
            let changed = |row: &&crate::fleet::Row| self.rows.get(&row.state.who.id) != Some(&row.word());
            text += &fleet_rows(view.rows.iter().filter(changed));
            text += &fleet_line(view);
            self.rows = view.rows.iter().map(|row| (row.state.who.id.clone(), row.word())).collect();
        }
        self.write(&text)
    }

    fn summary(&mut self, view: &FleetView) -> Result<(), Failure> {
        let text = if self.json {
            let FleetView { name, verdict, missing, bottleneck, .. } = view;
            json(&Summary { fleet: name, verdict, missing, bottleneck: bottleneck.as_ref() })?
        } else {
            fleet_summary(view)
        };
        self.write(&text).map(drop)
    }

    /// Something that is not of the fleet. JSON has nothing but objects: it goes to standard error.
    fn say(&mut self, text: &str) -> Result<(), Failure> {
        if self.json {
            eprintln!("c1m-top: {text}");
            return Ok(());
        }
        self.write(&format!("{text}\n")).map(drop)
    }

    fn write(&mut self, text: &str) -> Result<Reader, Failure> {
        let text = if self.json { text.to_owned() } else { harmless(text) };
        match self.to.write_all(text.as_bytes()).and_then(|()| self.to.flush()) {
            Ok(()) => Ok(Reader::There),
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
            Err(e) => Err(Failure::Internal(format!("cannot write: {e}"))),
        }
    }
}

/// Whether an event has not been shown yet, or is worse than when it was.
fn is_news(shown: &mut HashMap<(String, String), Severity>, worker: &str, event: &WorkerEvent) -> bool {
    let before = shown.insert((worker.to_owned(), event.id.clone()), event.severity);
    before.is_none_or(|before| before < event.severity)
}

fn json(value: &impl Serialize) -> Result<String, Failure> {
    object(value).map(|text| text + "\n").map_err(|e| Failure::Internal(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_shown_once_and_again_when_it_is_worse() {
        let mut shown = HashMap::new();
        let event =
            |severity, count| WorkerEvent { at_us: 1, severity, id: "drops".into(), text: String::new(), count };
        assert!(is_news(&mut shown, "a", &event(Severity::Warning, 1)));
        assert!(!is_news(&mut shown, "a", &event(Severity::Warning, 2)), "its count is no news");
        assert!(is_news(&mut shown, "b", &event(Severity::Warning, 2)));
        assert!(is_news(&mut shown, "a", &event(Severity::Critical, 3)));
    }

    #[test]
    fn what_may_be_a_password_is_not_repeated() {
        let said = |word: &str| order(&[word.to_owned()]).err().unwrap();
        assert!(said("explode").contains("'explode'"));
        for word in ["redis:/me:geheim@h/run", "geheim@h"] {
            assert!(!said(word).contains("geheim"), "{}", said(word));
        }
    }
}
