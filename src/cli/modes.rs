//! Options that do nothing in a mode are refused: whoever writes one expects something of it.

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

use super::{
    AskArgs, Cli, FleetArgs, FleetOutputArg, OutputArg, PartArg, PartArgs, ProgramArg, ReplayArgs, RoleArg, RunArgs,
    Sub, TuneArgs,
};
use crate::fleet::Address;

/// Options that mean something in some modes alone.
struct Rule<T> {
    options: &'static [&'static str],
    works: fn(&T) -> bool,
    /// Where they do nothing, and what to do: `--hold {…}`.
    refusal: fn(&T) -> String,
}

const RUN: &[Rule<RunArgs>] = &[
    Rule {
        options: &["hold", "rate", "persist", "greet", "active", "source", "allow-public"],
        works: |run| run.client.is_some(),
        refusal: |run| without(run, "--client"),
    },
    Rule {
        // The server of a fleet holds the clients before its limits.
        options: &["guard", "no-guard"],
        works: |run| run.client.is_some() || (in_fleet(run) && (run.server || run.attach.is_some())),
        refusal: |run| without(run, "--client"),
    },
    Rule {
        options: &["fleet", "fleet-ca", "expect-workers", "fleet-wait", "on-lost"],
        works: |run| run.starts_engines() || run.attach.is_some(),
        refusal: |_| "does nothing when nothing is run: add --server, --client or --attach".to_owned(),
    },
    Rule {
        options: &["only", "app-limit"],
        works: |run| run.attach.is_some(),
        refusal: |_| "does nothing without --attach: add it, or leave it out".to_owned(),
    },
    Rule { options: &["listen"], works: |run| run.server, refusal: |run| without(run, "--server") },
    Rule {
        options: &["target", "tune", "port", "ports", "workers", "part"],
        works: RunArgs::starts_engines,
        refusal: |run| without(run, "--server or --client"),
    },
    Rule { options: &["parts"], works: |run| is_auto(&run.parts), refusal: |_| WITHOUT_AUTO.to_owned() },
    Rule {
        // An engine that is attached to is closed by a key of the dashboard.
        options: &["close", "close-rate"],
        works: |run| run.starts_engines() || run.attach.is_some() && !run.writes_lines(),
        refusal: |run| without(run, "--server or --client"),
    },
    Rule {
        options: &["message", "every", "no-wait"],
        works: |run| run.traffic.active.is_some(),
        refusal: |_| WITHOUT_ACTIVE.to_owned(),
    },
    Rule {
        options: &["force"],
        works: |run| run.record.is_some(),
        refusal: |_| "does nothing without --record: add it, or leave it out".to_owned(),
    },
    Rule {
        options: &["metrics-linger"],
        works: |run| run.metrics.is_some(),
        refusal: |_| "does nothing without --metrics: add it, or leave it out".to_owned(),
    },
    Rule {
        options: &["output-file"],
        works: |run| run.output != Some(OutputArg::Tui),
        refusal: |_| "does nothing with --output tui: write --output text or json".to_owned(),
    },
    Rule {
        options: &["marker", "theme", "ascii", "mouse"],
        works: |run| !run.writes_lines(),
        refusal: |_| "does nothing without the dashboard: leave it out".to_owned(),
    },
];

/// Whether a run is a worker of a fleet; the environment may say so too.
fn in_fleet(run: &RunArgs) -> bool {
    run.worker.fleet.is_some() || Address::of_environment().is_some()
}

const WITHOUT_ACTIVE: &str = "does nothing without --active: add --active 20%, or leave it out";

const WITHOUT_AUTO: &str = "does nothing without --part auto: add it, or leave it out";

fn is_auto(parts: &PartArgs) -> bool {
    parts.part == Some(PartArg::Auto)
}

/// Why an option does nothing in a run that lacks what it needs, and what to do.
fn without(run: &RunArgs, needed: &str) -> String {
    let why = match (&run.attach, run.server, &run.client) {
        (Some(_), ..) => {
            return "does nothing with --attach, which watches what is already running: leave it out".to_owned();
        }
        (None, true, _) => "with a server alone",
        (None, _, Some(_)) => "with a client alone",
        _ => "when nothing is started",
    };
    format!("does nothing {why}: add {needed}, or leave it out")
}

const ASK: &[Rule<AskArgs>] = &[
    Rule { options: &["parts"], works: |ask| is_auto(&ask.parts), refusal: |_| WITHOUT_AUTO.to_owned() },
    Rule {
        options: &["message", "every"],
        works: |ask| ask.traffic.active.is_some(),
        refusal: |_| WITHOUT_ACTIVE.to_owned(),
    },
    Rule {
        options: &["rate"],
        works: |ask| ask.role == RoleArg::Server,
        refusal: |_| "does nothing when the client is on this machine: add --role server, or leave it out".to_owned(),
    },
    Rule {
        options: &["guard", "no-guard"],
        works: |ask| match ask.role {
            RoleArg::Both => true,
            RoleArg::Client => !ask.is_of_another_program(),
            RoleArg::Server => false,
        },
        refusal: |_| "does nothing without c1m-top's client on this machine: leave it out".to_owned(),
    },
    Rule {
        options: &["program"],
        works: |ask| ask.pid.is_none() || ask.program == ProgramArg::Other,
        refusal: |_| "c1m-top does nothing with --pid, which is another program: leave one of them out".to_owned(),
    },
];

