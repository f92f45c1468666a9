//! Callers that are interrupted where they wait.

use std::fs;
use std::future::pending;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::{Duration, Instant};

use async_fuser::lib_async::{
    AsyncFilesystem, AsyncSessionBuilder, Attr, Cancellation, Data, Entry, Listing, Opened, Reply,
    Result, Serve, Xattr,
};
use async_fuser::op::{Opcode, Operation};
use async_fuser::{
    FileAttr, FileHandle, FileType, FopenFlags, INodeNo, KernelConfig, Operations, Request, op,
};
use examples::memfs::{MemFs, Options};
use nix::sys::signal::Signal::{self, SIGINT, SIGKILL, SIGTERM};
use nix::sys::statvfs::statvfs;
use tests::{Running, eventually, run, within};
use tokio::time::sleep;

use super::{LONG, SOON, Served, WAYS};

#[test]
fn whoever_waits_for_an_answer_that_never_comes_ends_with_a_signal() {
    within(LONG, || {
        for way in WAYS {
            let served = Served::new(way, AsyncSessionBuilder::new(Stuck));
            for (command, name, opcode) in [
                ("stat", "lookup", Opcode::LOOKUP),
                ("stat", "getattr", Opcode::GETATTR),
                ("cat", "open", Opcode::OPEN),
                ("cat", "read", Opcode::READ),
                ("ls", "readdir", Opcode::READDIR),
                ("readlink", "readlink", Opcode::READLINK),
                ("getfattr -n user.x", "getxattr", Opcode::GETXATTR),
            ] {
                for signal in [SIGINT, SIGKILL] {
                    let mut waiting = start(command, &served.mountpoint.join(name));
                    served.wait_for(opcode);
                    ends_at_once(&mut waiting, signal);
                    served.wait_for_none();
                }
            }
            served.end();
        }
    });
}

#[test]
fn whoever_waits_for_the_page_cache_ends_with_a_signal_and_the_request_with_the_session() {
    within(LONG, || {
        for way in WAYS {
            let drain = Duration::from_millis(100);
            let served = Served::new(way, AsyncSessionBuilder::new(Stuck).drain(drain));
            for signal in [SIGINT, SIGKILL] {
                let mut waiting = start("cat", &served.mountpoint.join("cached"));
                served.wait_for(Opcode::READ);
                ends_at_once(&mut waiting, signal);
            }
            // The kernel reads ahead for itself, and does not tell that nobody waits any more.
            let left = served.handle.in_flight();
            assert!(left.iter().all(|asked| asked.operation() == Opcode::READ), "{left:?}");
            assert!(
                !left.is_empty() && left.iter().all(|asked| !asked.is_interrupted()),
                "{left:?}"
            );
            served.end();
        }
    });
}

#[test]
fn whoever_waits_for_a_lock_ends_with_a_signal_and_is_in_nobodys_way() {
    within(LONG, || {
        for way in WAYS {
            let served = Served::new(way, memfs());
            let file = served.mountpoint.join("lock");
            fs::write(&file, "").expect("a file");
            for (kind, signal) in [
                (Kind::Flock, SIGINT),
                (Kind::Flock, SIGKILL),
                (Kind::Posix, SIGTERM),
                (Kind::Posix, SIGKILL),
            ] {
                let mut holder = kind.lock(&file, "60");
                holder.wait_for("locked", SOON);
                let mut killed = kind.lock(&file, "0");
                served.wait_for(Opcode::SETLKW);
                ends_at_once(&mut killed, signal);
                served.wait_for_none();

                let [mut killed, mut waits] = ["0", "0"].map(|time| kind.lock(&file, time));
                eventually(SOON, "both wait", || served.handle.in_flight().len() == 2);
                ends_at_once(&mut killed, signal);
                eventually(SOON, "one waits", || served.handle.in_flight().len() == 1);
                assert!(!waits.has_ended() && !waits.stdout().contains("locked"));
                holder.kill();
                assert!(waits.wait(SOON).succeeded());
                assert!(kind.lock(&file, "0").wait(SOON).succeeded(), "nobody has it any more");
                served.wait_for_none();
            }
            served.end();
        }
    });
}

