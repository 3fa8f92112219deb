//! What a run, `check` and `tune` have in common: one group a subject, each option with its words and its default once.

use std::time::Duration;

use clap::Args;

use super::values::{self, MarkerArg, PartArg, Rate, Source};
use crate::model::guard::DEFAULT;
use crate::ui::Palette;
use crate::units::parse_percent;

/// First port where none is named.
const PORT: u16 = 9900;
/// Ports where no number is named.
const PORTS: u16 = 100;

/// How many connections, how fast, how far.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Ramp")]
pub struct RampArgs {
    /// Connections: 200k, 1m. Default: 1m, or as many as fit into memory with a fifth to spare.
    #[arg(long, value_name = "COUNT", value_parser = values::target, allow_negative_numbers = true)]
    pub target: Option<u64>,

    /// Connections per second: 20k, max. check and tune take max as 50k.
    #[arg(long, value_name = "PER SECOND", value_parser = str::parse::<Rate>, default_value = "max")]
    pub rate: Rate,

    /// Stop the ramp before it uses more than this share of any limit that would end it, or of the memory that was free at
    /// the start.
    #[arg(long, value_name = "PERCENT", value_parser = values::guard, default_value = "90%")]
    pub guard: f64,

    /// Run into the limit, to see what happens.
    #[arg(long, conflicts_with = "guard")]
    pub no_guard: bool,
}

impl RampArgs {
    /// The target, before this machine's memory is looked at.
    pub fn target_or_default(&self) -> u64 {
        self.target.unwrap_or(DEFAULT)
    }
}

/// From where and to which ports.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Addresses")]
pub struct AddressArgs {
    /// First port. Default: 9900.
    #[arg(long, value_name = "PORT", value_parser = values::port)]
    pub port: Option<u16>,

    /// Number of consecutive ports: 100, 1k. Default: 100 (check and tune --program other: 1).
    #[arg(long, value_name = "COUNT", value_parser = values::ports)]
    pub ports: Option<u16>,

    /// Addresses the client connects from, or prefixes such as 127.0.1.0/28, separated by commas.
    #[arg(long, value_name = "IP|PREFIX", value_delimiter = ',')]
    pub source: Vec<Source>,
}

impl AddressArgs {
    /// The first port, where nothing else names it.
    pub fn port_or_default(&self) -> u16 {
        self.port.unwrap_or(PORT)
    }

    /// The number of ports of c1m-top's own engines.
    pub fn ports_or_default(&self) -> u16 {
        self.ports.unwrap_or(PORTS)
    }
}

/// Which part of a run this is.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Parts")]
pub struct PartArgs {
    /// Take one part of this run, such as the second of five: 2/5. The parts divide --target, --rate, --close-rate and
    /// --source exactly; give each the same command line. auto: as mpirun, srun, Kubernetes or Nomad counts this process.
    #[arg(long, value_name = "PART/PARTS|auto", value_parser = str::parse::<PartArg>, allow_hyphen_values = true)]
    pub part: Option<PartArg>,

    /// How many parts there are, for --part auto where the launcher does not say: Kubernetes and Nomad.
    #[arg(long, value_name = "COUNT", value_parser = values::parts)]
    pub parts: Option<u32>,
}

/// What holds the connections.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Engines")]
pub struct EngineArgs {
    /// Worker threads per engine, each with its own descriptor table. Default: as many as the count needs. For check and tune
    /// --program other: processes that share the connections evenly, 1 by default.
    #[arg(long, value_name = "COUNT", value_parser = values::workers)]
    pub workers: Option<u32>,
}

/// What the connections carry.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Traffic")]
pub struct TrafficArgs {
    /// Share of connections that carry messages: 20%.
    #[arg(long, value_name = "PERCENT", value_parser = parse_percent)]
    pub active: Option<f64>,

    /// Size of a message, sent and echoed: 512, 1KiB.
    #[arg(long, value_name = "BYTES", value_parser = values::message, default_value = "64")]
    pub message: u64,

    /// Time between messages on one connection.
    #[arg(long, value_name = "TIME", value_parser = values::every, default_value = "1s")]
    pub every: Duration,
}

/// How the screen looks.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Screen")]
pub struct ScreenArgs {
    /// How to draw curves: braille needs a font that has it; block and dot do not. Default: what the terminal can show.
    #[arg(long, value_enum)]
    pub marker: Option<MarkerArg>,

    /// Colours: dark, light, contrast (white on black), ansi (the terminal's own 16), plain (none). Default: light where
    /// COLORFGBG announces a light background, else dark; plain with `NO_COLOR`.
    #[arg(long, value_name = "THEME", value_parser = values::theme())]
    pub theme: Option<Palette>,

    /// Draw with ASCII alone, for serial lines and logs. Default: on a vt100 and its kin.
    #[arg(long)]
    pub ascii: bool,

    /// Use the mouse: click panels and rows, turn the wheel. The key m gives it back for selecting text.
    #[arg(long)]
    pub mouse: bool,
}
