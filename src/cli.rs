//! The command line: clap types only. What the values mean together is checked in `app`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

mod advise;

pub use advise::{AskArgs, CheckArgs, ProgramArg, ReportArg, RoleArg, TuneArgs};

use crate::units::{parse_bytes, parse_count, parse_duration, parse_percent};

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
  c1m-top --server --client 127.0.0.1 9900   the whole experiment on this machine
  c1m-top --server                           the accepting end
  c1m-top --client 10.0.0.5 9900             the connecting end, on another machine
  c1m-top --attach 4021                      watch a process that runs already
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
    /// Say, before any connection, whether this machine can hold a target, and which limit comes first.
    #[command(after_help = advise::CHECK_HELP)]
    Check(CheckArgs),
    /// Print the settings that make a target fit, and no more; set them and put them back only when told to.
    #[command(after_help = advise::TUNE_HELP)]
    Tune(TuneArgs),
}

/// Options of a run.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct RunArgs {
    /// Start a server: listen on all ports, accept, echo.
    #[arg(long, help_heading = "What to run")]
    pub server: bool,

    /// Start a client that connects to this address, and port (default: --port).
    #[arg(long, num_args = 1..=2, value_names = ["IP", "PORT"], help_heading = "What to run")]
    pub client: Option<Vec<String>>,

    /// Watch a running process; one of c1m-top's own is controlled too.
    #[arg(long, value_name = "PID", conflicts_with_all = ["server", "client"], help_heading = "What to run")]
    pub attach: Option<u32>,

    /// Connections to open: 200k, 1m. Default: 1m, or what this machine's memory holds with a fifth to spare.
    #[arg(long, value_name = "COUNT", value_parser = parse_count, help_heading = "Ramp")]
    pub target: Option<u64>,

    /// Connections per second, or max.
    #[arg(long, value_name = "PER SECOND", value_parser = Rate::from_str, default_value = "max", help_heading = "Ramp")]
    pub rate: Rate,

    /// Stay at the target so long (30s, 5m), then close and end. Default: until told to quit.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Ramp")]
    pub hold: Option<Duration>,

    /// End after so long whatever has been reached.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Ramp")]
    pub duration: Option<Duration>,

    /// Hold the ramp back before a limit that would stop it is used further than this. Of memory, the rest of the headroom
    /// that was there at the start is kept.
    #[arg(long, value_name = "PERCENT", value_parser = parse_percent, default_value = "90%", help_heading = "Ramp")]
    pub guard: f64,

    /// Run on into the limit, to see what happens.
    #[arg(long, conflicts_with = "guard", help_heading = "Ramp")]
    pub no_guard: bool,

    /// Set the sysctls that the target lacks (see c1m-top tune), and put the old values back at the end.
    #[arg(long, help_heading = "Ramp")]
    pub tune: bool,

    /// How connections are closed at the end.
    #[arg(long, value_enum, default_value = "rst", help_heading = "Ramp")]
    pub close: CloseArg,

    /// Closes per second, or max.
    #[arg(long, value_name = "PER SECOND", value_parser = Rate::from_str, default_value = "max", help_heading = "Ramp")]
    pub close_rate: Rate,

    /// First port.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Addresses")]
    pub port: Option<u16>,

    /// Number of consecutive ports.
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Addresses")]
    pub ports: u16,

    /// Addresses to listen on, separated by commas. Default: every address; with a client of this run that targets
    /// loopback, that address alone.
    #[arg(long, value_name = "IP", value_delimiter = ',', requires = "server", help_heading = "Addresses")]
    pub listen: Vec<IpAddr>,

    /// Addresses to connect from, or a prefix such as 127.0.1.0/28, separated by commas.
    #[arg(long, value_name = "IP|PREFIX", value_delimiter = ',', requires = "client", help_heading = "Addresses")]
    pub source: Vec<Source>,

    /// Allow a target that is not loopback, private, link-local or unique-local.
    #[arg(long, help_heading = "Addresses")]
    pub allow_public: bool,

    /// Worker threads of each engine, each with a descriptor table of its own. Default: as many as the count needs.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=4096), help_heading = "Engines")]
    pub workers: Option<u32>,

    /// Share of the connections that carry messages: 20%.
    #[arg(long, value_name = "PERCENT", value_parser = parse_percent, requires = "client", help_heading = "Traffic")]
    pub active: Option<f64>,

    /// Size of a message: 512, 1KiB.
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, default_value = "64", help_heading = "Traffic")]
    pub message: u64,

    /// Time between two messages of one connection.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "1s", help_heading = "Traffic")]
    pub every: Duration,

    /// Send a message when it is due, whether or not the one before has come back: as most clients do.
    #[arg(long, requires = "active", help_heading = "Traffic")]
    pub no_wait: bool,

    /// Send one "hello" on each connection and wait for its echo.
    #[arg(long, requires = "client", help_heading = "Traffic")]
    pub greet: bool,

    /// Time between two samples, 100ms at the least.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "1s", help_heading = "Output")]
    pub interval: Duration,

    /// tui draws the dashboard; text prints a line, json an object an interval. Default: tui on a terminal, else text.
    #[arg(long, value_enum, help_heading = "Output")]
    pub output: Option<Output>,

    /// Write text or JSON to this file instead of standard output.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub output_file: Option<PathBuf>,

    /// How the chart is drawn: braille needs a font that has it; block and dot do not.
    #[arg(long, value_enum, default_value = "braille", help_heading = "Output")]
    pub marker: MarkerArg,
}

