//! Byte-range locks, and the queue of those who wait for one.
//!
//! The table knows no request and no reply. Whoever asks hands in a waiter `W`, and every change of
//! the table returns the waiters that have their answer now; the caller passes the answers on. So
//! nobody is blocked while a lock is waited for.

use std::collections::{HashMap, HashSet, VecDeque};

use async_fuser::Errno;

/// Two families of locks that do not see each other, although on the same file.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Family {
    /// `fcntl(F_SETLK)`: by range, owned by a process.
    Posix,
    /// `flock(2)`: the whole file, owned by an open file description.
    Flock,
}

impl Family {
    pub(crate) fn of(flock: bool) -> Self {
        if flock { Self::Flock } else { Self::Posix }
    }
}

/// What is locked: an inode, for one family.
pub(crate) type File = (u64, Family);

/// A lock on the bytes from `start` to `end`, both included.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Lock {
    pub(crate) owner: u64,
    pub(crate) pid: u32,
    pub(crate) exclusive: bool,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// The answers that became due.
pub(crate) type Due<W> = Vec<(W, Result<(), Errno>)>;

/// The locks of a whole filesystem. A file without locks has no entry.
#[derive(Debug)]
pub(crate) struct Locks<W> {
    files: HashMap<File, Locked<W>>,
    /// The last interrupts that came before what they interrupt, or long after.
    interrupts: VecDeque<u64>,
}

impl<W> Locks<W> {
    pub(crate) fn new() -> Self {
        Self { files: HashMap::new(), interrupts: VecDeque::new() }
    }

    /// Take `lock` if nobody is in the way; `EAGAIN` otherwise.
    pub(crate) fn try_acquire(&mut self, file: File, lock: Lock) -> Result<Due<W>, Errno> {
        if lock.start > lock.end {
            return Err(Errno::EINVAL);
        }
        if self.conflict(file, &lock).is_some() {
            return Err(Errno::EAGAIN);
        }
        let locked = self.files.entry(file).or_default();
        locked.set(lock);
        Ok(locked.wake())
    }

    /// Take `lock` for `waiter`, who has its answer now or, if somebody is in the way, later. Until
    /// then it waits under `number`, for [`interrupt`](Self::interrupt).
    ///
    /// `EDEADLK` when those in the way wait for `lock`'s owner themselves.
    pub(crate) fn acquire(&mut self, file: File, lock: Lock, number: u64, waiter: W) -> Due<W> {
        let error = match self.try_acquire(file, lock) {
            Ok(mut due) => {
                due.insert(0, (waiter, Ok(())));
                return due;
            }
            Err(Errno::EAGAIN) if self.interrupts.contains(&number) => Errno::EINTR,
            Err(Errno::EAGAIN) if self.would_deadlock(file, lock) => Errno::EDEADLK,
            Err(Errno::EAGAIN) => {
                self.queue(file, Waiting { lock, number, waiter: Some(waiter), tries: false });
                return Vec::new();
            }
            Err(error) => error,
        };
        vec![(waiter, Err(error))]
    }

