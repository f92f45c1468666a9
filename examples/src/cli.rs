//! How every example is run: its arguments, its mount, and its end.
//!
//! An example names itself once and hands over its filesystem:
//!
//! ```no_run
//! # use std::process::ExitCode;
//! use async_fuser::Filesystem;
//! use clap::Parser;
//! use examples::cli::{Args, Example};
//!
//! const EXAMPLE: Example = Example { name: "nothing", try_it: &["stat -f {}"] };
//!
//! /// A filesystem without a single file.
//! #[derive(Parser)]
//! struct Cli {
//!     #[command(flatten)]
//!     mount: Args,
//! }
//!
//! struct Nothing;
//! impl Filesystem for Nothing {}
//!
//! fn main() -> ExitCode {
//!     let cli: Cli = EXAMPLE.parse();
//!     EXAMPLE.run(&cli.mount, Nothing)
//! }
//! ```

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};
use std::str::FromStr;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{env, fs};

use async_fuser::lib_async::{AsyncSessionBuilder, Serve, SessionHandle};
use async_fuser::{
    Config, Filesystem, MountOption, Notifier, Session, SessionACL, SessionUnmounter,
};
use clap::{Args as _, Command, FromArgMatches, Parser};
use env_logger::Env;
use log::warn;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::runtime::{self, Handle};

/// What an example says about itself.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// The program's name: the default mountpoint is called after it, and so is the mount's source.
    pub name: &'static str,
    /// Commands that show something, with `{}` where the mountpoint belongs.
    pub try_it: &'static [&'static str],
}

impl Example {
    /// Run an example that has no arguments of its own. `about` is what `--help` says of it.
    pub fn main<S: Serve>(&self, about: &'static str, filesystem: S) -> ExitCode {
        let args: AsyncArgs =
            self.parse_command(AsyncArgs::augment_args(Command::new(about)).about(about));
        self.run_async(&args, filesystem)
    }

    /// Parse the program's arguments. `--help` ends the program with exit code 0, a mistake with 1.
    pub fn parse<T: Parser>(&self) -> T {
        self.parse_command(T::command())
    }

    fn parse_command<T: FromArgMatches>(&self, command: Command) -> T {
        let command = command
            .name(self.name)
            .version(env!("CARGO_PKG_VERSION"))
            .after_help(self.suggestions(&default_mountpoint(self.name)));
        command.try_get_matches().and_then(|matches| T::from_arg_matches(&matches)).unwrap_or_else(
            |error| {
                // Nobody is left to tell when the terminal is gone.
                let _ = error.print();
                process::exit(i32::from(error.use_stderr()))
            },
        )
    }

    /// Mount `filesystem`, say where, and serve it until a signal or an unmount from outside ends it.
    pub fn run<FS: Filesystem>(&self, args: &Args, filesystem: FS) -> ExitCode {
        self.finish(self.mount(args, filesystem))
    }

    /// Like [`run`](Self::run), with `background` in a thread of its own that can tell the kernel what changed.
    ///
    /// The thread is not waited for at the end. Its notifications fail from then on: a loop ends there.
    pub fn run_with<FS: Filesystem>(
        &self,
        args: &Args,
        filesystem: FS,
        background: impl FnOnce(Notifier) + Send + 'static,
    ) -> ExitCode {
        self.finish(self.begin(args, |path, config| {
            let session = Session::new(filesystem, path, config)?;
            let notifier = session.notifier();
            let started = Started::on_thread(session);
            thread::spawn(move || background(notifier));
            Ok(started)
        }))
    }

    /// Like [`run`](Self::run), for an asynchronous filesystem.
    pub fn run_async<S: Serve>(&self, args: &AsyncArgs, filesystem: S) -> ExitCode {
        self.finish(self.begin(&args.mount, |path, config| {
            Started::on_runtime(args.runtime.build()?, filesystem, path, config)
        }))
    }

