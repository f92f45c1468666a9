//! Memory for large answers, kept by each thread for the next one, so that serving allocates none.

use std::cell::Cell;
#[cfg(feature = "async")]
use std::cell::RefCell;

thread_local! {
    static LISTING: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    #[cfg(feature = "async")]
    static FILLED: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty vector for a listing.
pub(crate) fn take() -> Vec<u8> {
    LISTING.try_with(Cell::take).unwrap_or_default()
}

/// Gives a listing's memory back.
pub(crate) fn give(buffer: Vec<u8>) {
    // A thread that is ending keeps none.
    let _ = LISTING.try_with(|spare| spare.set(buffer));
}

/// A vector of at least `len` bytes. What they are is left over from earlier answers, or zero.
#[cfg(feature = "async")]
pub(crate) fn take_filled(len: usize) -> Vec<u8> {
    let spare = FILLED.try_with(|spares| spares.borrow_mut().pop()).ok().flatten();
    let mut buffer = spare.unwrap_or_default();
    if buffer.len() < len {
        // A new one, where growing would copy bytes that nobody wants.
        buffer = vec![0; len];
    }
    buffer
}

/// Gives the memory of [`take_filled`] back.
#[cfg(feature = "async")]
pub(crate) fn give_filled(buffer: Vec<u8>) {
    const KEPT: usize = 4;
    const LARGEST: usize = 2 << 20;
    if buffer.is_empty() || buffer.len() > LARGEST {
        return;
    }
    let _ = FILLED.try_with(|spares| {
        let mut spares = spares.borrow_mut();
        if spares.len() < KEPT {
            spares.push(buffer);
        }
    });
}
