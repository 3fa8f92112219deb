//! What the dashboard tells an engine at its start: one JSON object on its command line.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::page::Page;
use crate::part::Part;
use crate::protocol::{Hello, PROTOCOL, Role};

/// Settings of one engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum EngineConfig {
    /// Listen, accept, echo.
    Server(ServerConfig),
    /// Connect, hold, send.
    Client(ClientConfig),
}

/// What both roles share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Common {
    /// First port.
    pub port: u16,
    /// Number of consecutive ports.
    pub ports: u16,
    /// Most worker threads; `None` is as many as the count needs.
    pub workers: Option<u32>,
    /// Connections the run aims at, 0 where unknown.
    pub target: u64,
}

impl Common {
    /// The greeting of an engine with these settings.
    pub fn hello(&self, role: Role, owner: u32, addresses: &[IpAddr], page: &Page) -> Hello {
        Hello {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            role,
            pid: std::process::id(),
            owner,
            target: self.target,
            address: describe(addresses),
            port: self.port,
            ports: self.ports,
            page: page.number(),
        }
    }
}

/// Settings of a server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerConfig {
    /// What both roles share.
    pub common: Common,
    /// Addresses to listen on; empty is every address of both families.
    pub listen: Vec<IpAddr>,
}

/// Settings of a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClientConfig {
    /// What both roles share.
    pub common: Common,
    /// Where to connect.
    pub target_ip: IpAddr,
    /// Index of the interface that an IPv6 address of one link is reached by; 0 for none.
    pub zone: u32,
    /// Addresses to connect from; empty lets the kernel choose one.
    pub sources: Vec<IpAddr>,
    /// Connections per second; `None` is as fast as it goes.
    pub rate: Option<u64>,
    /// Send one greeting on each connection and wait for its echo.
    pub greet: bool,
    /// Go on trying, at the pace of the back-off, whatever the server refuses or closes.
    pub persist: bool,
    /// Messages on a share of the connections.
    pub traffic: Option<TrafficConfig>,
    /// The part of a larger run that this is; `None` is all of it.
    #[serde(default)]
    pub share: Option<Share>,
}

/// A part of a larger run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Which part.
    pub part: Part,
    /// Connections of the whole run.
    pub whole: u64,
}

impl Share {
    /// Number of the part's first connection among those of the whole run, from 0.
    pub fn first(self) -> u64 {
        self.part.range(self.whole).start
    }
}

/// Messages on a share of the connections.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TrafficConfig {
    /// Share of the connections, 0 to 1.
    pub share: f64,
    /// Bytes of one message.
    pub message: u64,
    /// Microseconds between two messages of one connection.
    pub every_us: u64,
    /// Whether a message waits for the one before to come back.
    pub wait: bool,
}

/// What the screen calls the addresses.
pub fn describe(listen: &[IpAddr]) -> String {
    let write = |ip: &IpAddr| match ip {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    };
    match listen {
        [] => "every address".to_owned(),
        [one] => write(one),
        [first, rest @ ..] => format!("{} and {} more", write(first), rest.len()),
    }
}
