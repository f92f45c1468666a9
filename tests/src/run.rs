//! Commands with a deadline.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Seek, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::limit::{Test, wait};
use crate::mountpoint::abort_all_of;
use crate::require_tool;

/// The user and group of `nobody`.
pub const NOBODY: u32 = 65534;

/// A program to be run, by name or path. Panics if it is not installed.
#[track_caller]
pub fn run(program: impl AsRef<Path>) -> Run {
    let program = program.as_ref();
    let program = match program.to_str() {
        Some(name) if !name.contains('/') => require_tool(name),
        _ => program.to_owned(),
    };
    Run::from(Command::new(program))
}

/// The program of an example, built anew if it is out of date.
#[track_caller]
pub fn example(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let place = BUILT.get_or_init(|| {
        let place = programs();
        let target = place.parent().expect("a profile's directory is in the target directory");
        let release = place.ends_with("release");
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command
            .args(["build", "--quiet", "--package", "examples", "--bins"])
            .args(release.then_some("--release"))
            .arg("--target-dir")
            .arg(target)
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        Run::from(command).within(Duration::from_secs(600)).ok();
        place
    });
    let program = place.join(name);
    assert!(program.is_file(), "there is no example {}", program.display());
    program
}

/// A program of this package, from `src/bin`.
#[track_caller]
pub fn helper(name: &str) -> PathBuf {
    let program = programs().join(name);
    assert!(
        program.is_file(),
        "{} is missing: 'cargo build -p tests --bins' makes it",
        program.display()
    );
    program
}

/// A command on its way: its arguments, its user, its limit.
#[derive(Debug)]
pub struct Run {
    command: Command,
    limit: Duration,
    input: Vec<u8>,
}

impl Run {
    /// One more argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// More arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets the working directory.
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// What the command reads from its standard input; nothing if not set.
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// How long it may take: 20 seconds if not set.
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// As nobody, with no groups and no capabilities.
    pub fn as_nobody(self) -> Self {
        self.as_user(NOBODY, NOBODY)
    }

    /// As this user with this group, no other groups and no capabilities.
    pub fn as_user(mut self, uid: u32, gid: u32) -> Self {
        let mut command = Command::new(require_tool("setpriv"));
        command
            .arg(format!("--reuid={uid}"))
            .arg(format!("--regid={gid}"))
            .args(["--clear-groups", "--"])
            .arg(self.command.get_program())
            .args(self.command.get_args());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(dir) = self.command.get_current_dir() {
            command.current_dir(dir);
        }
        self.command = command;
        self
    }

    /// Runs it to its end. If that does not come in time, the connections of this test's
    /// mountpoints are aborted, the command and its children are killed, and it is a panic.
    #[track_caller]
    pub fn output(self) -> Ran {
        let limit = self.limit;
        let mut running = self.start();
        running.wait(limit)
    }

    /// As [`output`](Self::output), and panics unless it succeeds.
    #[track_caller]
    pub fn ok(self) -> Ran {
        let shown = format!("{:?}", self.command);
        let ran = self.output();
        assert!(ran.status.success(), "{shown}: {}\n{}\n{}", ran.status, ran.stdout, ran.stderr);
        ran
    }

    /// Starts it, in a process group of its own.
    #[track_caller]
    pub fn start(mut self) -> Running {
        let file = || tempfile::tempfile().expect("a temporary file for output");
        let (stdout, stderr, mut stdin) = (file(), file(), file());
        stdin.write_all(&self.input).and_then(|()| stdin.rewind()).expect("input for a command");
        let copy = |file: &File| Stdio::from(file.try_clone().expect("a copy of a descriptor"));
        let shown = format!("{:?}", self.command);
        let child = self
            .command
            .process_group(0)
            .stdin(stdin)
            .stdout(copy(&stdout))
            .stderr(copy(&stderr))
            .spawn()
            .unwrap_or_else(|error| panic!("{shown} cannot be started: {error}"));
        Running { child, stdout, stderr, shown, status: None }
    }
}

impl From<Command> for Run {
    fn from(command: Command) -> Self {
        Self { command, limit: Duration::from_secs(20), input: Vec::new() }
    }
}

