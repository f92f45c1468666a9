//! News for the kernel: from within methods, about what they are asked for, and from outside.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use async_fuser::lib_async::{
    AsyncFilesystem, AsyncNotifier, AsyncSessionBuilder, Attr, Data, Entry, Opened, Poll, Result,
    Written, Xattr,
};
use async_fuser::{
    Errno, FileAttr, FileHandle, FileType, FopenFlags, INodeNo, PollEvents, PollFlags, PollHandle,
    op,
};
use nix::poll::{PollFd, PollTimeout, poll};
use tests::sys::{getxattr, setxattr};
use tests::{eventually, within};

use super::{LONG, SOON, Served, WAYS, Way};

#[test]
fn methods_invalidate_what_they_are_asked_for() {
    within(LONG, || {
        for way in WAYS {
            let (served, news) = News::serve(way);
            let [file, name] = ["fleeting", "forgotten"].map(|name| served.mountpoint.join(name));
            // Each read and each lookup is the only one there is until its own notification arrives.
            let until_often = |asked: &AtomicU64, act: &dyn Fn()| {
                let end = Instant::now() + SOON;
                while asked.load(SeqCst) < OFTEN {
                    assert!(Instant::now() < end, "{way:?}: {news:?}");
                    act();
                }
            };
            thread::scope(|scope| {
                scope.spawn(|| until_often(&news.reads, &|| assert!(read(&file) > 0)));
                scope.spawn(|| until_often(&news.lookups, &|| assert!(name.exists())));
            });
            served.end();
        }
    });
}

#[test]
fn an_invalidation_is_done_when_it_has_been_waited_for() {
    within(LONG, || {
        for way in WAYS {
            let (served, news) = News::serve(way);
            let notifier = served.handle.notifier();
            let file = served.mountpoint.join("kept");
            let name = OsStr::new("kept");
            let open = hold(&file);
            for number in 1..=OFTEN {
                assert_eq!((read(&file), read(&file)), (number, number), "from the cache");
                served.block_on(notifier.inval_inode(KEPT, 0, 0)).expect("it is known");
            }
            let lookups = || {
                fs::metadata(&file).expect("a file");
                news.lookups.load(SeqCst)
            };
            let before = lookups();
            assert_eq!(lookups(), before, "from the cache");
            for number in (1..).take(OFTEN as usize) {
                served.block_on(notifier.inval_entry(INodeNo::ROOT, name)).expect("it is known");
                assert_eq!(lookups(), before + 2 * number - 1);
                served.block_on(notifier.expire_entry(INodeNo::ROOT, name)).expect("it is known");
                assert_eq!(lookups(), before + 2 * number);
            }
            let unknown = OsStr::new("unknown");
            served.block_on(notifier.inval_entry(INodeNo::ROOT, unknown)).expect("no error");
            served.block_on(notifier.inval_inode(UNKNOWN, 0, 0)).expect("no error");
            drop(open);
            served.end();
        }
    });
}

#[test]
fn data_is_stored_in_the_cache_and_retrieved_from_it() {
    within(LONG, || {
        for way in WAYS {
            let (served, news) = News::serve(way);
            let notifier = served.handle.notifier();
            let file = served.mountpoint.join("kept");
            let open = hold(&file);
            assert_eq!(read(&file), 1);
            for number in 100..100 + OFTEN {
                let text = text(number);
                served.block_on(notifier.store(KEPT, 0, text)).expect("it is known");
                assert_eq!(read(&file), number);
                let part = served.block_on(notifier.retrieve(KEPT, 4, 2)).expect("it is known");
                assert_eq!(part, text[4..6]);
            }
            // The same from within methods: a store is seen a little after its answer.
            for number in 1000..1000 + OFTEN {
                let text = text(number);
                setxattr(&file, "user.store", &text).expect("it is taken");
                eventually(SOON, "it is stored", || read(&file) == number);
                let mut retrieved = [0; SIZE];
                let len = getxattr(&file, "user.cached", &mut retrieved).expect("it is there");
                assert_eq!(retrieved[..len], text);
            }
            assert_eq!(news.reads.load(SeqCst), 1, "all else came from the cache");
            served.block_on(notifier.store(UNKNOWN, 0, "text")).expect("no error");
            let unknown = served.block_on(notifier.retrieve(UNKNOWN, 0, 1));
            assert_eq!(unknown.map_err(|error| error.raw_os_error()), Err(Some(libc::ENOENT)));
            drop(open);
            served.end();
        }
    });
}

#[test]
fn whoever_polls_is_told() {
    within(LONG, || {
        for way in WAYS {
            let (served, news) = News::serve(way);
            let notifier = served.handle.notifier();
            let path = served.mountpoint.join("bell");
            let bell = File::open(&path).expect("a file");
            for from_within in [true, false].into_iter().cycle().take(20) {
                assert!(!is_ready(&bell, 0));
                thread::scope(|scope| {
                    let waits = scope.spawn(|| is_ready(&bell, 10_000));
                    eventually(SOON, "it waits", || news.waits.lock().expect("no panic").is_some());
                    if from_within {
                        fs::write(&path, "ring").expect("it is taken");
                    } else {
                        let handle = news.ring().expect("somebody waits");
                        notifier.poll(handle).expect("the session is there");
                    }
                    assert!(waits.join().expect("no panic"), "{way:?}, {from_within}");
                });
                assert!(is_ready(&bell, 0));
                news.rings.store(false, SeqCst);
            }
            drop(bell);
            served.end();
        }
    });
}

