//! The host edge: a host with bad manners loads an instance, calls it in any order, and ends it.
//!
//! The input is `name: value` lines. Names in capitals are about the host: `TABLE` which of its
//! functions it has, `CALLS` what it calls, `ANSWERS` what its append returns, `METRICS` the text of its
//! registry, `NAME` the instance's. The rest are properties, as bytes: they need not be UTF-8.

#![no_main]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr;

use in_lookback::host;
use libfuzzer_sys::fuzz_target;
use lookback_fuzz::directory::directory;
use lookback_fuzz::msgpack::{self, Head};

/// Calls of one input at most.
const CALLS_MAX: usize = 24;

/// What every instance has unless the input says otherwise: a start that works, and no network.
const GIVEN: [(&str, &str); 6] = [
    ("api", "entra_signins"),
    ("tenant", "contoso"),
    ("client_id", "app"),
    ("client_secret", "hunter2"),
    ("base_url", "http://127.0.0.1:1"),
    ("token_url", "http://127.0.0.1:1/token"),
];

/// The host as one input describes it.
#[derive(Default)]
struct Host {
    properties: BTreeMap<Vec<u8>, CString>,
    name: Option<CString>,
    metrics: Option<CString>,
    answers: Vec<u8>,
}

thread_local! {
    static HOST: RefCell<Host> = RefCell::default();
    static APPENDS: Cell<usize> = const { Cell::new(0) };
    static TEXTS: Cell<isize> = const { Cell::new(0) };
}

/// As in `include/lookback_host.h`.
#[repr(C)]
struct Api {
    output_get_property: Option<GetProperty>,
    input_get_property: Option<GetProperty>,
    output_get_cmt_instance: Option<extern "C" fn(*mut c_void) -> *mut c_void>,
    input_get_cmt_instance: Option<extern "C" fn(*mut c_void) -> *mut c_void>,
    log_print: Option<LogPrint>,
    input_log_check: Option<extern "C" fn(*mut c_void, c_int) -> c_int>,
    output_log_check: Option<extern "C" fn(*mut c_void, c_int) -> c_int>,
}

#[repr(C)]
struct Plugin {
    name: *mut c_char,
    api: *const Api,
    instance: *mut c_void,
    context: *mut c_void,
}

type GetProperty = unsafe extern "C" fn(*const c_char, *mut c_void) -> *const c_char;
/// Variadic in the header; with one argument more, the two agree in the conventions that we run on.
type LogPrint = unsafe extern "C" fn(c_int, *const c_char, c_int, *const c_char, *const c_char);

fuzz_target!(|data: &[u8]| {
    let dir = directory();
    let (host, table, calls) = described(data, dir.path());
    HOST.set(host);
    APPENDS.set(0);
    let has = |bit: u8| table & (1 << bit) == 0;
    let api = Api {
        output_get_property: None,
        input_get_property: has(0).then_some(get_property as GetProperty),
        output_get_cmt_instance: None,
        input_get_cmt_instance: has(1).then_some(cmt_instance),
        log_print: has(2).then_some(log_print as LogPrint),
        input_log_check: has(3).then_some(log_check),
        output_log_check: None,
    };
    let mut own = 0_u8;
    let own: *mut c_void = (&raw mut own).cast();
    let plugin = Plugin {
        name: ptr::null_mut(),
        api: if has(4) { &raw const api } else { ptr::null() },
        instance: if has(5) { own } else { ptr::null_mut() },
        context: ptr::null_mut(),
    };
    register();
    for call in calls.iter().take(CALLS_MAX) {
        make(*call, &plugin);
    }
    host::FLBPluginExit();
    assert_eq!(TEXTS.get(), 0, "every text of the registry is given back");
});

/// Calls one of the exported functions.
fn make(call: u8, plugin: &Plugin) {
    match call {
        // SAFETY: the struct, its table and its instance outlive the last call of this input.
        b'i' => drop(unsafe { host::FLBPluginInit(ptr::from_ref(plugin).cast()) }),
        // SAFETY: null is allowed for.
        b'n' => drop(unsafe { host::FLBPluginInit(ptr::null()) }),
        b't' => tick(true),
        // A host that forgets to clean up.
        b'T' => tick(false),
        // SAFETY: its argument is not followed.
        b'c' => drop(unsafe { host::FLBPluginInputCleanupCallback(ptr::null_mut()) }),
        // SAFETY: null is allowed for.
        b'0' => drop(unsafe { host::FLBPluginInputCallback(ptr::null_mut(), ptr::null_mut()) }),
        b'p' => host::FLBPluginInputPause(),
        b'r' => host::FLBPluginInputResume(),
        b'e' => host::FLBPluginInputPreExit(1),
        b'x' => drop(host::FLBPluginExit()),
        b'u' => drop(host::FLBPluginUnregister(ptr::null_mut())),
        _ => {}
    }
}

