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

use crate::tree::{BYTE, CALLERS, DELAY, DIRECTORY, ENTRIES, ENTRY, FILE, FILE_SIZE, NEW, SLOW};

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
    /// Read 4 KiB that take 10 ms
    Slow,
}

impl Workload {
    /// How many do it at a time.
    pub(crate) fn callers(self) -> &'static [usize] {
        match self {
            Self::Slow => &[64, 512, 2_000, 10_000],
            _ => &[1, 4, CALLERS as usize],
        }
    }

    fn once(self, caller: &mut Caller, buffer: &mut Buffer) -> io::Result<()> {
        match self {
            Self::Stat => drop(fstat(&caller.file)?),
            Self::Lookup => {
                let missing = fstatat(&caller.directory, "missing", AtFlags::AT_SYMLINK_NOFOLLOW);
                expect(missing.err(), Some(Errno::ENOENT))?;
                openat(&caller.directory, FILE, OFlag::O_PATH, Mode::empty())?;
            }
            Self::Open => drop(openat(&caller.directory, FILE, OFlag::O_RDWR, Mode::empty())?),
            Self::Readdir => {
                let listed =
                    caller.listing.iter().try_fold(0, |listed, entry| entry.map(|_| listed + 1));
                expect(listed?, ENTRIES)?;
            }
            Self::Create => {
                let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY;
                drop(openat(&caller.directory, NEW, flags, Mode::S_IRUSR)?);
                unlinkat(&caller.directory, NEW, UnlinkatFlags::NoRemoveDir)?;
            }
            Self::Read4k => expect(pread(&caller.file, buffer.first(4096), 0)?, 4096)?,
            Self::Read1m => {
                expect(pread(&caller.file, buffer.first(FILE_SIZE), 0)?, FILE_SIZE)?;
            }
            Self::Write4k => expect(pwrite(&caller.file, buffer.first(4096), 0)?, 4096)?,
            Self::Write1m => {
                expect(pwrite(&caller.file, buffer.first(FILE_SIZE), 0)?, FILE_SIZE)?;
            }
            Self::Slow => expect(pread(&caller.slow, buffer.first(4096), 0)?, 4096)?,
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
            Self::Slow => "read that takes 10 ms",
        })
    }
}

/// One that calls, with all it needs held open.
pub(crate) struct Caller {
    directory: File,
    file: File,
    pub(crate) slow: File,
    listing: Dir,
}

impl Caller {
    pub(crate) fn new(mountpoint: &Path, number: usize) -> io::Result<Self> {
        let path = mountpoint.join(format!("{DIRECTORY}{number}"));
        let directory = File::open(&path)?;
        let file = File::options().read(true).write(true).open(path.join(FILE))?;
        let slow = File::open(path.join(SLOW))?;
        let listing = Dir::open(&path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        Ok(Self { directory, file, slow, listing })
    }

    /// Does everything once and looks closely at the answers.
    pub(crate) fn check(&mut self) -> io::Result<()> {
        let mut buffer = Buffer::new();
        for &workload in Workload::value_variants() {
            buffer.first(FILE_SIZE).fill(0);
            let began = Instant::now();
            let done = workload.once(self, &mut buffer);
            done.map_err(|error| io::Error::other(format!("{workload}: {error}")))?;
            let read = match workload {
                Workload::Read4k | Workload::Slow => 4096,
                Workload::Read1m => FILE_SIZE,
                _ => 0,
            };
            expect(buffer.first(FILE_SIZE).iter().filter(|byte| **byte == BYTE).count(), read)?;
            if workload == Workload::Slow && began.elapsed() < DELAY {
                return Err(io::Error::other("the slow file is not slow"));
            }
        }
        expect(self.file.metadata()?.len(), FILE_SIZE as u64)?;
        for (number, entry) in self.listing.iter().enumerate() {
            let expected = format!("{ENTRY}{number:03}");
            expect(entry?.file_name().to_string_lossy().into_owned(), expected)?;
        }
        Ok(())
    }
}

/// Has every caller do the work for a while. Returns how often it was done, and the seconds it took.
pub(crate) fn run(
    workload: Workload,
    callers: &mut [Caller],
    buffers: &mut [Buffer],
    duration: Duration,
) -> io::Result<(u64, f64)> {
    let began = Instant::now();
    let work = |(caller, buffer): (&mut Caller, &mut Buffer)| {
        let mut count = 0;
        while count == 0 || began.elapsed() < duration {
            workload.once(caller, buffer)?;
            count += 1;
        }
        Ok(count)
    };
    let mut callers = callers.iter_mut().zip(buffers);
    let first = callers.next().expect("at least one caller");
    let count = thread::scope(|scope| {
        let others: Vec<_> = callers.map(|caller| scope.spawn(move || work(caller))).collect();
        let mut counts = vec![work(first)];
        counts.extend(others.into_iter().map(|other| other.join().expect("a caller panicked")));
        counts.into_iter().sum::<io::Result<u64>>()
    })?;
    Ok((count, began.elapsed().as_secs_f64()))
}

/// Has one caller do the work so many times.
pub(crate) fn repeat(workload: Workload, caller: &mut Caller, times: u64) -> io::Result<()> {
    let mut buffer = Buffer::new();
    (0..times).try_for_each(|_| workload.once(caller, &mut buffer))
}

pub(crate) fn expect<T: fmt::Debug + PartialEq>(found: T, expected: T) -> io::Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(io::Error::other(format!("the mount answered {found:?}, not {expected:?}")))
}

/// Memory that begins with a page: the kernel cuts 1 MiB in two requests otherwise.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    begin: usize,
}

impl Buffer {
    pub(crate) fn new() -> Self {
        const PAGE: usize = 4096;
        // Not zero, so that every page is there.
        let bytes = vec![1; FILE_SIZE + PAGE];
        Self { begin: bytes.as_ptr().align_offset(PAGE), bytes }
    }

    fn first(&mut self, len: usize) -> &mut [u8] {
        &mut self.bytes[self.begin..][..len]
    }
}
