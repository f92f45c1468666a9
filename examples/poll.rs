//! Files that become readable over time, for `poll(2)`, `select(2)` and `epoll(7)`.
//!
//! Four mailboxes, and a producer that drops a letter into one of them every now and then, in turn.
//! Reading a mailbox takes its letters out; an empty one answers `EAGAIN`. A program that watches all
//! four asks with `poll`, and this is what happens between kernel and filesystem:
//!
//! 1. The kernel sends POLL. The filesystem answers at once which events are ready *now*; it never waits.
//! 2. With `FUSE_POLL_SCHEDULE_NOTIFY` set somebody is about to sleep: keep the [`PollNotifier`].
//! 3. When something has changed, [`PollNotifier::notify`] wakes the sleepers. It does not say what is ready:
//!    the kernel sends POLL again (step 1).
//!
//! A notifier belongs to an open file, so it is kept by file handle and dropped with it. It is used up by
//! notifying: the next POLL brings another.
//!
//! `poll_client` is the program that watches.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::mem;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use async_fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner,
    OpenAccMode, OpenFlags, PollEvents, PollFlags, PollNotifier, ReplyAttr, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyPoll, Request,
};
use clap::Parser;
use examples::attr;
use examples::cli::{Args, Example};
use log::{info, warn};

const EXAMPLE: Example = Example {
    name: "poll",
    try_it: &[
        "poll_client {}    # the program beside this one",
        "cat {}/*          # what is there right now",
    ],
};

/// Mailboxes that become readable over time
#[derive(Parser)]
struct Cli {
    /// Drop a letter into the next mailbox every so many milliseconds
    #[arg(long, value_name = "MS", default_value_t = 500)]
    every: u64,

    #[command(flatten)]
    mount: Args,
}

fn main() -> ExitCode {
    let cli: Cli = EXAMPLE.parse();
    let mailboxes = Mailboxes::default();
    let producer = mailboxes.clone();
    // Not the session's notifier but those that POLL brought along do the waking.
    EXAMPLE.run_with(&cli.mount, mailboxes, move |_| {
        for letter in 0.. {
            thread::sleep(Duration::from_millis(cli.every));
            producer.deliver(letter);
        }
    })
}

const NAMES: [&str; 4] = ["amber", "birch", "cedar", "dogwood"];
/// Mailbox `n` has inode number `n + FIRST`.
const FIRST: u64 = 2;
/// A mailbox nobody empties takes no more letters than this.
const LETTERS: usize = 100;
const TTL: Duration = Duration::from_secs(3600);

#[derive(Clone, Default)]
struct Mailboxes {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    letters: [Vec<String>; NAMES.len()],
    /// Who sleeps until the mailbox has letters, by file handle.
    sleepers: [HashMap<u64, PollNotifier>; NAMES.len()],
    handles: u64,
}

impl Mailboxes {
    fn deliver(&self, letter: usize) {
        let mailbox = letter % NAMES.len();
        let mut state = self.state();
        if state.letters[mailbox].len() < LETTERS {
            state.letters[mailbox].push(format!("letter {letter} for {}\n", NAMES[mailbox]));
        }
        let woken = mem::take(&mut state.sleepers[mailbox]);
        // Notify without the lock: never be in the kernel while a request waits for something of ours.
        drop(state);
        info!("letter {letter} for {}, waking {}", NAMES[mailbox], woken.len());
        for notifier in woken.into_values() {
            if let Err(error) = notifier.notify() {
                warn!("cannot wake a poll of {}: {error}", NAMES[mailbox]);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Filesystem for Mailboxes {
    fn poll(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        notifier: PollNotifier,
        _events: PollEvents,
        flags: PollFlags,
        reply: ReplyPoll,
    ) {
        let Some(mailbox) = mailbox(ino) else {
            return reply.error(Errno::EINVAL);
        };
        let mut state = self.state();
        if flags.contains(PollFlags::FUSE_POLL_SCHEDULE_NOTIFY) {
            state.sleepers[mailbox].insert(fh.0, notifier);
        }
        // Under one lock with the line above, or a letter could slip in between and wake nobody.
        let empty = state.letters[mailbox].is_empty();
        drop(state);
        reply.poll(if empty {
            PollEvents::empty()
        } else {
            PollEvents::POLLIN | PollEvents::POLLRDNORM
        });
    }

    fn open(&self, _req: &Request, _ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        if flags.acc_mode() != OpenAccMode::O_RDONLY {
            return reply.error(Errno::EACCES);
        }
        let mut state = self.state();
        state.handles += 1;
        // A stream: no cache, and no position to go back to.
        reply.opened(
            FileHandle(state.handles),
            FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_NONSEEKABLE,
        );
    }

    fn release(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        if let Some(mailbox) = mailbox(ino) {
            self.state().sleepers[mailbox].remove(&fh.0);
        }
        reply.ok();
    }

    /// Takes as many letters out as fit.
    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let Some(mailbox) = mailbox(ino) else {
            return reply.error(Errno::EISDIR);
        };
        let letters = &mut self.state().letters[mailbox];
        let Some(first) = letters.first() else {
            return reply.error(Errno::EAGAIN);
        };
        if first.len() > size as usize {
            // As a datagram socket would, but without losing the letter.
            return reply.error(Errno::EMSGSIZE);
        }
        let mut taken = String::new();
        while !letters.is_empty() && taken.len() + letters[0].len() <= size as usize {
            taken += &letters.remove(0);
        }
        reply.data(taken.as_bytes());
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = (FIRST..)
            .map(INodeNo)
            .zip(NAMES)
            .find(|(_, known)| parent == INodeNo::ROOT && name == *known);
        match found.and_then(|(ino, _)| attributes(ino)) {
            Some(attr) => reply.entry(&TTL, &attr, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match attributes(ino) {
            Some(attr) => reply.attr(&TTL, &attr),
            None => reply.error(Errno::ENOENT),
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
        let dots = [".", ".."].map(|name| (INodeNo::ROOT, FileType::Directory, name));
        let mailboxes =
            (FIRST..).zip(NAMES).map(|(ino, name)| (INodeNo(ino), FileType::RegularFile, name));
        for ((ino, kind, name), next) in
            dots.into_iter().chain(mailboxes).zip(1..).filter(|(_, next)| *next > offset)
        {
            if reply.add(ino, next, kind, name) {
                break;
            }
        }
        reply.ok();
    }
}

fn mailbox(ino: INodeNo) -> Option<usize> {
    let mailbox = usize::try_from(ino.0.checked_sub(FIRST)?).ok()?;
    (mailbox < NAMES.len()).then_some(mailbox)
}

fn attributes(ino: INodeNo) -> Option<FileAttr> {
    if ino == INodeNo::ROOT {
        return Some(attr(ino, FileType::Directory, 0o555, 0));
    }
    mailbox(ino).map(|_| attr(ino, FileType::RegularFile, 0o444, 0))
}
