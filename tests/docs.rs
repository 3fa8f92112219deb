//! What the documents say is so: links lead somewhere, the README is short, commands parse.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use c1m_top::cli::Cli;
use c1m_top::limits::LIMITS;
use c1m_top::output::metrics::{Kind, families, table};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Markdown file that a reader may open.
fn documents() -> Vec<PathBuf> {
    let of = |dir: &Path| fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect::<Vec<_>>();
    let mut found = of(root());
    found.extend(of(&root().join("docs")));
    found.retain(|path| path.extension().is_some_and(|e| e == "md"));
    assert!(found.len() > 8, "{found:?}");
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The text without what stands in fences, line by line.
fn prose(text: &str) -> String {
    let mut inside = false;
    let outside = text.lines().filter(|line| {
        let fence = line.starts_with("```");
        inside ^= fence;
        !inside && !fence
    });
    outside.collect::<Vec<_>>().join("\n")
}

/// What GitHub makes of a heading: `## check and tune` is `#check-and-tune`.
fn anchors(text: &str) -> Vec<String> {
    let headings = prose(text);
    let slug = |heading: &str| {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.collect::<String>().trim().to_lowercase().replace(' ', "-")
    };
    headings.lines().filter(|line| line.starts_with('#')).map(|line| slug(line.trim_start_matches('#'))).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut followed = 0;
    for document in documents() {
        let text = prose(&read(&document));
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap_or_default();
            if target.contains("://") {
                continue;
            }
            followed += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { document.clone() } else { document.with_file_name("").join(file) };
            assert!(path.exists(), "{}: {target} is not there", document.display());
            if !anchor.is_empty() {
                let known = anchors(&read(&path));
                assert!(known.iter().any(|a| a == anchor), "{}: {target}: {known:?}", document.display());
            }
        }
    }
    assert!(followed > 15, "{followed} links are too few");
}

#[test]
fn the_readme_is_short_and_leads_to_every_document() {
    let readme = read(&root().join("README.md"));
    assert!(readme.lines().count() <= 150, "{} lines", readme.lines().count());
    for document in documents() {
        let name = document.strip_prefix(root()).unwrap().display().to_string();
        assert!(name == "README.md" || readme.contains(&format!("]({name})")), "{name} is not linked");
    }
    // What the first command takes is said before it.
    let (memory, command) = (readme.find("8 GB"), readme.find("cargo run --release"));
    assert!(memory.is_some() && memory < command, "{memory:?} {command:?}");
}

/// The words of a command, as a shell takes them apart: what stands between single quotes is one.
fn words(line: &str) -> Vec<&str> {
    let parts = line.split('\'').enumerate();
    parts.flat_map(|(i, part)| if i % 2 == 1 { vec![part] } else { part.split_whitespace().collect() }).collect()
}

/// What a shell or Ansible reckons is 1.
fn counted(command: &str) -> String {
    let mut out = command.to_owned();
    for (from, to) in [("$((", "))"), ("{{", "}}")] {
        while let Some((before, rest)) = out.split_once(from).map(|(a, b)| (a.to_owned(), b.to_owned())) {
            out = format!("{before}1{}", rest.split_once(to).unwrap().1);
        }
    }
    out
}

#[test]
fn every_command_of_ours_parses() {
    let mut parsed = 0;
    for document in documents() {
        let text = read(&document).replace("\\\n", " ");
        let mut inside = false;
        for line in text.lines() {
            if line.starts_with("```") {
                inside = line == "```sh";
                continue;
            }
            let line = line.split('#').next().unwrap_or_default().trim();
            let ours: Vec<&str> = words(line).into_iter().skip_while(|w| !w.ends_with("c1m-top")).skip(1).collect();
            // For a shell on another host, which counts the part.
            let quoted = words(line).into_iter().find(|w| w.starts_with("c1m-top -")).map(counted).unwrap_or_default();
            let ours = if ours.is_empty() { quoted.split_whitespace().skip(1).collect() } else { ours };
            let run: Vec<&str> = line.strip_prefix("cargo run --release -- ").map_or(ours, words);
            if inside && !run.is_empty() {
                parsed += 1;
                assert!(Cli::read(std::iter::once("c1m-top").chain(run)).is_ok(), "{}: {line}", document.display());
            }
        }
    }
    assert!(parsed > 12, "{parsed} commands are too few");
}

