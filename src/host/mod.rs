//! The host edge: the C functions that Fluent Bit calls. All `unsafe` of the plugin is in here.
//!
//! What holds, and what every SAFETY comment leans on:
//!
//! - The host calls `FLBPluginRegister` and `FLBPluginUnregister` on its main thread; everything
//!   else of one instance on one thread of that instance's own, from `FLBPluginInit` to
//!   `FLBPluginExit`. So a thread-local holds the instance.
//! - The struct given to `FLBPluginInit` is shared by all instances: what is needed is copied.
//!   The `api` and the instance it names live until after `FLBPluginExit`.
//! - A buffer handed out by the callback is read by the host until `FLBPluginInputCleanupCallback`.
//! - After the last `FLBPluginExit` the host unloads the library: no thread may be left.
//! - No panic may cross: every function goes through `guard::guarded`.

#![allow(unsafe_code, reason = "this is the one module that may")]

mod abi;
mod guard;
mod instance;
mod memory;
mod metrics;
mod services;

use std::cell::RefCell;
use std::ffi::{c_int, c_void};
use std::ptr;

use guard::guarded;
use instance::Instance;

thread_local! {
    /// The instance that lives on this thread.
    static INSTANCE: RefCell<Option<Instance>> = const { RefCell::new(None) };
}

/// Runs `action` on this thread's instance; `absent` if there is none.
fn with_instance<T>(absent: T, action: impl FnOnce(&mut Instance) -> T) -> T {
    INSTANCE.with_borrow_mut(|slot| match slot.as_mut() {
        Some(instance) => action(instance),
        None => absent,
    })
}

/// Tells the host what this library is.
///
/// # Safety
/// `def` is the host's definition, at least as long as the fields of `lookback_def`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FLBPluginRegister(def: *mut abi::lookback_def) -> c_int {
    guarded(-1, || {
        if def.is_null() {
            return -1;
        }
        // SAFETY: not null, and the host's own memory of at least these fields; nothing behind
        // `description` is touched, as older hosts end there. The strings are static, and the
        // host only reads them.
        unsafe {
            (&raw mut (*def).type_).write(abi::LOOKBACK_TYPE_INPUT as c_int);
            (&raw mut (*def).proxy).write(abi::LOOKBACK_PROXY_NATIVE as c_int);
            (&raw mut (*def).flags).write(0);
            (&raw mut (*def).name).write(c"lookback".as_ptr().cast_mut());
            (&raw mut (*def).description).write(
                c"Logs of HTTP APIs that show them late: no gaps, no duplicates"
                    .as_ptr()
                    .cast_mut(),
            );
        }
        0
    })
}

/// Starts an instance on this thread.
///
/// # Safety
/// `plugin` is the host's plugin struct, valid for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FLBPluginInit(plugin: *const abi::lookback_plugin) -> c_int {
    guarded(abi::LOOKBACK_ERROR as c_int, || {
        // SAFETY: the host passes its plugin struct, whose `api` and `instance` outlive the
        // instance (see the head of this file); null is refused inside.
        let services = unsafe { services::Services::of(plugin) };
        let Some(services) = services else { return abi::LOOKBACK_ERROR as c_int };
        match Instance::start(services) {
            Some(instance) => {
                INSTANCE.set(Some(instance));
                abi::LOOKBACK_OK as c_int
            }
            None => abi::LOOKBACK_ERROR as c_int,
        }
    })
}

/// Called every second: hands over what is ready.
///
/// # Safety
/// `data` and `size` are the host's, valid for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FLBPluginInputCallback(data: *mut *mut c_void, size: *mut usize) -> c_int {
    guarded(-1, || {
        if data.is_null() || size.is_null() {
            return -1;
        }
        let (buffer, len) = with_instance((ptr::null_mut(), 0), Instance::tick);
        // SAFETY: both are the host's and not null. The buffer stays where it is until the
        // cleanup callback: the instance keeps it.
        unsafe {
            data.write(buffer);
            size.write(len);
        }
        abi::LOOKBACK_OK as c_int
    })
}

/// The host is done with the buffer that the callback returned.
///
/// # Safety
/// None is needed: `data` is not followed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FLBPluginInputCleanupCallback(_data: *mut c_void) -> c_int {
    guarded(-1, || {
        with_instance((), Instance::returned);
        abi::LOOKBACK_OK as c_int
    })
}

/// The host stores nothing from now on. Callbacks may still come.
#[unsafe(no_mangle)]
pub extern "C" fn FLBPluginInputPause() {
    guarded((), || with_instance((), |instance| instance.pause()));
}

/// The host stores again.
#[unsafe(no_mangle)]
pub extern "C" fn FLBPluginInputResume() {
    guarded((), || with_instance((), |instance| instance.resume()));
}

/// The end is near: nothing is handed over any more.
#[unsafe(no_mangle)]
pub extern "C" fn FLBPluginInputPreExit(_hot_reload: c_int) {
    guarded((), || with_instance((), |instance| instance.pause()));
}

/// Ends the instance: commits what the host is known to have stored, and joins the thread.
#[unsafe(no_mangle)]
pub extern "C" fn FLBPluginExit() -> c_int {
    guarded(abi::LOOKBACK_OK as c_int, || {
        if let Some(mut instance) = INSTANCE.take() {
            instance.stop();
        }
        abi::LOOKBACK_OK as c_int
    })
}

/// The host forgets the plugin. There is nothing of its own to free.
#[unsafe(no_mangle)]
pub extern "C" fn FLBPluginUnregister(_def: *mut abi::lookback_def) -> c_int {
    abi::LOOKBACK_OK as c_int
}
