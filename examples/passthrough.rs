//! Files whose reads and writes never come here: the kernel passes them through to backing files.
//!
//! A filesystem in user space that keeps its data in ordinary files need not carry the bytes itself. It
//! registers an open backing file with the kernel, gets a [`BackingId`] for it, and answers `open` with that:
//! from then on `read`, `write`, `mmap` and `splice` of this open file go straight to the backing file, as fast
//! as without FUSE in between. All else (`lookup`, `getattr`, `open`, `fsync`, ...) is asked for as ever.
//!
//! What it takes:
//!
//! * In `init`: `FUSE_PASSTHROUGH` and a stack depth of 1, because this is now a filesystem upon another.
//! * The right to register a backing file: `CAP_SYS_ADMIN`. And Linux 6.9.
//! * One backing id for all opens of a file. The kernel refuses a second one for the same inode, and refuses
//!   to mix passed-through opens with ordinary cached ones. Here all opens of a file share an `Arc`, and the
//!   last `release` drops it, which closes the id.
//!
//! Where it cannot be had the example says why and answers reads and writes itself.
//!
//! To see that they really pass through, read `.requests` in the mountpoint: it counts those that came here.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use async_fuser::{
    BackingId, BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, InitFlags, KernelConfig, LockOwner, MountOption, OpenAccMode, OpenFlags,
    ReplyAttr, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request,
    TimeOrNow, WriteFlags,
};
use clap::Parser;
use examples::cli::{Args, Example};
use examples::{attr, part};

const EXAMPLE: Example = Example {
    name: "passthrough",
    try_it: &[
        "dd if=/dev/urandom of={}/data bs=1M count=8 conv=notrunc",
        "cat {}/notes",
        "cat {}/.requests    # none of it came to this process",
    ],
};

/// Files whose reads and writes the kernel passes through to backing files
#[derive(Parser)]
struct Cli {
    /// Serve the files of this directory [default: two new ones, removed at the end]
    #[arg(long, value_name = "DIRECTORY")]
    backing: Option<PathBuf>,

    /// Answer reads and writes here, to see the difference
    #[arg(long)]
    no_passthrough: bool,

    #[command(flatten)]
    mount: Args,
}

fn main() -> ExitCode {
    let cli: Cli = EXAMPLE.parse();
    let (directory, _demo) = match cli.backing.map_or_else(Demo::new, |given| Ok((given, None))) {
        Ok(backing) => backing,
        Err(error) => return EXAMPLE.fail(format!("cannot make files to show: {error}")),
    };
    match Passthrough::new(&directory, !cli.no_passthrough) {
        // The backing files are opened as this process may: let the kernel check what the caller may.
        Ok(filesystem) => EXAMPLE.run(&cli.mount.with(MountOption::DefaultPermissions), filesystem),
        Err(error) => EXAMPLE.fail(format!("cannot serve {}: {error}", directory.display())),
    }
}

/// The file that tells how much came here.
const REQUESTS: INodeNo = INodeNo(2);
const REQUESTS_NAME: &str = ".requests";
/// Backed file `n` has inode number `n + FIRST`.
const FIRST: u64 = 3;
const TTL: Duration = Duration::from_secs(1);

struct Passthrough {
    directory: PathBuf,
    files: Vec<Backed>,
    opens: Mutex<HashMap<u64, Arc<Open>>>,
    next_handle: AtomicU64,
    /// Whether to try. Goes from true to false once, and with a message.
    pass: AtomicBool,
    counts: Counts,
}

struct Backed {
    name: OsString,
    path: PathBuf,
    /// Alive as long as some open of the file passes through.
    id: Mutex<Weak<BackingId>>,
}

struct Open {
    file: File,
    /// Held for its drop alone: the last open of a file closes its id.
    _id: Option<Arc<BackingId>>,
}

#[derive(Default)]
struct Counts {
    passed_opens: AtomicU64,
    other_opens: AtomicU64,
    reads: AtomicU64,
    writes: AtomicU64,
}