    /// Mount `filesystem` and serve it in the background, for an example with something to do meanwhile.
    ///
    /// # Errors
    /// What kept the mountpoint from being made or the filesystem from being mounted on it.
    pub fn mount<FS: Filesystem>(&self, args: &Args, filesystem: FS) -> io::Result<Mounted> {
        self.begin(args, |path, config| {
            Ok(Started::on_thread(Session::new(filesystem, path, config)?))
        })
    }

    fn begin(
        &self,
        args: &Args,
        start: impl FnOnce(&Path, &Config) -> io::Result<Started>,
    ) -> io::Result<Mounted> {
        args.start_logging();
        let config = args.config(self.name)?;

        // Caught before there is a mount: from here on no signal can leave one behind.
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let (from_signals, events) = mpsc::channel();
        let from_session = from_signals.clone();
        thread::spawn(move || signals.forever().try_for_each(|_| from_signals.send(Event::Signal)));

        let mountpoint = Mountpoint::prepare(args.mountpoint.as_deref(), self.name)?;
        let Started { unmounter, serving } = start(&mountpoint.path, &config)?;
        thread::spawn(move || {
            let result =
                serving.join().unwrap_or_else(|_| Err(io::Error::other("the session panicked")));
            from_session.send(Event::Ended(result))
        });
        Ok(Mounted { example: *self, mountpoint, unmounter, events })
    }

    fn finish(&self, begun: io::Result<Mounted>) -> ExitCode {
        match begun {
            Ok(mounted) => {
                mounted.announce();
                mounted.wait()
            }
            Err(error) => self.fail(error),
        }
    }

    /// Report an error as this program's last word.
    pub fn fail(&self, error: impl Display) -> ExitCode {
        self.complain(error);
        ExitCode::FAILURE
    }

    fn complain(&self, error: impl Display) {
        let _ = writeln!(io::stderr(), "{}: {error}", self.name);
    }

    fn suggestions(&self, mountpoint: &Path) -> String {
        let mountpoint = quoted(mountpoint);
        let lines =
            self.try_it.iter().map(|line| format!("\n  {}", line.replace("{}", &mountpoint)));
        format!("Try:{}", lines.collect::<String>())
    }
}

/// The arguments every example takes. Put into an example's own arguments with `#[command(flatten)]`.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Args {
    /// Directory to mount on [default: one named after the example among the temporary files]
    ///
    /// The default is made when it is missing, and removed at the end if it was.
    pub mountpoint: Option<PathBuf>,

    /// Mount options, as mount(8) takes them; `\,` is a comma inside a value
    ///
    /// ro, rw, dev, nodev, suid, nosuid, exec, noexec, atime, noatime, sync, async, dirsync,
    /// default_permissions, auto_unmount, allow_other, allow_root, fsname=NAME, subtype=NAME;
    /// any other is handed to the kernel as it is. May be given several times.
    #[arg(short = 'o', value_name = "OPTION[,OPTION...]")]
    pub options: Vec<MountOptions>,

    /// Answer requests on this many threads [default: 1]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,

    /// Give each thread its own descriptor of /dev/fuse
    #[arg(long)]
    pub clone_fd: bool,

    /// Log more: -v what happens, -vv each request, -vvv everything (the variable RUST_LOG says it finer)
    #[arg(short, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl Args {
    /// Mount read-only unless `-o` says `ro` or `rw` itself.
    #[must_use]
    pub fn read_only(self) -> Self {
        if self.has(|option| *option == MountOption::RW) {
            self
        } else {
            self.with(MountOption::RO)
        }
    }

    /// Mount with `option` whether or not `-o` says so.
    #[must_use]
    pub fn with(mut self, option: MountOption) -> Self {
        if !self.has(|given| *given == option) {
            self.options.push(MountOptions { options: vec![option], acl: None });
        }
        self
    }

    fn config(&self, name: &str) -> io::Result<Config> {
        let mut config = Config::default();
        config.mount_options =
            self.options.iter().flat_map(|given| given.options.clone()).collect();
        if !self.has(|option| matches!(option, MountOption::FSName(_))) {
            config.mount_options.push(MountOption::FSName(name.to_owned()));
        }
        for acl in self.options.iter().filter_map(|given| given.acl) {
            if config.acl != SessionACL::Owner && config.acl != acl {
                return Err(io::Error::new(ErrorKind::InvalidInput, BOTH_ACLS));
            }
            config.acl = acl;
        }
        config.n_threads = self.threads.map(NonZeroUsize::get);
        config.clone_fd = self.clone_fd;
        Ok(config)
    }

    fn has(&self, wanted: impl Fn(&MountOption) -> bool) -> bool {
        self.options.iter().any(|given| given.options.iter().any(&wanted))
    }

    fn start_logging(&self) {
        let level = ["warn", "info", "debug", "trace"][usize::from(self.verbose.min(3))];
        // Fails when there is a logger already, which is as good.
        let _ = env_logger::Builder::from_env(Env::default().default_filter_or(level)).try_init();
    }
}

