//! `apply` and `revert` against a tree that stands for `/proc/sys`.

use super::*;

struct Tree {
    dir: tempfile::TempDir,
}

const START: [(&str, &str); 3] =
    [("fs.nr_open", "1048576"), ("fs.file-max", "100000"), ("net.ipv4.ip_local_port_range", "32768\t60999")];

impl Tree {
    fn new() -> Self {
        let tree = Self { dir: tempfile::tempdir().unwrap() };
        for (key, _) in START {
            fs::create_dir_all(tree.sysctls().path(key).parent().unwrap()).unwrap();
        }
        tree.reset(&START);
        tree
    }

    fn sysctls(&self) -> Sysctls {
        Sysctls::new(self.dir.path().join("sys"))
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("state/tune.json")
    }

    fn set(&self, key: &str, value: &str) {
        fs::write(self.sysctls().path(key), format!("{value}\n")).unwrap();
    }

    /// What a reboot does.
    fn reset(&self, values: &[(&str, &str)]) {
        for (key, value) in values {
            self.set(key, value);
        }
    }

    fn get(&self, key: &str) -> String {
        normal(&self.sysctls().read(key).unwrap())
    }

    fn apply(&self, boot: &str) -> Result<Vec<Done>, String> {
        apply(&self.sysctls(), &self.file(), &here(boot), &changes())
    }

    fn revert(&self, boot: &str, force: bool) -> Result<Vec<Done>, String> {
        revert(&self.sysctls(), &self.file(), &here(boot), force)
    }

    fn is_as_at_the_start(&self) -> bool {
        START.iter().all(|(key, value)| self.get(key) == normal(value)) && !self.file().exists()
    }
}

fn here(boot: &str) -> Here {
    Here { boot_id: boot.into(), netns: "net:[1]".into() }
}

fn changes() -> Vec<Change> {
    [("fs.nr_open", "2000000"), ("fs.file-max", "210000"), ("net.ipv4.ip_local_port_range", "10000 65535")]
        .map(|(key, to)| Change { key, to: to.into(), why: String::new() })
        .into()
}

fn results(done: &[Done]) -> Vec<&Outcome> {
    done.iter().map(|d| &d.result).collect()
}

#[test]
fn applied_and_put_back() {
    let tree = Tree::new();
    let done = tree.apply("a").unwrap();
    assert!(done.iter().all(Done::is_well), "{done:?}");
    assert_eq!(done[2].to_string(), "net.ipv4.ip_local_port_range: 32768 60999 -> 10000 65535");
    for change in changes() {
        assert_eq!(tree.get(change.key), change.to);
    }
    let done = tree.revert("a", false).unwrap();
    assert_eq!(results(&done), [&Outcome::Set; 3]);
    assert!(tree.is_as_at_the_start());
    assert_eq!(tree.revert("a", false), Ok(Vec::new()), "a second time there is nothing to do");
}

#[test]
fn a_second_apply_keeps_the_original_values() {
    let tree = Tree::new();
    tree.apply("a").unwrap();
    let more = [Change { key: "fs.file-max", to: "5000000".into(), why: String::new() }];
    apply(&tree.sysctls(), &tree.file(), &here("a"), &more).unwrap();
    assert_eq!(tree.get("fs.file-max"), "5000000");
    assert!(tree.revert("a", false).unwrap().iter().all(Done::is_well));
    assert!(tree.is_as_at_the_start());
}

#[test]
fn a_crash_in_the_middle_of_apply_is_put_back() {
    for applied in 0..=3 {
        let tree = Tree::new();
        let mut state = State::new(&here("a"));
        for change in changes() {
            state.note(change.key, &tree.get(change.key), &change.to);
        }
        fs::create_dir(tree.file().parent().unwrap()).unwrap();
        save(&tree.file(), &state).unwrap();
        for change in changes().iter().take(applied) {
            tree.set(change.key, &change.to);
        }
        let done = tree.revert("a", false).unwrap();
        assert_eq!(done.iter().filter(|d| d.result == Outcome::Set).count(), applied);
        assert!(tree.is_as_at_the_start(), "after {applied}");
    }
}

#[test]
fn the_state_is_on_disk_before_the_first_change() {
    let tree = Tree::new();
    // A directory where the state file should be: it cannot be written.
    fs::create_dir_all(tree.file()).unwrap();
    assert!(tree.apply("a").is_err());
    for (key, value) in START {
        assert_eq!(tree.get(key), normal(value));
    }
}

