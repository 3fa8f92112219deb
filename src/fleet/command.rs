//! Commands from the fleet's screen: signed, so that only who has the token gives them, and counted, so that one that was heard
//! cannot be given again. None names an address.

use std::collections::VecDeque;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A command to every client of a fleet. Numbers are the whole fleet's; `of` is what they are divided by: the sum of what all
/// clients were started for, of which each takes its own part. A target given meanwhile changes no share, so that it does not matter
/// who has heard of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum FleetCommand {
    /// Open nothing new.
    Pause,
    /// Go on.
    Resume,
    /// At most so many connections per second; `None`: as fast as it goes.
    Rate {
        /// Connections per second, of the whole fleet.
        per_s: Option<u64>,
        /// Connections that all clients were started for.
        of: u64,
    },
    /// Aim at so many connections; no client goes beyond the target that it was started with.
    Target {
        /// Connections of the whole fleet.
        connections: u64,
        /// Connections that all clients were started for.
        of: u64,
    },
    /// Close every connection.
    Close,
}

impl FleetCommand {
    /// A client's part of a number of the whole fleet, by what it was started for: at least 1. `None` where nobody has said that yet,
    /// so that there is nothing to divide by.
    pub fn part(n: u64, own: u64, of: u64) -> Option<u64> {
        let part = (u128::from(n) * u128::from(own)).checked_div(u128::from(of))?;
        Some(u64::try_from(part).unwrap_or(u64::MAX).max(1))
    }

    /// Whether there is nothing to divide its number by.
    pub fn has_no_base(&self) -> bool {
        matches!(self, FleetCommand::Rate { per_s: Some(_), of: 0 } | FleetCommand::Target { of: 0, .. })
    }
}

/// What signs. It is never shown.
#[derive(Clone)]
pub struct Token(Vec<u8>);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// A token of these bytes; `None` of an empty one, which is none.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (!bytes.is_empty()).then(|| Self(bytes.to_vec()))
    }

    /// The MAC of a command for this run of a fleet.
    fn mac(&self, of: Run<'_>, counter: u64, command: &str) -> Hmac<Sha256> {
        let mut mac =
            <Hmac<Sha256> as KeyInit>::new_from_slice(&self.0).unwrap_or_else(|_| unreachable!("any length is taken"));
        // Neither a name nor a run's id has a line end, so that nothing can be read in two ways.
        mac.update(format!("c1m-top fleet command 1\n{}\n{}\n{counter}\n{command}", of.fleet, of.id).as_bytes());
        mac
    }
}

/// Which run of which fleet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run<'a> {
    /// The fleet's name.
    pub(super) fleet: &'a str,
    /// The run's id.
    pub(super) id: &'a str,
}

/// A signed command, as it stands in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Signed {
    /// The store's time when it was given, microseconds.
    counter: u64,
    /// The command, JSON.
    command: String,
    /// HMAC-SHA256, hexadecimal.
    mac: String,
}

impl Signed {
    /// Signs a command.
    pub(super) fn new(token: &Token, of: Run<'_>, counter: u64, command: FleetCommand) -> Self {
        let command = serde_json::to_string(&command).unwrap_or_default();
        let mac = token.mac(of, counter, &command).finalize().into_bytes();
        let mac = mac.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        Self { counter, command, mac }
    }

    /// Its counter.
    pub(super) fn counter(&self) -> u64 {
        self.counter
    }
}

/// Why a command is not obeyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It was taken before, or is older than one that was, or than this worker.
    Old,
    /// Its signature is not of this worker's token, fleet and run, or it is none.
    Forged,
}

/// Most commands that are remembered as refused: as many as are looked at.
const REFUSED: usize = 512;

/// Lets each command of who has the token through once.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    token: Token,
    last: u64,
    /// What was refused, newest last. It stays in the store, and is read again each time.
    refused: VecDeque<[u8; 32]>,
}

impl Gate {
    /// Takes only what is given after `since`, by the store's clock, microseconds.
    pub(super) fn new(token: Token, since: u64) -> Self {
        Self { token, last: since, refused: VecDeque::new() }
    }

    /// The counter of the last that was taken.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Takes a command that stands in the store; `None` of one that was refused before.
    pub(super) fn hear(&mut self, of: Run<'_>, text: &[u8]) -> Option<Result<FleetCommand, Refused>> {
        let text = String::from_utf8_lossy(text);
        // Whoever forges one chooses its length.
        let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        if self.refused.contains(&digest) {
            return None;
        }
        let taken = self.take(of, &text);
        if taken.is_err() {
            self.refused.push_back(digest);
            if self.refused.len() > REFUSED {
                self.refused.pop_front();
            }
        }
        Some(taken)
    }

