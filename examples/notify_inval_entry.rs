//! A file whose *name* changes with time, and how the kernel learns of it.
//!
//! The kernel remembers what `lookup` answered: "that name is that inode" stays true for as long as the
//! answer's TTL says. Here the TTL is an hour and the only file is renamed every other second, by nobody's
//! request. Three ways to run it:
//!
//! * `--no-notify`: the kernel is told nothing. A name that was looked up once still resolves when the file
//!   is long called something else, while `ls` shows the new name: a stale name.
//! * (nothing given): [`Notifier::inval_entry`] drops the old name from the kernel's cache. The next use of it
//!   is a new `lookup`, answered with `ENOENT`.
//! * `--only-expire`: [`Notifier::expire_entry`] ends the TTL and keeps the rest. The next use asks `lookup`
//!   again too, and where that finds the same inode under the name, all stays as it was, a mount on that
//!   name included. `inval_entry` takes such a mount away at once. Since Linux 6.2.
//!
//! Notify from a thread that holds no lock a request needs: the kernel locks the directory for it, and may
//! have to wait until a lookup in it is answered.

use std::ffi::OsStr;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use async_fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, Notifier, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEntry,
    Request,
};
use clap::Parser;
use examples::cli::{Args, Example};
use examples::{attr, part};
use log::{info, warn};

const EXAMPLE: Example = Example {
    name: "notify_inval_entry",
    try_it: &[
        "cd {}; name=$(ls); stat -c %n $name; sleep 3; stat -c %n $name; cd - >/dev/null",
        "# the second stat fails as it should; with --no-notify it still finds the old name",
    ],
};

/// A file whose name changes with time
#[derive(Parser)]
struct Cli {
    /// Do not tell the kernel: see stale names
    #[arg(long)]
    no_notify: bool,

    /// Only let the old name expire, instead of dropping it and all that hangs on it
    #[arg(long, conflicts_with = "no_notify")]
    only_expire: bool,

    /// Rename the file every so many milliseconds
    #[arg(long, value_name = "MS", default_value_t = 2000)]
    every: u64,

    #[command(flatten)]
    mount: Args,
}

fn main() -> ExitCode {
    let cli: Cli = EXAMPLE.parse();
    let renames = Arc::new(AtomicU64::new(0));
    let filesystem = Restless { renames: Arc::clone(&renames), only_expire: cli.only_expire };
    let tell: fn(&Notifier, &str) -> io::Result<()> = match (cli.no_notify, cli.only_expire) {
        (true, _) => |_, _| Ok(()),
        (false, true) => |notifier, name| notifier.expire_entry(INodeNo::ROOT, OsStr::new(name)),
        (false, false) => |notifier, name| notifier.inval_entry(INodeNo::ROOT, OsStr::new(name)),
    };
    EXAMPLE.run_with(&cli.mount, filesystem, move |notifier| {
        loop {
            thread::sleep(Duration::from_millis(cli.every));
            // First the change, then the news of it: the other way round a lookup in between would be answered
            // with the old name, for another hour.
            let old = name(renames.fetch_add(1, Ordering::SeqCst));
            info!("{old} is gone");
            if let Err(error) = tell(&notifier, &old) {
                return warn!("cannot tell that {old} is gone: {error}");
            }
        }
    })
}

const FILE: INodeNo = INodeNo(2);
const TTL: Duration = Duration::from_secs(3600);
const CONTENT: &[u8] = b"The same file under whatever name.\n";

struct Restless {
    renames: Arc<AtomicU64>,
    only_expire: bool,
}

fn name(renames: u64) -> String {
    format!("name-{renames}")
}

impl Restless {
    fn name(&self) -> String {
        name(self.renames.load(Ordering::SeqCst))
    }
}

impl Filesystem for Restless {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        if self.only_expire && config.add_capabilities(InitFlags::FUSE_HAS_EXPIRE_ONLY).is_err() {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this kernel cannot let a name expire (--only-expire needs Linux 6.2)",
            ));
        }
        Ok(())
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if parent == INodeNo::ROOT && name == self.name().as_str() {
            info!("lookup of {name:?} finds it");
            reply.entry(&TTL, &file(), Generation(0));
        } else {
            info!("lookup of {name:?} finds nothing");
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match ino {
            INodeNo::ROOT => reply.attr(&TTL, &attr(ino, FileType::Directory, 0o555, 0)),
            FILE => reply.attr(&TTL, &file()),
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
        let name = self.name();
        let entries = [
            (INodeNo::ROOT, FileType::Directory, "."),
            (INodeNo::ROOT, FileType::Directory, ".."),
            (FILE, FileType::RegularFile, &name),
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
        reply.data(part(CONTENT, offset, size));
    }
}

fn file() -> FileAttr {
    attr(FILE, FileType::RegularFile, 0o444, CONTENT.len() as u64)
}
