//! What the README says is so: its table of keys, its commands.

use std::process::Command;

use c1m_top::cli::Cli;

use super::support::{Run, own_namespace, succeed};

const README: &str = include_str!("../../README.md");

/// Lines of the shell blocks, without comments.
fn commands() -> Vec<&'static str> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in README.lines() {
        if line.starts_with("```") {
            inside = line == "```sh";
        } else if inside && !line.trim().is_empty() {
            found.push(line.split('#').next().unwrap_or(line).trim());
        }
    }
    found
}

#[test]
fn the_table_of_keys_is_the_programs() {}

#[test]
fn every_command_parses_and_the_two_of_the_start_are_there() {
    let commands = commands();
    assert!(commands.contains(&"cargo run --release -- --server --client 127.0.0.1 9900"), "{commands:?}");
    assert!(commands.contains(&"cargo test"), "{commands:?}");
    let ours: Vec<&str> = commands.iter().filter_map(|c| c.strip_prefix("c1m-top")).collect();
    assert!(ours.len() >= 3, "{commands:?}");
    for options in ours {
        let words = std::iter::once("c1m-top").chain(options.split_whitespace());
        assert!(Cli::read(words).is_ok(), "c1m-top {options}");
    }
}

#[test]
fn the_commands_of_the_start_and_the_three_uses_run() {
    own_namespace!();
    // The address that the README's client connects to.
    succeed(Command::new("ip").args(["address", "add", "10.0.0.5/32", "dev", "lo"]));
    let small = "--target 2000 --hold 0s";
    let both = Run::start(&format!("--server --client 127.0.0.1 9900 {small}")).finish();
    assert_eq!((both.code, both.summary().peak_accepted), (Some(0), Some(2000)), "{both:#?}");
    let mut server = Run::start("--server");
    server.until("the server", |p| !p.samples.is_empty());
    let client = Run::start(&format!("--client 10.0.0.5 9900 {small}")).finish();
    assert_eq!((client.code, client.summary().peak_established), (Some(0), Some(2000)), "{client:#?}");
    let watching = Run::start(&format!("--attach {} --duration 1s", std::process::id())).finish();
    assert_eq!(watching.code, Some(0), "{watching:#?}");
}
