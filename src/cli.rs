//! The command line: clap types only. What the values mean together is checked in `app`.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `shared` | the groups of options that a run, `check` and `tune` share |
//! | `advise` | the other options of `check` and `tune` |
//! | `fleet` | those of a fleet's workers, and of `fleet` |
//! | `record` | those of `runs` and `replay` |
//! | `merge` | those of `merge` |
//! | `report` | the options of `compare` and `report` |
//! | `values` | what single options take |
//! | `modes` | options that do nothing in a mode, refused |
//! | `refusal` | what clap finds wrong, in one line |

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

mod advise;
mod fleet;
mod merge;
mod modes;
mod record;
mod refusal;
mod report;
mod shared;
mod values;

pub use advise::{AskArgs, CheckArgs, ProgramArg, ReportArg, RoleArg, TuneArgs};
pub use fleet::{FleetArgs, FleetOutputArg, OnLostArg, WorkerArgs};
pub use merge::MergeArgs;
pub use record::{ReplayArgs, RunsArgs, RunsSub};
pub use report::{CompareArgs, CompareOutputArg, ReportArgs, ReportOutputArg, ToArgs};
pub use shared::{AddressArgs, EngineArgs, PartArgs, RampArgs, ScreenArgs, TrafficArgs};
pub use values::{CloseArg, MarkerArg, OutputArg, PartArg, Rate, Source, port};

use crate::model::Expect;
use crate::probe::Selector;
use crate::units::{parse_count, parse_duration, parse_interval};

/// Run and watch a million TCP connections: what they cost, which limit comes next, what broke.
#[derive(Debug, Parser)]
#[command(name = "c1m-top", version, about, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub struct Cli {
    /// A subcommand, where one is given instead of the options.
    #[command(subcommand)]
    pub command: Option<Sub>,
    /// The options of a run.
    #[command(flatten)]
    pub run: RunArgs,
}

const EXAMPLES: &str = "Examples:
  c1m-top --server --client 127.0.0.1 9900   both ends on this machine
  c1m-top --server                           the accepting end
  c1m-top --client 10.0.0.5 9900             the connecting end, on another machine
  c1m-top --attach nginx                     watch a server that is already running
  c1m-top                                    watch this machine alone";

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Sub {
    /// An engine process, started by the dashboard.
    #[command(hide = true)]
    Engine {
        /// Its configuration, JSON.
        config: String,
    },
    /// Say whether this machine can hold a target, and which limit comes first, without opening a connection.
    #[command(after_help = advise::CHECK_HELP)]
    Check(CheckArgs),
    /// Print the settings a target needs, and no more. Sets them only with --apply; --revert puts the old ones back.
    #[command(after_help = advise::TUNE_HELP)]
    Tune(TuneArgs),
    /// List the runs that are kept, and write one as JSON.
    Runs(RunsArgs),
    /// Replay a recorded run: the same screens, or the lines it wrote.
    #[command(after_help = record::REPLAY_HELP)]
    Replay(ReplayArgs),
    /// Hold recorded runs against the first of them, connection count by connection count.
    #[command(after_help = report::COMPARE_HELP)]
    Compare(CompareArgs),
    /// Make a page, a picture, a card or Markdown of a recorded run, or of several.
    #[command(after_help = report::REPORT_HELP)]
    Report(ReportArgs),
    /// Merge the recorded parts of a run into one recording.
    #[command(after_help = merge::MERGE_HELP)]
    Merge(MergeArgs),
    /// Watch a run on several hosts as one, or command it.
    #[command(after_help = fleet::FLEET_HELP)]
    Fleet(FleetArgs),
    /// Print the configuration file of the screen as it would be without one: every setting, with what it is for.
    Config,
}

/// Why there is no command line to follow.
#[derive(Debug)]
pub enum Unread {
    /// Help or the version was asked for.
    Asked(clap::Error),
    /// It is wrong: one line.
    Wrong(String),
}