/// What is returned is a whole stream of records, and stays until the host has copied it.
fn tick(clean_up: bool) {
    let (mut data, mut size) = (ptr::null_mut(), 0_usize);
    // SAFETY: both are valid for writes.
    let result = unsafe { host::FLBPluginInputCallback(&raw mut data, &raw mut size) };
    assert_eq!(result, 1);
    if size > 0 {
        // SAFETY: the plugin keeps the buffer until the cleanup callback, which is below.
        check_stream(unsafe { std::slice::from_raw_parts(data.cast(), size) });
    }
    if clean_up {
        // SAFETY: the buffer is not looked at any more.
        unsafe { host::FLBPluginInputCleanupCallback(data) };
    }
}

/// An old host's definition ends after `description`: what is behind it stays as it is.
fn register() {
    #[repr(C)]
    struct Def {
        numbers: [c_int; 3],
        texts: [*const c_char; 2],
        behind: [u64; 2],
    }
    let mut def = Def { numbers: [9; 3], texts: [ptr::null(); 2], behind: [0x5555; 2] };
    // SAFETY: the definition has the fields that are written, and more.
    assert_eq!(unsafe { host::FLBPluginRegister((&raw mut def).cast()) }, 0);
    assert_eq!((def.numbers, def.behind), ([1, 11, 0], [0x5555; 2]));
    // SAFETY: the plugin's strings are static.
    let name = unsafe { CStr::from_ptr(def.texts[0]) };
    assert_eq!(name, c"lookback");
    // SAFETY: null is allowed for.
    assert_eq!(unsafe { host::FLBPluginRegister(ptr::null_mut()) }, -1);
}

/// The host, which functions it lacks, and what it calls.
fn described(data: &[u8], dir: &Path) -> (Host, u8, Vec<u8>) {
    let mut host = Host::default();
    let (mut table, mut calls) = (0, b"ittpttrte".to_vec());
    for (name, value) in GIVEN {
        host.properties.insert(name.into(), c_string(value.as_bytes()));
    }
    for line in data.split(|byte| *byte == b'\n') {
        let Some(at) = line.windows(2).position(|pair| pair == b": ") else { continue };
        let (name, value) = (&line[..at], &line[at + 2..]);
        match name {
            b"TABLE" => table = value.first().copied().unwrap_or_default(),
            b"CALLS" => calls = value.to_vec(),
            b"ANSWERS" => host.answers = value.to_vec(),
            b"METRICS" => host.metrics = Some(c_string(value)),
            b"NAME" => host.name = Some(c_string(value)),
            // No other hosts, no other files.
            b"base_url" | b"token_url" | b"proxy" | b"db" | b"cloud" => {}
            _ => {
                let long = value.strip_prefix(b"long ").map(|part| part.repeat(5_000));
                let value = long.unwrap_or_else(|| value.to_vec());
                let value: Vec<u8> =
                    value.into_iter().filter(|byte| !b"/.".contains(byte)).collect();
                host.properties.insert(name.to_vec(), c_string(&value));
            }
        }
    }
    let db = dir.join("x.db");
    host.properties.insert(b"db".into(), c_string(db.as_os_str().as_encoded_bytes()));
    (host, table, calls)
}

/// Up to the first zero byte, as C reads it.
fn c_string(bytes: &[u8]) -> CString {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    CString::new(&bytes[..end]).expect("no zero byte in it")
}

/// Records, one after the other, and nothing else.
fn check_stream(mut stream: &[u8]) {
    while !stream.is_empty() {
        assert_eq!(msgpack::next(&mut stream), Head::Array(2));
        skip(&mut stream);
        skip(&mut stream);
    }
}

fn skip(rest: &mut &[u8]) {
    match msgpack::next(rest) {
        Head::Array(count) => (0..count).for_each(|_| skip(rest)),
        Head::Map(count) => (0..2 * count).for_each(|_| skip(rest)),
        _ => {}
    }
}

