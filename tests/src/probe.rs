//! A filesystem that misbehaves on request, and counts.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_fuser::{
    BackingId, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, InitFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr,
    ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite,
    ReplyXattr, Request, TimeOrNow, WriteFlags,
};

use tokio::sync::Notify;

use crate::limit::wait;

/// A filesystem of a few files, each with a fault of its own, told by its name:
///
/// | name | |
/// |------|---|
/// | `plain` | none: it can be read, written and cut, and has extended attributes |
/// | `direct` | as `plain`, opened for direct I/O |
/// | `slow` | `read` and `write` take as long as [`ProbeOptions::slow`] says |
/// | `slow-open` | `open` does |
/// | `held` | `open` waits for [`Watch::let_go`] |
/// | `stuck` | `read` waits for [`Watch::let_go`] |
/// | `later` | `read` is answered by another thread |
/// | `panics` | `read` panics |
/// | `panics-later` | the thread that should answer `read` panics |
/// | `dropped` | `read` is never answered |
/// | `too-much` | `read` answers with a byte more than was asked for |
/// | `backed` | the kernel reads and writes [`ProbeOptions::backing`] by itself |
/// | `fifo` | a FIFO that nobody may open |
/// | `many` | a directory of [`ProbeOptions::entries`] files, which can be removed |
///
/// [`AsyncProbe`](crate::AsyncProbe) is the same with asynchronous methods.
#[derive(Debug)]
pub struct Probe {
    pub(crate) options: ProbeOptions,
    pub(crate) watch: Watch,
    /// What `backed` is backed by while it is open, and how often it is open.
    backing: Mutex<(Option<Arc<BackingId>>, usize)>,
}

/// What a [`Probe`] is like.
#[derive(Clone, Debug)]
pub struct ProbeOptions {
    /// How long the slow files take.
    pub slow: Duration,
    /// How many files there are in `many`.
    pub entries: u64,
    /// What `init` does.
    pub init: Init,
    /// What `init` asks for.
    pub capabilities: InitFlags,
    /// What `init` sets.
    pub max_write: Option<u32>,
    /// How long the kernel may keep names and attributes.
    pub ttl: Duration,
    /// The file `backed` passes through to.
    pub backing: Option<PathBuf>,
}

/// What a [`Probe`]'s `init` does.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Init {
    /// It succeeds.
    #[default]
    Succeeds,
    /// It returns this error.
    Fails(i32),
    /// It panics.
    Panics,
}

impl Default for ProbeOptions {
    fn default() -> Self {
        Self {
            slow: Duration::from_millis(300),
            entries: 3,
            init: Init::default(),
            capabilities: InitFlags::empty(),
            max_write: None,
            ttl: Duration::ZERO,
            backing: None,
        }
    }
}

impl Probe {
    /// The filesystem, and what tells about it.
    pub fn new(options: ProbeOptions) -> (Self, Watch) {
        let watch = Watch::default();
        let many = (0..options.entries).map(|i| (i + 1, format!("entry-{i:05}"))).collect();
        let mut state = watch.state();
        state.many = many;
        for file in FILES.iter().filter(|file| file.kind == FileType::RegularFile) {
            state.contents.insert(file.ino, CONTENTS.to_vec());
        }
        drop(state);
        (Self { options, watch: watch.clone(), backing: Mutex::default() }, watch)
    }

    /// A configuration to mount it with: everything else as by default.
    pub fn config() -> Config {
        Config::default()
    }

    /// Notes the call; what is returned notes its end.
    pub(crate) fn enter(&self, method: &'static str, req: &Request) -> Running {
        let mut state = self.watch.state();
        *state.calls.entry(method).or_default() += 1;
        state.callers.push((method, req.uid()));
        state.running += 1;
        Running(self.watch.clone())
    }

