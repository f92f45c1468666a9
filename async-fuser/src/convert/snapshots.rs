use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Entries;
use crate::async_session::session_local;
use crate::types::{FileHandle, INodeNo};

/// Listings of directories, each kept between two pages of it, so that a large directory is not
/// listed anew for every few kilobytes.
///
/// There are few of them, and none is needed: what is not here is listed again.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    kept: Mutex<Vec<Snapshot>>,
}

#[derive(Debug)]
struct Snapshot {
    directory: (INodeNo, FileHandle),
    entries: Arc<Entries>,
    taken: Instant,
}

impl Snapshots {
    /// Those of the session that is asking.
    pub(crate) fn current() -> Option<Arc<Self>> {
        session_local()
    }

    /// What was kept of this open directory, unless that was long ago: who comes back then, such as
    /// a network filesystem that opens the directory for each page, may see what is there now.
    pub(crate) fn get(&self, ino: INodeNo, fh: FileHandle) -> Option<Arc<Entries>> {
        const LONG: Duration = Duration::from_secs(30);
        let mut kept = self.kept();
        let at = kept.iter().position(|snapshot| snapshot.directory == (ino, fh))?;
        if kept[at].taken.elapsed() > LONG {
            return None;
        }
        // The last was used last.
        kept[at..].rotate_left(1);
        kept.last().map(|snapshot| Arc::clone(&snapshot.entries))
    }

    /// Keeps a listing of this open directory, instead of what was kept of it before. Others go if
    /// there are too many.
    pub(crate) fn keep(&self, ino: INodeNo, fh: FileHandle, entries: Arc<Entries>) {
        const MOST: usize = 64;
        const MOST_ENTRIES: usize = 1 << 18;
        let directory = (ino, fh);
        let mut kept = self.kept();
        kept.retain(|snapshot| snapshot.directory != directory);
        let mut room = MOST_ENTRIES.saturating_sub(entries.len());
        let used_last = kept.iter().rev().take(MOST - 1).take_while(|snapshot| {
            let fits = room.checked_sub(snapshot.entries.len());
            room = fits.unwrap_or(0);
            fits.is_some()
        });
        let gone = kept.len() - used_last.count();
        let dropped: Vec<_> = kept.drain(..gone).collect();
        kept.push(Snapshot { directory, entries, taken: Instant::now() });
        // Not while others wait for the lock.
        mem::drop(kept);
        mem::drop(dropped);
    }

    /// The open directory is closed, or was listed to its end.
    pub(crate) fn release(&self, ino: INodeNo, fh: FileHandle) {
        let mut kept = self.kept();
        let at = kept.iter().position(|snapshot| snapshot.directory == (ino, fh));
        let dropped = at.map(|at| kept.remove(at));
        mem::drop(kept);
        mem::drop(dropped);
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Snapshot>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::DirEntry;
    use crate::types::FileType;

    fn entries(count: usize) -> Arc<Entries> {
        let entry = |n| DirEntry::new(INodeNo(1), FileType::RegularFile, format!("{n}"));
        Arc::new(Entries::new((0..count).map(entry).collect()))
    }

    fn is_kept(snapshots: &Snapshots, ino: u64) -> bool {
        snapshots.kept().iter().any(|snapshot| snapshot.directory.0 == INodeNo(ino))
    }

    #[test]
    fn the_one_that_was_not_used_for_longest_goes() {
        let snapshots = Snapshots::default();
        for ino in 0..64 {
            snapshots.keep(INodeNo(ino), FileHandle(0), entries(1));
        }
        assert!(snapshots.get(INodeNo(0), FileHandle(0)).is_some());
        snapshots.keep(INodeNo(64), FileHandle(0), entries(1));
        assert!(is_kept(&snapshots, 0) && is_kept(&snapshots, 64) && !is_kept(&snapshots, 1));
        assert_eq!(snapshots.kept().len(), 64);
    }

    #[test]
    fn many_entries_push_others_out_and_are_kept_even_if_too_many() {
        let snapshots = Snapshots::default();
        let (half, all) = (entries(1 << 17), entries((1 << 18) + 1));
        snapshots.keep(INodeNo(1), FileHandle(0), Arc::clone(&half));
        snapshots.keep(INodeNo(2), FileHandle(0), Arc::clone(&half));
        assert!(is_kept(&snapshots, 1) && is_kept(&snapshots, 2));
        snapshots.keep(INodeNo(3), FileHandle(0), entries(1));
        assert!(!is_kept(&snapshots, 1) && is_kept(&snapshots, 2) && is_kept(&snapshots, 3));
        snapshots.keep(INodeNo(4), FileHandle(0), all);
        assert_eq!(snapshots.kept().len(), 1);
        assert!(is_kept(&snapshots, 4));
    }

    #[test]
    fn what_was_kept_long_ago_is_not_used() {
        let snapshots = Snapshots::default();
        snapshots.keep(INodeNo(1), FileHandle(0), entries(1));
        for (seconds, is_used) in [(29, true), (31, false)] {
            let taken = Instant::now().checked_sub(Duration::from_secs(seconds));
            snapshots.kept()[0].taken = taken.expect("the machine is up that long");
            assert_eq!(snapshots.get(INodeNo(1), FileHandle(0)).is_some(), is_used, "{seconds}");
        }
    }

    #[test]
    fn a_directory_opened_twice_has_two() {
        let snapshots = Snapshots::default();
        snapshots.keep(INodeNo(1), FileHandle(1), entries(1));
        snapshots.keep(INodeNo(1), FileHandle(2), entries(2));
        snapshots.keep(INodeNo(1), FileHandle(1), entries(3));
        let len = |fh| snapshots.get(INodeNo(1), FileHandle(fh)).map(|entries| entries.len());
        assert_eq!((len(1), len(2), len(3)), (Some(3), Some(2), None));
    }
}