#[test]
fn a_notifier_knows_whether_there_is_a_session() {
    within(LONG, || {
        for way in WAYS {
            let notifier = AsyncNotifier::new();
            let code = |served: &Served| {
                let sent = served.block_on(notifier.inval_inode(INodeNo::ROOT, 0, 0));
                sent.map_err(|error| error.raw_os_error())
            };
            let other = News::serve(way).0;
            assert_eq!(code(&other), Err(Some(libc::ENOTCONN)));
            let builder = AsyncSessionBuilder::new(Shared::default());
            let served = Served::new(way, builder.notifier(notifier.clone()));
            assert_eq!(code(&served), Ok(()));
            served.end();
            assert_eq!(code(&other), Err(Some(libc::ENODEV)));
            other.end();
        }
    });
}

/// Opens a file, so that the kernel keeps its inode, whoever else has it drop what is not in use.
#[track_caller]
fn hold(file: &Path) -> File {
    File::open(file).expect("a file")
}

/// The number that is in a file.
#[track_caller]
fn read(file: &Path) -> u64 {
    let text = fs::read_to_string(file).expect("a file");
    text.trim().parse().unwrap_or_else(|_| panic!("{text:?}"))
}

fn text(number: u64) -> [u8; SIZE] {
    format!("{number:>SIZE$}").into_bytes().try_into().expect("a small number")
}

/// Whether a file becomes readable within so many milliseconds.
fn is_ready(file: &File, milliseconds: u16) -> bool {
    let mut asked = [PollFd::new(file.as_fd(), nix::poll::PollFlags::POLLIN)];
    poll(&mut asked, PollTimeout::from(milliseconds)).expect("it can be polled") == 1
}

/// Files that hold how often they were read, all of them to be kept by the kernel for ever.
#[derive(Debug, Default)]
struct News {
    reads: AtomicU64,
    lookups: AtomicU64,
    rings: AtomicBool,
    waits: Mutex<Option<PollHandle>>,
}

/// The kernel is told to forget what it has read.
const FLEETING: INodeNo = INodeNo(2);
/// The kernel is told to forget that there is such a name.
const FORGOTTEN: INodeNo = INodeNo(3);
const KEPT: INodeNo = INodeNo(4);
/// Readable once somebody has written to it.
const BELL: INodeNo = INodeNo(5);
const UNKNOWN: INodeNo = INodeNo(77);

const HOUR: Duration = Duration::from_secs(3600);
const SIZE: usize = 8;
const OFTEN: u64 = 300;

impl News {
    #[track_caller]
    fn serve(way: Way) -> (Served, Arc<Self>) {
        let news = Shared::default();
        let known = news.0.clone();
        (Served::new(way, AsyncSessionBuilder::new(news)), known)
    }

    /// Rings, and says who is to be told.
    fn ring(&self) -> Option<PollHandle> {
        let mut waits = self.waits.lock().expect("no panic");
        self.rings.store(true, SeqCst);
        waits.take()
    }
}

/// The same for the session and the test.
#[derive(Default)]
struct Shared(Arc<News>);

impl AsyncFilesystem for Shared {
    async fn lookup(&self, op: op::Lookup<'_>) -> Result<Entry> {
        self.0.lookups.fetch_add(1, SeqCst);
        let ino = match op.name.to_str() {
            Some("fleeting") => FLEETING,
            Some("forgotten") => FORGOTTEN,
            Some("kept") => KEPT,
            Some("bell") => BELL,
            _ => return Err(Errno::ENOENT),
        };
        if ino == FORGOTTEN {
            AsyncNotifier::current().inval_entry(op.parent, op.name).await?;
        }
        Ok(Entry::new(attr(ino), HOUR))
    }

    async fn getattr(&self, op: op::Getattr<'_>) -> Result<Attr> {
        Ok(Attr::new(attr(op.ino), HOUR))
    }

    async fn setattr(&self, op: op::Setattr<'_>) -> Result<Attr> {
        Ok(Attr::new(attr(op.ino), HOUR))
    }

    async fn open(&self, _op: op::Open<'_>) -> Result<Opened> {
        Ok(Opened::new(FileHandle(0)).with_flags(FopenFlags::FOPEN_KEEP_CACHE))
    }

    async fn read(&self, op: op::Read<'_>) -> Result<Data<'_>> {
        let text = text(self.0.reads.fetch_add(1, SeqCst) + 1);
        if op.ino == FLEETING {
            AsyncNotifier::current().inval_inode(op.ino, 0, 0).await?;
        }
        Ok(Data::from(examples::part(&text, op.offset, op.size).to_vec()))
    }

    async fn setxattr(&self, op: op::Setxattr<'_>) -> Result<()> {
        Ok(AsyncNotifier::current().store(op.ino, 0, op.value).await?)
    }

    async fn getxattr(&self, op: op::Getxattr<'_>) -> Result<Xattr<'_>> {
        Ok(Xattr::new(AsyncNotifier::current().retrieve(op.ino, 0, SIZE as u32).await?))
    }

    async fn write(&self, op: op::Write<'_>) -> Result<Written> {
        if let Some(handle) = self.0.ring() {
            AsyncNotifier::current().poll(handle)?;
        }
        Ok(Written(op.data.len() as u64))
    }

    async fn poll(&self, op: op::Poll<'_>) -> Result<Poll> {
        let mut waits = self.0.waits.lock().expect("no panic");
        if self.0.rings.load(SeqCst) {
            return Ok(Poll(PollEvents::POLLIN));
        }
        if op.flags.contains(PollFlags::FUSE_POLL_SCHEDULE_NOTIFY) {
            *waits = Some(op.kh);
        }
        Ok(Poll(PollEvents::empty()))
    }
}

fn attr(ino: INodeNo) -> FileAttr {
    match ino {
        INodeNo::ROOT => examples::attr(ino, FileType::Directory, 0o755, 0),
        ino => examples::attr(ino, FileType::RegularFile, 0o644, SIZE as u64),
    }
}