    pub(crate) fn attr(&self, ino: u64) -> Option<FileAttr> {
        let state = self.watch.state();
        let (kind, perm, size) = match ino {
            1 => (FileType::Directory, 0o755, 0),
            MANY => (FileType::Directory, 0o755, 0),
            BACKED => {
                let backing = self.options.backing.as_ref()?;
                let size = backing.metadata().map_or(0, |meta| meta.len());
                (FileType::RegularFile, 0o644, size)
            }
            _ if ino > MANY => {
                state.many.get(&(ino - MANY))?;
                (FileType::RegularFile, 0o644, 0)
            }
            _ => {
                let file = FILES.iter().find(|file| file.ino == ino)?;
                let size = state.contents.get(&ino).map_or(0, Vec::len) as u64;
                (file.kind, if file.kind == FileType::NamedPipe { 0 } else { 0o644 }, size)
            }
        };
        Some(attr(ino, kind, perm, size))
    }

    pub(crate) fn configure(&self, config: &mut KernelConfig) -> io::Result<()> {
        match self.options.init {
            Init::Succeeds => {}
            Init::Fails(errno) => return Err(io::Error::from_raw_os_error(errno)),
            Init::Panics => panic!("init panics, as it was told to"),
        }
        let refused = |what: &str| io::Error::other(format!("the kernel does not take {what}"));
        if let Some(max_write) = self.options.max_write {
            config.set_max_write(max_write).map_err(|_| refused("max_write"))?;
        }
        let mut capabilities = self.options.capabilities;
        if self.options.backing.is_some() {
            capabilities |= InitFlags::FUSE_PASSTHROUGH;
            config.set_max_stack_depth(1).map_err(|_| refused("a stack depth"))?;
        }
        config.add_capabilities(capabilities).map_err(|flags| refused(&format!("{flags:?}")))
    }

    pub(crate) fn destroyed(&self) {
        let mut state = self.watch.state();
        *state.calls.entry("destroy").or_default() += 1;
        state.running_at_destroy += state.running;
    }

    pub(crate) fn find(&self, parent: u64, name: &OsStr) -> Option<FileAttr> {
        let ino = match parent {
            1 => FILES.iter().find(|file| name == file.name).map(|file| file.ino),
            MANY => {
                let state = self.watch.state();
                let number = name.to_str().and_then(|name| name.strip_prefix("entry-"));
                let number = number.and_then(|number| number.parse::<u64>().ok());
                number
                    .map(|number| number + 1)
                    .filter(|number| state.many.get(number).is_some_and(|entry| name == &**entry))
                    .map(|number| MANY + number)
            }
            _ => None,
        };
        self.attr(ino?)
    }

    pub(crate) fn cut(&self, ino: u64, size: Option<u64>) -> Result<FileAttr, Errno> {
        if let Some(size) = size {
            if size > LARGEST {
                return Err(Errno::EFBIG);
            }
            if let Some(contents) = self.watch.state().contents.get_mut(&ino) {
                contents.resize(size as usize, 0);
            }
        }
        self.attr(ino).ok_or(Errno::ENOENT)
    }

    pub(crate) fn remove(&self, parent: u64, name: &OsStr) -> Result<(), Errno> {
        let mut state = self.watch.state();
        let number =
            state.many.iter().find(|(_, entry)| name == &***entry).map(|(number, _)| *number);
        match number {
            Some(number) if parent == MANY => {
                state.many.remove(&number);
                Ok(())
            }
            _ => Err(Errno::ENOENT),
        }
    }

    /// Opens a file that passes through to its backing, which `register` makes known.
    pub(crate) fn open_backed(
        &self,
        register: impl FnOnce(File) -> io::Result<BackingId>,
    ) -> Result<(FileHandle, Arc<BackingId>), Errno> {
        let mut backing = self.backing.lock().unwrap_or_else(PoisonError::into_inner);
        let (id, count) = &mut *backing;
        let id = match id {
            Some(id) => id.clone(),
            None => {
                let path = self.options.backing.as_ref().ok_or(Errno::ENOENT)?;
                let file = File::options().read(true).write(true).open(path)?;
                id.insert(Arc::new(register(file)?)).clone()
            }
        };
        *count += 1;
        Ok((self.watch.opened(BACKED), id))
    }

