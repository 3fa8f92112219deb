//! The map in `src/lib.rs` is true: no module uses one it may not use, and `unsafe` stays where it is.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every source file below `src`.
fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

fn every_source() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found);
    assert!(found.len() > 50, "{}", found.len());
    found
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path.strip_prefix(&root).unwrap().to_owned(), text)
        })
        .collect()
}

/// The code of a file: without comments, and without its test modules, which may build on anything.
fn code(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The module a file belongs to: the first part of its path.
fn module(path: &Path) -> String {
    path.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// What the table of `src/lib.rs` lets each module use.
fn allowed() -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let names = |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect() };
    let mut table = BTreeMap::new();
    for row in text.lines().filter_map(|line| line.strip_prefix("//! | [`")) {
        let cells: Vec<&str> = row.split('|').collect();
        let uses = if cells[2].contains("everything") { vec!["*".to_owned()] } else { names(cells[2]) };
        // One row may stand for two modules.
        for name in names(&format!("`{}", cells[0])) {
            table.insert(name, uses.clone());
        }
    }
    table
}

/// Paths that follow `crate::` in the code, groups taken apart: `use crate::{a, b::c}` is `a` and `b::c`.
fn uses(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for after in code.split("crate::").skip(1) {
        if let Some(group) = after.strip_prefix('{') {
            let mut depth = 0;
            let end = group.find(|c| {
                depth += i32::from(c == '{') - i32::from(c == '}');
                depth < 0
            });
            let mut depth = 0;
            let items = group[..end.unwrap()].split(|c: char| {
                depth += i32::from(c == '{') - i32::from(c == '}');
                c == ',' && depth == 0
            });
            found.extend(items.map(str::trim).filter(|item| !item.is_empty()).map(ToOwned::to_owned));
        } else {
            let end = after.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(after.len());
            found.push(after[..end].to_owned());
        }
    }
    found
}

#[test]
fn the_parser_of_this_test_sees_groups_and_paths() {
    let seen = uses(
        "use crate::{app, model::{Model, now}, sys};\nuse crate::sample::Sample;\nlet x = crate::units::grouped(1);",
    );
    assert_eq!(seen, ["app", "model::{Model, now}", "sys", "sample::Sample", "units::grouped"]);
    assert_eq!(code("a(); // crate::app\n#[cfg(test)]\nmod tests {\nuse crate::app;\n}"), "a(); ");
}

#[test]
fn every_module_is_in_the_table_of_the_map() {
    let table = allowed();
    for (path, _) in every_source() {
        let name = module(&path);
        assert!(["lib", "main"].contains(&name.as_str()) || table.contains_key(&name), "{name} is not in src/lib.rs");
    }
}

