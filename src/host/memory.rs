//! The allocator: what the host's `malloc` gives is aligned to 8 bytes only.
//!
//! Fluent Bit's packages bring a jemalloc built with a quantum of 8 (`--with-lg-quantum=3`), and a
//! plugin's `malloc` is the host's. Rust's system allocator takes 16 for granted on 64-bit machines,
//! and code that relies on it (a hash table's SSE2 loads) crashes. So whatever wants more than 8 is
//! asked for with an alignment that no `malloc` is trusted with.
//!
//! And what is freed is wiped: credentials pass through buffers of hyper, rustls and serde, which do not
//! do it themselves.

use std::alloc::{GlobalAlloc, Layout, System};

/// What every `malloc` can be trusted with.
const TRUSTED: usize = 8;

/// More than any platform's `malloc` is taken to give.
const ASKED_FOR: usize = 32;

/// Blocks up to this many bytes are wiped when they are freed. Credentials lie in small ones; pages of
/// records lie in large ones, and wiping these would cost.
const WIPED_MAX: usize = 64 * 1024;

/// The system's allocator, with alignments that are always asked for, and blocks that leave nothing
/// behind.
struct Memory;

#[global_allocator]
static MEMORY: Memory = Memory;

fn lifted(layout: Layout) -> Layout {
    if layout.align() <= TRUSTED {
        return layout;
    }
    layout.align_to(ASKED_FOR).unwrap_or(layout)
}

/// Wipes a block that is about to be freed.
///
/// # Safety
/// The block is valid for writes of so many bytes.
unsafe fn wipe(block: *mut u8, size: usize) {
    if size <= WIPED_MAX {
        // SAFETY: the caller's contract. Plain writes before `free` would be optimised away.
        unsafe { libc::explicit_bzero(block.cast(), size) }
    }
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
        // SAFETY: as above; the block is the caller's, and whole.
        unsafe {
            wipe(block, layout.size());
            System.dealloc(block, lifted(layout));
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.size() > WIPED_MAX {
            // SAFETY: as above.
            return unsafe { System.realloc(block, lifted(layout), size) };
        }
        // The system's would leave the old block as it is when it moves.
        // SAFETY: as above; the caller vouches that `size` makes a layout with this alignment. The new
        // block is another one, and both are valid for the smaller of the sizes.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                new.copy_from_nonoverlapping(block, layout.size().min(size));
                self.dealloc(block, layout);
            }
            new
        }
    }
}