    /// Opens any other file.
    pub(crate) fn opened(&self, ino: u64) -> (FileHandle, FopenFlags) {
        let flags = match ino {
            DIRECT | TOO_MUCH | SLOW | STUCK => FopenFlags::FOPEN_DIRECT_IO,
            _ => FopenFlags::empty(),
        };
        // A flush would make whoever starts a program wait for a file of another test that is held.
        (self.watch.opened(ino), flags | FopenFlags::FOPEN_NOFLUSH)
    }

    pub(crate) fn released(&self, ino: u64, fh: FileHandle) {
        self.watch.released(ino, fh);
        if ino == BACKED {
            let mut backing = self.backing.lock().unwrap_or_else(PoisonError::into_inner);
            backing.1 = backing.1.saturating_sub(1);
            if backing.1 == 0 {
                backing.0 = None;
            }
        }
    }

    pub(crate) fn read(&self, ino: u64, offset: u64, size: u32) -> Vec<u8> {
        let mut state = self.watch.state();
        state.reads.push(size);
        let Some(contents) = state.contents.get(&ino) else { return Vec::new() };
        let start = contents.len().min(offset as usize);
        let end = contents.len().min(start.saturating_add(size as usize));
        contents[start..end].to_vec()
    }

    pub(crate) fn write(&self, ino: u64, offset: u64, data: &[u8]) -> Result<u32, Errno> {
        let mut state = self.watch.state();
        state.writes.push(data.len());
        let contents = state.contents.get_mut(&ino).ok_or(Errno::ENOENT)?;
        if offset.saturating_add(data.len() as u64) > LARGEST {
            return Err(Errno::EFBIG);
        }
        let end = offset as usize + data.len();
        contents.resize(contents.len().max(end), 0);
        contents[offset as usize..end].copy_from_slice(data);
        Ok(data.len() as u32)
    }

    /// The entries of a directory from `offset` on, until `add` says that there is no more room.
    pub(crate) fn list(
        &self,
        ino: u64,
        offset: u64,
        mut add: impl FnMut(u64, u64, FileType, &str) -> bool,
    ) {
        if ino == MANY {
            let state = self.watch.state();
            for (number, name) in state.many.range(offset.saturating_add(1)..) {
                if add(MANY + number, *number, FileType::RegularFile, name) {
                    break;
                }
            }
            return;
        }
        let here = FILES.iter().filter(|file| self.attr(file.ino).is_some());
        for (at, file) in here.enumerate().skip(offset as usize) {
            if add(file.ino, at as u64 + 1, file.kind, file.name) {
                break;
            }
        }
    }

    pub(crate) fn setxattr(&self, ino: u64, name: &OsStr, value: &[u8]) {
        self.watch.state().xattrs.insert((ino, name.to_owned()), value.to_vec());
    }

    pub(crate) fn getxattr(&self, ino: u64, name: &OsStr) -> Result<Vec<u8>, Errno> {
        let state = self.watch.state();
        state.xattrs.get(&(ino, name.to_owned())).cloned().ok_or(Errno::NO_XATTR)
    }

    pub(crate) fn listxattr(&self, ino: u64) -> Vec<u8> {
        let mut names: Vec<_> = {
            let state = self.watch.state();
            let of_this = state.xattrs.keys().filter(|(of, _)| *of == ino);
            of_this.map(|(_, name)| name.as_encoded_bytes().to_vec()).collect()
        };
        names.sort();
        names.into_iter().flat_map(|name| [name, vec![0]].concat()).collect()
    }

    pub(crate) fn removexattr(&self, ino: u64, name: &OsStr) -> Result<(), Errno> {
        let removed = self.watch.state().xattrs.remove(&(ino, name.to_owned()));
        removed.map(drop).ok_or(Errno::NO_XATTR)
    }
}

/// Tells what a [`Probe`] has seen, while it is mounted and after.
#[derive(Clone, Debug, Default)]
pub struct Watch(Arc<(Mutex<State>, Condvar, Notify)>);