    /// Takes a command.
    ///
    /// # Errors
    /// Why it is not obeyed.
    fn take(&mut self, of: Run<'_>, text: &str) -> Result<FleetCommand, Refused> {
        let signed: Signed = serde_json::from_str(text).map_err(|_| Refused::Forged)?;
        let mac = unhex(&signed.mac).ok_or(Refused::Forged)?;
        self.token.mac(of, signed.counter, &signed.command).verify_slice(&mac).map_err(|_| Refused::Forged)?;
        if signed.counter <= self.last {
            return Err(Refused::Old);
        }
        self.last = signed.counter;
        serde_json::from_str(&signed.command).map_err(|_| Refused::Forged)
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: Run<'_> = Run { fleet: "night", id: "r1" };

    fn token(text: &str) -> Token {
        Token::new(text.as_bytes()).unwrap()
    }

    fn text(signed: &Signed) -> String {
        serde_json::to_string(signed).unwrap()
    }

    #[test]
    fn a_command_is_taken_once_and_only_from_who_has_the_token() {
        let mut gate = Gate::new(token("secret"), 100);
        let close = Signed::new(&token("secret"), RUN, 101, FleetCommand::Close);
        assert_eq!(
            gate.take(RUN, &text(&Signed::new(&token("guess"), RUN, 101, FleetCommand::Close))),
            Err(Refused::Forged)
        );
        assert_eq!(gate.take(RUN, &text(&close)), Ok(FleetCommand::Close));
        assert_eq!(gate.take(RUN, &text(&close)), Err(Refused::Old), "heard, and given again");
        let older = Signed::new(&token("secret"), RUN, 100, FleetCommand::Pause);
        assert_eq!(gate.take(RUN, &text(&older)), Err(Refused::Old));
    }

    #[test]
    fn a_refused_command_is_told_once_and_what_is_remembered_is_bounded() {
        let mut gate = Gate::new(token("secret"), 0);
        assert_eq!(gate.hear(RUN, b"{}"), Some(Err(Refused::Forged)));
        assert_eq!(gate.hear(RUN, b"{}"), None);
        let close = Signed::new(&token("secret"), RUN, 5, FleetCommand::Close);
        assert_eq!(gate.hear(RUN, text(&close).as_bytes()), Some(Ok(FleetCommand::Close)));
        assert_eq!(gate.hear(RUN, text(&close).as_bytes()), Some(Err(Refused::Old)));
        for n in 0..2 * REFUSED {
            gate.hear(RUN, n.to_string().as_bytes());
        }
        assert_eq!(gate.refused.len(), REFUSED);
    }

    #[test]
    fn nothing_signed_for_something_else_is_taken() {
        let signed = Signed::new(&token("secret"), RUN, 7, FleetCommand::Rate { per_s: Some(9), of: 10 });
        let take = |of: Run<'_>, signed: &Signed| Gate::new(token("secret"), 0).take(of, &text(signed));
        for of in [Run { fleet: "day", ..RUN }, Run { id: "r2", ..RUN }, Run { fleet: "night\nr1", id: "" }] {
            assert_eq!(take(of, &signed), Err(Refused::Forged), "{of:?}");
        }
        for changed in [
            Signed { counter: 8, ..signed.clone() },
            Signed { command: signed.command.replace('9', "900"), ..signed.clone() },
            Signed { mac: signed.mac[2..].to_owned(), ..signed.clone() },
            Signed { mac: "ä".to_owned(), ..signed.clone() },
            Signed { mac: String::new(), ..signed.clone() },
        ] {
            assert_eq!(take(RUN, &changed), Err(Refused::Forged), "{changed:?}");
        }
        assert_eq!(Gate::new(token("secret"), 0).take(RUN, "{}"), Err(Refused::Forged));
        assert!(take(RUN, &signed).is_ok());
    }

    #[test]
    fn a_part_is_by_the_target() {
        assert_eq!(FleetCommand::part(1_000_000, 250_000, 1_000_000), Some(250_000));
        assert_eq!(FleetCommand::part(1, 1, 1_000_000), Some(1), "never nothing");
        assert_eq!(FleetCommand::part(u64::MAX, u64::MAX, 1), Some(u64::MAX));
        assert_eq!(FleetCommand::part(50_000, 10_000, 0), None, "not 50,000 times the target");
        assert!(FleetCommand::Rate { per_s: Some(50_000), of: 0 }.has_no_base());
        assert!(!FleetCommand::Rate { per_s: None, of: 0 }.has_no_base());
    }
}
