//! The bytes of one file, with room taken only where something was written.
//!
//! ```text
//! file     0        64 KiB      128 KiB     192 KiB            chunks, in a map: absent ones are holes
//!          │ chunk 0 │           │ chunk 2   │
//!          ├─────────┤           ├─────┬─────┤
//! chunk 2  │ page 0 … 7  written │ page 8 … 15  hole │          4 KiB pages, one bit each
//! ```

use std::cmp::{max, min};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use async_fuser::Errno;

use super::usage::Usage;

/// What is allocated, charged and punched: a file's `blocks` are whole pages.
pub(crate) const PAGE: u64 = 4 << 10;
/// How much is copied at once, so that others get at the file between.
const TURN: u64 = 4 << 20;
/// No file is longer. The kernel's own bound for this filesystem is the same.
pub(crate) const MAX_SIZE: u64 = i64::MAX as u64;

/// A file's bytes. Those never written, and those of a punched hole, are zeros.
#[derive(Debug)]
pub(crate) struct Data {
    size: u64,
    /// Pages present in all chunks together: what `usage` was charged with.
    pages: u64,
    chunks: BTreeMap<u64, Chunk>,
    usage: Arc<Usage>,
}

impl Data {
    pub(crate) fn new(usage: Arc<Usage>) -> Self {
        Self { size: 0, pages: 0, chunks: BTreeMap::new(), usage }
    }

