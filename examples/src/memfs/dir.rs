//! One directory: names, and positions in it that stay valid while it changes.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::sync::Arc;

/// A directory's entries. Each has a cookie that no later entry gets again: a listing that goes on
/// after cookie *n* neither repeats nor skips an entry that was there all the time.
#[derive(Debug)]
pub(crate) struct Directory<N> {
    /// Inode number of the directory this one is in; the root is in itself.
    pub(crate) parent: u64,
    cookies: HashMap<Arc<OsStr>, u64>,
    entries: BTreeMap<u64, Entry<N>>,
    next: u64,
}

#[derive(Debug)]
struct Entry<N> {
    name: Arc<OsStr>,
    node: N,
}

/// The cookie of `.`; a listing from the start goes on after 0.
pub(crate) const DOT: u64 = 1;
/// The cookie of `..`.
pub(crate) const DOT_DOT: u64 = 2;

impl<N> Directory<N> {
    pub(crate) fn new(parent: u64) -> Self {
        Self { parent, cookies: HashMap::new(), entries: BTreeMap::new(), next: DOT_DOT + 1 }
    }

    /// Enter `name`. What had the name before is returned and hands on its cookie.
    pub(crate) fn insert(&mut self, name: &OsStr, node: N) -> Option<N> {
        if let Some(entry) = self.cookies.get(name).and_then(|cookie| self.entries.get_mut(cookie))
        {
            return Some(std::mem::replace(&mut entry.node, node));
        }
        let name: Arc<OsStr> = Arc::from(name);
        self.cookies.insert(Arc::clone(&name), self.next);
        self.entries.insert(self.next, Entry { name, node });
        self.next += 1;
        None
    }

    pub(crate) fn remove(&mut self, name: &OsStr) -> Option<N> {
        let cookie = self.cookies.remove(name)?;
        self.entries.remove(&cookie).map(|entry| entry.node)
    }

    pub(crate) fn find(&self, name: &OsStr) -> Option<&N> {
        self.entries.get(self.cookies.get(name)?).map(|entry| &entry.node)
    }

    /// The entries after `cookie` in the order of their cookies. `.` and `..` are not among them.
    pub(crate) fn after(&self, cookie: u64) -> impl Iterator<Item = (u64, &OsStr, &N)> {
        let start = cookie.saturating_add(1);
        self.entries.range(start..).map(|(cookie, entry)| (*cookie, &*entry.name, &entry.node))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(names: &[&str]) -> Directory<usize> {
        let mut directory = Directory::new(1);
        for (number, name) in names.iter().enumerate() {
            assert_eq!(directory.insert(OsStr::new(name), number), None);
        }
        directory
    }

    fn names(directory: &Directory<usize>, after: u64) -> Vec<String> {
        directory.after(after).map(|(_, name, _)| name.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_listing_goes_on_where_it_was_although_its_last_entry_is_gone() {
        let mut directory = filled(&["a", "b", "c", "d"]);
        let (cookie, name, _) = directory.after(0).nth(1).unwrap();
        assert_eq!(name, "b");
        directory.remove(OsStr::new("b"));
        directory.remove(OsStr::new("a"));
        assert_eq!(names(&directory, cookie), ["c", "d"]);
    }

    #[test]
    fn a_new_entry_comes_last_and_takes_no_old_cookie() {
        let mut directory = filled(&["a", "b"]);
        let old: Vec<u64> = directory.after(0).map(|(cookie, ..)| cookie).collect();
        directory.remove(OsStr::new("b"));
        directory.insert(OsStr::new("b"), 7);
        assert_eq!(names(&directory, 0), ["a", "b"]);
        assert_eq!(names(&directory, old[1]), ["b"]);
    }

    #[test]
    fn a_replaced_entry_keeps_its_place() {
        let mut directory = filled(&["a", "b"]);
        assert_eq!(directory.insert(OsStr::new("a"), 9), Some(0));
        assert_eq!(names(&directory, 0), ["a", "b"]);
        assert_eq!(directory.find(OsStr::new("a")), Some(&9));
    }

    #[test]
    fn cookies_start_after_the_two_dots_and_an_absurd_one_ends_the_listing() {
        let directory = filled(&["a"]);
        assert_eq!(directory.after(0).next().map(|(cookie, ..)| cookie), Some(DOT_DOT + 1));
        assert_eq!(directory.after(u64::MAX).count(), 0);
    }

    #[test]
    fn what_is_removed_is_not_found() {
        let mut directory = filled(&["a"]);
        assert_eq!(directory.remove(OsStr::new("a")), Some(0));
        assert_eq!(directory.remove(OsStr::new("a")), None);
        assert_eq!(directory.find(OsStr::new("a")), None);
        assert!(directory.is_empty());
    }
}
