//! The page in a real browser, served under the strictest content policy.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread;

use super::files::Made;
use super::support::{Home, program, require, succeed};

/// What a strict server sends: no script, no style, nothing from elsewhere.
const POLICY: &str = "default-src 'none'; img-src data:";

/// Serves one page on loopback until the test ends; its address. `policy` is sent with it.
fn serve(page: String, policy: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut line = String::new();
            let mut first = String::new();
            // A browser asks for an icon too.
            while stream.read_line(&mut line).is_ok_and(|n| n > 2) {
                first = if first.is_empty() { line.clone() } else { first };
                line.clear();
            }
            let (status, body) =
                if first.starts_with("GET / ") { ("200 OK", page.as_str()) } else { ("404 Not Found", "") };
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {length}\r\n\
                 Content-Security-Policy: {policy}\r\nConnection: close\r\n\r\n{body}"
            );
            let _ = stream.get_mut().write_all(answer.as_bytes());
        }
    });
    address
}

/// A browser without a window, with a directory of its own below the test's.
fn chromium(more: &[&str], address: &str) -> std::process::Output {
    let profile = Home::path().join("profile");
    let mut command = Command::new("chromium");
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr"]);
    command.arg(format!("--user-data-dir={}", profile.display())).args(more).arg(address);
    command.env("HOME", Home::path()).output().unwrap()
}

/// What it says on its console.
fn complaints(out: &std::process::Output) -> Vec<String> {
    let log = String::from_utf8_lossy(&out.stderr).into_owned();
    log.lines()
        .filter(|line| line.contains("CONSOLE") || line.contains("Content Security"))
        .map(ToOwned::to_owned)
        .collect()
}

fn page(run: &Path) -> String {
    succeed(program().arg("report").arg(run))
}

#[test]
fn every_section_is_there_under_a_strict_policy() {
    require!(Program("chromium"));
    let address = serve(page(&Made::to(200_000).write("run.c1m")), POLICY);
    let out = chromium(&["--dump-dom"], &address);
    let dom = String::from_utf8_lossy(&out.stdout);
    for id in ["memory", "time", "cost", "limits", "forecasts", "events", "environment"] {
        assert!(dom.contains(&format!("<section id=\"{id}\">")), "{id}\n{dom}");
    }
    assert_eq!(complaints(&out), Vec::<String>::new());
    // A page that does break the policy is complained of: the test sees what it looks for.
    let bad = "<!DOCTYPE html><html lang=\"en\"><title>x</title><p style=\"color: red\">x</p></html>".to_owned();
    let out = chromium(&["--dump-dom"], &serve(bad, POLICY));
    assert!(!complaints(&out).is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn nothing_is_wider_than_a_telephone() {
    require!(Program("chromium"));
    // Measured by a script of the test's own, beside the page: the page itself has none.
    let measure = "<script>document.title = document.documentElement.scrollWidth;</script>";
    let mut run = Made::to(200_000);
    run.header.sysctls.insert("net.ipv4.ip_local_port_range".into(), "1024 65535".into());
    let run = run.write("run.c1m");
    let html = page(&run).replace("</body>", &format!("{measure}</body>"));
    let address = serve(html, "script-src 'unsafe-inline'");
    let out = chromium(&["--window-size=500,800", "--dump-dom"], &address);
    let dom = String::from_utf8_lossy(&out.stdout);
    let width: u32 = dom.split("<title>").nth(1).unwrap().split('<').next().unwrap().parse().unwrap();
    assert!(width <= 500, "{width}");
    let picture = Home::path().join("page.png");
    let screenshot = format!("--screenshot={}", picture.display());
    chromium(&[screenshot.as_str(), "--window-size=800,3000"], &address);
    assert!(fs::read(&picture).unwrap().len() > 20_000, "a picture with something in it");
}
