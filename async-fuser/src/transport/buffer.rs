use zerocopy::IntoBytes;

use crate::abi::{fuse_in_header, fuse_write_in};

/// Room for one request, aligned for the kernel's structs.
///
/// It is zeroed lazily by the system: pages that no request has filled cost nothing.
///
/// It begins so far before the end of a page that the data of a WRITE begins with the next one:
/// the kernel copies page by page, and would otherwise copy each in two pieces.
///
/// ```text
/// |             [in_header | write_in | data ...           | ...
/// ^ page                              ^ page               ^ page
/// ```
pub(crate) struct Buffer {
    words: Vec<u64>,
    begin: usize,
}

impl Buffer {
    /// Room for at least `len` bytes.
    pub(crate) fn new(len: usize) -> Self {
        const IN_FRONT_OF_DATA: usize = size_of::<fuse_in_header>() + size_of::<fuse_write_in>();
        let words = vec![0; (len + PAGE).div_ceil(WORD)];
        let data = words.as_ptr().addr() + IN_FRONT_OF_DATA;
        Self { begin: (data.next_multiple_of(PAGE) - data) / WORD, words }
    }

    /// A buffer without room, in the place of one that is elsewhere.
    #[cfg(feature = "async")]
    pub(crate) fn none() -> Self {
        Self { words: Vec::new(), begin: 0 }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.words[self.begin..].as_bytes()
    }

    pub(crate) fn as_mut_bytes(&mut self) -> &mut [u8] {
        self.words[self.begin..].as_mut_bytes()
    }
}

const PAGE: usize = 4096;
const WORD: usize = size_of::<u64>();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_large_enough_and_aligned() {
        let buffer = Buffer::new(8193);
        assert!(buffer.as_bytes().len() >= 8193);
        assert!(buffer.as_bytes().as_ptr().cast::<u64>().is_aligned());
    }

    #[test]
    fn the_data_of_a_write_begins_with_a_page() {
        let buffer = Buffer::new(8193);
        assert_eq!(buffer.as_bytes()[80..].as_ptr().addr() % PAGE, 0);
    }
}