#[test]
fn a_change_is_not_torn_where_its_caller_is_interrupted() {
    within(LONG, || {
        for way in WAYS {
            let late = |operation: &Operation<'_>| matches!(operation, Operation::Write(_));
            let served = Served::new(way, AsyncSessionBuilder::new(Late::new(late, false)));
            let file = served.mountpoint.join("file");
            for signal in [SIGINT, SIGKILL] {
                let begun = Instant::now();
                let mut writer =
                    run("sh").args(["-c", "exec printf text >\"$0\""]).arg(&file).start();
                served.wait_for(Opcode::WRITE);
                writer.signal(signal);
                eventually(SOON, "it is told", || {
                    served.handle.in_flight().iter().any(|asked| asked.is_interrupted())
                });
                assert!(!writer.has_ended(), "the kernel waits for the answer");
                assert_eq!(writer.wait(SOON).status.signal(), Some(signal as i32));
                assert!(begun.elapsed() >= MOMENT);
                assert_eq!(fs::read(&file).expect("a file"), b"text");
                fs::remove_file(&file).expect("a file");
            }
            served.end();
        }
    });
}

#[test]
fn files_whose_opener_was_interrupted_are_closed() {
    within(LONG, || {
        for way in WAYS {
            // Once its method is dropped before it has opened anything, once it opens for nobody.
            for is_shielded in [false, true] {
                let late = |operation: &Operation<'_>| matches!(operation, Operation::Open(_));
                let late = Late::new(late, is_shielded);
                let served = Served::new(way, AsyncSessionBuilder::new(late));
                let path = served.mountpoint.path().to_owned();
                let inodes = || {
                    let all = statvfs(&path).expect("its sizes");
                    all.files() - all.files_free()
                };
                let empty = inodes();
                let file = path.join("file");
                fs::write(&file, "text").expect("a file");
                for signal in [SIGINT, SIGKILL] {
                    let mut opener = start("cat", &file);
                    served.wait_for(Opcode::OPEN);
                    opener.signal(signal);
                    assert_eq!(opener.wait(SOON).status.signal(), Some(signal as i32));
                }
                served.wait_for_none();
                fs::remove_file(&file).expect("a file");
                eventually(SOON, "it is neither named nor open any more", || inodes() == empty);
                served.end();
            }
        }
    });
}

/// It is gone at once, by this signal.
#[track_caller]
fn ends_at_once(waiting: &mut Running, signal: Signal) {
    const AT_ONCE: Duration = Duration::from_secs(2);
    assert!(!waiting.has_ended(), "{} {}", waiting.stdout(), waiting.stderr());
    waiting.signal(signal);
    let ran = waiting.wait(AT_ONCE);
    assert_eq!(ran.status.signal(), Some(signal as i32), "{ran:?}");
}

/// A command of words without blanks, with a path behind them.
#[track_caller]
fn start(command: &str, path: &Path) -> Running {
    let mut words = command.split(' ');
    run(words.next().expect("a program")).args(words).arg(path).start()
}

/// A kind of lock, as programs take it.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Flock,
    Posix,
}

impl Kind {
    /// Locks a file, says so, and keeps it for so many seconds.
    #[track_caller]
    fn lock(self, file: &Path, seconds: &str) -> Running {
        const POSIX: &str = "import fcntl, sys, time
file = open(sys.argv[1], 'r+')
fcntl.lockf(file, fcntl.LOCK_EX)
print('locked', flush=True)
time.sleep(int(sys.argv[2]))";
        match self {
            Self::Flock => {
                let kept = ["sh", "-c", "echo locked; exec sleep $0", seconds];
                run("flock").arg(file).args(kept).start()
            }
            Self::Posix => run("python3").args(["-c", POSIX]).arg(file).arg(seconds).start(),
        }
    }
}

