//! One filesystem with both faces. The table at the bottom has every operation: its arguments, what
//! it does, and the kind of its answer; from a row follow the call that is written down, the method
//! of the synchronous face and that of the asynchronous one.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Debug;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use async_fuser::lib_async::{self as values, AsyncFilesystem, AsyncNotifier};
use async_fuser::*;
use tokio::sync::oneshot;

use crate::common::{Trace, digest};
use crate::state::{self, Answer, Content, GENERATION, State, brief, owner, time, time_or_now};

/// The filesystem, as both faces share it.
pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) trace: Arc<Trace>,
    /// The methods that were called.
    pub(crate) seen: Mutex<BTreeSet<&'static str>>,
    state: Mutex<State<Waiter, Ring>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Whether answers are given after a wait: by another thread, or after a sleep.
    pub(crate) later: bool,
    pub(crate) capabilities: InitFlags,
    pub(crate) ttl: Duration,
}

/// Who waits for a lock.
struct Waiter {
    request: RequestId,
    tell: Tell,
}

type Tell = Box<dyn FnOnce(Answer<()>) + Send>;

/// Tells who polls a file that it is ready.
type Ring = Box<dyn FnOnce() -> io::Result<()> + Send>;

impl World {
    pub(crate) fn new(options: Options) -> Arc<Self> {
        let (trace, seen) = (Arc::default(), Mutex::default());
        Arc::new(Self { options, trace, seen, state: Mutex::new(State::new(true)) })
    }

    /// Asks for the same whatever the engine asks for by itself.
    fn init(&self, config: &mut KernelConfig) -> io::Result<()> {
        let both = InitFlags::FUSE_PARALLEL_DIROPS | InitFlags::FUSE_ASYNC_DIO;
        // The attribute asks for what its methods are for.
        let by_methods = InitFlags::FUSE_POSIX_LOCKS
            | InitFlags::FUSE_FLOCK_LOCKS
            | InitFlags::FUSE_DO_READDIRPLUS
            | InitFlags::FUSE_READDIRPLUS_AUTO;
        config.remove_capabilities(by_methods);
        let refused = |flags| io::Error::other(format!("this kernel has no {flags:?}"));
        config.add_capabilities(self.options.capabilities | both).map_err(refused)?;
        config.set_max_background(64).expect("a number of requests");
        self.trace.push("init".to_owned());
        Ok(())
    }

    fn destroy(&self) {
        self.trace.push("destroy".to_owned());
    }

    fn state(&self) -> MutexGuard<'_, State<Waiter, Ring>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line for a call.
    fn record(&self, req: &Request, method: &'static str, call: &str, answer: Answer<String>) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(method);
        // Threads have numbers of their own.
        let pid = match req.pid() {
            0 => "nobody",
            pid if Path::new(&format!("/proc/self/task/{pid}")).exists() => "us",
            // Somebody on this machine looks into every mount.
            _ => return,
        };
        let answer = answer.unwrap_or_else(|errno| format!("errno {}", errno.code()));
        self.trace.push(format!("[{}:{} {pid}] {method}{call} -> {answer}", req.uid(), req.gid()));
    }

    fn forget(&self, method: &'static str, nlookup: u64) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(method);
        self.trace.forget(nlookup);
    }

    /// Gives up what an owner has locked, and gives it to those who wait.
    fn unlock(&self, ino: INodeNo, owner: LockOwner) -> Answer<()> {
        let unblocked = self.state().unlock_all(ino, owner);
        unblocked.into_iter().for_each(|waiter| (waiter.tell)(Ok(())));
        Ok(())
    }

    /// Takes a lock, or has its waiter told later: `None`.
    #[allow(clippy::too_many_arguments, reason = "as many as the kernel has")]
    fn setlk(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        lock_owner: LockOwner,
        (start, end): (u64, u64),
        typ: i32,
        pid: u32,
        (sleep, flock): (bool, bool),
        waiter: impl FnOnce() -> Waiter,
    ) -> Option<Answer<()>> {
        let call = format!(" {ino} {fh} {start}..{end} {typ} {pid} sleep {sleep} flock {flock}");
        let wanted = state::Lock { ino: ino.0, owner: lock_owner, start, end, typ, pid };
        let mut state = self.state();
        if typ != libc::F_UNLCK && state.obstacle(&wanted).is_some() {
            if sleep {
                self.record(req, "setlk", &call, Ok("later".to_owned()));
                state.waiting.push((wanted, waiter()));
                return None;
            }
            self.record(req, "setlk", &call, Err(Errno::EAGAIN));
            return Some(Err(Errno::EAGAIN));
        }
        state.lock(wanted);
        let unblocked = state.unblocked();
        drop(state);
        self.record(req, "setlk", &call, Ok("ok".to_owned()));
        unblocked.into_iter().for_each(|waiter| (waiter.tell)(Ok(())));
        Some(Ok(()))
    }

