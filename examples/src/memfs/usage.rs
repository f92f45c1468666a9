//! How much is stored, and how much may be.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_fuser::Errno;

/// The bounds of a [`MemFs`](super::MemFs).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes of file data (in whole pages) and of extended attributes. One more is `ENOSPC`.
    pub bytes: u64,
    /// Files, directories and everything else with an inode number. One more is `ENOSPC`.
    pub inodes: u64,
    /// Names one inode may have, and subdirectories one directory. One more is `EMLINK`.
    pub links: u32,
}

impl Default for Limits {
    /// Half of the machine's memory, an inode for every 16 KiB of it, and no bound on links.
    fn default() -> Self {
        let bytes = memory().unwrap_or(2 << 30) / 2;
        Self { bytes, inodes: bytes / (16 << 10), links: u32::MAX }
    }
}

/// What is stored now. Charged before something is stored, refunded when it is dropped.
#[derive(Debug)]
pub(crate) struct Usage {
    limits: Limits,
    bytes: AtomicU64,
    inodes: AtomicU64,
}

impl Usage {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, bytes: AtomicU64::new(0), inodes: AtomicU64::new(0) }
    }

    pub(crate) fn charge(&self, bytes: u64) -> Result<(), Errno> {
        charge(&self.bytes, bytes, self.limits.bytes)
    }

    pub(crate) fn refund(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Relaxed);
    }

    pub(crate) fn charge_inode(&self) -> Result<(), Errno> {
        charge(&self.inodes, 1, self.limits.inodes)
    }

    pub(crate) fn refund_inode(&self) {
        self.inodes.fetch_sub(1, Relaxed);
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    pub(crate) fn free_bytes(&self) -> u64 {
        self.limits.bytes.saturating_sub(self.bytes.load(Relaxed))
    }

    pub(crate) fn free_inodes(&self) -> u64 {
        self.limits.inodes.saturating_sub(self.inodes.load(Relaxed))
    }
}

fn charge(counter: &AtomicU64, amount: u64, limit: u64) -> Result<(), Errno> {
    if amount == 0 {
        return Ok(());
    }
    counter
        .fetch_update(Relaxed, Relaxed, |used| {
            used.checked_add(amount).filter(|used| *used <= limit)
        })
        .map(drop)
        .map_err(|_| Errno::ENOSPC)
}

fn memory() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_beyond_the_limit_changes_nothing() {
        let usage = Usage::new(Limits { bytes: 10, inodes: 1, links: 1 });
        usage.charge(8).unwrap();
        assert_eq!(usage.charge(3), Err(Errno::ENOSPC));
        assert_eq!(usage.charge(u64::MAX), Err(Errno::ENOSPC));
        assert_eq!(usage.free_bytes(), 2);
        usage.refund(8);
        assert_eq!(usage.free_bytes(), 10);
    }

    #[test]
    fn inodes_are_counted_apart_from_bytes() {
        let usage = Usage::new(Limits { bytes: 0, inodes: 1, links: 1 });
        usage.charge_inode().unwrap();
        assert_eq!(usage.charge_inode(), Err(Errno::ENOSPC));
        usage.refund_inode();
        usage.charge_inode().unwrap();
    }
}
