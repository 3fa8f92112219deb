//! The manifests of `deploy/kubernetes`: valid, without any privilege, with room for what they are to hold. That their command
//! lines are the program's own is tested in `tests/docs.rs`.

use std::fs;
use std::process::Command;

use c1m_top::units::{parse_bytes, parse_count};

use super::deployed;
use super::support::{require, succeed, venv};

/// Each manifest: its name and its text.
fn manifests() -> Vec<(String, String)> {
    let entries = fs::read_dir(deployed("kubernetes")).unwrap().map(|entry| entry.unwrap().path());
    let yaml = entries.filter(|path| path.extension().is_some_and(|e| e == "yaml"));
    yaml.map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap())).collect()
}

#[test]
fn manifests_are_what_kubernetes_takes() {
    require!(Long, Program("python3"), PyPi("kubernetes-validate"));
    let validate = venv().join("bin/kubernetes-validate");
    let files = manifests();
    assert_eq!(files.len(), 3);
    for (name, text) in files {
        let said = succeed(Command::new(&validate).args(["--strict", &name]));
        let resources = text.matches("\nkind: ").count();
        assert_eq!(said.matches("passed for resource").count(), resources, "{name}: {said}");
        // It reads what is there, and finds what is not so.
        let broken = super::support::Home::path().join("broken.yaml");
        fs::write(&broken, text.replacen("containers:", "container:", 1)).unwrap();
        assert!(!Command::new(&validate).arg("--strict").arg(broken).output().unwrap().status.success(), "{name}");
    }
}

#[test]
fn no_pod_has_any_privilege() {
    for (name, text) in manifests() {
        let pods = text.matches("      containers:\n").count();
        assert!(pods >= 1, "{name}");
        for line in [
            "runAsNonRoot: true",
            "seccompProfile: {type: RuntimeDefault}",
            "allowPrivilegeEscalation: false",
            "readOnlyRootFilesystem: true",
            "capabilities: {drop: [ALL]}",
            "automountServiceAccountToken: false",
        ] {
            assert_eq!(text.matches(line).count(), pods, "{name}: {line}");
        }
        for word in ["hostNetwork", "privileged", "hostPID", "hostPath"] {
            assert!(!text.contains(word), "{name}: {word}");
        }
    }
}

/// What stands behind the first of these words, up to a character that ends it.
fn after<'a>(text: &'a str, word: &str) -> &'a str {
    let rest = text.split_once(word).unwrap_or_else(|| panic!("no {word}")).1;
    rest.split([',', '}', '"', '\n']).next().unwrap().trim()
}

#[test]
fn the_memory_of_a_pod_holds_its_part_of_the_target_with_what_the_guard_keeps() {
    let read = |name: &str| fs::read_to_string(deployed("kubernetes").join(name)).unwrap();
    let (server, clients) = (read("server.yaml"), read("clients.yaml"));
    let target = parse_count(after(&clients, "\"--target\", \"")).unwrap();
    let parts: u64 = after(&clients, "completions: ").parse().unwrap();
    assert_eq!(after(&clients, "parallelism: "), parts.to_string());
    assert_eq!(after(&clients, "\"--parts\", \""), parts.to_string());
    for (text, connections) in [(&server, target), (&clients, target / parts)] {
        let limit = parse_bytes(&format!("{}B", after(text, "limits: {memory: "))).unwrap();
        // 4,116 B each, by `check`; the guard keeps a tenth of the pod's limit, and half of it is room to spare at most.
        let needed = connections * 4116 * 10 / 9;
        assert!((needed..needed * 3 / 2).contains(&limit), "{limit} bytes for {needed}");
        assert_eq!(after(text, "memory: "), after(text, "limits: {memory: "), "what is promised is what may be used");
    }
    // Server and clients wait for as many as there are.
    for text in [&server, &clients] {
        assert_eq!(after(text, "\"--expect-workers\", \""), (parts + 1).to_string());
    }
}
