//! Notes in the directories of their tags: state that changes, behind a lock.
//!
//! A directory is a tag, and a file is a note that is in the directory of each of its tags. To make
//! a directory makes a tag, to link a note into another directory tags it with that as well, to
//! remove it there takes the tag off, and a note without tags is gone.
//!
//! All methods are called with `&self`, many at the same time, so what changes is in one `Mutex`.
//! It is held for as long as a method looks something up, and never while one waits: these are
//! plain functions, which cannot wait. Open files are named by a [`Handle`], a type of this
//! program's own: a parameter `fh: Handle` is made from what the kernel sends, `open` returns one,
//! and nothing else can be mistaken for it.

use std::collections::{BTreeMap, HashMap};
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_fuser::convert::{FromField, IntoOpened};
use async_fuser::lib_async::{Opened, Result};
use async_fuser::{
    Caller, DirEntry, Errno, FileAttr, FileHandle, FileType, INodeNo, OpenFlags, RenameFlags,
    TimeOrNow, fuse_filesystem,
};
use clap::Parser;
use examples::cli::{AsyncArgs, Example};

const EXAMPLE: Example = Example {
    name: "tagfs",
    try_it: &[
        "mkdir {}/todo {}/garden",
        "echo 'plant trees' > {}/todo/trees",
        "ln {}/todo/trees {}/garden",
        "rm {}/todo/trees; cat {}/garden/trees",
    ],
};

/// Notes in the directories of their tags, kept in memory
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: AsyncArgs,
}

#[derive(Default)]
struct TagFs(Mutex<State>);

#[derive(Default)]
struct State {
    tags: BTreeMap<u64, Tag>,
    notes: BTreeMap<u64, Note>,
    open: HashMap<u64, Open>,
    /// The last number that was given to an inode or an open file.
    last: u64,
}

struct Tag {
    name: String,
    attr: FileAttr,
    notes: BTreeMap<String, u64>,
}

struct Note {
    text: Vec<u8>,
    /// `nlink` is how many tags it has.
    attr: FileAttr,
    opened: usize,
}

struct Open {
    note: u64,
    appends: bool,
}

/// An open file.
#[derive(Clone, Copy)]
struct Handle(u64);

impl FromField<FileHandle> for Handle {
    fn from_field(fh: FileHandle) -> Result<Self> {
        Ok(Self(fh.0))
    }
}

impl IntoOpened for Handle {
    fn into_opened(self) -> Result<Opened> {
        Ok(Opened::new(FileHandle(self.0)))
    }
}

#[fuse_filesystem]
impl TagFs {
    fn lookup(&self, parent: u64, name: &str) -> Result<FileAttr> {
        let state = self.state();
        if parent == ROOT {
            let tag = state.tags.values().find(|tag| tag.name == name);
            return tag.map(|tag| tag.attr).ok_or(Errno::ENOENT);
        }
        let note = state.tag(parent)?.notes.get(name).ok_or(Errno::ENOENT)?;
        Ok(state.note(*note)?.attr)
    }

    fn getattr(&self, ino: u64) -> Result<FileAttr> {
        self.state().attr(ino)
    }

    fn setattr(
        &self,
        ino: u64,
        size: Option<usize>,
        mode: Option<u32>,
        mtime: Option<TimeOrNow>,
    ) -> Result<FileAttr> {
        let mut state = self.state();
        if ino == ROOT {
            return Err(Errno::EPERM);
        }
        if let Some(size) = size {
            state.note_mut(ino)?.resize(size)?;
        }
        let attr = match state.tags.get_mut(&ino) {
            Some(tag) => &mut tag.attr,
            None => &mut state.note_mut(ino)?.attr,
        };
        if let Some(mode) = mode {
            attr.perm = (mode & 0o7777) as u16;
        }
        if let Some(mtime) = mtime {
            attr.mtime = SystemTime::from_field(mtime)?;
        }
        Ok(*attr)
    }

