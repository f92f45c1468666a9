use std::io::IoSlice;

use zerocopy::IntoBytes;

use crate::abi::fuse_out_header;
use crate::types::Errno;

/// One message to the kernel: a header and up to three parts of a body.
///
/// ```text
/// [ out_header: len | error | unique ] [ part ] [ part ] [ part ]
/// ```
///
/// The parts stay where they are; a transport writes them with one `writev`, or copies them once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    header: fuse_out_header,
    parts: [&'a [u8]; 3],
}

impl<'a> Message<'a> {
    /// The answer to the request `unique`.
    pub(crate) fn reply(unique: u64, parts: [&'a [u8]; 3]) -> Self {
        Self::new(unique, 0, parts)
    }

    /// The refusal of the request `unique`.
    pub(crate) fn error(unique: u64, errno: Errno) -> Self {
        Self::new(unique, errno.in_reply(), [&[]; 3])
    }

    /// A message the kernel did not ask for. The kernel knows it by `unique` being zero.
    pub(crate) fn notification(code: i32, parts: [&'a [u8]; 3]) -> Self {
        Self::new(0, code, parts)
    }

    fn new(unique: u64, error: i32, parts: [&'a [u8]; 3]) -> Self {
        let len = parts.iter().map(|part| part.len()).sum::<usize>() + size_of::<fuse_out_header>();
        // A message of 4 GiB cannot be expressed; the kernel refuses this length with EINVAL.
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        Self { header: fuse_out_header { len, error, unique }, parts }
    }

    /// The whole message, for `writev`; the kernel need not look at parts that are empty.
    #[inline]
    pub(crate) fn slices<'s>(&'s self, storage: &'s mut [IoSlice<'s>; 4]) -> &'s [IoSlice<'s>] {
        let [a, b, c] = self.parts.map(IoSlice::new);
        *storage = [IoSlice::new(self.header.as_bytes()), a, b, c];
        let used = self.parts.iter().rposition(|part| !part.is_empty()).map_or(1, |last| last + 2);
        &storage[..used]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(message: &Message<'_>) -> Vec<u8> {
        let mut storage = [IoSlice::new(&[]); 4];
        message.slices(&mut storage).iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn a_reply_counts_its_parts() {
        let message = Message::reply(7, [b"ab", b"", b"cde"]);
        let expected = [&21u32.to_ne_bytes()[..], &[0; 4], &7u64.to_ne_bytes(), b"abcde"].concat();
        assert_eq!(bytes(&message), expected);
    }

    #[test]
    fn an_error_is_negative_and_has_no_body() {
        let message = Message::error(7, Errno::ENOENT);
        let expected =
            [&16u32.to_ne_bytes()[..], &(-2i32).to_ne_bytes(), &7u64.to_ne_bytes()].concat();
        assert_eq!(bytes(&message), expected);
    }

    #[test]
    fn a_notification_has_its_code_and_no_unique() {
        let message = Message::notification(3, [b"x", b"", b""]);
        let expected =
            [&17u32.to_ne_bytes()[..], &3i32.to_ne_bytes(), &0u64.to_ne_bytes(), b"x"].concat();
        assert_eq!(bytes(&message), expected);
    }
}