unsafe extern "C" fn get_property(key: *const c_char, _: *mut c_void) -> *const c_char {
    // SAFETY: the plugin passes a C string.
    let key = unsafe { CStr::from_ptr(key) };
    HOST.with_borrow(|host| host.properties.get(key.to_bytes()).map_or(ptr::null(), |v| v.as_ptr()))
}

extern "C" fn cmt_instance(instance: *mut c_void) -> *mut c_void {
    HOST.with_borrow(|host| if host.metrics.is_some() { instance } else { ptr::null_mut() })
}

unsafe extern "C" fn log_print(
    level: c_int,
    _: *const c_char,
    _: c_int,
    format: *const c_char,
    line: *const c_char,
) {
    // SAFETY: the plugin passes C strings.
    let (format, line) = unsafe { (CStr::from_ptr(format), CStr::from_ptr(line)) };
    assert!((1..=4).contains(&level) && format == c"%s");
    let line = line.to_str().expect("a log line is UTF-8");
    assert!(!line.contains(char::is_control) && !line.contains("hunter2"), "{line}");
}

extern "C" fn log_check(_: *mut c_void, level: c_int) -> c_int {
    c_int::from(level < 4)
}

/// Takes records, or not.
///
/// # Safety
/// `buffer` is readable for `size` bytes, `tag` for `tag_len`, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flb_input_log_append(
    _instance: *mut c_void,
    tag: *const c_char,
    tag_len: usize,
    buffer: *const c_void,
    size: usize,
) -> c_int {
    // SAFETY: the plugin lends its buffer for the length of this call.
    check_stream(unsafe { std::slice::from_raw_parts(buffer.cast(), size) });
    if !tag.is_null() {
        // SAFETY: the same for the tag.
        let tag = unsafe { std::slice::from_raw_parts(tag.cast::<u8>(), tag_len) };
        assert!(std::str::from_utf8(tag).is_ok());
    }
    let count = APPENDS.replace(APPENDS.get() + 1);
    let answer = HOST.with_borrow(|host| host.answers.get(count).copied());
    answer.map_or(0, |answer| c_int::from(answer as i8))
}

/// The instance's name, or none.
#[unsafe(no_mangle)]
pub extern "C" fn flb_input_name(_instance: *mut c_void) -> *const c_char {
    HOST.with_borrow(|host| host.name.as_ref().map_or(ptr::null(), |name| name.as_ptr()))
}

macro_rules! metrics {
    ($create:ident, $set:ident) => {
        /// A metric, or none for some.
        #[unsafe(no_mangle)]
        pub extern "C" fn $create(
            context: *mut c_void,
            _ns: *const c_char,
            _subsystem: *const c_char,
            _name: *const c_char,
            _help: *const c_char,
            label_count: c_int,
            _label_keys: *mut *const c_char,
        ) -> *mut c_void {
            if label_count == 2 { context } else { ptr::null_mut() }
        }

        /// Reads the labels.
        ///
        /// # Safety
        /// `labels` holds `count` C strings.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $set(
            _metric: *mut c_void,
            _time: u64,
            _value: f64,
            count: c_int,
            labels: *mut *const c_char,
        ) -> c_int {
            for index in 0..usize::try_from(count).expect("no negative count") {
                // SAFETY: by the contract of this function.
                let label = unsafe { CStr::from_ptr(*labels.add(index)) };
                assert!(label.to_str().is_ok());
            }
            -1
        }
    };
}

metrics!(cmt_gauge_create, cmt_gauge_set);
metrics!(cmt_counter_create, cmt_counter_set);

/// The registry as a text of the host's.
#[unsafe(no_mangle)]
pub extern "C" fn cmt_encode_text_create(_context: *mut c_void) -> *mut c_char {
    let text = HOST.with_borrow(|host| host.metrics.clone());
    text.map_or(ptr::null_mut(), |text| {
        TEXTS.set(TEXTS.get() + 1);
        text.into_raw()
    })
}

/// Takes the text back.
///
/// # Safety
/// `text` is from `cmt_encode_text_create`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cmt_encode_text_destroy(text: *mut c_char) {
    TEXTS.set(TEXTS.get() - 1);
    // SAFETY: it was made by `into_raw`, and is given back once.
    drop(unsafe { CString::from_raw(text) });
}