/// Every file of `deploy/`.
fn deployed(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let (dirs, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    dirs.iter().flat_map(|dir| deployed(dir)).chain(files).collect()
}

/// A line of shell without variables: each is its default, `NAME=${NAME:-default}`, or where the script has none a word.
fn substituted(line: &str, defaults: &[(&str, &str)]) -> String {
    let mut parts = line.split('$');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len());
        let (name, after) = part.split_at(end);
        out.push_str(defaults.iter().find(|(of, _)| *of == name).map_or("x", |(_, default)| default));
        out.push_str(after);
    }
    out
}

/// The commands of a script that are ours, without what the shell makes of them.
fn commands_of_script(text: &str) -> Vec<Vec<String>> {
    let text = text.replace("\\\n", " ");
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let defaults: Vec<(&str, &str)> = lines
        .clone()
        .filter_map(|line| {
            line.trim().trim_start_matches("export ").split_once("=${")?.1.split_once('}')?.0.split_once(":-")
        })
        .collect();
    let ours = lines.filter_map(|line| line.find("c1m-top ").map(|at| &line[at..]));
    let plain = ours.map(|line| substituted(line, &defaults).replace(['"', '\'', '&'], " "));
    plain.map(|line| line.split_whitespace().map(ToOwned::to_owned).collect()).collect()
}

/// The arguments in a manifest of the containers whose image is ours: lists that are JSON.
fn commands_of_manifest(text: &str) -> Vec<Vec<String>> {
    let containers = text.split("image: c1m-top\n").skip(1);
    let lists = containers.map(|container| {
        let list = container.split_once("args: ").unwrap().1;
        let list = &list[..=list.find(']').unwrap()];
        serde_json::from_str::<Vec<String>>(list).unwrap_or_else(|e| panic!("{e}: {list}"))
    });
    lists.map(|list| [vec!["c1m-top".to_owned()], list].concat()).collect()
}

#[test]
fn every_command_in_deploy_parses() {
    let mut parsed = 0;
    for path in deployed(&root().join("deploy")) {
        let text = read(&path);
        let commands = match path.extension().and_then(|e| e.to_str()) {
            Some("yaml" | "yml") => commands_of_manifest(&text),
            Some("sbatch" | "sh") => commands_of_script(&text),
            _ => continue,
        };
        for words in commands {
            parsed += 1;
            let line = words.join(" ");
            let read = Cli::read(words);
            assert!(read.is_ok(), "{}: {line}: {:?}", path.display(), read.err());
        }
    }
    assert!(parsed >= 5, "{parsed} commands are too few");
}

#[test]
fn the_transcript_of_check_calls_limits_by_their_names() {
    let text = read(&root().join("docs/check.md"));
    let table = text.split("limit  ").nth(1).unwrap();
    let rows = table.lines().skip(1).take_while(|line| !line.is_empty()).filter(|line| !line.starts_with(' '));
    let mut found = 0;
    for row in rows {
        found += 1;
        assert!(LIMITS.iter().any(|limit| row.starts_with(&format!("{}  ", limit.label))), "{row}");
    }
    assert!(found >= 4, "{found} rows");
}

/// Words that look like metrics.
fn metrics_in(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("c1m_top_")).collect()
}

#[test]
fn every_metric_of_rules_and_dashboard_exists_and_every_metric_is_explained() {
    let mut exposed = Vec::new();
    for family in families() {
        let name = family.series();
        match family.kind {
            Kind::Histogram => exposed.extend(["_bucket", "_sum", "_count"].map(|part| format!("{name}{part}"))),
            _ => exposed.push(name),
        }
    }
    let page = read(&root().join("docs/metrics.md"));
    assert!(page.contains(&table()), "the table of docs/metrics.md has to be:\n{}", table());
    let files =
        ["alerts.yml", "prometheus.yml", "grafana.json"].map(|file| root().join("deploy/prometheus").join(file));
    let [rules, _, dashboard] = files.each_ref().map(|file| read(file));
    for text in [&rules, &dashboard] {
        let named = metrics_in(text);
        assert!(named.len() > 10, "{named:?}");
        for name in named {
            assert!(exposed.iter().any(|known| known == name), "{name} does not exist");
        }
    }
    // What the page says in prose; of a histogram also its name alone.
    for name in metrics_in(&page).into_iter().filter(|name| !families().any(|family| family.series() == *name)) {
        assert!(exposed.iter().any(|known| known == name), "{name} does not exist");
    }
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 10);
    // What a run is looked at for is on the dashboard.
    let on_it = dashboard.to_string();
    for name in
        ["c1m_top_connections", "c1m_top_limit_forecast_seconds", "c1m_top_connection_memory_bytes", "c1m_top_verdict"]
    {
        assert!(metrics_in(&on_it).contains(&name), "{name}");
    }
}
