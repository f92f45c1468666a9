//! Listings of directories, packed as the kernel reads them.

use std::iter;

use zerocopy::{FromBytes, IntoBytes};

use crate::abi::{FUSE_NAME_LOW_MAX, fuse_dirent, fuse_direntplus, fuse_entry_out};
use crate::types::{FileType, INodeNo};

/// Entries of a directory, one behind the other, each filled up with zeros to a multiple of 8.
///
/// ```text
/// READDIR       [ dirent: ino | off | namelen | type ] [ name ] [ 0.. ]  [ dirent ...
/// READDIRPLUS   [ entry_out ] [ dirent ]               [ name ] [ 0.. ]  [ entry_out ...
/// ```
#[derive(Debug, Default)]
pub(crate) struct Dirents {
    bytes: Vec<u8>,
    limit: usize,
}

impl Dirents {
    /// An empty listing of at most `limit` bytes, in the memory of `buffer`.
    pub(crate) fn new(mut buffer: Vec<u8>, limit: usize) -> Self {
        buffer.clear();
        Self { bytes: buffer, limit }
    }

    /// Adds an entry of READDIR. `next_offset` is where the kernel goes on behind it.
    ///
    /// True means that it did not fit and was not added. An entry the kernel would not accept is
    /// left out with a warning, because it would fail the whole listing with EIO.
    pub(crate) fn add(
        &mut self,
        ino: INodeNo,
        next_offset: u64,
        kind: FileType,
        name: &[u8],
    ) -> bool {
        self.push(&[], ino, next_offset, kind, name)
    }

    /// Adds an entry of READDIRPLUS, as [`add`](Self::add) does.
    ///
    /// The kernel counts it as a lookup of `entry.nodeid`, unless the name is `.` or `..` or that
    /// number is 0.
    pub(crate) fn add_plus(
        &mut self,
        ino: INodeNo,
        next_offset: u64,
        kind: FileType,
        name: &[u8],
        entry: &fuse_entry_out,
    ) -> bool {
        self.push(entry.as_bytes(), ino, next_offset, kind, name)
    }

    /// How many bytes are left.
    pub(crate) fn remaining(&self) -> usize {
        self.limit.saturating_sub(self.bytes.len())
    }

    /// The listing so far.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The listing, and with it the memory it was given.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }

    fn push(
        &mut self,
        entry: &[u8],
        ino: INodeNo,
        next_offset: u64,
        kind: FileType,
        name: &[u8],
    ) -> bool {
        if let Some(fault) = fault(name) {
            let name = String::from_utf8_lossy(name);
            log::warn!("left an entry out of a listing, inode {}, {name:?}: {fault}", ino.0);
            return false;
        }
        let header = fuse_dirent {
            ino: ino.0,
            off: next_offset,
            namelen: name.len() as u32,
            r#type: kind.mode() >> 12,
        };
        // A name has at most 1024 bytes, so nothing here overflows.
        let len = (entry.len() + size_of::<fuse_dirent>() + name.len()).next_multiple_of(ALIGN);
        if len > self.remaining() {
            return true;
        }
        let end = self.bytes.len() + len;
        self.bytes.extend_from_slice(entry);
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(name);
        self.bytes.resize(end, 0);
        false
    }
}

/// The inodes of which a listing for READDIRPLUS has the kernel count a lookup.
pub(crate) fn looked_up(mut listing: &[u8]) -> impl Iterator<Item = u64> + '_ {
    iter::from_fn(move || {
        let (head, names) = fuse_direntplus::read_from_prefix(listing).ok()?;
        let name = names.get(..head.dirent.namelen as usize)?;
        let len = (size_of::<fuse_direntplus>() + name.len()).next_multiple_of(ALIGN);
        listing = listing.get(len..).unwrap_or_default();
        Some((head.entry_out.nodeid, name))
    })
    .filter(|(ino, name)| *ino != 0 && ![&b"."[..], b".."].contains(name))
    .map(|(ino, _)| ino)
}

/// Why the kernel would not accept a name.
fn fault(name: &[u8]) -> Option<&'static str> {
    if name.is_empty() {
        return Some("its name is empty");
    }
    if name.len() > FUSE_NAME_LOW_MAX {
        return Some("its name is longer than 1024 bytes");
    }
    if name.contains(&b'/') || name.contains(&0) {
        return Some("its name contains '/' or a zero byte");
    }
    None
}

/// The kernel's `FUSE_REC_ALIGN`.
const ALIGN: usize = size_of::<u64>();

// The entry in front of a dirent leaves it, and so the name's end, where the alignment expects it.
const _: () =
    assert!(size_of::<fuse_direntplus>() == size_of::<fuse_entry_out>() + size_of::<fuse_dirent>());