impl Passthrough {
    fn new(directory: &Path, pass: bool) -> io::Result<Self> {
        let mut files = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_type()?.is_file() && entry.file_name() != REQUESTS_NAME {
                files.push(Backed {
                    name: entry.file_name(),
                    path: entry.path(),
                    id: Mutex::default(),
                });
            }
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self {
            directory: directory.to_owned(),
            files,
            opens: Mutex::default(),
            next_handle: AtomicU64::new(1),
            pass: AtomicBool::new(pass),
            counts: Counts::default(),
        })
    }

    /// The id for one more open of `backed`: that of the other opens, or a new one.
    fn backing_id(
        &self,
        backed: &Backed,
        file: &File,
        reply: &ReplyOpen,
    ) -> Option<Arc<BackingId>> {
        let mut shared = lock(&backed.id);
        if let Some(id) = shared.upgrade() {
            return Some(id);
        }
        if !self.pass.load(Ordering::SeqCst) {
            return None;
        }
        match reply.open_backing(file) {
            Ok(id) => {
                let id = Arc::new(id);
                *shared = Arc::downgrade(&id);
                Some(id)
            }
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
                self.give_up("registering a backing file takes CAP_SYS_ADMIN (run this as root)");
                None
            }
            Err(error) => {
                self.give_up(&format!(
                    "cannot register {} as a backing file: {error}",
                    backed.path.display()
                ));
                None
            }
        }
    }

    /// For good: the kernel would not have some opens of a file passed through and others not.
    fn give_up(&self, reason: &str) {
        if self.pass.swap(false, Ordering::SeqCst) {
            let _ = writeln!(
                io::stderr(),
                "{}: {reason}; answering reads and writes here",
                EXAMPLE.name
            );
        }
    }

    fn backed(&self, ino: INodeNo) -> Option<&Backed> {
        self.files.get(usize::try_from(ino.0.checked_sub(FIRST)?).ok()?)
    }

    fn opened(&self, fh: FileHandle) -> Option<Arc<Open>> {
        lock(&self.opens).get(&fh.0).cloned()
    }

    fn attr(&self, ino: INodeNo) -> Result<FileAttr, Errno> {
        match ino {
            INodeNo::ROOT => Ok(FileAttr {
                nlink: 2,
                ..attr_of(ino, FileType::Directory, &fs::metadata(&self.directory)?)
            }),
            REQUESTS => Ok(attr(ino, FileType::RegularFile, 0o444, 0)),
            _ => {
                let backed = self.backed(ino).ok_or(Errno::ENOENT)?;
                Ok(attr_of(ino, FileType::RegularFile, &fs::symlink_metadata(&backed.path)?))
            }
        }
    }
}

