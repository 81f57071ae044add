//! What the host does for us: properties, logs, taking records. Symbols are found by name, or not.

use std::ffi::{CStr, CString, c_int, c_void};
use std::mem;

use super::abi;
use crate::worker::{Append, Level};

/// The host as one instance sees it.
pub(super) struct Services {
    api: *const abi::lookback_api,
    instance: *mut c_void,
    append: abi::lookback_log_append_fn,
    name: String,
}

impl Services {
    /// Copies what an instance needs out of the host's plugin struct.
    ///
    /// # Safety
    /// `plugin` is null or the struct that the host gives to `FLBPluginInit`, whose `api` and
    /// `instance` outlive the result; the result stays on the instance's thread.
    pub(super) unsafe fn of(plugin: *const abi::lookback_plugin) -> Option<Self> {
        // SAFETY: by the contract of this function it is null or readable.
        let plugin = unsafe { plugin.as_ref() }?;
        if plugin.api.is_null() || plugin.instance.is_null() {
            return None;
        }
        // SAFETY: the symbols, where they exist, have these signatures in every supported version.
        let (append, input_name) = unsafe {
            (
                symbol::<abi::lookback_log_append_fn>(c"flb_input_log_append"),
                symbol::<abi::lookback_input_name_fn>(c"flb_input_name"),
            )
        };
        // SAFETY: the host returns the instance's own name, which lives as long as the instance.
        let name = input_name.and_then(|name| unsafe { text(name(plugin.instance)) });
        Some(Self {
            api: plugin.api,
            instance: plugin.instance,
            append,
            name: name.unwrap_or_else(|| "lookback".to_owned()),
        })
    }

    /// The instance's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the host can be handed records at any time, with a tag of their own.
    pub(super) fn can_append(&self) -> bool {
        self.append.is_some()
    }

    /// A property, if it is set.
    pub(super) fn property(&self, name: &str) -> Option<String> {
        let name = CString::new(name).ok()?;
        // SAFETY: `api` outlives the instance; the host reads the name during the call only, and
        // returns null or a string of the configuration, which outlives the instance.
        unsafe {
            let get = (*self.api).input_get_property?;
            text(get(name.as_ptr(), self.instance))
        }
    }

    /// Prints a line through the host's logger, if its level is on.
    pub(super) fn log(&self, level: Level, line: &str) {
        let level = match level {
            Level::Error => abi::LOOKBACK_LOG_ERROR,
            Level::Warn => abi::LOOKBACK_LOG_WARN,
            Level::Info => abi::LOOKBACK_LOG_INFO,
            Level::Debug => abi::LOOKBACK_LOG_DEBUG,
        } as c_int;
        let Ok(line) = CString::new(log_line(&self.name, line)) else { return };
        // SAFETY: `api` outlives the instance; the text is passed as an argument of a constant
        // format, and read during the call only.
        unsafe {
            let wanted =
                (*self.api).input_log_check.is_none_or(|check| check(self.instance, level) != 0);
            if let (true, Some(print)) = (wanted, (*self.api).log_print) {
                print(level, c"lookback".as_ptr(), 0, c"%s".as_ptr(), line.as_ptr());
            }
        }
    }

    /// Hands records over; the host copies them.
    pub(super) fn append(&self, tag: Option<&str>, bytes: &[u8]) -> Append {
        let Some(append) = self.append else { return Append::Refused };
        let (tag, len) = tag.map_or((std::ptr::null(), 0), |tag| (tag.as_ptr().cast(), tag.len()));
        // SAFETY: called on the instance's thread; tag and buffer are valid for these lengths
        // during the call, and the host keeps copies only.
        let result = unsafe { append(self.instance, tag, len, bytes.as_ptr().cast(), bytes.len()) };
        if result == 0 { Append::Taken } else { Append::Refused }
    }

    /// The instance's metrics context, if the host has metrics.
    pub(super) fn metrics_context(&self) -> Option<*mut c_void> {
        // SAFETY: `api` and the instance outlive this call.
        let context = unsafe { (*self.api).input_get_cmt_instance.map(|get| get(self.instance)) };
        context.filter(|context| !context.is_null())
    }
}

/// One line, whatever stands in the instance's name and the text.
fn log_line(name: &str, text: &str) -> String {
    let line = format!("[input:lookback:{name}] {text}");
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A symbol of the host's executable, as a function of type `F` (an `Option` of a function pointer).
///
/// # Safety
/// `F` is an `Option` of a function pointer type that fits the symbol of that name.
pub(super) unsafe fn symbol<F>(name: &CStr) -> F {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    // SAFETY: the name is a C string. Null and `None` are the same bits in an option of a function
    // pointer, and anything else is the address of the function, by the contract of this function.
    unsafe { mem::transmute_copy(&libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr())) }
}

/// A string of the host's.
///
/// # Safety
/// Null or a C string that stays as it is during the call.
pub(super) unsafe fn text(text: *const std::ffi::c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: not null, and a C string by the contract of this function.
    Some(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_is_one_line_whatever_the_instance_is_called() {
        assert_eq!(log_line("a\nb", "c\r\0d"), "[input:lookback:a b] c  d");
    }
}