    /// Whoever waits with this request waits no more.
    fn gives_up(&self, request: RequestId) -> Option<Waiter> {
        let mut state = self.state();
        let at = state.waiting.iter().position(|(_, waiter)| waiter.request == request)?;
        Some(state.waiting.remove(at).1)
    }

    fn poll(
        &self,
        req: &Request,
        (ino, fh, kh): (INodeNo, FileHandle, PollHandle),
        events: PollEvents,
        flags: PollFlags,
        ring: impl FnOnce() -> Ring,
    ) -> PollEvents {
        let mut state = self.state();
        let size = state.get(ino).map_or(0, |node| node.attr.size);
        let ready = if size > 0 { PollEvents::POLLIN & events } else { PollEvents::empty() };
        if flags.contains(PollFlags::FUSE_POLL_SCHEDULE_NOTIFY) && ready.is_empty() {
            state.polls.push((ino, ring()));
        }
        let call = format!(" {ino} {fh} {kh:?} {events:?} {flags:?}");
        self.record(req, "poll", &call, Ok(format!("{ready:?}")));
        ready
    }

    /// Tells all who poll this file.
    fn rings(&self, ino: INodeNo) {
        let mut state = self.state();
        let (rung, others) = state.polls.drain(..).partition(|(of, _)| *of == ino);
        state.polls = others;
        drop(state);
        let rung: Vec<(INodeNo, Ring)> = rung;
        for (_, ring) in rung {
            let rang = ring().map_err(|error| error.raw_os_error());
            self.trace.push(format!("notify {ino} -> {rang:?}"));
        }
    }

    /// The entries from `offset` on that `add` has room for: it says when it has none.
    fn list(
        &self,
        (req, method): (&Request, &'static str),
        (ino, fh, offset): (INodeNo, FileHandle, u64),
        mut add: impl FnMut(u64, &OsStr, &FileAttr) -> bool,
    ) -> Answer<()> {
        let call = format!(" {ino} {fh} {offset}");
        let entries = match self.state().listing(ino) {
            Ok(entries) => entries,
            Err(errno) => {
                self.record(req, method, &call, Err(errno));
                return Err(errno);
            }
        };
        let mut sent = Vec::new();
        for (cookie, name, attr) in entries.into_iter().filter(|(cookie, ..)| *cookie > offset) {
            if add(cookie, &name, &attr) {
                sent.push("full".to_owned());
                break;
            }
            if method == "readdirplus" && name != "." && name != ".." {
                self.trace.remember();
            }
            sent.push(format!("{cookie}:{name:?}={}", brief(&attr)));
        }
        self.record(req, method, &call, Ok(sent.join(" ")));
        Ok(())
    }

    fn nameless(&self, mode: u32, owner: (u32, u32)) -> Answer<FileAttr> {
        let (perm, content) = ((mode & 0o7777) as u16, Content::File(Vec::new()));
        let mut state = self.state();
        let made = state.node(FileType::RegularFile, perm, 0, owner, content);
        let attr = &mut state.get(made.ino)?.attr;
        attr.nlink = 0;
        Ok(*attr)
    }

    fn opened(&self) -> Answer<FileHandle> {
        Ok(self.state().handle())
    }
}

/// The synchronous face.
pub(crate) struct Sync(pub(crate) Arc<World>);

impl Sync {
    fn answer(&self, answer: impl FnOnce() + Send + 'static) {
        if self.0.options.later {
            thread::spawn(answer);
        } else {
            answer();
        }
    }
}

/// The asynchronous face.
pub(crate) struct Async(pub(crate) Arc<World>);

impl Async {
    async fn wait(&self) {
        if self.0.options.later {
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
    }
}

/// The asynchronous face as the attribute writes it.
pub(crate) struct Macro(pub(crate) Arc<World>);

impl Macro {
    async fn wait(&self) {
        if self.0.options.later {
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
    }
}

/// What an argument looks like where two runs have the same.
trait Shown {
    fn shown(&self) -> String;
}

macro_rules! shown {
    ($($type:ty)* = |$value:ident| $shown:expr) => { $(
        impl Shown for $type {
            fn shown(&self) -> String {
                let $value = self;
                $shown
            }
        }
    )* };
}

shown!(INodeNo FileHandle u32 i32 u64 i64 bool &OsStr &Path OpenFlags RenameFlags AccessFlags
    IoctlFlags WriteFlags CopyFileRangeFlags StatxMask Option<FileHandle> Option<u32> Option<u64>
    Option<BsdFileFlags> = |value| format!("{value:?}"));
shown!(&[u8] = |data| digest(data));
shown!(LockOwner = |it| owner(Some(*it)).to_owned());
shown!(Option<LockOwner> = |it| owner(*it).to_owned());
shown!(Option<TimeOrNow> = |it| format!("{:?}", it.map(time_or_now)));
shown!(Option<SystemTime> = |it| format!("{:?}", it.map(time)));

/// A kind of answer.
pub(crate) trait Kind: Sized {
    type Value: Debug + Send + 'static;
    type Reply: Send + 'static;
    type Answer<'a>;