impl Filesystem for Passthrough {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        if !self.pass.load(Ordering::SeqCst) {
            return Ok(());
        }
        let offered = config.add_capabilities(InitFlags::FUSE_PASSTHROUGH).is_ok();
        if !offered || config.set_max_stack_depth(1).is_err() {
            self.give_up(
                "this kernel cannot pass through (it takes Linux 6.9 with CONFIG_FUSE_PASSTHROUGH)",
            );
        }
        Ok(())
    }

    fn destroy(&mut self) {
        let _ = write!(io::stdout(), "{}", self.counts.report());
    }

    fn open(&self, _req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        if ino == REQUESTS {
            return reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
        }
        let Some(backed) = self.backed(ino) else {
            return reply.error(Errno::EISDIR);
        };
        let mode = flags.acc_mode();
        let file = OpenOptions::new()
            .read(mode != OpenAccMode::O_WRONLY)
            .write(mode != OpenAccMode::O_RDONLY)
            .open(&backed.path);
        let file = match file {
            Ok(file) => file,
            Err(error) => return reply.error(error.into()),
        };

        let id = self.backing_id(backed, &file, &reply);
        let fh = self.next_handle.fetch_add(1, Ordering::Relaxed);
        lock(&self.opens).insert(fh, Arc::new(Open { file, _id: id.clone() }));
        match id {
            Some(id) => {
                count(&self.counts.passed_opens);
                reply.opened_passthrough(FileHandle(fh), FopenFlags::empty(), &id);
            }
            None => {
                count(&self.counts.other_opens);
                reply.opened(FileHandle(fh), FopenFlags::empty());
            }
        }
    }

    fn release(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        let open = lock(&self.opens).remove(&fh.0);
        drop(open);
        reply.ok();
    }

    /// Comes here only for `.requests` and for what does not pass through.
    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        if ino == REQUESTS {
            return reply.data(part(self.counts.report().as_bytes(), offset, size));
        }
        count(&self.counts.reads);
        let Some(open) = self.opened(fh) else {
            return reply.error(Errno::EBADF);
        };
        let mut data = vec![0; size as usize];
        match read_full(&open.file, &mut data, offset) {
            Ok(len) => reply.data(&data[..len]),
            Err(error) => reply.error(error.into()),
        }
    }

    /// Comes here only for what does not pass through.
    fn write(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        count(&self.counts.writes);
        let Some(open) = self.opened(fh) else {
            return reply.error(Errno::EBADF);
        };
        match open.file.write_all_at(data, offset) {
            Ok(()) => reply.written(data.len() as u32),
            Err(error) => reply.error(error.into()),
        }
    }

    /// Not passed through. Left out, `fsync(2)` would seem to succeed and sync nothing.
    fn fsync(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        datasync: bool,
        reply: ReplyEmpty,
    ) {
        let Some(open) = self.opened(fh) else {
            return reply.error(Errno::EBADF);
        };
        let result = if datasync { open.file.sync_data() } else { open.file.sync_all() };
        match result {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error.into()),
        }
    }

    /// `truncate(2)`, also on behalf of `O_TRUNC`. Owner, mode and times are the backing file's own business.
    fn setattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let (Some(backed), Some(size), None, None, None) = (self.backed(ino), size, mode, uid, gid)
        else {
            return reply.error(Errno::EPERM);
        };
        let file = OpenOptions::new().write(true).open(&backed.path);
        if let Err(error) = file.and_then(|file| file.set_len(size)) {
            return reply.error(error.into());
        }
        match self.attr(ino) {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(errno) => reply.error(errno),
        }
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = (FIRST..)
            .zip(&self.files)
            .find(|(_, backed)| parent == INodeNo::ROOT && backed.name == name);
        let ino = match found {
            Some((ino, _)) => INodeNo(ino),
            None if parent == INodeNo::ROOT && name == REQUESTS_NAME => REQUESTS,
            None => return reply.error(Errno::ENOENT),
        };
        match self.attr(ino) {
            Ok(attr) => reply.entry(&TTL, &attr, Generation(0)),
            Err(errno) => reply.error(errno),
        }
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match self.attr(ino) {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(errno) => reply.error(errno),
        }
    }

    fn readdir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let dots = [".", ".."].map(|name| (INodeNo::ROOT, FileType::Directory, OsStr::new(name)));
        let requests = (REQUESTS, FileType::RegularFile, OsStr::new(REQUESTS_NAME));
        let files = (FIRST..).zip(&self.files);
        let files = files
            .map(|(ino, backed)| (INodeNo(ino), FileType::RegularFile, backed.name.as_os_str()));
        let entries = dots.into_iter().chain([requests]).chain(files).zip(1..);
        for ((ino, kind, name), next) in entries.filter(|(_, next)| *next > offset) {
            if reply.add(ino, next, kind, name) {
                break;
            }
        }
        reply.ok();
    }
}

impl Counts {
    fn report(&self) -> String {
        let [passed, other, reads, writes] =
            [&self.passed_opens, &self.other_opens, &self.reads, &self.writes]
                .map(|counter| counter.load(Ordering::Relaxed));
        format!(
            "opens: {passed} passed through, {other} not\n\
             answered by this process: {reads} reads, {writes} writes\n"
        )
    }
}

/// Two files to show, in a directory of their own; removed with this.
struct Demo {
    directory: PathBuf,
}

impl Demo {
    fn new() -> io::Result<(PathBuf, Option<Self>)> {
        let directory =
            nix::unistd::mkdtemp(&std::env::temp_dir().join("async-fuser-backing-XXXXXX"))?;
        let demo = Self { directory: directory.clone() };
        fs::write(directory.join("notes"), "This text was read from the backing file.\n")?;
        fs::write(directory.join("data"), vec![0; 1 << 20])?;
        let _ = writeln!(io::stdout(), "the backing files are in {}", directory.display());
        Ok((directory, Some(demo)))
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        for name in ["notes", "data"] {
            let _ = fs::remove_file(self.directory.join(name));
        }
        // Stays, as it should, when somebody put something of their own into it.
        let _ = fs::remove_dir(&self.directory);
    }
}

fn attr_of(ino: INodeNo, kind: FileType, metadata: &Metadata) -> FileAttr {
    let fallback = SystemTime::UNIX_EPOCH;
    let mtime = metadata.modified().unwrap_or(fallback);
    FileAttr {
        blocks: metadata.blocks(),
        atime: metadata.accessed().unwrap_or(fallback),
        mtime,
        ctime: mtime,
        crtime: metadata.created().unwrap_or(fallback),
        uid: metadata.uid(),
        gid: metadata.gid(),
        ..attr(ino, kind, (metadata.mode() & 0o7777) as u16, metadata.size())
    }
}

/// Reads until the buffer is full or the file at its end: a short answer would mean the end to the kernel.
fn read_full(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match file.read_at(&mut buffer[len..], offset + len as u64) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