/// A command that runs. Dropping it kills it, with its process group.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: File,
    stderr: File,
    shown: String,
    status: Option<ExitStatus>,
}

impl Running {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to its standard output so far.
    pub fn stdout(&self) -> String {
        contents(&self.stdout)
    }

    /// What it has written to its standard error so far.
    pub fn stderr(&self) -> String {
        contents(&self.stderr)
    }

    /// Where in the kernel each of its threads is.
    pub fn stacks(&self) -> String {
        stacks(self.pid())
    }

    /// Sends a signal to the process alone.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id() as i32);
        kill(pid, signal).unwrap_or_else(|error| panic!("{signal} for {}: {error}", self.shown));
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.child.try_wait().expect("a child to wait for");
        }
        self.status.is_some()
    }

    /// Waits until its standard output has `text` in it; panics if it ends before, or after
    /// `limit`.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str, limit: Duration) {
        let said = wait(limit, || self.stdout().contains(text) || self.has_ended());
        let (stdout, stderr) = (self.stdout(), self.stderr());
        assert!(
            said && stdout.contains(text),
            "{} does not say {text:?} within {limit:?}: {:?}\n{stdout}\n{stderr}",
            self.shown,
            self.status
        );
    }

    /// Waits for its end; as [`Run::output`] if that does not come in time.
    #[track_caller]
    pub fn wait(&mut self, limit: Duration) -> Ran {
        if !wait(limit, || self.has_ended()) {
            let stacks = stacks(self.child.id());
            abort_all_of(Test::current());
            self.kill();
            panic!(
                "{} took longer than {limit:?}\n{stacks}\n{}\n{}",
                self.shown,
                self.stdout(),
                self.stderr()
            );
        }
        let status = self.status.expect("it has ended");
        Ran { status, stdout: self.stdout(), stderr: self.stderr() }
    }

    /// Kills it and its process group, and waits a little for it.
    pub fn kill(&mut self) {
        if self.has_ended() {
            return;
        }
        let _ = killpg(Pid::from_raw(self.child.id() as i32), Signal::SIGKILL);
        wait(Duration::from_secs(5), || self.has_ended());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to its standard output.
    pub stdout: String,
    /// What it wrote to its standard error.
    pub stderr: String,
}

impl Ran {
    /// Whether its exit code was 0.
    pub fn succeeded(&self) -> bool {
        self.status.success()
    }

    /// Its exit code. Panics if a signal ended it.
    #[track_caller]
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("ended by signal {:?}", self.status.signal()))
    }
}

/// Where in the kernel each thread of a process is.
fn stacks(pid: u32) -> String {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
    tasks
        .map(|task| {
            let (status, stack) =
                (read(task.path().join("status")), read(task.path().join("stack")));
            let status = status.lines().find(|line| line.starts_with("State")).unwrap_or_default();
            format!("thread {:?} {status}\n{stack}", task.file_name())
        })
        .collect()
}

/// All that is in a file, wherever its other users are in it.
fn contents(file: &File) -> String {
    use std::os::unix::fs::FileExt;
    let mut bytes = vec![0; file.metadata().map_or(0, |meta| meta.len()) as usize];
    let len = file.read_at(&mut bytes, 0).unwrap_or(0);
    bytes.truncate(len);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Where cargo puts programs: this one is in `deps` below it, or itself there.
fn programs() -> PathBuf {
    let exe = env::current_exe().expect("the path of this program");
    let place = exe.parent().expect("a program is in a directory");
    let place = if place.ends_with("deps") { place.parent() } else { Some(place) };
    place.expect("a profile's directory").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_and_status_are_told() {
        let ran = run("sh").args(["-c", "cat; echo err >&2; exit 3"]).input("in").output();
        assert_eq!((ran.code(), &*ran.stdout, &*ran.stderr), (3, "in", "err\n"));
        assert_eq!(run("id").arg("-u").as_nobody().ok().stdout, "65534\n");
    }

    #[test]
    #[should_panic(expected = "took longer than")]
    fn a_command_that_hangs_is_a_failure() {
        run("sleep").arg("60").within(Duration::from_millis(50)).output();
    }

    #[test]
    #[should_panic(expected = "not installed")]
    fn a_program_that_is_missing_is_a_failure() {
        run("no-such-program-anywhere");
    }
}