const _: () =
    assert!(size_of::<fuse_entry_out>() == size_of::<fuse_entry_out>().next_multiple_of(ALIGN));

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(limit: usize) -> Dirents {
        Dirents::new(Vec::new(), limit)
    }

    fn dirent(ino: u64, off: u64, namelen: u32, kind: u32, name: &[u8]) -> Vec<u8> {
        let head = [&ino.to_ne_bytes()[..], &off.to_ne_bytes()].concat();
        [&head[..], &namelen.to_ne_bytes(), &kind.to_ne_bytes(), name].concat()
    }

    #[test]
    fn what_a_listing_looks_up_is_what_the_kernel_counts() {
        let mut dirents = listing(4096);
        let entry = |nodeid| fuse_entry_out { nodeid, ..Default::default() };
        for (name, nodeid) in [(".", 1), ("one", 7), ("..", 1), ("none", 0), ("eight---", 8)] {
            let kind = FileType::RegularFile;
            assert!(!dirents.add_plus(INodeNo(9), 1, kind, name.as_bytes(), &entry(nodeid)));
        }
        let bytes = dirents.as_bytes();
        assert_eq!(looked_up(bytes).collect::<Vec<_>>(), [7, 8]);
        for len in 0..bytes.len() {
            assert!([7, 8].starts_with(&looked_up(&bytes[..len]).collect::<Vec<_>>()), "of {len}");
        }
    }

    #[test]
    fn entries_are_packed_one_behind_the_other() {
        let mut dirents = listing(4096);
        assert!(!dirents.add(INodeNo(0xaabb), 0xccdd, FileType::Directory, b".."));
        assert!(!dirents.add(INodeNo(0xccdd), 0xeeff, FileType::RegularFile, b"12345678"));
        let expected = [
            dirent(0xaabb, 0xccdd, 2, 4, b"..\0\0\0\0\0\0"),
            dirent(0xccdd, 0xeeff, 8, 8, b"12345678"),
        ];
        assert_eq!(dirents.as_bytes(), expected.concat());
        assert_eq!(dirents.remaining(), 4096 - 64);
    }

    #[test]
    fn entries_with_attributes_have_them_in_front() {
        let entry = fuse_entry_out { nodeid: 7, generation: 9, ..fuse_entry_out::default() };
        let mut dirents = listing(4096);
        assert!(!dirents.add_plus(INodeNo(7), 1, FileType::Symlink, b"abc", &entry));
        assert!(!dirents.add_plus(INodeNo(7), 2, FileType::Symlink, b"d", &entry));
        let expected = [
            entry.as_bytes(),
            &dirent(7, 1, 3, 10, b"abc\0\0\0\0\0"),
            entry.as_bytes(),
            &dirent(7, 2, 1, 10, b"d\0\0\0\0\0\0\0"),
        ];
        assert_eq!(dirents.as_bytes(), expected.concat());
        assert_eq!(&dirents.as_bytes()[..16], [7u64.to_ne_bytes(), 9u64.to_ne_bytes()].concat());
    }

    #[test]
    fn every_kind_of_file_has_the_kernels_number() {
        for (kind, number) in [
            (FileType::NamedPipe, libc::DT_FIFO),
            (FileType::CharDevice, libc::DT_CHR),
            (FileType::Directory, libc::DT_DIR),
            (FileType::BlockDevice, libc::DT_BLK),
            (FileType::RegularFile, libc::DT_REG),
            (FileType::Symlink, libc::DT_LNK),
            (FileType::Socket, libc::DT_SOCK),
        ] {
            let mut dirents = listing(32);
            assert!(!dirents.add(INodeNo(1), 1, kind, b"x"));
            assert_eq!(dirents.as_bytes()[20..24], u32::from(number).to_ne_bytes(), "{kind:?}");
        }
    }

    #[test]
    fn an_entry_that_fits_exactly_is_added_and_one_byte_less_is_not_enough() {
        let entry = fuse_entry_out::default();
        let plus = size_of::<fuse_entry_out>();
        for (name, len) in
            [(&b"a"[..], 32), (b"1234567", 32), (b"12345678", 32), (b"123456789", 40)]
        {
            let mut dirents = listing(len);
            assert!(!dirents.add(INodeNo(1), 1, FileType::RegularFile, name));
            assert_eq!((dirents.as_bytes().len(), dirents.remaining()), (len, 0));
            assert!(dirents.add(INodeNo(1), 1, FileType::RegularFile, name), "it is full");
            assert_eq!(dirents.as_bytes().len(), len);

            let mut dirents = listing(len - 1);
            assert!(dirents.add(INodeNo(1), 1, FileType::RegularFile, name));
            assert_eq!((dirents.as_bytes().len(), dirents.remaining()), (0, len - 1));

            let mut dirents = listing(plus + len);
            assert!(!dirents.add_plus(INodeNo(1), 1, FileType::RegularFile, name, &entry));
            assert_eq!(dirents.remaining(), 0);
            let mut dirents = listing(plus + len - 1);
            assert!(dirents.add_plus(INodeNo(1), 1, FileType::RegularFile, name, &entry));
            assert_eq!(dirents.as_bytes(), b"");
        }
    }

    #[test]
    fn a_smaller_entry_still_fits_where_a_larger_one_did_not() {
        let mut dirents = listing(32);
        assert!(dirents.add(INodeNo(1), 1, FileType::RegularFile, b"123456789"));
        assert!(!dirents.add(INodeNo(1), 1, FileType::RegularFile, b"1234"));
    }

    #[test]
    fn an_entry_the_kernel_would_not_accept_is_left_out() {
        let too_long = [b'x'; 1025];
        for name in [&b""[..], b"/", b"a/b", b"\0", b"a\0", &too_long] {
            let mut dirents = listing(0x10000);
            assert!(!dirents.add(INodeNo(1), 1, FileType::RegularFile, name));
            let entry = fuse_entry_out::default();
            assert!(!dirents.add_plus(INodeNo(1), 1, FileType::RegularFile, name, &entry));
            assert_eq!(dirents.as_bytes(), b"");
            let mut full = listing(0);
            assert!(!full.add(INodeNo(1), 1, FileType::RegularFile, name), "not for lack of room");
        }
        let mut dirents = listing(0x10000);
        assert!(!dirents.add(INodeNo(1), 1, FileType::RegularFile, &too_long[..1024]));
        assert!(!dirents.add(INodeNo(1), 1, FileType::RegularFile, b"\xff\xfe"));
        assert_eq!(dirents.as_bytes().len(), 24 + 1024 + 32);
    }

    #[test]
    fn the_buffer_is_reused_and_given_back() {
        let mut buffer = Vec::with_capacity(512);
        buffer.extend_from_slice(b"old");
        let memory = buffer.as_ptr();
        let mut dirents = Dirents::new(buffer, 512);
        assert_eq!(dirents.as_bytes(), b"");
        assert!(!dirents.add(INodeNo(1), 1, FileType::RegularFile, b"x"));
        let buffer = dirents.into_buffer();
        assert_eq!((buffer.len(), buffer.as_ptr()), (32, memory));
    }

    #[test]
    fn random_listings_are_read_back_as_they_were_added() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let (mut added, mut left_out, mut full) = (0, 0, 0);
        for _ in 0..2_000 {
            let plus = random() % 2 == 0;
            let limit = (random() % 2048) as usize;
            let mut dirents = listing(limit);
            let mut expected = Vec::new();
            for _ in 0..random() % 24 {
                let len = random() % if random() % 8 == 0 { 1100 } else { 40 };
                let name: Vec<u8> = (0..len).map(|_| random() as u8).collect();
                let (ino, offset) = (random(), random());
                let before = dirents.as_bytes().len();
                let is_full = if plus {
                    let entry = fuse_entry_out { nodeid: ino, ..fuse_entry_out::default() };
                    dirents.add_plus(INodeNo(ino), offset, FileType::Socket, &name, &entry)
                } else {
                    dirents.add(INodeNo(ino), offset, FileType::Socket, &name)
                };
                let grown = dirents.as_bytes().len() - before;
                match (is_full, fault(&name)) {
                    (false, None) => expected.push((ino, offset, name)),
                    _ => assert_eq!(grown, 0),
                }
                *(if is_full {
                    &mut full
                } else if grown == 0 {
                    &mut left_out
                } else {
                    &mut added
                }) += 1;
            }
            assert_eq!(dirents.remaining(), limit - dirents.as_bytes().len());
            assert_eq!(read_back(dirents.as_bytes(), plus), expected);
        }
        assert!(added > 1_000 && left_out > 1_000 && full > 1_000, "{added} {left_out} {full}");
    }

    /// The entries as the kernel walks through them.
    fn read_back(mut listing: &[u8], plus: bool) -> Vec<(u64, u64, Vec<u8>)> {
        let number =
            |at: usize, listing: &[u8]| u64::from_ne_bytes(listing[at..at + 8].try_into().unwrap());
        let mut entries = Vec::new();
        while !listing.is_empty() {
            let dirent = if plus {
                assert_eq!(number(0, listing), number(size_of::<fuse_entry_out>(), listing));
                &listing[size_of::<fuse_entry_out>()..]
            } else {
                listing
            };
            let len = u32::from_ne_bytes(dirent[16..20].try_into().unwrap()) as usize;
            let (name, padding) = dirent[24..24 + len.next_multiple_of(8)].split_at(len);
            assert!(padding.iter().all(|&byte| byte == 0));
            entries.push((number(0, dirent), number(8, dirent), name.to_vec()));
            listing = &dirent[24 + len.next_multiple_of(8)..];
        }
        entries
    }
}