impl Cli {
    /// Reads the words of a command line, the program's name first.
    ///
    /// # Errors
    /// See [`Unread`].
    pub fn read<W: Into<OsString>>(words: impl IntoIterator<Item = W>) -> Result<Self, Unread> {
        let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
        let mut command = Self::command();
        let read = command.try_get_matches_from_mut(&words).and_then(|m| Ok((Self::from_arg_matches(&m)?, m)));
        let (cli, matches) = read.map_err(|e| match e.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Unread::Asked(e),
            _ => {
                let first = words.get(1).and_then(|word| word.to_str());
                Unread::Wrong(refusal::one_line(&e, first.filter(|name| command.find_subcommand(name).is_some())))
            }
        })?;
        modes::refuse(&cli, &command, &matches).map_err(Unread::Wrong)?;
        Ok(cli)
    }
}

/// Options of a run.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct RunArgs {
    /// Start a server: listen on all ports, accept, echo.
    #[arg(long, help_heading = "What to run")]
    pub server: bool,

    /// Start a client that connects to this address or host name, and port (default: --port): 10.0.0.5 9900, web1:9900.
    #[arg(long, num_args = 1..=2, value_names = ["HOST", "PORT"], help_heading = "What to run")]
    pub client: Option<Vec<String>>,

    /// Watch a running server and the processes it has started, named by PID (several with commas), name, the :PORT it
    /// listens on, unit:NAME.service, cgroup:PATH or container:ID; without a value, choose from a list. A run of c1m-top
    /// itself can be controlled too.
    #[arg(long, value_name = "PROCESS", num_args = 0..=1, conflicts_with_all = ["server", "client"], help_heading = "What to run")]
    pub attach: Option<Option<Selector>>,

    /// Watch only the processes named by --attach, not those they have started.
    #[arg(long, help_heading = "What to run")]
    pub only: bool,

    /// The most connections the attached server allows, if its configuration cannot be read.
    #[arg(long, value_name = "COUNT", value_parser = parse_count, help_heading = "What to run")]
    pub app_limit: Option<u64>,

    /// How many, how fast, how far.
    #[command(flatten)]
    pub ramp: RampArgs,

    /// Stay at the target for this long (30s, 1m30s, 1d), then close and end. Default: until told to quit.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Ramp")]
    pub hold: Option<Duration>,

    /// End after this long, whatever has been reached.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Ramp")]
    pub duration: Option<Duration>,

    /// Never give up on a server that refuses, closes what it has accepted, or does not answer: keep trying, no faster than
    /// it can take.
    #[arg(long, help_heading = "Ramp")]
    pub persist: bool,

    /// Set the sysctls the target needs (see c1m-top tune), and put the old values back at the end.
    #[arg(long, help_heading = "Ramp")]
    pub tune: bool,

    /// How to close connections at the end.
    #[arg(long, value_enum, default_value = "rst", help_heading = "Ramp")]
    pub close: CloseArg,

    /// Closes per second, or max.
    #[arg(long, value_name = "PER SECOND", value_parser = str::parse::<Rate>, default_value = "max", help_heading = "Ramp")]
    pub close_rate: Rate,

    /// From where and to which ports.
    #[command(flatten)]
    pub addresses: AddressArgs,

    /// Addresses to listen on, separated by commas. Default: every address; only the loopback address if this run's client
    /// connects to that.
    #[arg(long, value_name = "IP", value_parser = values::address, value_delimiter = ',', help_heading = "Addresses")]
    pub listen: Vec<IpAddr>,

    /// Allow a server address that is not loopback, private, link-local or unique-local.
    #[arg(long, help_heading = "Addresses")]
    pub allow_public: bool,

    /// Which part of a run it is.
    #[command(flatten)]
    pub parts: PartArgs,

    /// What holds the connections.
    #[command(flatten)]
    pub engines: EngineArgs,

    /// What they carry.
    #[command(flatten)]
    pub traffic: TrafficArgs,

    /// Send each message when it is due, even if the one before has not come back, as most clients do.
    #[arg(long, help_heading = "Traffic")]
    pub no_wait: bool,

    /// Send one "hello" on each connection and wait for its echo.
    #[arg(long, help_heading = "Traffic")]
    pub greet: bool,

    /// With others.
    #[command(flatten)]
    pub worker: WorkerArgs,

    /// Time between samples, at least 100ms. Default: 1s.
    #[arg(long, value_name = "TIME", value_parser = parse_interval, help_heading = "Output")]
    pub interval: Option<Duration>,

    /// How to show the run. Default: tui on a terminal, else text.
    #[arg(long, value_parser = values::output(), help_heading = "Output")]
    pub output: Option<OutputArg>,

    /// Write text or JSON to this file instead of standard output.
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output_file: Option<PathBuf>,

    /// Record the run into this file: c1m-top replay, compare and report read it. Default: the last ten runs are kept (see
    /// c1m-top runs).
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub record: Option<PathBuf>,

    /// Serve metrics for Prometheus at http://ADDRESS:PORT/metrics. A port alone (9464) listens on loopback only. After the run
    /// c1m-top waits for one last scrape (see --metrics-linger).
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = values::metrics, help_heading = "Output")]
    pub metrics: Option<SocketAddr>,

    /// How long to wait for the last scrape after the run. q and Ctrl-C end the run without it.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "15s", help_heading = "Output")]
    pub metrics_linger: Duration,

    /// Keep no recording of this run.
    #[arg(long, conflicts_with = "record", help_heading = "Output")]
    pub no_record: bool,

    /// Overwrite the file that --record names.
    #[arg(long, help_heading = "Output")]
    pub force: bool,

    /// Hold the summary against a number: `bytes_per_connection.total < 9000`. As often as you like; exit status 5 where one
    /// fails and nothing worse has happened.
    #[arg(long, value_name = "KEY < NUMBER", help_heading = "Output")]
    pub expect: Vec<Expect>,

    /// How the screen looks.
    #[command(flatten)]
    pub screen: ScreenArgs,
}