#[derive(Debug, Default)]
struct State {
    calls: BTreeMap<&'static str, usize>,
    callers: Vec<(&'static str, u32)>,
    running: usize,
    running_at_destroy: usize,
    open: BTreeMap<u64, u64>,
    next_handle: u64,
    unknown_releases: usize,
    /// Lookups that were answered, less those that were taken back.
    remembered: i64,
    writes: Vec<usize>,
    reads: Vec<u32>,
    let_go: bool,
    many: BTreeMap<u64, String>,
    contents: HashMap<u64, Vec<u8>>,
    xattrs: HashMap<(u64, OsString), Vec<u8>>,
}

impl Watch {
    /// How often this method was called.
    pub fn calls(&self, method: &str) -> usize {
        self.state().calls.get(method).copied().unwrap_or(0)
    }

    /// How often each method was called.
    pub fn all_calls(&self) -> BTreeMap<&'static str, usize> {
        self.state().calls.clone()
    }

    /// The users on whose behalf this method was called, in order.
    pub fn callers(&self, method: &str) -> Vec<u32> {
        let state = self.state();
        state.callers.iter().filter(|(of, _)| *of == method).map(|(_, uid)| *uid).collect()
    }

    /// How many methods are running.
    pub fn running(&self) -> usize {
        self.state().running
    }

    /// How many were when `destroy` was called.
    pub fn running_at_destroy(&self) -> usize {
        self.state().running_at_destroy
    }

    /// How many files and directories are open: answered, and not released.
    pub fn open_handles(&self) -> usize {
        self.state().open.len()
    }

    /// How many releases were of a handle that was not open, or was released before.
    pub fn unknown_releases(&self) -> usize {
        self.state().unknown_releases
    }

    /// How many lookups the kernel has not taken back. One whose caller was killed it never knew.
    pub fn remembered(&self) -> i64 {
        self.state().remembered
    }

    /// The lengths of all writes.
    pub fn writes(&self) -> Vec<usize> {
        self.state().writes.clone()
    }

    /// How much each read asked for.
    pub fn reads(&self) -> Vec<u32> {
        self.state().reads.clone()
    }

    /// Lets those go on that wait in `held` and `stuck`, and all that come later.
    pub fn let_go(&self) {
        self.state().let_go = true;
        self.0.1.notify_all();
        self.0.2.notify_waiters();
    }

    /// Waits until `method` was called `times` times. Panics after `limit`.
    #[track_caller]
    pub fn wait_for_calls(&self, method: &str, times: usize, limit: Duration) {
        let called = wait(limit, || self.calls(method) >= times);
        assert!(called, "{method} {times} times within {limit:?}: {:?}", self.all_calls());
    }

    /// Waits until everything that was opened is released: a release comes some time after its
    /// close, and not at all if the filesystem is unmounted first. Panics after ten seconds.
    #[track_caller]
    pub fn wait_until_all_is_released(&self) {
        let released = wait(Duration::from_secs(10), || self.open_handles() == 0);
        assert!(released, "{} are still open: {:?}", self.open_handles(), self.all_calls());
    }

    /// Waits until `destroy` was called. Panics after `limit`.
    #[track_caller]
    pub fn wait_for_destroy(&self, limit: Duration) {
        self.wait_for_calls("destroy", 1, limit);
    }