    fn shown(value: &Self::Value) -> String {
        format!("{value:?}")
    }

    /// On the synchronous face.
    fn reply(world: &World, reply: Self::Reply, answer: Answer<Self::Value>);

    /// On the asynchronous face.
    fn value<'a>(world: &World, value: Self::Value) -> Self::Answer<'a>;
}

macro_rules! kinds {
    ($($kind:ident($value:ty) $($shown:ident)?: $reply:ty, $answer:ty =
        |$world:ident, $it:ident| $sync:ident($($arg:expr),*), $async:expr;)*) => { $(
        pub(crate) struct $kind;

        impl Kind for $kind {
            type Value = $value;
            type Reply = $reply;
            type Answer<'a> = $answer;

            $(fn shown(value: &Self::Value) -> String {
                $shown(value)
            })?

            fn reply($world: &World, reply: $reply, answer: Answer<$value>) {
                let _ = $world;
                match answer {
                    Ok($it) => reply.$sync($($arg),*),
                    Err(errno) => reply.error(errno),
                }
            }

            fn value<'a>($world: &World, $it: $value) -> Self::Answer<'a> {
                let _ = $world;
                $async
            }
        }
    )* };
}

kinds! {
    Entry(FileAttr) brief: ReplyEntry, values::Entry = |world, attr|
        entry(&world.options.ttl, &attr, GENERATION),
        values::Entry::new(attr, world.options.ttl).with_generation(GENERATION);
    Attr(FileAttr) brief: ReplyAttr, values::Attr = |world, attr|
        attr(&world.options.ttl, &attr), values::Attr::new(attr, world.options.ttl);
    Statx(StatxAttr): ReplyStatx, values::Statx = |world, statx|
        statx(&world.options.ttl, &statx), values::Statx::new(statx, world.options.ttl);
    Empty(()): ReplyEmpty, () = |world, _done| ok(), ();
    Data(Vec<u8>) digest_of: ReplyData, values::Data<'a> = |world, data|
        data(&data), values::Data::from(data);
    Opened(FileHandle): ReplyOpen, values::Opened = |world, fh|
        opened(fh, FopenFlags::empty()), values::Opened::new(fh);
    Created((FileAttr, FileHandle)) brief_of_created: ReplyCreate, values::Created = |world, it|
        created(&world.options.ttl, &it.0, GENERATION, it.1, FopenFlags::empty()),
        values::Created::new(it.0, world.options.ttl, values::Opened::new(it.1))
            .with_generation(GENERATION);
    Written(u32): ReplyWrite, values::Written = |world, size|
        written(size), values::Written(size.into());
    Statfs(()): ReplyStatfs, values::Statfs = |world, _it|
        statfs(1_000_001, 500_002, 400_003, 70_004, 60_005, 8192, 200, 4096),
        values::Statfs { blocks: 1_000_001, bfree: 500_002, bavail: 400_003, files: 70_004,
            ffree: 60_005, bsize: 8192, namelen: 200, frsize: 4096 };
    Xattr(Vec<u8>) digest_of: ReplyXattr, values::Xattr<'a> = |world, value|
        data(&value), values::Xattr::new(value);
    Lock(Option<(u64, u64, i32, u32)>): ReplyLock, values::Lock = |world, found|
        locked(lock(found).start, lock(found).end, lock(found).typ, lock(found).pid), lock(found);
    Block(u64): ReplyBmap, values::Block = |world, block| bmap(block), values::Block(block);
    Ioctl((i32, Vec<u8>)): ReplyIoctl, values::Ioctl<'a> = |world, it|
        ioctl(it.0, &it.1), values::Ioctl::new(it.0).with_data(it.1);
    Offset(i64): ReplyLseek, values::Offset = |world, to| offset(to), values::Offset(to);
}

#[allow(clippy::ptr_arg, reason = "a kind's value as it is")]
fn digest_of(data: &Vec<u8>) -> String {
    digest(data)
}

fn brief_of_created((attr, fh): &(FileAttr, FileHandle)) -> String {
    format!("fh {fh} {}", brief(attr))
}

fn lock(found: Option<(u64, u64, i32, u32)>) -> values::Lock {
    let (start, end, typ, pid) = found.unwrap_or((0, 0, libc::F_UNLCK, 0));
    values::Lock { start, end, typ, pid }
}

macro_rules! operations {
    (
        synchronous { $($sync:tt)* }
        asynchronous { $($async:tt)* }
        $($op:ident $method:ident $(via $via:ident)? ($($arg:ident: $type:ty),*) -> $kind:ident =
            |$world:ident, $req:ident| $answer:expr;)*
    ) => {
        $(
            #[allow(
                clippy::too_many_arguments,
                clippy::redundant_closure_call,
                unused_variables,
                reason = "each row uses what it needs, and may return early"
            )]
            fn $method(
                $world: &World,
                $req: &Request,
                $($arg: $type),*
            ) -> Answer<<$kind as Kind>::Value> {
                let call = [$($arg.shown()),*].map(|arg| format!(" {arg}")).concat();
                let answer = (|| -> Answer<<$kind as Kind>::Value> { $answer })();
                let shown = answer.as_ref().map(<$kind as Kind>::shown).map_err(|errno| *errno);
                $world.record($req, stringify!($method), &call, shown);
                answer
            }
        )*