/// A rate: a number per second, or as fast as it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub Option<u64>);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("max") {
            return Ok(Self(None));
        }
        match parse_count(text.trim_end_matches("/s")) {
            Ok(0) => Err("0 per second would never begin; write a number from 1, or max".to_owned()),
            other => other.map(|n| Self(Some(n))),
        }
    }
}

/// One value of `--source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// An address of the prefix.
    pub ip: IpAddr,
    /// Prefix length; `None` is the one address.
    pub prefix: Option<u8>,
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not an address or a prefix; write for example 10.0.0.7 or 10.0.0.0/28");
        let (ip, prefix) = match text.split_once('/') {
            None => (text, None),
            Some((ip, prefix)) => (ip, Some(prefix.parse::<u8>().map_err(|_| wrong())?)),
        };
        let ip: IpAddr = ip.parse().map_err(|_| wrong())?;
        let most = if ip.is_ipv4() { 32 } else { 128 };
        if prefix.is_some_and(|p| p > most) {
            return Err(wrong());
        }
        Ok(Self { ip, prefix })
    }
}

/// Where the run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// The dashboard.
    Tui,
    /// One line an interval.
    Text,
    /// One JSON object a line.
    Json,
}

/// How connections are closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CloseArg {
    /// Reset: no `TIME_WAIT`, every port free at once.
    Rst,
    /// The orderly FIN: the client's end waits 60 s in `TIME_WAIT`.
    Fin,
}

/// How the chart is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MarkerArg {
    /// Eight dots a cell.
    Braille,
    /// Half blocks.
    Block,
    /// One dot a cell.
    Dot,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_three_uses_of_the_readme_parse() {
        let parse = |args: &[&str]| Cli::try_parse_from([&["c1m-top"], args].concat()).map(|c| c.run);
        assert!(parse(&["--server"]).unwrap().server);
        assert_eq!(parse(&["--client", "10.0.0.5", "9900"]).unwrap().client.unwrap(), ["10.0.0.5", "9900"]);
        assert_eq!(parse(&["--attach", "7"]).unwrap().attach, Some(7));
        let both = parse(&["--server", "--client", "127.0.0.1", "9900", "--target", "200k"]).unwrap();
        assert_eq!((both.server, both.target), (true, Some(200_000)));
        assert!(parse(&["--attach", "7", "--server"]).is_err());
        assert!(parse(&["--active", "20%"]).is_err(), "traffic needs a client");
    }

    #[test]
    fn sources_and_rates() {
        assert_eq!("10.0.0.0/28".parse(), Ok(Source { ip: "10.0.0.0".parse().unwrap(), prefix: Some(28) }));
        for wrong in ["10.0.0.0/33", "host", "10.0.0.0/", "::/129"] {
            assert!(wrong.parse::<Source>().is_err(), "{wrong}");
        }
        assert_eq!("max".parse(), Ok(Rate(None)));
        assert_eq!("50k".parse(), Ok(Rate(Some(50_000))));
        assert!("0".parse::<Rate>().is_err());
    }
}
