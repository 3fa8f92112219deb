//! What a person reads: the list of it can be made, and what sounded translated stays away.

use std::process::Command;

use super::support::{BINARY, require};

/// Phrases that had to be read twice.
const STIFF: [&str; 9] = [
    "established at once",
    "time to that",
    "how long still",
    "to the brim",
    "reckoned with",
    " is told",
    " met at",
    "for so long",
    "aims at",
];

#[test]
fn every_sentence_can_be_listed_and_none_sounds_translated() {
    require!(Program("python3"));
    let out = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/strings")).arg(BINARY).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success() && text.lines().count() > 800, "{}", String::from_utf8_lossy(&out.stderr));
    for command in ["c1m-top  --help", "c1m-top check --help", "c1m-top tune --help"] {
        assert!(text.contains(command), "{command} is missing");
    }
    for line in text.lines() {
        let stiff = STIFF.iter().find(|phrase| line.contains(**phrase));
        assert_eq!(stiff, None, "{line}");
    }
}