    /// Store `bytes` at `offset` and return how many: fewer than all when the filesystem is full.
    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > MAX_SIZE) {
            return Err(Errno::EFBIG);
        }
        let (mut done, mut step) = (0, CHUNK);
        while done < bytes.len() {
            let (index, start) = split(offset + done as u64);
            let rest = &bytes[done..];
            let part = &rest[..min(rest.len(), step - start % step)];
            let wanted = pages(start, start + part.len());
            let chunk = self.chunks.entry(index).or_default();
            let missing = u64::from((wanted & !chunk.present).count_ones());
            if self.usage.charge(missing * PAGE).is_err() {
                if chunk.present == 0 {
                    self.chunks.remove(&index);
                }
                if step == PAGE as usize {
                    break;
                }
                step = PAGE as usize;
                continue;
            }
            chunk.write(start, part);
            chunk.present |= wanted;
            self.pages += missing;
            done += part.len();
        }
        if done == 0 && !bytes.is_empty() {
            return Err(Errno::ENOSPC);
        }
        if done > 0 {
            self.size = max(self.size, offset + done as u64);
        }
        Ok(done)
    }

    /// Cut the file off at `size`, or lengthen it by a hole.
    pub(crate) fn truncate(&mut self, size: u64) -> Result<(), Errno> {
        if size > MAX_SIZE {
            return Err(Errno::EFBIG);
        }
        // Reserved pages beyond the end go as well, hence not only when the file becomes shorter.
        let (index, start) = split(size);
        let mut dropped = self.chunks.split_off(&index);
        if start > 0 {
            if let Some(mut chunk) = dropped.remove(&index) {
                let beyond = chunk.present & !pages(0, start);
                chunk.bytes.truncate(start);
                chunk.bytes.shrink_to_fit();
                chunk.present &= !beyond;
                self.refund(u64::from(beyond.count_ones()));
                if chunk.present != 0 {
                    self.chunks.insert(index, chunk);
                }
            }
        }
        self.refund(dropped.values().map(|chunk| u64::from(chunk.present.count_ones())).sum());
        self.size = size;
        Ok(())
    }

    /// Take room for all of `range`, or for nothing of it. The size stays.
    pub(crate) fn allocate(&mut self, range: Range<u64>) -> Result<(), Errno> {
        if range.is_empty() {
            return Ok(());
        }
        let first = range.start / CHUNK as u64;
        let last = (range.end - 1) / CHUNK as u64;
        let present: u64 = self
            .chunks
            .range(first..=last)
            .map(|(index, chunk)| {
                u64::from((chunk.present & pages_of(*index, &range)).count_ones())
            })
            .sum();
        let wanted = range.end.div_ceil(PAGE) - range.start / PAGE;
        let missing = wanted - present;
        self.usage.charge(missing.checked_mul(PAGE).ok_or(Errno::ENOSPC)?)?;
        for index in first..=last {
            self.chunks.entry(index).or_default().present |= pages_of(index, &range);
        }
        self.pages += missing;
        Ok(())
    }

    /// Make `range` zeros and give back the pages that lie wholly in it. The size stays.
    pub(crate) fn punch(&mut self, range: Range<u64>) {
        let whole = range.start.next_multiple_of(PAGE)..range.end / PAGE * PAGE;
        let (mut freed, mut empty) = (0, Vec::new());
        for (&index, chunk) in self.touched(&range) {
            chunk.zero(within(index, &range));
            let gone = chunk.present & pages_of(index, &whole);
            chunk.present &= !gone;
            freed += u64::from(gone.count_ones());
            if chunk.present == 0 {
                empty.push(index);
            }
        }
        for index in empty {
            self.chunks.remove(&index);
        }
        self.refund(freed);
    }

    /// Make `range` zeros and keep its pages.
    pub(crate) fn zero(&mut self, range: Range<u64>) {
        for (&index, chunk) in self.touched(&range) {
            chunk.zero(within(index, &range));
        }
    }

    /// Copy `len` bytes at `from` of `source` (`None`: of this file) to `to`, holes as holes.
    ///
    /// Returns how many: fewer where the source ends, where the filesystem is full, and after
    /// [`TURN`] bytes that were no hole.
    pub(crate) fn copy(
        &mut self,
        source: Option<&Self>,
        from: u64,
        to: u64,
        len: u64,
    ) -> Result<u64, Errno> {
        let available = source.unwrap_or(self).size.saturating_sub(from);
        let len = min(len, available);
        if to.checked_add(len).is_none_or(|end| end > MAX_SIZE) {
            return Err(Errno::EFBIG);
        }
        let mut buffer = Vec::new();
        let (mut done, mut turn) = (0, TURN);
        while done < len && turn > 0 {
            let (at, rest) = (from + done, len - done);
            let next = source.unwrap_or(self).next_data(at);
            let hole = next.unwrap_or(u64::MAX).saturating_sub(at);
            if hole > 0 {
                let hole = min(hole, rest);
                self.punch(to + done..to + done + hole);
                done += hole;
                self.size = max(self.size, to + done);
                continue;
            }
            let piece = min(rest, source.unwrap_or(self).run(at));
            let written = match source {
                Some(source) => self.write(to + done, source.read(at, piece as usize, &mut buffer)),
                None => {
                    let bytes = self.read(at, piece as usize, &mut buffer).to_vec();
                    self.write(to + done, &bytes)
                }
            };
            turn = turn.saturating_sub(piece);
            match written {
                Ok(written) => done += written as u64,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    /// Up to `size` bytes at `offset`: in place where one chunk has them all, else put together in `buffer`.
    pub(crate) fn read<'a>(
        &'a self,
        offset: u64,
        size: usize,
        buffer: &'a mut Vec<u8>,
    ) -> &'a [u8] {
        let end = min(self.size, offset.saturating_add(size as u64));
        let (index, start) = split(offset);
        if offset >= end {
            return &[];
        }
        let len = (end - offset) as usize;
        if let Some(bytes) =
            self.chunks.get(&index).and_then(|chunk| chunk.bytes.get(start..start + len))
        {
            return bytes;
        }
        buffer.clear();
        buffer.reserve(len);
        while buffer.len() < len {
            let (index, start) = split(offset + buffer.len() as u64);
            let part = min(len - buffer.len(), CHUNK - start);
            let stored = self.chunks.get(&index).map_or(&[][..], |chunk| &chunk.bytes);
            let stored = stored.get(start..min(start + part, stored.len())).unwrap_or(&[]);
            buffer.extend_from_slice(stored);
            buffer.resize(buffer.len() + part - stored.len(), 0);
        }
        buffer
    }

    /// `SEEK_DATA`: the first byte at or after `offset` that has room.
    pub(crate) fn next_data(&self, offset: u64) -> Option<u64> {
        let (first, _) = split(offset);
        self.chunks
            .range(first..)
            .find_map(|(&index, chunk)| {
                let ahead = chunk.present & pages_of(index, &(offset..u64::MAX));
                let page = index * PAGES + u64::from(ahead.trailing_zeros());
                (ahead != 0).then_some(max(offset, page * PAGE))
            })
            .filter(|found| *found < self.size)
    }

    /// `SEEK_HOLE`: the first byte at or after `offset` that has none; the end counts as a hole.
    pub(crate) fn next_hole(&self, offset: u64) -> Option<u64> {
        if offset >= self.size {
            return None;
        }
        let (mut at, (mut expected, _)) = (offset, split(offset));
        for (&index, chunk) in self.chunks.range(expected..) {
            let holes = !chunk.present & pages_of(index, &(offset..u64::MAX));
            if index != expected {
                break;
            }
            if holes != 0 {
                at = max(at, (index * PAGES + u64::from(holes.trailing_zeros())) * PAGE);
                break;
            }
            expected += 1;
            at = expected * CHUNK as u64;
        }
        Some(min(at, self.size))
    }

    /// How many bytes of data follow `offset`, up to the next hole or chunk.
    fn run(&self, offset: u64) -> u64 {
        let (index, start) = split(offset);
        let holes =
            self.chunks.get(&index).map_or(u16::MAX, |chunk| !chunk.present & pages(start, CHUNK));
        min(u64::from(holes.trailing_zeros()), PAGES) * PAGE - start as u64
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Lengthen the file to `size` if it is shorter.
    pub(crate) fn extend(&mut self, size: u64) {
        self.size = max(self.size, size);
    }

    /// Allocated room in the unit of `st_blocks`.
    pub(crate) fn blocks(&self) -> u64 {
        self.pages * (PAGE / 512)
    }

    fn touched(&mut self, range: &Range<u64>) -> impl Iterator<Item = (&u64, &mut Chunk)> {
        let (first, _) = split(range.start);
        let end = max(first, range.end.div_ceil(CHUNK as u64));
        self.chunks.range_mut(first..end)
    }

    fn refund(&mut self, pages: u64) {
        self.pages -= pages;
        self.usage.refund(pages * PAGE);
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        self.usage.refund(self.pages * PAGE);
    }
}

const CHUNK: usize = 64 << 10;
const PAGES: u64 = CHUNK as u64 / PAGE;

/// 64 KiB of a file. Invariant: a page not `present` has only zeros in `bytes`, and what is beyond
/// the end of `bytes` is zeros too; so a small file, or a reservation, takes no memory for them.
#[derive(Debug, Default)]
struct Chunk {
    present: u16,
    bytes: Vec<u8>,
}

impl Chunk {
    fn write(&mut self, start: usize, new: &[u8]) {
        let end = start + new.len();
        if end > self.bytes.capacity() {
            let room = min(end.next_power_of_two(), CHUNK);
            self.bytes.reserve_exact(room - self.bytes.len());
        }
        if self.bytes.len() < start {
            self.bytes.resize(start, 0);
        }
        let over = min(self.bytes.len() - start, new.len());
        self.bytes[start..start + over].copy_from_slice(&new[..over]);
        self.bytes.extend_from_slice(&new[over..]);
    }

    fn zero(&mut self, range: Range<usize>) {
        let len = self.bytes.len();
        if range.end >= len {
            self.bytes.truncate(range.start);
            self.bytes.shrink_to_fit();
        } else if range.start < len {
            self.bytes[range].fill(0);
        }
    }
}

/// An offset as chunk and place in it.
fn split(offset: u64) -> (u64, usize) {
    (offset / CHUNK as u64, (offset % CHUNK as u64) as usize)
}

/// The part of `range` in chunk `index`, in the chunk's own offsets.
fn within(index: u64, range: &Range<u64>) -> Range<usize> {
    let base = index * CHUNK as u64;
    let inside = |offset: u64| min(offset.saturating_sub(base), CHUNK as u64) as usize;
    inside(range.start)..inside(range.end)
}

/// The bits of the pages of chunk `index` that `range` touches.
fn pages_of(index: u64, range: &Range<u64>) -> u16 {
    let Range { start, end } = within(index, range);
    pages(start, end)
}

/// The bits of the pages that `start..end` touches.
fn pages(start: usize, end: usize) -> u16 {
    if start >= end {
        return 0;
    }
    let (first, end) = (start / PAGE as usize, end.div_ceil(PAGE as usize));
    ((1_u32 << end) - (1_u32 << first)) as u16
}

#[cfg(test)]
mod tests;