    /// Take `lock` for somebody who tries again when `waiter` is told to. Nothing is taken behind
    /// its back: until it has tried with success, or has [withdrawn](Self::withdraw), it waits.
    ///
    /// `None` while somebody is in the way; `EDEADLK` as in [`acquire`](Self::acquire).
    pub(crate) fn attempt(
        &mut self,
        file: File,
        lock: Lock,
        number: u64,
        waiter: W,
    ) -> Result<Option<Due<W>>, Errno> {
        match self.try_acquire(file, lock) {
            Ok(due) => {
                self.withdraw(file, number);
                Ok(Some(due))
            }
            Err(Errno::EAGAIN) if self.would_deadlock(file, lock) => Err(Errno::EDEADLK),
            Err(Errno::EAGAIN) => {
                self.queue(file, Waiting { lock, number, waiter: Some(waiter), tries: true });
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Whoever waits for this file with this number has given up.
    pub(crate) fn withdraw(&mut self, file: File, number: u64) {
        if let Some(locked) = self.files.get_mut(&file) {
            locked.waiting.retain(|waiting| waiting.number != number);
            self.tidy(file);
        }
    }

    /// Whoever waits with this number waits no longer: `EINTR`.
    pub(crate) fn interrupt(&mut self, number: u64) -> Due<W> {
        for locked in self.files.values_mut() {
            if let Some(place) = locked.waiting.iter().position(|waiting| waiting.number == number)
            {
                let waiter = locked.waiting.remove(place).waiter;
                return waiter.map(|waiter| (waiter, Err(Errno::EINTR))).into_iter().collect();
            }
        }
        if self.interrupts.len() == EARLY {
            self.interrupts.pop_front();
        }
        self.interrupts.push_back(number);
        Vec::new()
    }

    /// Give up what `owner` holds of the bytes from `start` to `end`.
    pub(crate) fn release(&mut self, file: File, owner: u64, start: u64, end: u64) -> Due<W> {
        let Some(locked) = self.files.get_mut(&file) else {
            return Vec::new();
        };
        locked.cut(owner, start, end);
        let due = locked.wake();
        self.tidy(file);
        due
    }

    /// A lock that is in the way of `wanted`.
    pub(crate) fn conflict(&self, file: File, wanted: &Lock) -> Option<Lock> {
        self.files.get(&file)?.conflicts(wanted).next().copied()
    }

    /// Let somebody wait; who does already keeps its place.
    fn queue(&mut self, file: File, new: Waiting<W>) {
        let waiting = &mut self.files.entry(file).or_default().waiting;
        match waiting.iter_mut().find(|waiting| waiting.number == new.number) {
            Some(known) => *known = new,
            None => waiting.push(new),
        }
    }

    fn tidy(&mut self, file: File) {
        let is_free = |locked: &Locked<W>| locked.held.is_empty() && locked.waiting.is_empty();
        if self.files.get(&file).is_some_and(is_free) {
            self.files.remove(&file);
        }
    }

    /// Whether waiting for `wanted` would close a circle of owners waiting for one another. Asked
    /// of POSIX locks alone: who waits for a `flock` is an open file, which may hold others.
    fn would_deadlock(&self, file: File, wanted: Lock) -> bool {
        if file.1 != Family::Posix {
            return false;
        }
        let mut seen = HashSet::new();
        let mut ahead = vec![(file, wanted)];
        while let Some((file, lock)) = ahead.pop() {
            let holders =
                self.files.get(&file).into_iter().flat_map(|locked| locked.conflicts(&lock));
            for holder in holders {
                if holder.owner == wanted.owner {
                    return true;
                }
                if seen.insert(holder.owner) {
                    ahead.extend(self.waits_of(holder.owner));
                }
            }
        }
        false
    }

    /// What `owner` waits for.
    fn waits_of(&self, owner: u64) -> impl Iterator<Item = (File, Lock)> {
        let posix = self.files.iter().filter(|((_, family), _)| *family == Family::Posix);
        posix.flat_map(move |(&file, locked)| {
            let waits = locked.waiting.iter().map(|waiting| waiting.lock);
            waits.filter(move |lock| lock.owner == owner).map(move |lock| (file, lock))
        })
    }
}

/// One file's locks. Invariant: `held` is in order of `start`, and the ranges of one owner neither
/// overlap nor, if of the same kind, touch.
#[derive(Debug)]
struct Locked<W> {
    held: Vec<Lock>,
    waiting: Vec<Waiting<W>>,
}

#[derive(Debug)]
struct Waiting<W> {
    lock: Lock,
    number: u64,
    /// `None` once it has been told to try.
    waiter: Option<W>,
    /// It takes the lock itself, and is only told when to try.
    tries: bool,
}

impl<W> Default for Locked<W> {
    fn default() -> Self {
        Self { held: Vec::new(), waiting: Vec::new() }
    }
}

impl<W> Locked<W> {
    fn conflicts(&self, wanted: &Lock) -> impl Iterator<Item = &Lock> {
        let near = self.held.iter().take_while(|held| held.start <= wanted.end);
        near.filter(|held| {
            held.end >= wanted.start
                && held.owner != wanted.owner
                && (held.exclusive || wanted.exclusive)
        })
    }

    /// Enter `lock` in place of what its owner had there, joined with equal neighbours.
    fn set(&mut self, mut lock: Lock) {
        self.cut(lock.owner, lock.start, lock.end);
        self.held.retain(|held| {
            let joins = held.owner == lock.owner
                && held.exclusive == lock.exclusive
                && (held.end.checked_add(1) == Some(lock.start)
                    || lock.end.checked_add(1) == Some(held.start));
            if joins {
                lock.start = lock.start.min(held.start);
                lock.end = lock.end.max(held.end);
            }
            !joins
        });
        self.insert(lock);
    }

    /// Take `start..=end` out of the owner's ranges; one that reaches beyond on both sides becomes two.
    fn cut(&mut self, owner: u64, start: u64, end: u64) {
        let mut left_over = Vec::new();
        self.held.retain(|held| {
            if held.owner != owner || held.end < start || held.start > end {
                return true;
            }
            if held.start < start {
                left_over.push(Lock { end: start - 1, ..*held });
            }
            if held.end > end {
                left_over.push(Lock { start: end + 1, ..*held });
            }
            false
        });
        for lock in left_over {
            self.insert(lock);
        }
    }

    fn insert(&mut self, lock: Lock) {
        let place = self.held.partition_point(|held| held.start <= lock.start);
        self.held.insert(place, lock);
    }

    /// Grant what nobody is in the way of any more, first come first served.
    fn wake(&mut self) -> Due<W> {
        let mut due = Vec::new();
        let mut next = 0;
        while let Some(Waiting { lock, tries, .. }) = self.waiting.get(next) {
            if self.conflicts(lock).next().is_some() {
                next += 1;
                continue;
            }
            if *tries {
                let told = self.waiting[next].waiter.take();
                due.extend(told.map(|waiter| (waiter, Ok(()))));
                next += 1;
                continue;
            }
            let Waiting { lock, waiter, .. } = self.waiting.remove(next);
            self.set(lock);
            due.extend(waiter.map(|waiter| (waiter, Ok(()))));
            // What its owner held there may have been in somebody's way.
            next = 0;
        }
        due
    }
}

/// Interrupts that are kept for requests still on their way: a request and its interrupt are only
/// a few apart.
const EARLY: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: File = (1, Family::Posix);
    const OTHER: File = (2, Family::Posix);
    const END: u64 = i64::MAX as u64;

    fn read(owner: u64, start: u64, end: u64) -> Lock {
        Lock { owner, pid: owner as u32, exclusive: false, start, end }
    }

    fn write(owner: u64, start: u64, end: u64) -> Lock {
        Lock { exclusive: true, ..read(owner, start, end) }
    }

    /// Take a lock at once, or say why not.
    fn take(locks: &mut Locks<&'static str>, lock: Lock) -> Result<(), Errno> {
        let due = locks.try_acquire(FILE, lock)?;
        assert_eq!(due, [], "nobody else was waiting");
        Ok(())
    }

    fn held(locks: &Locks<&'static str>) -> Vec<(u64, bool, u64, u64)> {
        let held = locks.files.get(&FILE).map_or(&[][..], |locked| &locked.held);
        held.iter().map(|lock| (lock.owner, lock.exclusive, lock.start, lock.end)).collect()
    }

    #[test]
    fn readers_share_and_a_writer_does_not() {
        let mut locks = Locks::new();
        take(&mut locks, read(1, 0, 9)).unwrap();
        take(&mut locks, read(2, 5, 20)).unwrap();
        assert_eq!(take(&mut locks, write(3, 20, 30)), Err(Errno::EAGAIN));
        take(&mut locks, write(3, 21, 30)).unwrap();
        assert_eq!(take(&mut locks, read(1, 0, END)), Err(Errno::EAGAIN));
        assert_eq!(locks.conflict(FILE, &read(1, 25, 25)), Some(write(3, 21, 30)));
        assert_eq!(locks.conflict(FILE, &read(1, 0, 20)), None);
    }

    #[test]
    fn unlocking_the_middle_leaves_two_locks() {
        let mut locks = Locks::new();
        take(&mut locks, write(1, 0, END)).unwrap();
        locks.release(FILE, 1, 10, 19);
        assert_eq!(held(&locks), [(1, true, 0, 9), (1, true, 20, END)]);
        locks.release(FILE, 1, 0, END);
        assert!(locks.files.is_empty());
    }

    #[test]
    fn equal_neighbours_become_one_and_unequal_ones_do_not() {
        let mut locks = Locks::new();
        take(&mut locks, write(1, 0, 9)).unwrap();
        take(&mut locks, write(1, 20, 29)).unwrap();
        take(&mut locks, write(1, 10, 19)).unwrap();
        assert_eq!(held(&locks), [(1, true, 0, 29)]);
        take(&mut locks, read(1, 5, 6)).unwrap();
        assert_eq!(held(&locks), [(1, true, 0, 4), (1, false, 5, 6), (1, true, 7, 29)]);
        take(&mut locks, read(1, 0, 29)).unwrap();
        assert_eq!(held(&locks), [(1, false, 0, 29)]);
    }

    #[test]
    fn a_waiter_gets_its_lock_when_the_last_one_in_the_way_goes() {
        let mut locks = Locks::new();
        take(&mut locks, read(1, 0, 9)).unwrap();
        take(&mut locks, read(2, 0, 9)).unwrap();
        assert_eq!(locks.acquire(FILE, write(3, 0, 0), 1, "third"), []);
        assert_eq!(locks.release(FILE, 1, 0, END), []);
        assert_eq!(locks.release(FILE, 2, 0, END), [("third", Ok(()))]);
        assert_eq!(held(&locks), [(3, true, 0, 0)]);
    }

    #[test]
    fn all_that_can_be_granted_is_granted_in_order() {
        let mut locks = Locks::new();
        take(&mut locks, write(1, 0, END)).unwrap();
        for (owner, name) in [(2, "two"), (3, "three"), (4, "four")] {
            locks.acquire(FILE, read(owner, 0, 9), owner, name);
        }
        locks.acquire(FILE, write(5, 5, 5), 5, "five");
        let due = locks.release(FILE, 1, 0, END);
        assert_eq!(due, [("two", Ok(())), ("three", Ok(())), ("four", Ok(()))]);
    }

    #[test]
    fn a_downgrade_lets_readers_in() {
        let mut locks = Locks::new();
        take(&mut locks, write(1, 0, 9)).unwrap();
        locks.acquire(FILE, read(2, 0, 9), 1, "reader");
        assert_eq!(locks.try_acquire(FILE, read(1, 0, 9)), Ok(vec![("reader", Ok(()))]));
    }

    #[test]
    fn a_circle_of_waiters_is_refused() {
        let mut locks = Locks::new();
        take(&mut locks, write(1, 0, 0)).unwrap();
        take(&mut locks, write(2, 1, 1)).unwrap();
        locks.try_acquire(OTHER, write(3, 0, 0)).unwrap();
        assert_eq!(locks.acquire(FILE, write(1, 1, 1), 1, "one"), []);
        assert_eq!(locks.acquire(OTHER, write(2, 0, 0), 2, "two"), []);
        let closing = write(3, 0, 0);
        assert_eq!(locks.acquire(FILE, closing, 3, "three"), [("three", Err(Errno::EDEADLK))]);
        assert_eq!(locks.attempt(FILE, closing, 3, "three"), Err(Errno::EDEADLK));
        assert_eq!(locks.release(OTHER, 3, 0, END), [("two", Ok(()))]);
    }

    #[test]
    fn an_interrupt_ends_the_waiting_even_if_it_comes_first() {
        let mut locks = Locks::new();
        take(&mut locks, write(1, 0, 9)).unwrap();
        assert_eq!(locks.acquire(FILE, write(2, 0, 9), 20, "two"), []);
        assert_eq!(locks.acquire(FILE, write(3, 0, 9), 30, "three"), []);
        assert_eq!(locks.interrupt(20), [("two", Err(Errno::EINTR))]);
        assert_eq!(locks.interrupt(20), []);
        assert_eq!(locks.interrupt(40), []);
        let due = locks.acquire(FILE, write(4, 0, 9), 40, "four");
        assert_eq!(due, [("four", Err(Errno::EINTR))]);
        assert_eq!(locks.release(FILE, 1, 0, END), [("three", Ok(()))]);
        for number in 0..1000 {
            locks.interrupt(number);
        }
        assert_eq!(locks.interrupts.len(), EARLY);
    }

    #[test]
    fn who_takes_a_lock_itself_is_told_when_and_is_given_nothing() {
        let mut locks = Locks::new();
        take(&mut locks, write(1, 0, 9)).unwrap();
        assert_eq!(locks.attempt(FILE, write(2, 0, 9), 2, "two"), Ok(None));
        assert_eq!(locks.attempt(FILE, write(3, 0, 9), 3, "three"), Ok(None));
        assert_eq!(locks.release(FILE, 1, 0, END), [("two", Ok(())), ("three", Ok(()))]);
        assert_eq!(held(&locks), []);
        assert_eq!(locks.attempt(FILE, write(3, 0, 9), 3, "again"), Ok(Some(vec![])));
        assert_eq!(locks.attempt(FILE, write(2, 0, 9), 2, "again"), Ok(None));
        assert_eq!(locks.release(FILE, 3, 0, END), [("again", Ok(()))]);
        assert_eq!(locks.release(FILE, 3, 0, END), [], "it is told once");
        locks.withdraw(FILE, 2);
        assert!(locks.files.is_empty());
    }

    #[test]
    fn who_withdraws_is_in_nobodys_way() {
        let mut locks = Locks::new();
        take(&mut locks, write(1, 0, 9)).unwrap();
        assert_eq!(locks.attempt(FILE, write(2, 0, 9), 2, "two"), Ok(None));
        assert_eq!(locks.acquire(FILE, write(3, 0, 9), 3, "three"), []);
        locks.withdraw(FILE, 2);
        locks.withdraw(OTHER, 3);
        assert_eq!(locks.release(FILE, 1, 0, END), [("three", Ok(()))]);
        assert_eq!(held(&locks), [(3, true, 0, 9)]);
    }

    #[test]
    fn the_two_families_do_not_see_each_other() {
        let mut locks = Locks::new();
        take(&mut locks, write(1, 0, END)).unwrap();
        assert_eq!(locks.try_acquire((1, Family::Flock), write(2, 0, END)), Ok(vec![]));
    }

    #[test]
    fn a_backward_range_is_invalid() {
        let mut locks = Locks::new();
        assert_eq!(take(&mut locks, write(1, 5, 4)), Err(Errno::EINVAL));
        assert!(locks.files.is_empty());
    }
}
