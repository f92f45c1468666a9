use std::io;

use memmap2::MmapMut;

use crate::abi::{fuse_in_header, fuse_write_in};

/// Room for one request, aligned for the kernel's structs.
///
/// It is pages of its own: those that no request has filled take no memory, and those of a buffer
/// that is dropped are given back.
///
/// It begins so far before the end of a page that the data of a WRITE begins with the next one:
/// the kernel copies page by page, and would otherwise copy each in two pieces.
///
/// ```text
/// |             [in_header | write_in | data ...           | ...
/// ^ page                              ^ page               ^ page
/// ```
#[derive(Debug)]
pub(crate) struct Buffer(MmapMut);

impl Buffer {
    /// Room for at least `len` bytes.
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        MmapMut::map_anon(BEGIN + len).map(Self)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0[BEGIN..]
    }

    pub(crate) fn as_mut_bytes(&mut self) -> &mut [u8] {
        &mut self.0[BEGIN..]
    }
}

/// Where in its page a request begins.
const BEGIN: usize = PAGE - size_of::<fuse_in_header>() - size_of::<fuse_write_in>();
/// The smallest page there is.
const PAGE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_large_enough_and_aligned() {
        let buffer = Buffer::new(8193).unwrap();
        assert!(buffer.as_bytes().len() >= 8193);
        assert!(buffer.as_bytes().as_ptr().cast::<u64>().is_aligned());
    }

    #[test]
    fn the_data_of_a_write_begins_with_a_page() {
        let buffer = Buffer::new(8193).unwrap();
        assert_eq!(buffer.as_bytes()[80..].as_ptr().addr() % PAGE, 0);
    }

    #[test]
    fn a_buffer_beyond_all_memory_is_an_error() {
        assert!(Buffer::new(usize::MAX / 4).is_err());
    }
}
