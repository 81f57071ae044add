//! The host's side of the C interface: its structs, and the functions it exports to the plugin.
//!
//! The plugin finds the exported functions by name, with `dlsym(RTLD_DEFAULT, …)`; the build script tells
//! the linker to export them. Instances, contexts and metrics are handles, see [`super::registry`]: they are
//! looked up, never followed.
#![allow(unsafe_code, reason = "C strings and buffers of the plugin are read here")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::Arc;

use super::instance::{INSTANCES, Instance};
use super::journal;
use super::log;
use super::metrics::{CONTEXTS, FAMILIES, Family, Kind};
use super::registry::Handle;

// `log_print` is variadic. Rust cannot define such a function, so it is defined with one fixed argument
// more: the text for `"%s"`. Where the caller's convention passes the first variadic pointer as it would
// pass a fixed one, the two agree.
#[cfg(not(any(
    all(target_arch = "x86_64", unix),
    all(target_arch = "aarch64", target_os = "linux")
)))]
compile_error!(
    "the embedded host's log_print needs a C convention with variadic arguments in registers"
);

/// What `FLBPluginRegister` fills in; newer hosts have more fields after these.
#[repr(C)]
pub(super) struct Def {
    pub(super) kind: c_int,
    pub(super) proxy: c_int,
    pub(super) flags: c_int,
    pub(super) name: *const c_char,
    pub(super) description: *const c_char,
}

/// What `FLBPluginInit` gets: one for all instances of a plugin.
#[repr(C)]
pub(super) struct PluginStruct {
    pub(super) name: *const c_char,
    pub(super) api: *const Api,
    pub(super) i_ins: *mut c_void,
    pub(super) context: *mut c_void,
}

/// The host's functions for the plugin.
#[repr(C)]
pub(super) struct Api {
    output_get_property: GetProperty,
    input_get_property: GetProperty,
    output_get_cmt_instance: extern "C" fn(*mut c_void) -> *mut c_void,
    input_get_cmt_instance: extern "C" fn(*mut c_void) -> *mut c_void,
    log_print: LogPrint,
    input_log_check: extern "C" fn(*mut c_void, c_int) -> c_int,
    output_log_check: extern "C" fn(*mut c_void, c_int) -> c_int,
    custom_get_property: GetProperty,
    custom_log_check: extern "C" fn(*mut c_void, c_int) -> c_int,
}

type GetProperty = unsafe extern "C" fn(*const c_char, *mut c_void) -> *const c_char;
type LogPrint = unsafe extern "C" fn(c_int, *const c_char, c_int, *const c_char, *const c_char);

pub(super) static API: Api = Api {
    output_get_property: no_property,
    input_get_property,
    output_get_cmt_instance: no_cmt_instance,
    input_get_cmt_instance,
    log_print,
    input_log_check,
    output_log_check: no_log_check,
    custom_get_property: no_property,
    custom_log_check: no_log_check,
};

unsafe extern "C" fn input_get_property(key: *const c_char, i_ins: *mut c_void) -> *const c_char {
    let Some(instance) = instance(i_ins, "input_get_property") else {
        return std::ptr::null();
    };
    // SAFETY: the plugin passes a key that is a C string, or null.
    let key = unsafe { text(key) };
    match instance.property(&key) {
        // The instance, and with it the string, outlives every call the host makes for it.
        Some(value) => value.as_ptr(),
        None => std::ptr::null(),
    }
}

unsafe extern "C" fn no_property(_key: *const c_char, _ins: *mut c_void) -> *const c_char {
    std::ptr::null()
}

extern "C" fn input_get_cmt_instance(i_ins: *mut c_void) -> *mut c_void {
    match instance(i_ins, "input_get_cmt_instance") {
        Some(instance) => instance.metrics.handle.to_pointer(),
        None => std::ptr::null_mut(),
    }
}

extern "C" fn no_cmt_instance(_ins: *mut c_void) -> *mut c_void {
    std::ptr::null_mut()
}

unsafe extern "C" fn log_print(
    level: c_int,
    _file: *const c_char,
    _line: c_int,
    format: *const c_char,
    argument: *const c_char,
) {
    // SAFETY: a format is a C string, or null.
    let format = unsafe { text(format) };
    if format == "%s" {
        // SAFETY: `"%s"` says that a C string follows it.
        log::print(level, &unsafe { text(argument) });
    } else {
        journal::add_unplaced("log_print was called with a format other than \"%s\"");
        log::print(level, &format);
    }
}

