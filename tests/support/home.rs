//! Directories of a test's own for what the program writes.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::poll;

/// A test's directories. Every program that the test starts shares them, so that one can attach to another; they are
/// removed when the test ends.
#[derive(Debug)]
pub(crate) struct Home(Option<TempDir>);

thread_local! {
    /// A test runs in a thread of its own.
    static HOME: Home = Home::new();
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("c1m-").tempdir_in("/tmp").unwrap();
        for part in ["run", "state"] {
            fs::create_dir(dir.path().join(part)).unwrap();
        }
        Self(Some(dir))
    }

    /// Where they are.
    pub(crate) fn path() -> PathBuf {
        HOME.with(|home| home.0.as_ref().unwrap().path().to_owned())
    }

    /// The variables of the environment that lead there.
    pub(crate) fn variables() -> [(&'static str, PathBuf); 2] {
        let home = Self::path();
        [("XDG_RUNTIME_DIR", home.join("run")), ("XDG_STATE_HOME", home.join("state"))]
    }

    /// Lets a command use them.
    pub(crate) fn share(command: &mut Command) -> &mut Command {
        command.envs(Self::variables())
    }

    /// The same directories for a program that runs as another user, `run` and `state` below this. The test must run as root.
    pub(crate) fn of_user(user: u32) -> PathBuf {
        let home = Self::path();
        fs::set_permissions(&home, Permissions::from_mode(0o711)).unwrap();
        let theirs = home.join(user.to_string());
        for dir in [theirs.clone(), theirs.join("run"), theirs.join("state")] {
            fs::create_dir_all(&dir).unwrap();
            chown(&dir, Some(user), Some(user)).unwrap();
        }
        theirs
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let dir = self.0.take().unwrap().keep();
        // An engine that starts may just have its socket there.
        let gone = poll(Duration::from_secs(10), || (fs::remove_dir_all(&dir).is_ok() || !dir.exists()).then_some(()));
        if gone.is_none() {
            // A panic here would abort the process and hide what the other tests say.
            eprintln!("{} cannot be removed", Path::display(&dir));
        }
    }
}