/// The arguments of an example whose filesystem is asynchronous.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct AsyncArgs {
    /// What every example takes.
    #[command(flatten)]
    pub mount: Args,

    /// Tokio runtime that serves it
    #[arg(long, value_enum, value_name = "KIND", default_value_t)]
    pub runtime: Runtime,
}

/// A kind of runtime.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Runtime {
    /// As many threads as there are processors.
    #[default]
    MultiThread,
    /// One thread.
    CurrentThread,
}

impl Runtime {
    fn build(self) -> io::Result<runtime::Runtime> {
        let mut builder = match self {
            Self::MultiThread => runtime::Builder::new_multi_thread(),
            Self::CurrentThread => runtime::Builder::new_current_thread(),
        };
        builder.enable_all().build()
    }
}

/// The value of one `-o`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MountOptions {
    /// The options for the mount itself.
    pub options: Vec<MountOption>,
    /// Who may use the mount, where the value said so.
    pub acl: Option<SessionACL>,
}

impl FromStr for MountOptions {
    type Err = &'static str;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        let mut given = Self::default();
        for option in split(value)? {
            match option.as_str() {
                "" => return Err("an option is empty"),
                "allow_other" | "allow_root" if given.acl.is_some() => return Err(BOTH_ACLS),
                "allow_other" => given.acl = Some(SessionACL::All),
                "allow_root" => given.acl = Some(SessionACL::RootAndOwner),
                option => given.options.push(mount_option(option)),
            }
        }
        Ok(given)
    }
}

const BOTH_ACLS: &str = "only one of allow_other and allow_root can be given, and once";

/// A filesystem that is mounted and served by threads in the background.
#[derive(Debug)]
pub struct Mounted {
    example: Example,
    mountpoint: Mountpoint,
    unmounter: Unmounter,
    events: Receiver<Event>,
}

impl Mounted {
    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mountpoint.path
    }

    /// Print where it is mounted, what to try, and how to end it.
    pub fn announce(&self) {
        let path = self.path();
        let suggestions = self.example.suggestions(path);
        // The reader of a pipe may have gone; the mount is served all the same.
        let _ = writeln!(
            io::stdout(),
            "{} is mounted on {}\n{suggestions}\nCtrl-C unmounts.",
            self.example.name,
            path.display()
        );
    }

    /// Wait until a signal asks for the end or the filesystem is unmounted from outside.
    pub fn wait(self) -> ExitCode {
        match self.events.recv() {
            Ok(Event::Ended(result)) => self.ended(result),
            Ok(Event::Signal) => self.unmount(),
            Err(mpsc::RecvError) => self.example.fail("the session's threads are gone"),
        }
    }

    /// Unmount and wait for the end of the session; another signal cuts the waiting short.
    ///
    /// The mount is gone from the directory tree at once. The session lasts as long as somebody
    /// has a file of it open or a working directory in it.
    pub fn unmount(mut self) -> ExitCode {
        if let Err(error) = self.unmounter.unmount() {
            self.example.complain(error);
        }
        let deadline = Instant::now() + SAME_SIGNAL;
        loop {
            match self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Event::Ended(result)) => return self.ended(result),
                // timeout(1) signals the process and its group: one wish, two signals.
                Ok(Event::Signal) => {}
                Err(_) => break,
            }
        }
        self.example.complain("still in use, waiting until it is not; Ctrl-C again ends at once");
        match self.events.recv() {
            Ok(Event::Ended(result)) => self.ended(result),
            _ => self
                .example
                .fail("ended while in use: what is still open answers errors from now on"),
        }
    }

    fn ended(&self, result: io::Result<()>) -> ExitCode {
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => self.example.fail(error),
        }
    }
}