impl RunArgs {
    /// Whether the run has engines of its own.
    fn starts_engines(&self) -> bool {
        self.server || self.client.is_some()
    }

    /// Whether lines instead of the dashboard were asked for.
    fn writes_lines(&self) -> bool {
        matches!(self.output, Some(OutputArg::Lines(_))) || self.output_file.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_three_uses_of_the_readme_parse() {
        let parse = |line: &str| Cli::read(format!("c1m-top {line}").split_whitespace()).map(|c| c.run);
        assert!(parse("--server").unwrap().server);
        assert_eq!(parse("--client 10.0.0.5 9900").unwrap().client.unwrap(), ["10.0.0.5", "9900"]);
        assert_eq!(parse("--attach 7,8").unwrap().attach, Some(Some(Selector::Pids(vec![7, 8]))));
        assert_eq!(parse("--attach --only").unwrap().attach, Some(None));
        let both = parse("--server --client 127.0.0.1 9900 --target 200k --ports 1k -o out").unwrap();
        assert_eq!((both.server, both.ramp.target, both.addresses.ports), (true, Some(200_000), Some(1000)));
        assert_eq!(both.output_file, Some("out".into()));
    }

    #[test]
    fn what_three_commands_share_is_written_once() {
        let command = Cli::command();
        let (check, tune) = (command.find_subcommand("check").unwrap(), command.find_subcommand("tune").unwrap());
        let mut shared = 0;
        for arg in command.get_arguments() {
            for other in
                [check, tune].into_iter().flat_map(|c| c.get_arguments().filter(|a| a.get_id() == arg.get_id()))
            {
                // A report is a text or an object; a run has more ways to be shown. What is overwritten is each command's own.
                if !["output", "force"].contains(&arg.get_id().as_str()) {
                    let words =
                        |a: &clap::Arg| (a.get_help().map(ToString::to_string), a.get_default_values().to_vec());
                    assert_eq!(words(arg), words(other), "{}", arg.get_id());
                    shared += 1;
                }
            }
        }
        assert_eq!(shared, 2 * 13, "options in each of check and tune");
    }
}