const TUNE: &[Rule<TuneArgs>] = &[Rule {
    options: &["state"],
    works: |tune| tune.apply || tune.revert,
    refusal: |_| "does nothing without --apply or --revert: add one of them, or leave it out".to_owned(),
}];

const REPLAY: &[Rule<ReplayArgs>] = &[
    Rule {
        options: &["output-file"],
        works: |replay| replay.output != Some(OutputArg::Tui),
        refusal: |_| "does nothing with --output tui: write --output text or json".to_owned(),
    },
    Rule {
        options: &["marker", "theme", "ascii", "mouse"],
        works: |replay| !matches!(replay.output, Some(OutputArg::Lines(_))) && replay.to.output_file.is_none(),
        refusal: |_| "does nothing without the dashboard: leave it out".to_owned(),
    },
];

const FLEET: &[Rule<FleetArgs>] = &[
    Rule {
        options: &["output-file", "duration"],
        works: |fleet| fleet.output != Some(FleetOutputArg::Tui),
        refusal: |_| "does nothing with --output tui: write --output text or json".to_owned(),
    },
    Rule {
        options: &["marker", "theme", "ascii", "mouse"],
        works: |fleet| {
            let lines = fleet.output.is_some_and(|output| output != FleetOutputArg::Tui);
            !lines && fleet.to.output_file.is_none() && fleet.duration.is_none()
        },
        refusal: |_| "does nothing without the screen: leave it out".to_owned(),
    },
];

/// Refuses what was written and does nothing.
///
/// # Errors
/// One line.
pub(super) fn refuse(cli: &Cli, command: &Command, matches: &ArgMatches) -> Result<(), String> {
    let given = |name: &str| match (command.find_subcommand(name), matches.subcommand_matches(name)) {
        (Some(command), Some(matches)) => options(command, matches),
        _ => Vec::new(),
    };
    match &cli.command {
        None => hold(RUN, &cli.run, &options(command, matches)),
        Some(Sub::Engine { .. } | Sub::Runs(_) | Sub::Config | Sub::Compare(_) | Sub::Report(_) | Sub::Merge(_)) => {
            Ok(())
        }
        Some(Sub::Fleet(fleet)) => hold(FLEET, fleet, &given("fleet")),
        Some(Sub::Replay(replay)) => hold(REPLAY, replay, &given("replay")),
        Some(Sub::Check(check)) => {
            let given = given("check");
            if check.limits {
                only(&given, &["limits", "output"], "check --limits, which checks nothing")?;
            }
            hold(ASK, &check.ask, &given)
        }
        Some(Sub::Tune(tune)) => {
            let given = given("tune");
            if tune.revert {
                only(
                    &given,
                    &["revert", "force", "state", "output"],
                    "--revert, which puts back what is in the state file",
                )?;
            }
            hold(TUNE, tune, &given)?;
            hold(ASK, &tune.ask, &given)
        }
    }
}

/// The long names of the options that were written.
fn options<'a>(command: &'a Command, matches: &ArgMatches) -> Vec<&'a str> {
    let written = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    command.get_arguments().filter(|arg| written(arg.get_id().as_str())).filter_map(|arg| arg.get_long()).collect()
}

fn hold<T>(rules: &[Rule<T>], args: &T, given: &[&str]) -> Result<(), String> {
    for rule in rules.iter().filter(|rule| !(rule.works)(args)) {
        if let Some(option) = given.iter().find(|option| rule.options.contains(option)) {
            return Err(format!("--{option} {}", (rule.refusal)(args)));
        }
    }
    Ok(())
}

fn only(given: &[&str], allowed: &[&str], with: &str) -> Result<(), String> {
    match given.iter().find(|option| !allowed.contains(option)) {
        Some(option) => Err(format!("--{option} does nothing with {with}: leave it out")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_option_of_a_rule_exists() {
        let command = Cli::command();
        let named = |command: &Command, option: &str| command.get_arguments().any(|arg| arg.get_long() == Some(option));
        for option in RUN.iter().flat_map(|rule| rule.options) {
            assert!(named(&command, option), "{option}");
        }
        let tune = command.find_subcommand("tune").unwrap();
        for option in ASK.iter().flat_map(|rule| rule.options).chain(TUNE.iter().flat_map(|rule| rule.options)) {
            assert!(named(tune, option), "{option}");
        }
    }
}