/// A session that has been mounted, and the thread that ends with it.
struct Started {
    unmounter: Unmounter,
    serving: JoinHandle<io::Result<()>>,
}

impl Started {
    fn on_thread<FS: Filesystem>(mut session: Session<FS>) -> Self {
        let unmounter = Unmounter::Sync(session.unmount_callable());
        Self { unmounter, serving: thread::spawn(move || session.run()) }
    }

    fn on_runtime<S: Serve>(
        runtime: runtime::Runtime,
        filesystem: S,
        path: &Path,
        config: &Config,
    ) -> io::Result<Self> {
        let mut config = config.clone();
        // How long it may be in use is up to whoever presses Ctrl-C again.
        config.busy_grace = Some(Duration::MAX);
        let builder = AsyncSessionBuilder::new(filesystem).config(&config);
        let session = runtime.block_on(builder.mount(path))?;
        let unmounter = Unmounter::Async(session.handle(), runtime.handle().clone());
        let serving = thread::spawn(move || {
            let result = runtime.block_on(session.run());
            // What blocks one of its threads still is not waited for.
            runtime.shutdown_background();
            result
        });
        Ok(Self { unmounter, serving })
    }
}

/// What unmounts a session of either face.
#[derive(Debug)]
enum Unmounter {
    Sync(SessionUnmounter),
    Async(SessionHandle, Handle),
}

impl Unmounter {
    fn unmount(&mut self) -> io::Result<()> {
        match self {
            Self::Sync(unmounter) => unmounter.unmount(),
            Self::Async(session, runtime) => runtime.block_on(session.unmount()),
        }
    }
}

/// The default mountpoint of the example called `name`.
pub fn default_mountpoint(name: &str) -> PathBuf {
    env::temp_dir().join(format!("async-fuser-{name}"))
}

/// Signals that come this soon after the first are the same wish.
const SAME_SIGNAL: Duration = Duration::from_millis(500);

#[derive(Debug)]
enum Event {
    Signal,
    Ended(io::Result<()>),
}

/// A directory to mount on, removed at the end if it was made for it.
#[derive(Debug)]
struct Mountpoint {
    path: PathBuf,
    made: bool,
}

impl Mountpoint {
    fn prepare(given: Option<&Path>, name: &str) -> io::Result<Self> {
        if let Some(path) = given {
            // These filesystems are directories. What cannot be looked at is left to the mount to
            // complain of.
            if fs::metadata(path).is_ok_and(|found| !found.is_dir()) {
                let reason = format!("{} is not a directory", path.display());
                return Err(io::Error::new(ErrorKind::NotADirectory, reason));
            }
            return Ok(Self { path: path.to_owned(), made: false });
        }
        let path = default_mountpoint(name);
        match fs::create_dir(&path) {
            Ok(()) => Ok(Self { path, made: true }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Ok(Self { path, made: false })
            }
            Err(error) => {
                let reason = format!("cannot make the mountpoint {}: {error}", path.display());
                Err(io::Error::new(error.kind(), reason))
            }
        }
    }
}

impl Drop for Mountpoint {
    fn drop(&mut self) {
        if !self.made {
            return;
        }
        if let Err(error) = fs::remove_dir(&self.path) {
            warn!("cannot remove the mountpoint {}: {error}", self.path.display());
        }
    }
}

/// Split at the commas that no backslash precedes, and take the backslashes out.
fn split(value: &str) -> Result<Vec<String>, &'static str> {
    let mut options = vec![String::new()];
    let mut chars = value.chars();
    while let Some(char) = chars.next() {
        let char = match char {
            ',' => {
                options.push(String::new());
                continue;
            }
            '\\' => chars.next().ok_or("a backslash at the end escapes nothing")?,
            char => char,
        };
        options.last_mut().expect("starts with one and only grows").push(char);
    }
    Ok(options)
}

