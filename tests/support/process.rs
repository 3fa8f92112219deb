//! Other programs: started and ended, without privilege, and the test itself once more.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use c1m_top::sys;

use super::require::print_uncaptured;
use super::{Home, wait_until};

/// A process that is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Started(Child);

impl Started {
    #[track_caller]
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self(command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}")))
    }

    /// As [`Started::spawn`], of a wrapper or a shell; waits until it has become the program of this name.
    #[track_caller]
    pub(crate) fn become_program(command: &mut Command, name: &str) -> Self {
        let mut started = Self::spawn(command);
        let comm = format!("/proc/{}/comm", started.id());
        wait_until(&format!("{command:?} becoming {name}"), || {
            let ended = started.try_wait().unwrap();
            assert!(ended.is_none(), "{command:?} ended: {ended:?}");
            (std::fs::read_to_string(&comm).ok()?.trim() == name).then_some(())
        });
        started
    }
}

impl Deref for Started {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Started {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A user who runs nothing and has nothing.
pub(crate) const NOBODY: u32 = 65_534;

/// Words before a command line that start it as [`NOBODY`].
pub(crate) const AS_NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/// What a command prints, which succeeds.
#[track_caller]
pub(crate) fn succeed(command: &mut Command) -> String {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// A program as a user without privilege: the user of the test, or where that is root another, from a copy that this user
/// can read and with directories of that user. The test requires setpriv.
pub(crate) fn without_privilege(program: &Path) -> Command {
    if sys::euid() != 0 {
        let mut command = Command::new(program);
        Home::share(&mut command);
        return command;
    }
    let home = Home::of_user(NOBODY);
    let copy = home.join(program.file_name().unwrap());
    std::fs::copy(program, &copy).unwrap();
    let mut command = Command::new(AS_NOBODY[0]);
    command.args(&AS_NOBODY[1..]).arg(copy);
    command.env("XDG_RUNTIME_DIR", home.join("run")).env("XDG_STATE_HOME", home.join("state")).current_dir("/");
    command
}

/// Where the test has its own packages of Python's, `bin` among it.
pub(crate) fn venv() -> PathBuf {
    Home::path().join("venv")
}

/// Installs a package there; else why not, one line.
pub(super) fn into_venv(package: &str) -> Result<(), String> {
    let lines =
        [format!("python3 -m venv {}", venv().display()), format!("{}/bin/pip install -q {package}", venv().display())];
    for line in lines {
        let out = Command::new("sh").args(["-c", &line]).output().map_err(|e| e.to_string())?;
        if !out.status.success() {
            let said = [&out.stdout[..], &out.stderr].concat();
            let said = String::from_utf8_lossy(&said).lines().next_back().unwrap_or_default().to_owned();
            return Err(format!("{package} cannot be installed: {said}"));
        }
    }
    Ok(())
}

/// Runs a test by itself once more, whose full name (`module::function`) is `name`. `command` starts this test program in
/// another way. The test fails here as it fails there.
#[track_caller]
pub(crate) fn run_again(name: &str, command: &mut Command) {
    let out = command.args(["--exact", name, "--nocapture", "--include-ignored"]).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{command:?}:\n{stdout}\n{stderr}");
    assert!(stdout.contains("1 passed"), "{name} is not the full name of a test:\n{stdout}");
    // What it tells whoever reads the log of all tests.
    for line in stderr.lines().filter(|line| ["skipped: ", "measured: "].iter().any(|word| line.starts_with(word))) {
        print_uncaptured(line);
    }
}
