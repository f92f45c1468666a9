//! What the callers do.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, fstat, fstatat};
use nix::sys::uio::{pread, pwrite};
use nix::unistd::{UnlinkatFlags, unlinkat};

/// The directory of caller n is called this and n.
pub(crate) const DIRECTORY: &str = "caller-";
/// The file to be read and written.
pub(crate) const FILE: &str = "file";
pub(crate) const FILE_SIZE: usize = 1 << 20;
/// The file that comes and goes.
pub(crate) const NEW: &str = "new";
/// What else a directory lists.
pub(crate) const ENTRIES: usize = 100;

/// One thing that is done over and over.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Workload {
    /// Attributes of an open file: GETATTR
    Stat,
    /// A name that is not there, and one that is: LOOKUP, LOOKUP
    Lookup,
    /// Open and close a file: LOOKUP, OPEN, FLUSH, RELEASE
    Open,
    /// List a directory of 100 entries
    Readdir,
    /// Create, close and unlink a file: LOOKUP, CREATE, FLUSH, RELEASE, LOOKUP, UNLINK, FORGET
    Create,
    /// Read 4 KiB
    Read4k,
    /// Read 1 MiB
    Read1m,
    /// Write 4 KiB
    Write4k,
    /// Write 1 MiB
    Write1m,
}

impl Workload {
    fn once(self, caller: &mut Caller) -> io::Result<()> {
        match self {
            Self::Stat => drop(fstat(&caller.file)?),
            Self::Lookup => {
                let missing = fstatat(&caller.directory, "missing", AtFlags::AT_SYMLINK_NOFOLLOW);
                expect(missing.err(), Some(Errno::ENOENT))?;
                openat(&caller.directory, FILE, OFlag::O_PATH, Mode::empty())?;
            }
            Self::Open => drop(openat(&caller.directory, FILE, OFlag::O_RDWR, Mode::empty())?),
            Self::Readdir => expect(caller.listing.iter().flatten().count(), ENTRIES)?,
            Self::Create => {
                let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY;
                drop(openat(&caller.directory, NEW, flags, Mode::S_IRUSR)?);
                unlinkat(&caller.directory, NEW, UnlinkatFlags::NoRemoveDir)?;
            }
            Self::Read4k => expect(pread(&caller.file, caller.buffer.first(4096), 0)?, 4096)?,
            Self::Read1m => {
                expect(pread(&caller.file, caller.buffer.first(FILE_SIZE), 0)?, FILE_SIZE)?;
            }
            Self::Write4k => expect(pwrite(&caller.file, caller.buffer.first(4096), 0)?, 4096)?,
            Self::Write1m => {
                expect(pwrite(&caller.file, caller.buffer.first(FILE_SIZE), 0)?, FILE_SIZE)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stat => "stat",
            Self::Lookup => "lookup",
            Self::Open => "open, close",
            Self::Readdir => "list 100 entries",
            Self::Create => "create, unlink",
            Self::Read4k => "read 4 KiB",
            Self::Read1m => "read 1 MiB",
            Self::Write4k => "write 4 KiB",
            Self::Write1m => "write 1 MiB",
        })
    }
}

/// One that calls, with all it needs held open.
pub(crate) struct Caller {
    directory: File,
    file: File,
    listing: Dir,
    buffer: Buffer,
}

impl Caller {
    pub(crate) fn new(mountpoint: &Path, number: usize) -> io::Result<Self> {
        let path = mountpoint.join(format!("{DIRECTORY}{number}"));
        let directory = File::open(&path)?;
        let file = File::options().read(true).write(true).open(path.join(FILE))?;
        let listing = Dir::open(&path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        Ok(Self { directory, file, listing, buffer: Buffer::new() })
    }
}

/// Has every caller do the work for a while. Returns how often it was done, and the seconds it took.
pub(crate) fn run(
    workload: Workload,
    callers: &mut [Caller],
    duration: Duration,
) -> io::Result<(u64, f64)> {
    let began = Instant::now();
    let work = |caller: &mut Caller| {
        let mut count = 0;
        while count == 0 || began.elapsed() < duration {
            workload.once(caller)?;
            count += 1;
        }
        Ok(count)
    };
    let count = thread::scope(|scope| {
        let (first, others) = callers.split_first_mut().expect("at least one caller");
        let others: Vec<_> =
            others.iter_mut().map(|caller| scope.spawn(move || work(caller))).collect();
        let mut counts = vec![work(first)];
        counts.extend(others.into_iter().map(|other| other.join().expect("a caller panicked")));
        counts.into_iter().sum::<io::Result<u64>>()
    })?;
    Ok((count, began.elapsed().as_secs_f64()))
}

/// Has one caller do the work so many times.
pub(crate) fn repeat(workload: Workload, caller: &mut Caller, times: u64) -> io::Result<()> {
    (0..times).try_for_each(|_| workload.once(caller))
}

fn expect<T: fmt::Debug + PartialEq>(found: T, expected: T) -> io::Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(io::Error::other(format!("the mount answered {found:?}, not {expected:?}")))
}

/// Memory that begins with a page: the kernel cuts 1 MiB in two requests otherwise.
struct Buffer {
    bytes: Vec<u8>,
    begin: usize,
}

impl Buffer {
    fn new() -> Self {
        const PAGE: usize = 4096;
        // Not zero, so that every page is there.
        let bytes = vec![1; FILE_SIZE + PAGE];
        Self { begin: bytes.as_ptr().align_offset(PAGE), bytes }
    }

    fn first(&mut self, len: usize) -> &mut [u8] {
        &mut self.bytes[self.begin..][..len]
    }
}
