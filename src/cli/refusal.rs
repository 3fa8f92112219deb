//! What clap has to say of a wrong command line, in one line.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What is wrong, where, what comes near, and whose help says more.
pub(super) fn one_line(e: &clap::Error, subcommand: Option<&str>) -> String {
    let first = match (e.kind(), e.get(ContextKind::InvalidArg), std::error::Error::source(e)) {
        // Our own sentence names the value.
        (ErrorKind::ValueValidation, Some(ContextValue::String(option)), Some(why)) => {
            format!("{}: {why}", option.split(' ').next().unwrap_or(option))
        }
        _ => written(e),
    };
    let of = subcommand.map_or_else(String::new, |name| format!(" {name}"));
    format!("{first} (see c1m-top{of} --help)")
}

/// As clap writes it, its list and its suggestion behind it.
fn written(e: &clap::Error) -> String {
    let text = e.to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or("unreadable command line").trim_start_matches("error: ").to_owned();
    let rest: Vec<&str> = lines.take_while(|line| !line.starts_with("Usage:")).collect();
    // Missing or conflicting arguments follow a colon, a line each.
    let list: Vec<&str> = rest.iter().filter(|line| line.starts_with(['-', '<'])).copied().collect();
    let values = rest.iter().find_map(|line| line.strip_prefix("[possible values: ")?.strip_suffix(']'));
    let near = rest.iter().filter_map(|line| line.strip_prefix("tip: ")).find(|tip| tip.contains("similar"));
    let mut out = first;
    if out.ends_with(':') && !list.is_empty() {
        out = format!("{out} {}", list.join(", "));
    }
    if let Some(values) = values {
        out = format!("{out}; write one of {values}");
    }
    if let Some(near) = near {
        out = format!("{out}; {near}");
    }
    out
}