    /// Panics unless the filesystem had the life it should have: one `init`, one `destroy` after
    /// every other method, every open file released once.
    #[track_caller]
    pub fn assert_ended_well(&self) {
        assert_eq!(self.calls("init"), 1, "init: {:?}", self.all_calls());
        assert_eq!(self.calls("destroy"), 1, "destroy: {:?}", self.all_calls());
        assert_eq!(self.running_at_destroy(), 0, "methods ran when destroy was called");
        assert_eq!(self.unknown_releases(), 0, "releases of what was not open");
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn remember(&self) {
        self.state().remembered += 1;
    }

    pub(crate) fn forget(&self, nlookup: u64) {
        self.state().remembered -= nlookup as i64;
    }

    pub(crate) async fn until_let_go(&self) {
        let mut let_go = pin!(self.0.2.notified());
        // From here on none is missed.
        let_go.as_mut().enable();
        if !self.state().let_go {
            let_go.await;
        }
    }

    fn wait_until_let_go(&self) {
        let state = self.state();
        drop(self.0.1.wait_while(state, |state| !state.let_go));
    }

    pub(crate) fn opened(&self, ino: u64) -> FileHandle {
        let mut state = self.state();
        state.next_handle += 1;
        let handle = state.next_handle;
        state.open.insert(handle, ino);
        FileHandle(handle)
    }

    fn released(&self, ino: u64, fh: FileHandle) {
        let mut state = self.state();
        if state.open.remove(&fh.0) != Some(ino) {
            state.unknown_releases += 1;
        }
    }
}

/// A method that runs.
pub(crate) struct Running(Watch);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.state().running -= 1;
    }
}

impl Filesystem for Probe {
    fn init(&mut self, req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let _running = self.enter("init", req);
        self.configure(config)
    }

    fn destroy(&mut self) {
        self.destroyed();
    }

    fn lookup(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let _running = self.enter("lookup", req);
        match self.find(parent.0, name) {
            Some(attr) => {
                self.watch.remember();
                reply.entry(&self.options.ttl, &attr, Generation(0));
            }
            None => reply.error(Errno::ENOENT),
        }
    }

    fn forget(&self, req: &Request, _: INodeNo, nlookup: u64) {
        let _running = self.enter("forget", req);
        self.watch.forget(nlookup);
    }

    fn getattr(&self, req: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let _running = self.enter("getattr", req);
        match self.attr(ino.0) {
            Some(attr) => reply.attr(&self.options.ttl, &attr),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn setattr(
        &self,
        req: &Request,
        ino: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let _running = self.enter("setattr", req);
        match self.cut(ino.0, size) {
            Ok(attr) => reply.attr(&self.options.ttl, &attr),
            Err(errno) => reply.error(errno),
        }
    }

    fn unlink(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let _running = self.enter("unlink", req);
        empty(self.remove(parent.0, name), reply);
    }

    fn rename(
        &self,
        req: &Request,
        _: INodeNo,
        _: &OsStr,
        _: INodeNo,
        _: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let _running = self.enter("rename", req);
        reply.error(Errno::EPERM);
    }

    fn open(&self, req: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let _running = self.enter("open", req);
        match ino.0 {
            SLOW_OPEN => thread::sleep(self.options.slow),
            HELD => self.watch.wait_until_let_go(),
            BACKED => {
                return match self.open_backed(|file| reply.open_backing(file)) {
                    Ok((handle, id)) => reply.opened_passthrough(handle, FopenFlags::empty(), &id),
                    Err(errno) => reply.error(errno),
                };
            }
            _ => {}
        }
        let (handle, flags) = self.opened(ino.0);
        reply.opened(handle, flags);
    }

    fn read(
        &self,
        req: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let _running = self.enter("read", req);
        let data = self.read(ino.0, offset, size);
        match ino.0 {
            SLOW => thread::sleep(self.options.slow),
            STUCK => self.watch.wait_until_let_go(),
            LATER => {
                thread::spawn(move || {
                    thread::sleep(Duration::from_millis(20));
                    reply.data(&data);
                });
                return;
            }
            PANICS => panic!("read panics, as it was told to"),
            PANICS_LATER => {
                thread::spawn(move || {
                    let _reply = reply;
                    panic!("the thread that should answer panics, as it was told to");
                });
                return;
            }
            DROPPED => return drop(reply),
            TOO_MUCH => return reply.data(&vec![b'x'; size as usize + 1]),
            _ => {}
        }
        reply.data(&data);
    }

    fn write(
        &self,
        req: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let _running = self.enter("write", req);
        if ino.0 == SLOW {
            thread::sleep(self.options.slow);
        }
        match self.write(ino.0, offset, data) {
            Ok(written) => reply.written(written),
            Err(errno) => reply.error(errno),
        }
    }

    fn release(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        let _running = self.enter("release", req);
        self.released(ino.0, fh);
        reply.ok();
    }

    fn opendir(&self, req: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let _running = self.enter("opendir", req);
        reply.opened(self.watch.opened(ino.0), FopenFlags::empty());
    }

    fn readdir(
        &self,
        req: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let _running = self.enter("readdir", req);
        self.list(ino.0, offset, |ino, at, kind, name| reply.add(INodeNo(ino), at, kind, name));
        reply.ok();
    }

    fn releasedir(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        _: OpenFlags,
        reply: ReplyEmpty,
    ) {
        let _running = self.enter("releasedir", req);
        self.released(ino.0, fh);
        reply.ok();
    }

    fn statfs(&self, req: &Request, _: INodeNo, reply: ReplyStatfs) {
        let _running = self.enter("statfs", req);
        reply.statfs(1000, 500, 400, 100, 50, 4096, 255, 4096);
    }

    fn setxattr(
        &self,
        req: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        _: i32,
        _: u32,
        reply: ReplyEmpty,
    ) {
        let _running = self.enter("setxattr", req);
        self.setxattr(ino.0, name, value);
        reply.ok();
    }

    fn getxattr(&self, req: &Request, ino: INodeNo, name: &OsStr, _: u32, reply: ReplyXattr) {
        let _running = self.enter("getxattr", req);
        match self.getxattr(ino.0, name) {
            Ok(value) => reply.data(&value),
            Err(errno) => reply.error(errno),
        }
    }

    fn listxattr(&self, req: &Request, ino: INodeNo, _: u32, reply: ReplyXattr) {
        let _running = self.enter("listxattr", req);
        reply.data(&self.listxattr(ino.0));
    }

    fn removexattr(&self, req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let _running = self.enter("removexattr", req);
        empty(self.removexattr(ino.0, name), reply);
    }
}

fn empty(result: Result<(), Errno>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno),
    }
}