/// Files that are each called after the operation that never ends there.
struct Stuck;

const NAMES: [&str; 7] = ["getattr", "open", "read", "cached", "readdir", "readlink", "getxattr"];

fn ino(name: &str) -> Option<INodeNo> {
    let place = NAMES.iter().position(|known| *known == name)?;
    Some(INodeNo(2 + place as u64))
}

fn attr(ino: INodeNo) -> FileAttr {
    let name = ino.0.checked_sub(2).and_then(|place| NAMES.get(place as usize));
    let kind = match name {
        None | Some(&"readdir") => FileType::Directory,
        Some(&"readlink") => FileType::Symlink,
        Some(_) => FileType::RegularFile,
    };
    examples::attr(ino, kind, 0o755, 4096)
}

impl Stuck {
    async fn stuck_on<T>(&self, at: INodeNo, name: &str, otherwise: T) -> Result<T> {
        if ino(name) == Some(at) { pending().await } else { Ok(otherwise) }
    }
}

impl AsyncFilesystem for Stuck {
    async fn lookup(&self, op: op::Lookup<'_>) -> Result<Entry> {
        let Some(ino) = op.name.to_str().and_then(ino) else { return pending().await };
        Ok(Entry::new(attr(ino), Duration::ZERO))
    }

    async fn getattr(&self, op: op::Getattr<'_>) -> Result<Attr> {
        self.stuck_on(op.ino, "getattr", Attr::new(attr(op.ino), Duration::ZERO)).await
    }

    async fn open(&self, op: op::Open<'_>) -> Result<Opened> {
        let mut opened = Opened::new(FileHandle(0));
        if ino("cached") != Some(op.ino) {
            opened = opened.with_flags(FopenFlags::FOPEN_DIRECT_IO);
        }
        self.stuck_on(op.ino, "open", opened).await
    }

    async fn read(&self, op: op::Read<'_>) -> Result<Data<'_>> {
        self.stuck_on(op.ino, "cached", ()).await?;
        self.stuck_on(op.ino, "read", Data::default()).await
    }

    async fn readdir(&self, op: op::Readdir<'_>) -> Result<Listing> {
        self.stuck_on(op.ino, "readdir", Listing::new(&op)).await
    }

    async fn readlink(&self, op: op::Readlink<'_>) -> Result<Data<'_>> {
        self.stuck_on(op.ino, "readlink", Data::default()).await
    }

    async fn getxattr(&self, op: op::Getxattr<'_>) -> Result<Xattr<'_>> {
        self.stuck_on(op.ino, "getxattr", Xattr::new("")).await
    }
}

fn memfs() -> AsyncSessionBuilder<MemFs> {
    AsyncSessionBuilder::new(MemFs::new(Options::default()))
}

/// A memfs that takes a moment for some operations.
struct Late {
    memfs: MemFs,
    is_late: fn(&Operation<'_>) -> bool,
    is_shielded: bool,
}

const MOMENT: Duration = Duration::from_millis(500);

impl Late {
    fn new(is_late: fn(&Operation<'_>) -> bool, is_shielded: bool) -> Self {
        Self { memfs: MemFs::new(Options::default()), is_late, is_shielded }
    }
}

impl Serve for Late {
    const OPERATIONS: Operations = <MemFs as Serve>::OPERATIONS;

    async fn init(&mut self, req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        Serve::init(&mut self.memfs, req, config).await
    }

    async fn serve<'a>(&'a self, operation: Operation<'a>) -> Result<Reply<'a>> {
        if !(self.is_late)(&operation) {
            return self.memfs.serve(operation).await;
        }
        let late = async {
            sleep(MOMENT).await;
            self.memfs.serve(operation).await
        };
        if self.is_shielded { Cancellation::shield(late).await } else { late.await }
    }

    async fn destroy(&mut self) {
        Serve::destroy(&mut self.memfs).await;
    }
}
