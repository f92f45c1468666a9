//! What both sides have in common: no type of either crate.

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// One of the two crates, as the tests see it.
#[derive(Clone, Copy)]
pub(crate) struct Side {
    pub(crate) name: &'static str,
    /// Mounts the recording filesystem.
    pub(crate) mount: fn(&Spec, &Path) -> io::Result<Box<dyn Mounted>>,
    /// Serves the recording filesystem on a connection that is already mounted.
    pub(crate) from_fd: fn(&Spec, OwnedFd) -> io::Result<Box<dyn Mounted>>,
    /// Mounts, tries every setter of the kernel's configuration in `init`, and says what happened.
    pub(crate) kernel_config: fn(&Path) -> Vec<String>,
    /// What `Session::new` says about options that it refuses.
    pub(crate) refused_options: fn(&Path) -> Vec<String>,
    /// What the plain types convert to and print as.
    pub(crate) values: fn() -> Vec<String>,
    /// What the values look like that are there to be printed.
    pub(crate) formats: fn() -> Vec<String>,
    /// Lives through one way for a session to begin and to end.
    pub(crate) lifecycle: fn(Life, &Path) -> Vec<String>,
    /// Answers the INIT on a socket, and says what became of the session.
    pub(crate) init_answer: fn(&Spec, OwnedFd) -> String,
    /// Registers a file with a session that does not run yet, and something that is none.
    pub(crate) create_raw: fn(&Spec, &Path, &File) -> Vec<String>,
    /// A complete program, run until it is unmounted.
    pub(crate) program: fn(&Path) -> io::Result<()>,
    /// The same in the background, and with what `experimental` has.
    pub(crate) experimental: fn(&Path) -> io::Result<End>,
}

/// Unmounts.
pub(crate) type End = Box<dyn FnOnce() -> io::Result<()> + Send>;

/// A mounted recorder.
pub(crate) trait Mounted: Send {
    fn trace(&self) -> &Arc<Trace>;
    /// Sends a notification.
    fn notify(&self, note: Note<'_>) -> io::Result<()>;
    /// Unmounts, and says how the session ended.
    fn end(self: Box<Self>) -> io::Result<()>;
    /// Waits for the end that somebody else brings about.
    fn join(self: Box<Self>) -> io::Result<()>;
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Note<'a> {
    InvalidEntry { parent: u64, name: &'a str },
    InvalidInode { ino: u64, offset: i64, len: i64 },
    Store { ino: u64, offset: u64, data: &'a [u8] },
    Delete { parent: u64, child: u64, name: &'a str },
    Poll { handle: u64 },
}

/// How a session is lived through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    RunUntilUnmountedByCallable,
    RunUntilUnmountedFromOutside,
    SpawnAndUmountAndJoin,
    SpawnAndJoinAfterOutside,
    SpawnAndDrop,
    DropWithoutRunning,
    UnmountBeforeRunning,
    UnmountTwice,
    InitFails,
    InitFailsWithoutANumber,
    UmountAndJoinAfterOutside,
    UmountAndJoinWhileBusy,
    NoThreads,
    FourThreadsWithAbort,
    AbortWithAbortError,
    PanicInAMethod,
}

/// What is mounted, and how.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) kind: Kind,
    /// Names of `InitFlags`.
    pub(crate) capabilities: &'static [&'static str],
    pub(crate) max_write: Option<u32>,
    pub(crate) max_readahead: Option<u32>,
    pub(crate) max_background: Option<u16>,
    pub(crate) congestion_threshold: Option<u16>,
    pub(crate) time_granularity: Option<Duration>,
    pub(crate) max_stack_depth: Option<u32>,
    /// Mount options as `mount -o` spells them.
    pub(crate) options: &'static [&'static str],
    pub(crate) acl: Acl,
    pub(crate) n_threads: Option<usize>,
    pub(crate) clone_fd: bool,
    pub(crate) entry_ttl: Duration,
    pub(crate) attr_ttl: Duration,
    /// Bits of `FopenFlags` for files, and for directories.
    pub(crate) fopen: u32,
    pub(crate) dopen: u32,
    /// `open` and `opendir` answer `ENOSYS`.
    pub(crate) no_open: bool,
    /// All times of the filesystem are the same.
    pub(crate) stopped_clock: bool,
    /// Files pass through to this one.
    pub(crate) backing: Option<PathBuf>,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            kind: Kind::Full,
            capabilities: &[],
            max_write: None,
            max_readahead: None,
            max_background: None,
            congestion_threshold: None,
            time_granularity: None,
            max_stack_depth: None,
            options: &[],
            acl: Acl::Owner,
            n_threads: None,
            clone_fd: false,
            entry_ttl: Duration::ZERO,
            attr_ttl: Duration::ZERO,
            fopen: 0,
            dopen: 0,
            no_open: false,
            stopped_clock: false,
            backing: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Every method is implemented.
    Full,
    /// `lookup` and `getattr` alone, on a tree with a file, a directory and a symlink.
    Bare,
    /// No method at all.
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acl {
    Owner,
    RootAndOwner,
    All,
}

/// The calls a filesystem got, one line each, with its answers.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    lines: Mutex<Vec<String>>,
    /// Lookups the kernel counted, minus those it took back.
    remembered: Mutex<i64>,
    forgotten: Mutex<u64>,
}

impl Trace {
    pub(crate) fn push(&self, line: String) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(crate) fn remember(&self) {
        *self.remembered.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    }

    pub(crate) fn forget(&self, nlookup: u64) {
        *self.remembered.lock().unwrap_or_else(PoisonError::into_inner) -= nlookup as i64;
        *self.forgotten.lock().unwrap_or_else(PoisonError::into_inner) += nlookup;
    }

    pub(crate) fn remembered(&self) -> i64 {
        *self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn forgotten(&self) -> u64 {
        *self.forgotten.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Data as a trace shows it: in full if it is short.
pub(crate) fn digest(data: &[u8]) -> String {
    if data.len() <= 64 {
        return format!("{:?}", String::from_utf8_lossy(data));
    }
    // FNV-1a
    let hash = data.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    format!("{} bytes #{hash:016x}", data.len())
}

/// A result with errors as `kind` and number, whose words may differ.
pub(crate) fn outcome<T: Debug>(result: &io::Result<T>) -> String {
    match result {
        Ok(value) => format!("Ok({value:?})"),
        Err(error) => format!("Err({:?}, {:?})", error.kind(), error.raw_os_error()),
    }
}