#[test]
fn a_value_of_somebody_else_is_left_unless_forced() {
    let tree = Tree::new();
    tree.apply("a").unwrap();
    tree.set("fs.file-max", "777");
    let done = tree.revert("a", false).unwrap();
    let foreign = done.iter().find(|d| d.key == "fs.file-max").unwrap();
    assert_eq!(foreign.result, Outcome::Foreign);
    assert!(foreign.to_string().contains("is 777, which c1m-top did not set; left"), "{foreign}");
    assert_eq!((tree.get("fs.file-max"), tree.get("fs.nr_open")), ("777".into(), "1048576".into()));
    let done = tree.revert("a", true).unwrap();
    assert_eq!(done.len(), 1, "only that one is left to do");
    assert!(tree.is_as_at_the_start());
}

#[test]
fn a_reboot_in_between() {
    // The kernel's own values are back: nothing to write, the file goes.
    let tree = Tree::new();
    tree.apply("a").unwrap();
    tree.reset(&START);
    assert_eq!(results(&tree.revert("b", false).unwrap()), [&Outcome::Unchanged; 3]);
    assert!(tree.is_as_at_the_start());

    // A file of sysctl.d set one of them at boot: not ours any more, even if it is the same value.
    let tree = Tree::new();
    tree.apply("a").unwrap();
    tree.reset(&START[1..]);
    let done = tree.revert("b", false).unwrap();
    assert_eq!(done.iter().filter(|d| d.result == Outcome::Foreign).count(), 1);
    assert_eq!(tree.get("fs.nr_open"), "2000000");
    assert!(tree.apply("b").unwrap_err().contains("from before the last reboot"));
    assert!(tree.revert("b", true).unwrap()[0].is_well());
    assert!(tree.is_as_at_the_start());
}

#[test]
fn a_torn_or_foreign_file_is_refused_and_nothing_written() {
    let tree = Tree::new();
    tree.apply("a").unwrap();
    let good = fs::read_to_string(tree.file()).unwrap();
    for bad in [&good[..good.len() - 9], "", "{\"a\":1}", "\u{0}\u{0}"] {
        fs::write(tree.file(), bad).unwrap();
        for result in [tree.revert("a", false), tree.revert("a", true), tree.apply("a")] {
            assert!(result.unwrap_err().contains("nothing was changed"));
        }
        assert_eq!(tree.get("fs.nr_open"), "2000000");
        assert_eq!(fs::read_to_string(tree.file()).unwrap(), bad);
    }
}

#[test]
fn what_may_not_be_set_is_named_and_the_rest_is_set() {
    let tree = Tree::new();
    fs::remove_file(tree.sysctls().path("fs.file-max")).unwrap();
    let done = tree.apply("a").unwrap();
    assert_eq!(done.iter().filter(|d| d.is_well()).count(), 2);
    assert!(done[1].to_string().contains("NOT set, still unreadable"), "{}", done[1]);
    tree.set("fs.file-max", "100000");
    tree.revert("a", false).unwrap();
    assert!(tree.is_as_at_the_start());

    let nothing = Tree::new();
    fs::remove_dir_all(nothing.dir.path().join("sys")).unwrap();
    assert!(!nothing.apply("a").unwrap().iter().any(Done::is_well));
    assert!(!nothing.file().exists(), "nothing was set, so nothing is kept");
}

#[test]
fn two_at_once_do_not_mix() {
    let tree = Tree::new();
    tree.apply("a").unwrap();
    let first = lock(&tree.file()).unwrap();
    assert!(tree.revert("a", false).unwrap_err().contains("another c1m-top tune is using"));
    drop(first);
    assert!(tree.revert("a", false).is_ok());
}

#[test]
fn a_file_that_others_can_write_is_not_believed() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let tree = Tree::new();
    tree.apply("a").unwrap();
    fs::set_permissions(tree.file(), fs::Permissions::from_mode(0o666)).unwrap();
    assert!(tree.revert("a", true).unwrap_err().contains("only you"));
    fs::set_permissions(tree.file(), fs::Permissions::from_mode(0o600)).unwrap();
    let elsewhere = tree.dir.path().join("elsewhere.json");
    fs::rename(tree.file(), &elsewhere).unwrap();
    symlink(&elsewhere, tree.file()).unwrap();
    assert!(tree.revert("a", true).unwrap_err().contains("only you"));
    assert_eq!(tree.get("fs.nr_open"), "2000000");
}
