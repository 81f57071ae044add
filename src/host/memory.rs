//! The allocator: what the host's `malloc` gives is aligned to 8 bytes only.
//!
//! Fluent Bit's packages bring a jemalloc built with a quantum of 8 (`--with-lg-quantum=3`), and a
//! plugin's `malloc` is the host's. Rust's system allocator takes 16 for granted on 64-bit machines,
//! and code that relies on it (a hash table's SSE2 loads) crashes. So whatever wants more than 8 is
//! asked for with an alignment that no `malloc` is trusted with.

use std::alloc::{GlobalAlloc, Layout, System};

/// What every `malloc` can be trusted with.
const TRUSTED: usize = 8;

/// More than any platform's `malloc` is taken to give.
const ASKED_FOR: usize = 32;

/// The system's allocator, with alignments that are always asked for.
struct Memory;

#[global_allocator]
static MEMORY: Memory = Memory;

fn lifted(layout: Layout) -> Layout {
    if layout.align() <= TRUSTED {
        return layout;
    }
    layout.align_to(ASKED_FOR).unwrap_or(layout)
}

// SAFETY: every call goes to the system's allocator with a layout of the same size and of at least the
// same alignment; a block comes and goes with the same layout, as `lifted` depends on the layout only.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract, with a layout that differs in alignment only.
        unsafe { System.alloc(lifted(layout)) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(lifted(layout)) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, lifted(layout)) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        unsafe { System.realloc(block, lifted(layout), size) }
    }
}