#[derive(Debug)]
struct Named {
    name: &'static str,
    ino: u64,
    kind: FileType,
}

const fn file(name: &'static str, ino: u64) -> Named {
    Named { name, ino, kind: FileType::RegularFile }
}

pub(crate) const PLAIN: u64 = 2;
pub(crate) const DIRECT: u64 = 3;
pub(crate) const SLOW: u64 = 4;
pub(crate) const SLOW_OPEN: u64 = 5;
pub(crate) const HELD: u64 = 6;
pub(crate) const STUCK: u64 = 7;
pub(crate) const LATER: u64 = 8;
pub(crate) const PANICS: u64 = 9;
pub(crate) const PANICS_LATER: u64 = 10;
pub(crate) const DROPPED: u64 = 11;
pub(crate) const TOO_MUCH: u64 = 12;
pub(crate) const BACKED: u64 = 13;
pub(crate) const FIFO: u64 = 14;
/// What is in it has the numbers from here on.
pub(crate) const MANY: u64 = 1000;

const FILES: &[Named] = &[
    file("plain", PLAIN),
    file("direct", DIRECT),
    file("slow", SLOW),
    file("slow-open", SLOW_OPEN),
    file("held", HELD),
    file("stuck", STUCK),
    file("later", LATER),
    file("panics", PANICS),
    file("panics-later", PANICS_LATER),
    file("dropped", DROPPED),
    file("too-much", TOO_MUCH),
    file("backed", BACKED),
    Named { name: "fifo", ino: FIFO, kind: FileType::NamedPipe },
    Named { name: "many", ino: MANY, kind: FileType::Directory },
];

/// No file grows beyond this.
const LARGEST: u64 = 64 << 20;

const CONTENTS: &[u8] = b"what a probe has in its files\n";

fn attr(ino: u64, kind: FileType, perm: u16, size: u64) -> FileAttr {
    FileAttr {
        ino: INodeNo(ino),
        size,
        blocks: size.div_ceil(512),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}
