//! An allocator that counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// The system's allocator, which counts for the threads that say so. A test names it as its
/// `#[global_allocator]`.
#[derive(Clone, Copy, Debug)]
pub struct Counting;

/// What some threads have allocated.
#[derive(Debug, Default)]
pub struct Allocations {
    number: AtomicU64,
    bytes: AtomicU64,
}

thread_local! {
    static COUNTER: Cell<Option<&'static Allocations>> = const { Cell::new(None) };
}

impl Counting {
    /// From now on this thread's allocations are counted here. True if they were not counted
    /// before.
    pub fn count_here(counter: &'static Allocations) -> bool {
        COUNTER.replace(Some(counter)).is_none()
    }

    fn count(size: usize) {
        if let Ok(Some(counter)) = COUNTER.try_with(Cell::get) {
            counter.number.fetch_add(1, Ordering::SeqCst);
            counter.bytes.fetch_add(size as u64, Ordering::SeqCst);
        }
    }
}

impl Allocations {
    /// How many there were.
    pub fn number(&self) -> u64 {
        self.number.load(Ordering::SeqCst)
    }

    /// How many bytes they were, whether or not they have been given back.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::SeqCst)
    }
}

// SAFETY: all is passed on to the system's allocator, and counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size());
        // SAFETY: by the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size());
        // SAFETY: by the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        Self::count(new_size);
        // SAFETY: by the caller's promise.
        unsafe { System.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: by the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}