fn mount_option(option: &str) -> MountOption {
    if let Some(name) = option.strip_prefix("fsname=") {
        return MountOption::FSName(name.to_owned());
    }
    if let Some(name) = option.strip_prefix("subtype=") {
        return MountOption::Subtype(name.to_owned());
    }
    match option {
        "ro" => MountOption::RO,
        "rw" => MountOption::RW,
        "dev" => MountOption::Dev,
        "nodev" => MountOption::NoDev,
        "suid" => MountOption::Suid,
        "nosuid" => MountOption::NoSuid,
        "exec" => MountOption::Exec,
        "noexec" => MountOption::NoExec,
        "atime" => MountOption::Atime,
        "noatime" => MountOption::NoAtime,
        "sync" => MountOption::Sync,
        "async" => MountOption::Async,
        "dirsync" => MountOption::DirSync,
        "default_permissions" => MountOption::DefaultPermissions,
        "auto_unmount" => MountOption::AutoUnmount,
        option => MountOption::CUSTOM(option.to_owned()),
    }
}

/// The path as a shell takes it for one word.
fn quoted(path: &Path) -> String {
    let path = path.to_string_lossy();
    let plain = |char: char| char.is_alphanumeric() || "/._-+:@%".contains(char);
    if !path.is_empty() && path.chars().all(plain) {
        return path.into_owned();
    }
    format!("'{}'", path.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(value: &str) -> Vec<MountOption> {
        value.parse::<MountOptions>().unwrap().options
    }

    #[test]
    fn known_options_have_names_and_the_rest_is_custom() {
        assert_eq!(
            options("ro,subtype=x,fsname=a=b,context=y"),
            [
                MountOption::RO,
                MountOption::Subtype("x".into()),
                MountOption::FSName("a=b".into()),
                MountOption::CUSTOM("context=y".into())
            ]
        );
    }

    #[test]
    fn a_backslash_escapes_a_comma_and_itself() {
        assert_eq!(
            options(r"fsname=a\,b\\,nodev"),
            [MountOption::FSName(r"a,b\".into()), MountOption::NoDev]
        );
    }

    #[test]
    fn an_empty_option_and_a_lone_backslash_are_errors() {
        for value in ["", "ro,", ",ro", "ro,,rw", r"fsname=a\"] {
            assert!(value.parse::<MountOptions>().is_err(), "{value}");
        }
    }

    #[test]
    fn who_may_use_the_mount_is_said_once() {
        let given: MountOptions = "allow_root,ro".parse().unwrap();
        assert_eq!(given.acl, Some(SessionACL::RootAndOwner));
        assert!("allow_root,allow_other".parse::<MountOptions>().is_err());

        let twice = ["allow_root", "allow_other"].map(|value| value.parse().unwrap());
        let args = Args { options: twice.into(), ..Args::default() };
        assert_eq!(args.config("x").unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn a_mount_is_named_after_its_example_unless_told_otherwise() {
        let config = Args::default().config("hello").unwrap();
        assert_eq!(config.mount_options, [MountOption::FSName("hello".into())]);

        let args = Args { options: vec!["fsname=mine".parse().unwrap()], ..Args::default() };
        assert_eq!(
            args.config("hello").unwrap().mount_options,
            [MountOption::FSName("mine".into())]
        );
    }

    #[test]
    fn read_only_gives_way_to_rw() {
        assert!(Args::default().read_only().has(|option| *option == MountOption::RO));
        let writable = Args { options: vec!["rw".parse().unwrap()], ..Args::default() };
        assert!(!writable.read_only().has(|option| *option == MountOption::RO));
    }

    #[test]
    fn a_path_with_a_space_is_quoted_for_the_shell() {
        assert_eq!(quoted(Path::new("/mnt/a-b_1")), "/mnt/a-b_1");
        assert_eq!(quoted(Path::new("/mnt/it's here")), r"'/mnt/it'\''s here'");
    }
}
