//! A file whose *content* changes with time, and how the kernel learns of it.
//!
//! The kernel keeps what was read in its page cache, and with `FOPEN_KEEP_CACHE` also from one `open` to the
//! next. Until it is told better, every later read is answered from there and the filesystem hears nothing
//! of it. Three ways to run it:
//!
//! * `--no-notify`: the kernel is told nothing. `cat` shows the same old text for ever.
//! * (nothing given): [`Notifier::inval_inode`] drops attributes and pages. The next read comes to the filesystem.
//! * `--store`: [`Notifier::store`] puts the new text into the page cache. `cat` shows it, and the filesystem is
//!   not asked at all (but for what the kernel does not have yet).
//!
//! The text says how many reads the filesystem has answered by then, which shows the difference.
//!
//! Notify from a thread that holds no lock a request needs: to change a page the kernel locks it, and a page
//! that is just being read stays locked until the filesystem has answered.

use std::ffi::OsStr;
use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use async_fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner,
    Notifier, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEntry, ReplyOpen, Request,
};
use clap::Parser;
use examples::cli::{Args, Example};
use examples::{attr, part};
use log::{info, warn};

const EXAMPLE: Example = Example {
    name: "notify_inval_inode",
    try_it: &["cat {}/news; sleep 3; cat {}/news    # with --no-notify: twice the same"],
};

/// A file whose content changes with time
#[derive(Parser)]
struct Cli {
    /// Do not tell the kernel: see stale content
    #[arg(long)]
    no_notify: bool,

    /// Put the new content into the kernel's cache, instead of dropping the old from it
    #[arg(long, conflicts_with = "no_notify")]
    store: bool,

    /// Change the content every so many milliseconds
    #[arg(long, value_name = "MS", default_value_t = 2000)]
    every: u64,

    #[command(flatten)]
    mount: Args,
}

fn main() -> ExitCode {
    let cli: Cli = EXAMPLE.parse();
    let news = News::default();
    let writer = news.clone();
    let tell: fn(&Notifier, &str) -> io::Result<()> = match (cli.no_notify, cli.store) {
        (true, _) => |_, _| Ok(()),
        (false, true) => |notifier, text| notifier.store(FILE, 0, text.as_bytes()),
        // From byte 0, and a length of 0 means to the end.
        (false, false) => |notifier, _| notifier.inval_inode(FILE, 0, 0),
    };
    EXAMPLE.run_with(&cli.mount, news, move |notifier| {
        for edition in 1.. {
            thread::sleep(Duration::from_millis(cli.every));
            // First the change, then the news of it; the lock is free again by then.
            let text = writer.print(edition);
            info!("edition {edition}");
            if let Err(error) = tell(&notifier, &text) {
                return warn!("cannot tell of edition {edition}: {error}");
            }
        }
    })
}

const FILE: INodeNo = INodeNo(2);
const NAME: &str = "news";
const TTL: Duration = Duration::from_secs(3600);

#[derive(Clone)]
struct News {
    text: Arc<Mutex<String>>,
    reads: Arc<AtomicU64>,
}

impl Default for News {
    fn default() -> Self {
        Self { text: Arc::new(Mutex::new(text(0, 0))), reads: Arc::default() }
    }
}

impl News {
    /// Replace the text by that of the next edition.
    fn print(&self, edition: u64) -> String {
        let new = text(edition, self.reads.load(Ordering::Relaxed));
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&new);
        new
    }

    fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Always of one length, so that the size the kernel remembers stays right, whichever way it is told.
fn text(edition: u64, reads: u64) -> String {
    format!("edition {edition:8}, printed after {reads:8} reads came to the filesystem\n")
}

impl Filesystem for News {
    fn open(&self, _req: &Request, _ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
    }

    fn read(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let reads = self.reads.fetch_add(1, Ordering::Relaxed) + 1;
        info!("read number {reads}");
        reply.data(part(self.text().as_bytes(), offset, size));
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if parent == INodeNo::ROOT && name == NAME {
            reply.entry(&TTL, &self.file(), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match ino {
            INodeNo::ROOT => reply.attr(&TTL, &attr(ino, FileType::Directory, 0o555, 0)),
            FILE => reply.attr(&TTL, &self.file()),
            _ => reply.error(Errno::ENOENT),
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
        let entries = [
            (INodeNo::ROOT, FileType::Directory, "."),
            (INodeNo::ROOT, FileType::Directory, ".."),
            (FILE, FileType::RegularFile, NAME),
        ];
        for ((ino, kind, name), next) in
            entries.into_iter().zip(1..).filter(|(_, next)| *next > offset)
        {
            if reply.add(ino, next, kind, name) {
                break;
            }
        }
        reply.ok();
    }
}

impl News {
    fn file(&self) -> FileAttr {
        attr(FILE, FileType::RegularFile, 0o444, self.text().len() as u64)
    }
}