    fn mkdir(&self, parent: u64, name: String, mode: u32, caller: Caller) -> Result<FileAttr> {
        let mut state = self.state();
        if parent != ROOT {
            // A tag has no tags.
            return Err(Errno::EPERM);
        }
        if state.tags.values().any(|tag| tag.name == name) {
            return Err(Errno::EEXIST);
        }
        let attr = state.new_attr(FileType::Directory, mode, caller);
        state.tags.insert(attr.ino.0, Tag { name, attr, notes: BTreeMap::new() });
        Ok(attr)
    }

    fn rmdir(&self, parent: u64, name: &str) -> Result<()> {
        let mut state = self.state();
        let found = state.tags.iter().find(|(_, tag)| parent == ROOT && tag.name == name);
        let (ino, tag) = found.ok_or(Errno::ENOENT)?;
        if !tag.notes.is_empty() {
            return Err(Errno::ENOTEMPTY);
        }
        let ino = *ino;
        state.tags.remove(&ino);
        Ok(())
    }

    fn create(
        &self,
        parent: u64,
        name: String,
        mode: u32,
        flags: OpenFlags,
        caller: Caller,
    ) -> Result<(FileAttr, Handle)> {
        let mut state = self.state();
        if state.tag(parent)?.notes.contains_key(&name) {
            return Err(Errno::EEXIST);
        }
        let attr = state.new_attr(FileType::RegularFile, mode, caller);
        state.notes.insert(attr.ino.0, Note { text: Vec::new(), attr, opened: 0 });
        state.tag_mut(parent)?.notes.insert(name, attr.ino.0);
        Ok((attr, state.open(attr.ino.0, flags)?))
    }

    fn link(&self, ino: u64, newparent: u64, newname: String) -> Result<FileAttr> {
        let mut state = self.state();
        state.note(ino)?;
        let notes = &mut state.tag_mut(newparent)?.notes;
        if notes.contains_key(&newname) {
            return Err(Errno::EEXIST);
        }
        notes.insert(newname, ino);
        let note = state.note_mut(ino)?;
        note.attr.nlink += 1;
        Ok(note.attr)
    }

    fn unlink(&self, parent: u64, name: &str) -> Result<()> {
        let mut state = self.state();
        let ino = state.tag_mut(parent)?.notes.remove(name).ok_or(Errno::ENOENT)?;
        state.note_mut(ino)?.attr.nlink -= 1;
        state.forget_if_gone(ino);
        Ok(())
    }

    /// Renames a tag or a note, or gives a note one tag instead of another.
    fn rename(
        &self,
        parent: u64,
        name: &str,
        newparent: u64,
        newname: String,
        flags: RenameFlags,
    ) -> Result<()> {
        let mut state = self.state();
        if !flags.is_empty() {
            return Err(Errno::EINVAL);
        }
        if parent == ROOT && newparent == ROOT {
            if state.tags.values().any(|tag| tag.name == newname) {
                return Err(Errno::EEXIST);
            }
            let tag = state.tags.values_mut().find(|tag| tag.name == name);
            tag.ok_or(Errno::ENOENT)?.name = newname;
            return Ok(());
        }
        state.tag(newparent)?;
        let ino = state.tag_mut(parent)?.notes.remove(name).ok_or(Errno::ENOENT)?;
        if let Some(replaced) = state.tag_mut(newparent)?.notes.insert(newname, ino) {
            state.note_mut(replaced)?.attr.nlink -= 1;
            state.forget_if_gone(replaced);
        }
        Ok(())
    }

    fn open(&self, ino: u64, flags: OpenFlags) -> Result<Handle> {
        self.state().open(ino, flags)
    }