        #[allow(clippy::too_many_arguments, reason = "fuser's signatures")]
        impl Filesystem for Sync {
            $($sync)*
            $(operations! { @sync $method $(via $via)? ($($arg: $type),*) $kind })*
        }

        impl AsyncFilesystem for Async {
            $($async)*
            $(
                async fn $method(
                    &self,
                    op: op::$op<'_>,
                ) -> values::Result<<$kind as Kind>::Answer<'_>> {
                    self.wait().await;
                    let value = $method(&self.0, op.req, $(op.$arg),*)?;
                    Ok(<$kind as Kind>::value(&self.0, value))
                }
            )*
        }

        #[fuse_filesystem]
        #[allow(clippy::too_many_arguments, reason = "one takes what fuser's methods take")]
        impl Macro {
            $($async)*
            $(
                async fn $method(
                    &self,
                    req: &Request,
                    $($arg: $type),*
                ) -> values::Result<<$kind as Kind>::Answer<'_>> {
                    self.wait().await;
                    let value = $method(&self.0, req, $($arg),*)?;
                    Ok(<$kind as Kind>::value(&self.0, value))
                }
            )*
        }
    };
    (@sync $name:ident via $method:ident ($($arg:ident: $type:ty),*) $kind:ident) => {
        fn $method(&self, req: &Request, $($arg: $type,)* reply: <$kind as Kind>::Reply) {
            let (world, answer) = (self.0.clone(), $name(&self.0, req, $($arg),*));
            self.answer(move || <$kind as Kind>::reply(&world, reply, answer));
        }
    };
    (@sync $method:ident $args:tt $kind:ident) => {
        operations! { @sync $method via $method $args $kind }
    };
}

