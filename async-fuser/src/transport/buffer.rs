use zerocopy::IntoBytes;

/// Room for one request, aligned for the kernel's structs.
///
/// It is zeroed lazily by the system: pages that no request has filled cost nothing.
pub(crate) struct Buffer(Vec<u64>);

impl Buffer {
    /// Room for at least `len` bytes.
    pub(crate) fn new(len: usize) -> Self {
        Self(vec![0; len.div_ceil(size_of::<u64>())])
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    pub(crate) fn as_mut_bytes(&mut self) -> &mut [u8] {
        self.0.as_mut_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_large_enough_and_aligned() {
        let buffer = Buffer::new(8193);
        assert!(buffer.as_bytes().len() >= 8193);
        assert!(buffer.as_bytes().as_ptr().cast::<u64>().is_aligned());
    }
}