extern "C" fn input_log_check(i_ins: *mut c_void, level: c_int) -> c_int {
    let Some(instance) = instance(i_ins, "input_log_check") else {
        return 0;
    };
    c_int::from(level <= instance.log_level() as c_int)
}

extern "C" fn no_log_check(_ins: *mut c_void, _level: c_int) -> c_int {
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn flb_input_log_append(
    i_ins: *mut c_void,
    tag: *const c_char,
    tag_len: usize,
    buf: *const c_void,
    size: usize,
) -> c_int {
    let Some(instance) = instance(i_ins, "flb_input_log_append") else {
        return -1;
    };
    // SAFETY: the plugin lends `tag_len` bytes at `tag` for the length of this call.
    let tag = unsafe { bytes(tag.cast(), tag_len) };
    // SAFETY: the same for `size` bytes at `buf`.
    let buffer = unsafe { bytes(buf, size) };
    let tag = (!tag.is_empty()).then(|| String::from_utf8_lossy(tag).into_owned());
    if instance.append(tag, buffer) { 0 } else { -1 }
}

#[unsafe(no_mangle)]
extern "C" fn flb_input_name(i_ins: *mut c_void) -> *const c_char {
    match instance(i_ins, "flb_input_name") {
        Some(instance) => instance.c_name().as_ptr(),
        None => std::ptr::null(),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cmt_gauge_create(
    cmt: *mut c_void,
    ns: *const c_char,
    subsystem: *const c_char,
    name: *const c_char,
    help: *const c_char,
    label_count: c_int,
    label_keys: *const *const c_char,
) -> *mut c_void {
    // SAFETY: the plugin passes C strings or nulls, and an array of `label_count` of them.
    unsafe { create(Kind::Gauge, cmt, [ns, subsystem, name, help], label_count, label_keys) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cmt_counter_create(
    cmt: *mut c_void,
    ns: *const c_char,
    subsystem: *const c_char,
    name: *const c_char,
    help: *const c_char,
    label_count: c_int,
    label_keys: *const *const c_char,
) -> *mut c_void {
    // SAFETY: the plugin passes C strings or nulls, and an array of `label_count` of them.
    unsafe { create(Kind::Counter, cmt, [ns, subsystem, name, help], label_count, label_keys) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cmt_gauge_set(
    gauge: *mut c_void,
    timestamp: u64,
    value: f64,
    labels_count: c_int,
    label_vals: *const *const c_char,
) -> c_int {
    let Some(family) = family(gauge, "cmt_gauge_set") else {
        return -1;
    };
    // SAFETY: the plugin passes an array of `labels_count` C strings.
    let Some(labels) = (unsafe { label_values(&family, labels_count, label_vals) }) else {
        return -1;
    };
    family.set(timestamp, value, &labels).map_or(-1, |()| 0)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cmt_counter_set(
    counter: *mut c_void,
    timestamp: u64,
    value: f64,
    labels_count: c_int,
    label_vals: *const *const c_char,
) -> c_int {
    let Some(family) = family(counter, "cmt_counter_set") else {
        return -1;
    };
    // SAFETY: the plugin passes an array of `labels_count` C strings.
    let Some(labels) = (unsafe { label_values(&family, labels_count, label_vals) }) else {
        return -1;
    };
    family.set(timestamp, value, &labels).map_or(-1, |()| 0)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cmt_counter_add(
    counter: *mut c_void,
    timestamp: u64,
    value: f64,
    labels_count: c_int,
    label_vals: *const *const c_char,
) -> c_int {
    let Some(family) = family(counter, "cmt_counter_add") else {
        return -1;
    };
    // SAFETY: the plugin passes an array of `labels_count` C strings.
    let Some(labels) = (unsafe { label_values(&family, labels_count, label_vals) }) else {
        return -1;
    };
    family.add(timestamp, value, &labels);
    0
}

#[unsafe(no_mangle)]
extern "C" fn cmt_encode_text_create(cmt: *mut c_void) -> *mut c_char {
    match CONTEXTS.get(Handle::from_pointer(cmt)) {
        Some(metrics) => super::properties::c_string(&metrics.to_text()).into_raw(),
        None => {
            journal::add_stray("cmt_encode_text_create");
            std::ptr::null_mut()
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cmt_encode_text_destroy(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: the plugin gives back what `cmt_encode_text_create` made, once and with its length
        // unchanged.
        drop(unsafe { CString::from_raw(text) });
    }
}

/// The exported functions' addresses, so that no optimizer finds them unused.
#[used]
static KEPT: [Kept; 9] = [
    Kept(flb_input_log_append as *const ()),
    Kept(flb_input_name as *const ()),
    Kept(cmt_gauge_create as *const ()),
    Kept(cmt_gauge_set as *const ()),
    Kept(cmt_counter_create as *const ()),
    Kept(cmt_counter_set as *const ()),
    Kept(cmt_counter_add as *const ()),
    Kept(cmt_encode_text_create as *const ()),
    Kept(cmt_encode_text_destroy as *const ()),
];

struct Kept(*const ());

// SAFETY: the address of a function, which nothing reads or writes through.
unsafe impl Sync for Kept {}

/// The names of the functions a host exports.
pub(crate) const EXPORTS: [&CStr; 9] = [
    c"flb_input_log_append",
    c"flb_input_name",
    c"cmt_gauge_create",
    c"cmt_gauge_set",
    c"cmt_counter_create",
    c"cmt_counter_set",
    c"cmt_counter_add",
    c"cmt_encode_text_create",
    c"cmt_encode_text_destroy",
];

/// Whether the plugin can find this function: whether the executable was linked to export it.
pub(crate) fn is_exported(name: &CStr) -> bool {
    std::hint::black_box(&KEPT);
    // SAFETY: `name` is a C string, and the default scope needs no handle.
    !unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }.is_null()
}

/// These only read what never changes.
const ANY_THREAD: [&str; 2] = ["input_log_check", "flb_input_name"];

fn instance(i_ins: *mut c_void, call: &str) -> Option<Arc<Instance>> {
    let found = INSTANCES.get(Handle::from_pointer(i_ins));
    match &found {
        Some(instance) if !ANY_THREAD.contains(&call) => instance.owner.check(call),
        Some(_) => {}
        None => journal::add_stray(call),
    }
    found
}

fn family(pointer: *mut c_void, call: &str) -> Option<Arc<Family>> {
    let found = FAMILIES.get(Handle::from_pointer(pointer));
    match &found {
        Some(family) => family.owner.check(call),
        None => journal::add_stray(call),
    }
    found
}

/// SAFETY: all strings are C strings or null; `label_keys` points at `label_count` of them.
unsafe fn create(
    kind: Kind,
    cmt: *mut c_void,
    [ns, subsystem, name, help]: [*const c_char; 4],
    label_count: c_int,
    label_keys: *const *const c_char,
) -> *mut c_void {
    let Some(metrics) = CONTEXTS.get(Handle::from_pointer(cmt)) else {
        journal::add_stray("cmt_…_create");
        return std::ptr::null_mut();
    };
    if ns.is_null() || subsystem.is_null() {
        return std::ptr::null_mut();
    }
    // SAFETY: as the caller promises.
    let [ns, subsystem, name, help] = [ns, subsystem, name, help].map(|part| unsafe { text(part) });
    if name.is_empty() || help.is_empty() {
        return std::ptr::null_mut();
    }
    let parts = [ns, subsystem, name];
    let name = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect::<Vec<_>>();
    // SAFETY: as the caller promises.
    let labels = unsafe { texts(label_count, label_keys) };
    metrics.create(kind, name.join("_"), help, labels).handle.to_pointer()
}

/// None: not as many as the metric has labels.
///
/// SAFETY: `values` points at `count` C strings.
unsafe fn label_values(
    family: &Family,
    count: c_int,
    values: *const *const c_char,
) -> Option<Vec<String>> {
    // SAFETY: as the caller promises.
    let labels = unsafe { texts(count, values) };
    (labels.len() == family.label_count()).then_some(labels)
}

/// SAFETY: `strings` points at `count` C strings or nulls.
unsafe fn texts(count: c_int, strings: *const *const c_char) -> Vec<String> {
    let count = usize::try_from(count).unwrap_or(0);
    if count == 0 || strings.is_null() {
        return Vec::new();
    }
    // SAFETY: as the caller promises.
    let strings = unsafe { std::slice::from_raw_parts(strings, count) };
    // SAFETY: as the caller promises.
    strings.iter().map(|&string| unsafe { text(string) }).collect()
}

/// Null reads as empty.
///
/// SAFETY: `string` is a C string or null.
pub(super) unsafe fn text(string: *const c_char) -> String {
    if string.is_null() {
        return String::new();
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned()
}

/// Null and no length read as empty.
///
/// SAFETY: `start` is null, or `size` bytes are readable there for as long as the result lives.
pub(super) unsafe fn bytes<'a>(start: *const c_void, size: usize) -> &'a [u8] {
    if start.is_null() || size == 0 {
        return &[];
    }
    // SAFETY: as the caller promises.
    unsafe { std::slice::from_raw_parts(start.cast(), size) }
}