operations! {
    synchronous {
        fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
            self.0.init(config)
        }

        fn destroy(&mut self) {
            self.0.destroy();
        }

        fn interrupt(&self, _: &Request, unique: RequestId) {
            if let Some(waiter) = self.0.gives_up(unique) {
                (waiter.tell)(Err(Errno::EINTR));
            }
        }

        fn forget(&self, _: &Request, _: INodeNo, nlookup: u64) {
            self.0.forget("forget", nlookup);
        }

        fn batch_forget(&self, _: &Request, nodes: &[ForgetOne]) {
            nodes.iter().for_each(|node| self.0.forget("batch_forget", node.nlookup()));
        }

        fn readdir(
            &self,
            req: &Request,
            ino: INodeNo,
            fh: FileHandle,
            offset: u64,
            mut reply: ReplyDirectory,
        ) {
            let listed = self.0.list((req, "readdir"), (ino, fh, offset), |cookie, name, attr| {
                reply.add(attr.ino, cookie, attr.kind, name)
            });
            self.answer(move || match listed {
                Ok(()) => reply.ok(),
                Err(errno) => reply.error(errno),
            });
        }

        fn readdirplus(
            &self,
            req: &Request,
            ino: INodeNo,
            fh: FileHandle,
            offset: u64,
            mut reply: ReplyDirectoryPlus,
        ) {
            let ttl = self.0.options.ttl;
            let at = (ino, fh, offset);
            let listed = self.0.list((req, "readdirplus"), at, |cookie, name, attr| {
                reply.add(attr.ino, cookie, name, &ttl, attr, GENERATION)
            });
            self.answer(move || match listed {
                Ok(()) => reply.ok(),
                Err(errno) => reply.error(errno),
            });
        }

        fn setlk_flock(
            &self,
            req: &Request,
            ino: INodeNo,
            fh: FileHandle,
            lock_owner: LockOwner,
            start: u64,
            end: u64,
            typ: i32,
            pid: u32,
            sleep: bool,
            flock: bool,
            reply: ReplyEmpty,
        ) {
            let mut reply = Some(reply);
            let world = self.0.clone();
            let mut tell = || -> Tell {
                let (world, reply) = (world.clone(), reply.take().expect("one reply"));
                Box::new(move |answer| <Empty as Kind>::reply(&world, reply, answer))
            };
            let waiter = || Waiter { request: req.unique(), tell: tell() };
            let (range, how) = ((start, end), (sleep, flock));
            let taken = self.0.setlk(req, ino, fh, lock_owner, range, typ, pid, how, waiter);
            if let Some(answer) = taken {
                let tell = tell();
                self.answer(move || tell(answer));
            }
        }

        fn poll(
            &self,
            req: &Request,
            ino: INodeNo,
            fh: FileHandle,
            ph: PollNotifier,
            events: PollEvents,
            flags: PollFlags,
            reply: ReplyPoll,
        ) {
            let at = (ino, fh, ph.handle());
            let ready = self.0.poll(req, at, events, flags, || Box::new(move || ph.notify()));
            self.answer(move || reply.poll(ready));
        }
    }

    asynchronous {
        async fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
            self.0.init(config)
        }

        async fn destroy(&mut self) {
            self.wait().await;
            self.0.destroy();
        }

        async fn forget(&self, op: op::Forget<'_>) {
            self.wait().await;
            self.0.forget("forget", op.nlookup);
        }

        async fn batch_forget(&self, op: op::BatchForget<'_>) {
            self.wait().await;
            op.nodes.iter().for_each(|node| self.0.forget("batch_forget", node.nlookup()));
        }

        async fn readdir(&self, op: op::Readdir<'_>) -> values::Result<values::Listing> {
            self.wait().await;
            let mut listing = values::Listing::new(&op);
            let at = (op.ino, op.fh, op.offset);
            self.0.list((op.req, "readdir"), at, |cookie, name, attr| {
                listing.add(attr.ino, cookie, attr.kind, name)
            })?;
            Ok(listing)
        }

        async fn readdirplus(
            &self,
            op: op::Readdirplus<'_>,
        ) -> values::Result<values::ListingPlus> {
            self.wait().await;
            let mut listing = values::ListingPlus::new(&op);
            let at = (op.ino, op.fh, op.offset);
            self.0.list((op.req, "readdirplus"), at, |cookie, name, attr| {
                listing.add(cookie, name, &<Entry as Kind>::value(&self.0, *attr))
            })?;
            Ok(listing)
        }

        async fn setlk(&self, op: op::Setlk<'_>) -> values::Result<()> {
            self.wait().await;
            let (taken, waits) = oneshot::channel();
            let waiter = || Waiter {
                request: op.req.unique(),
                tell: Box::new(move |answer| {
                    // Whoever waited may have been dropped.
                    let _ = taken.send(answer);
                }),
            };
            let (range, how) = ((op.start, op.end), (op.sleep, op.flock));
            let now = self.0.setlk(
                op.req, op.ino, op.fh, op.lock_owner, range, op.typ, op.pid, how, waiter,
            );
            if let Some(answer) = now {
                return answer;
            }
            /// Whoever is dropped here waits no more.
            struct Waits<'a>(&'a World, RequestId);
            impl Drop for Waits<'_> {
                fn drop(&mut self) {
                    self.0.gives_up(self.1);
                }
            }
            let _waits = Waits(&self.0, op.req.unique());
            waits.await.unwrap_or(Err(Errno::EIO))
        }

        async fn poll(&self, op: op::Poll<'_>) -> values::Result<values::Poll> {
            self.wait().await;
            let (notifier, kh) = (AsyncNotifier::current(), op.kh);
            let ring = || -> Ring { Box::new(move || notifier.poll(kh)) };
            let at = (op.ino, op.fh, op.kh);
            Ok(values::Poll(self.0.poll(op.req, at, op.events, op.flags, ring)))
        }
    }

    Lookup lookup(parent: INodeNo, name: &OsStr) -> Entry = |world, req| {
        world.remembered(world.state().find(parent, name))
    };
    Getattr getattr(ino: INodeNo, fh: Option<FileHandle>) -> Attr = |world, req| {
        world.state().get(ino).map(|node| node.attr)
    };
    Setattr setattr via setattr_killpriv(ino: INodeNo, mode: Option<u32>, uid: Option<u32>,
        gid: Option<u32>, size: Option<u64>, atime: Option<TimeOrNow>, mtime: Option<TimeOrNow>,
        ctime: Option<SystemTime>, fh: Option<FileHandle>, crtime: Option<SystemTime>,
        chgtime: Option<SystemTime>, bkuptime: Option<SystemTime>, flags: Option<BsdFileFlags>,
        kill_suid_gid: bool) -> Attr = |world, req| {
        world.state().setattr(ino, mode, uid, gid, size, atime, mtime, ctime)
    };
    Statx statx(ino: INodeNo, fh: Option<FileHandle>, flags: u32, mask: StatxMask) -> Statx =
        |world, req| {
            let attr = world.state().get(ino)?.attr;
            Ok(StatxAttr { btime: Some(attr.crtime), ..attr.into() })
        };
    Readlink readlink(ino: INodeNo) -> Data = |world, req| {
        Ok(world.state().readlink(ino)?.into_os_string().into_vec())
    };
    Mknod mknod(parent: INodeNo, name: &OsStr, mode: u32, umask: u32, rdev: u32) -> Entry =
        |world, req| world.remembered(world.state().mknod(parent, name, mode, rdev, who(req)));
    Mkdir mkdir(parent: INodeNo, name: &OsStr, mode: u32, umask: u32) -> Entry = |world, req| {
        world.remembered(world.state().mkdir(parent, name, mode, who(req)))
    };
    Unlink unlink(parent: INodeNo, name: &OsStr) -> Empty = |world, req| {
        world.state().remove(parent, name, false)
    };
    Rmdir rmdir(parent: INodeNo, name: &OsStr) -> Empty = |world, req| {
        world.state().remove(parent, name, true)
    };
    Symlink symlink(parent: INodeNo, link_name: &OsStr, target: &Path) -> Entry = |world, req| {
        world.remembered(world.state().symlink(parent, link_name, target, who(req)))
    };
    Rename rename(parent: INodeNo, name: &OsStr, newparent: INodeNo, newname: &OsStr,
        flags: RenameFlags) -> Empty = |world, req| {
        world.state().rename((parent, name), (newparent, newname), flags)
    };
    Link link(ino: INodeNo, newparent: INodeNo, newname: &OsStr) -> Entry = |world, req| {
        world.remembered(world.state().link(ino, newparent, newname))
    };
    Open open via open_killpriv(ino: INodeNo, flags: OpenFlags, kill_suid_gid: bool) -> Opened =
        |world, req| world.opened();
    Read read(ino: INodeNo, fh: FileHandle, offset: u64, size: u32, flags: OpenFlags,
        lock_owner: Option<LockOwner>) -> Data = |world, req| {
        world.state().slice(ino, offset, size.into())
    };
    Write write(ino: INodeNo, fh: FileHandle, offset: u64, data: &[u8], write_flags: WriteFlags,
        flags: OpenFlags, lock_owner: Option<LockOwner>) -> Written = |world, req| {
        let written = world.state().write(ino, offset, data);
        world.rings(ino);
        written
    };
    Flush flush(ino: INodeNo, fh: FileHandle, lock_owner: LockOwner) -> Empty = |world, req| {
        world.unlock(ino, lock_owner)
    };
    Release release(ino: INodeNo, fh: FileHandle, flags: OpenFlags, lock_owner: Option<LockOwner>,
        flush: bool) -> Empty = |world, req| {
        lock_owner.map_or(Ok(()), |owner| world.unlock(ino, owner))
    };
    Fsync fsync(ino: INodeNo, fh: FileHandle, datasync: bool) -> Empty = |world, req| Ok(());
    Opendir opendir(ino: INodeNo, flags: OpenFlags) -> Opened = |world, req| world.opened();
    Releasedir releasedir(ino: INodeNo, fh: FileHandle, flags: OpenFlags) -> Empty =
        |world, req| Ok(());
    Fsyncdir fsyncdir(ino: INodeNo, fh: FileHandle, datasync: bool) -> Empty = |world, req| Ok(());
    Statfs statfs(ino: INodeNo) -> Statfs = |world, req| Ok(());
    Setxattr setxattr(ino: INodeNo, name: &OsStr, value: &[u8], flags: i32, position: u32)
        -> Empty = |world, req| world.state().setxattr(ino, name, value, flags);
    Getxattr getxattr(ino: INodeNo, name: &OsStr, size: u32) -> Xattr = |world, req| {
        world.state().getxattr(ino, name)
    };
    Listxattr listxattr(ino: INodeNo, size: u32) -> Xattr = |world, req| {
        world.state().listxattr(ino)
    };
    Removexattr removexattr(ino: INodeNo, name: &OsStr) -> Empty = |world, req| {
        world.state().removexattr(ino, name)
    };
    Access access(ino: INodeNo, mask: AccessFlags) -> Empty = |world, req| {
        world.state().access(ino, mask)
    };
    Create create via create_killpriv(parent: INodeNo, name: &OsStr, mode: u32, umask: u32,
        flags: i32, kill_suid_gid: bool) -> Created = |world, req| {
        let made = world.state().create(parent, name, mode, flags, who(req));
        Ok((world.remembered(made)?, world.opened()?))
    };
    Tmpfile tmpfile(parent: INodeNo, mode: u32, umask: u32, flags: i32) -> Created =
        |world, req| {
            Ok((world.remembered(world.nameless(mode, who(req)))?, world.opened()?))
        };
    Getlk getlk(ino: INodeNo, fh: FileHandle, lock_owner: LockOwner, start: u64, end: u64,
        typ: i32, pid: u32) -> Lock = |world, req| {
        let wanted = state::Lock { ino: ino.0, owner: lock_owner, start, end, typ, pid };
        let found = world.state().obstacle(&wanted);
        Ok(found.map(|lock| (lock.start, lock.end, lock.typ, lock.pid)))
    };
    Bmap bmap(ino: INodeNo, blocksize: u32, idx: u64) -> Block = |world, req| Ok(idx + 10);
    Ioctl ioctl(ino: INodeNo, fh: FileHandle, flags: IoctlFlags, cmd: u32, in_data: &[u8],
        out_size: u32) -> Ioctl = |world, req| state::ioctl(cmd, in_data, out_size);
    Fallocate fallocate(ino: INodeNo, fh: FileHandle, offset: u64, length: u64, mode: i32)
        -> Empty = |world, req| world.state().fallocate(ino, offset, length, mode);
    Lseek lseek(ino: INodeNo, fh: FileHandle, offset: i64, whence: i32) -> Offset =
        |world, req| world.state().lseek(ino, offset, whence);
    CopyFileRange copy_file_range(ino_in: INodeNo, fh_in: FileHandle, offset_in: u64,
        ino_out: INodeNo, fh_out: FileHandle, offset_out: u64, len: u64,
        flags: CopyFileRangeFlags) -> Written = |world, req| {
        world.state().copy((ino_in, offset_in), (ino_out, offset_out), len)
    };
    Syncfs syncfs(ino: INodeNo) -> Empty = |world, req| Ok(());
}

impl World {
    /// Counts a lookup that the kernel is about to count.
    fn remembered(&self, made: Answer<FileAttr>) -> Answer<FileAttr> {
        made.inspect(|_| self.trace.remember())
    }
}

fn who(req: &Request) -> (u32, u32) {
    (req.uid(), req.gid())
}