    fn read(&self, fh: Handle, offset: usize, buf: &mut [u8]) -> Result<usize> {
        let state = self.state();
        let text = &state.note(state.handle(fh)?.note)?.text;
        let rest = text.get(offset..).unwrap_or_default();
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write(&self, fh: Handle, offset: usize, data: &[u8]) -> Result<usize> {
        let mut state = self.state();
        let &Open { note, appends } = state.handle(fh)?;
        let note = state.note_mut(note)?;
        let start = if appends { note.text.len() } else { offset };
        let end = start.checked_add(data.len()).ok_or(Errno::EFBIG)?;
        if end > note.text.len() {
            note.resize(end)?;
        }
        note.text[start..end].copy_from_slice(data);
        note.attr.mtime = SystemTime::now();
        Ok(data.len())
    }

    fn release(&self, fh: Handle) -> Result<()> {
        let mut state = self.state();
        let open = state.open.remove(&fh.0).ok_or(Errno::EBADF)?;
        state.note_mut(open.note)?.opened -= 1;
        state.forget_if_gone(open.note);
        Ok(())
    }

    fn readdir(&self, ino: u64) -> Result<Vec<DirEntry>> {
        let state = self.state();
        if ino == ROOT {
            return Ok(state.tags.values().map(|t| DirEntry::with_attr(&t.name, t.attr)).collect());
        }
        let notes = state.tag(ino)?.notes.iter();
        notes.map(|(name, ino)| Ok(DirEntry::with_attr(name, state.note(*ino)?.attr))).collect()
    }
}

impl TagFs {
    fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panicked has changed nothing halfway that matters to others.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tag(&self, ino: u64) -> Result<&Tag> {
        self.tags.get(&ino).ok_or(self.no_tag(ino))
    }

    fn tag_mut(&mut self, ino: u64) -> Result<&mut Tag> {
        let error = self.no_tag(ino);
        self.tags.get_mut(&ino).ok_or(error)
    }

    /// The root has nothing in it but tags.
    fn no_tag(&self, ino: u64) -> Errno {
        if ino == ROOT { Errno::EPERM } else { Errno::ENOTDIR }
    }

    fn note(&self, ino: u64) -> Result<&Note> {
        self.notes.get(&ino).ok_or(Errno::EISDIR)
    }

    fn note_mut(&mut self, ino: u64) -> Result<&mut Note> {
        self.notes.get_mut(&ino).ok_or(Errno::EISDIR)
    }

    fn handle(&self, fh: Handle) -> Result<&Open> {
        self.open.get(&fh.0).ok_or(Errno::EBADF)
    }

    fn attr(&self, ino: u64) -> Result<FileAttr> {
        if ino == ROOT {
            return Ok(FileAttr::new(INodeNo::ROOT, FileType::Directory, 0o1777));
        }
        let tag = self.tags.get(&ino).map(|tag| tag.attr);
        tag.or_else(|| self.notes.get(&ino).map(|note| note.attr)).ok_or(Errno::ENOENT)
    }

    fn new_attr(&mut self, kind: FileType, mode: u32, caller: Caller) -> FileAttr {
        let now = SystemTime::now();
        let attr = FileAttr::new(INodeNo(self.next()), kind, (mode & 0o7777) as u16);
        let Caller { uid, gid, .. } = caller;
        FileAttr { uid, gid, atime: now, mtime: now, ctime: now, crtime: now, ..attr }
    }

    /// A number that nothing else has; the root's comes before all of them.
    fn next(&mut self) -> u64 {
        self.last = self.last.max(ROOT) + 1;
        self.last
    }

    fn open(&mut self, note: u64, flags: OpenFlags) -> Result<Handle> {
        self.note_mut(note)?.opened += 1;
        let handle = self.next();
        self.open.insert(handle, Open { note, appends: flags.0 & libc::O_APPEND != 0 });
        Ok(Handle(handle))
    }

    fn forget_if_gone(&mut self, ino: u64) {
        if self.notes.get(&ino).is_some_and(|note| note.attr.nlink == 0 && note.opened == 0) {
            self.notes.remove(&ino);
        }
    }
}

impl Note {
    /// There is no more to a note than this; the rest would be the machine's memory.
    const MOST: usize = 1 << 26;

    fn resize(&mut self, size: usize) -> Result<()> {
        if size > Self::MOST {
            return Err(Errno::EFBIG);
        }
        self.text.resize(size, 0);
        self.attr = self.attr.with_size(size as u64);
        Ok(())
    }
}

const ROOT: u64 = INodeNo::ROOT.0;

fn main() -> ExitCode {
    let cli: Cli = EXAMPLE.parse();
    EXAMPLE.run_async(&cli.args, TagFs::default())
}