#[test]
fn modules_use_only_what_the_map_lets_them() {
    let table = allowed();
    let mut wrong = Vec::new();
    for (path, text) in every_source() {
        let own = module(&path);
        let Some(may) = table.get(&own) else { continue };
        for used in uses(&code(&text)) {
            let to = used.split("::").next().unwrap();
            let permitted = to == own
                || may.iter().any(|m| m == "*" || m == to || used == *m || used.starts_with(&format!("{m}::")));
            if !permitted {
                wrong.push(format!("{} uses crate::{used}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "src/lib.rs does not allow:\n{}", wrong.join("\n"));
}

#[test]
fn no_two_files_of_a_module_import_each_other() {
    let mut imports: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for (path, text) in every_source() {
        let siblings = uses(&code(&text).replace("crate::", "").replace("super::", "crate::"));
        let file = |used: String| path.with_file_name(used.split("::").next().unwrap()).with_extension("rs");
        imports.insert(path.clone(), siblings.into_iter().map(file).collect());
    }
    let both = |a: &PathBuf, b: &PathBuf| a < b && imports.get(b).is_some_and(|of_b| of_b.contains(a));
    let pairs: Vec<_> =
        imports.iter().flat_map(|(a, of_a)| of_a.iter().filter(move |b| both(a, b)).map(move |b| (a, b))).collect();
    assert!(imports.values().flatten().count() > 100, "the imports are found at all");
    assert!(pairs.is_empty(), "{pairs:?}");
}

/// The one file beside `sys.rs` that has an `unsafe` block: it starts a thread with a descriptor table of its own, and what such
/// a thread uses no type can tell. The block has that call and nothing else.
const CALLER: (&str, &str) = ("engine/pool.rs", "unsafe { sys::spawn_with_own_table(thread, &keep, run) }");

#[test]
fn unsafe_is_in_sys_but_for_one_call() {
    for (path, text) in every_source() {
        if path == Path::new("sys.rs") {
            continue;
        }
        let code = code(&text);
        let words = code.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| *word == "unsafe").count();
        let expected = text.matches("expect(unsafe_code").count();
        if path == Path::new(CALLER.0) {
            assert_eq!((words, expected, code.matches(CALLER.1).count()), (1, 1, 1), "{}", path.display());
        } else {
            assert_eq!((words, expected), (0, 0), "unsafe in {}", path.display());
        }
    }
}

#[test]
fn lints_are_expected_with_a_reason_and_never_allowed() {
    for (path, text) in every_source() {
        assert!(!code(&text).contains("[allow("), "#[allow] in {}", path.display());
    }
}

#[test]
fn a_limit_is_named_in_its_own_file_alone() {
    let others = |name: &str| -> Vec<String> {
        let quoted = format!("\"{name}\"");
        let sources = every_source().into_iter().filter(|(_, text)| text.contains(&quoted));
        sources.map(|(path, _)| path.display().to_string()).collect()
    };
    for limit in c1m_top::limits::LIMITS {
        // Words that mean other things as well.
        if ["memory", "threads", "epoll", "ports", "runtime", "backlog", "freeze"].contains(&limit.name) {
            continue;
        }
        let own = format!("limits/{}.rs", limit.name.replace('-', "_"));
        assert_eq!(others(limit.name), [own], "{}", limit.name);
    }
}

#[test]
fn the_list_of_limits_and_the_files_agree() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/limits");
    for limit in c1m_top::limits::LIMITS {
        let file = root.join(limit.name.replace('-', "_")).with_extension("rs");
        assert!(file.exists(), "{}", file.display());
    }
}

/// The rows of the drawing in ARCHITECTURE.md, the uppermost first: names up to where the explanation starts.
fn drawing(known: &[String]) -> Vec<Vec<String>> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap();
    let (_, rest) = text.split_once("<!-- modules").unwrap();
    let (block, _) = rest.split_once("<!-- end of modules -->").unwrap();
    let rows = block.lines().skip_while(|l| !l.starts_with("```")).skip(1).take_while(|l| !l.starts_with("```"));
    rows.map(|row| {
        let words = row.split_whitespace().take_while(|w| known.iter().any(|k| k == w));
        words.map(ToOwned::to_owned).collect()
    })
    .collect()
}

#[test]
fn the_drawing_of_modules_is_true() {
    let table = allowed();
    let rows = drawing(&table.keys().cloned().collect::<Vec<_>>());
    let row_of = |module: &str| rows.iter().position(|row| row.iter().any(|m| m == module));
    for module in table.keys() {
        assert!(row_of(module).is_some(), "{module} is not in the drawing of ARCHITECTURE.md");
    }
    let mut wrong = Vec::new();
    for (path, text) in every_source() {
        let own = module(&path);
        let Some(from) = row_of(&own) else { continue };
        for used in uses(&code(&text)) {
            let to = used.split("::").next().unwrap();
            if to != own && row_of(to).is_some_and(|to| to <= from) {
                wrong.push(format!("{} uses crate::{used}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "the drawing of ARCHITECTURE.md does not allow:\n{}", wrong.join("\n"));
}
