//! A store that is reached by TLS, with an authority of its own.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::store::Store;
use super::support::{Home, Run, own_namespace, program, require, succeed};

/// An authority, and a certificate of it for 127.0.0.1, in the directory.
fn certificates(dir: &Path) {
    let openssl = |line: &str| {
        succeed(Command::new("openssl").current_dir(dir).args(line.split(' ')));
    };
    openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=authority -days 2",
    );
    openssl("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out request.pem -subj /CN=store");
    fs::write(dir.join("extensions"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    openssl(
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out cert.pem -extfile extensions",
    );
}

#[test]
fn a_fleet_meets_by_tls_and_trusts_no_other_authority() {
    require!(Root, Program("redis-server"), Program("openssl"));
    own_namespace!();
    let dir = Home::path();
    certificates(&dir);
    let [ca, cert, key] = ["ca.pem", "cert.pem", "key.pem"].map(|name| dir.join(name).display().to_string());
    let options = ["--tls-port", "6380", "--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
    let _store = Store::start(&[&options[..], &["--tls-auth-clients", "no"]].concat());
    let fleet = "--fleet rediss://127.0.0.1:6380/night";
    let refused = [
        (fleet.to_owned(), "no encrypted connection"),
        (format!("{fleet} --fleet-ca {key}"), "has no certificate in it"),
        ("--fleet redis://127.0.0.1:6380/night".to_owned(), "the store redis://127.0.0.1:6380/night"),
        (format!("--fleet redis://127.0.0.1:6379/night --fleet-ca {ca}"), "write rediss://"),
    ];
    let holds = |options: &str, part: &str| {
        let out = program().args(["--server", "--listen", "127.0.0.1"]).args(options.split(' ')).output().unwrap();
        let line = String::from_utf8(out.stderr).unwrap();
        assert!(out.status.code() == Some(2) && line.contains(part) && line.lines().count() == 1, "{options}: {line}");
    };
    std::thread::scope(|scope| {
        for (options, part) in &refused {
            scope.spawn(|| holds(options, part));
        }
        let mut run = Run::start(&format!("--server --listen 127.0.0.1 {fleet} --fleet-ca {ca}"));
        run.until("it runs", |p| p.event("fleet/start").is_some());
        assert_eq!(run.interrupt().code, Some(0));
    });
}
