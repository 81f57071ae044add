//! Opaque handles: what the plugin holds are numbers that look like pointers, so a stale one is found
//! out instead of followed.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// Handles are never used twice in one process.
static NEXT: AtomicUsize = AtomicUsize::new(0x1_0000);

/// A number for the plugin to hold, in the place of a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Handle(usize);

impl Handle {
    pub(crate) fn fresh() -> Self {
        Self(NEXT.fetch_add(0x40, Ordering::Relaxed))
    }

    pub(crate) fn from_pointer(pointer: *const c_void) -> Self {
        Self(pointer.addr())
    }

    /// Reads as a pointer, points nowhere.
    pub(crate) fn to_pointer(self) -> *mut c_void {
        std::ptr::without_provenance_mut(self.0)
    }
}

/// The living things of one kind, by handle.
pub(crate) struct Registry<T> {
    living: RwLock<BTreeMap<Handle, Arc<T>>>,
}

impl<T> Registry<T> {
    pub(crate) const fn new() -> Self {
        Self { living: RwLock::new(BTreeMap::new()) }
    }

    pub(crate) fn insert(&self, handle: Handle, thing: Arc<T>) {
        let mut living = self.living.write().unwrap_or_else(PoisonError::into_inner);
        living.insert(handle, thing);
    }

    pub(crate) fn get(&self, handle: Handle) -> Option<Arc<T>> {
        let living = self.living.read().unwrap_or_else(PoisonError::into_inner);
        living.get(&handle).cloned()
    }

    pub(crate) fn remove(&self, handle: Handle) {
        let mut living = self.living.write().unwrap_or_else(PoisonError::into_inner);
        living.remove(&handle);
    }
}
