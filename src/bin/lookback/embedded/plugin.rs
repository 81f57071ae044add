//! The plugin's side of the C interface: the loaded library, and its functions as safe calls.
#![allow(unsafe_code, reason = "the library's functions are called here")]

use std::ffi::{CString, c_int, c_void};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use libloading::Library;

use super::abi::{API, Def, PluginStruct, bytes, text};
use super::habits::Habits;
use super::journal::Journal;
use super::options::DefSize;
use super::registry::Handle;

const KIND_INPUT: c_int = 1;
const PROXY_GO: c_int = 11;
/// Bytes after the definition that must stay as they are.
const CANARY: [u8; 64] = [0xc5; 64];

/// Why a library cannot be hosted.
#[derive(Debug)]
pub(crate) enum LoadError {
    Open { path: PathBuf, cause: libloading::Error },
    NoFunction { path: PathBuf, name: &'static str },
    Refused { path: PathBuf, answer: i32 },
    NotAnInput { path: PathBuf, kind: i32, proxy: i32 },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { path, cause } => {
                write!(f, "cannot load the plugin {}: {cause}", path.display())
            }
            Self::NoFunction { path, name } => {
                write!(f, "{} is no input plugin: it has no function {name}", path.display())
            }
            Self::Refused { path, answer } => {
                write!(
                    f,
                    "{} refused to register (FLBPluginRegister gave {answer})",
                    path.display()
                )
            }
            Self::NotAnInput { path, kind, proxy } => write!(
                f,
                "{} registered as type {kind}, proxy {proxy}; expected an input, type 1, proxy 11",
                path.display()
            ),
        }
    }
}

impl std::error::Error for LoadError {}

/// A loaded, registered plugin. Unregistered and closed by [`Plugin::close`].
pub(crate) struct Plugin {
    path: PathBuf,
    name: CString,
    functions: Functions,
    /// The host keeps the definition until it unregisters the plugin.
    def: Mutex<DefMemory>,
    /// One for all instances.
    shared: Mutex<Box<PluginStruct>>,
    library: Library,
}

struct Functions {
    init: unsafe extern "C" fn(*mut PluginStruct) -> c_int,
    pre_run: Option<unsafe extern "C" fn(c_int) -> c_int>,
    callback: unsafe extern "C" fn(*mut *mut c_void, *mut usize) -> c_int,
    cleanup: Option<unsafe extern "C" fn(*mut c_void) -> c_int>,
    pause: Option<unsafe extern "C" fn()>,
    resume: Option<unsafe extern "C" fn()>,
    pre_exit: Option<unsafe extern "C" fn(c_int)>,
    exit: Option<unsafe extern "C" fn() -> c_int>,
    unregister: Option<unsafe extern "C" fn(*mut Def)>,
}

// SAFETY: the pointers in `shared` and `def` are the host's own memory and the library's constants; both are
// reached only under their locks, and the interface lets the plugin's functions run on several threads.
unsafe impl Send for Plugin {}
// SAFETY: as above.
unsafe impl Sync for Plugin {}

/// What one callback came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Collected {
    Nothing,
    Failed,
    Bytes { cleanup: i32 },
}

impl Plugin {
    /// `dlopen`, then `FLBPluginRegister` with a definition of this size.
    pub(super) fn load(
        path: &Path,
        def_size: DefSize,
        habits: &Habits,
        reloading: bool,
        journal: &Journal,
    ) -> Result<Self, LoadError> {
        // SAFETY: loading runs the library's initializers; the user named this file as the plugin to run.
        let library = unsafe { Library::new(path) }
            .map_err(|cause| LoadError::Open { path: path.to_owned(), cause })?;
        let functions = Functions::find(&library, path, journal)?;
        let mut def = DefMemory::new(def_size, habits.has_dirty_def());
        register(&library, path, &mut def, reloading)?;
        let name = def.check(path, journal)?;
        let shared = PluginStruct {
            name: std::ptr::null(),
            api: &raw const API,
            i_ins: std::ptr::null_mut(),
            context: std::ptr::null_mut(),
        };
        let (def, shared) = (Mutex::new(def), Mutex::new(Box::new(shared)));
        let plugin = Self { path: path.to_owned(), name, functions, def, shared, library };
        plugin.lock_shared().name = plugin.name.as_ptr();
        Ok(plugin)
    }

    /// The name the plugin registered under.
    pub(crate) fn name(&self) -> String {
        self.name.to_string_lossy().into_owned()
    }

    /// Overwrites the shared struct for this instance. Above 0 is success.
    pub(super) fn init(&self, instance: Handle, context: Handle) -> i32 {
        let mut shared = self.lock_shared();
        shared.i_ins = instance.to_pointer();
        shared.context = context.to_pointer();
        // SAFETY: the struct is laid out as the host's, and lives as long as the plugin; the lock keeps
        // other instances from overwriting it during the call, as the host's own order does.
        unsafe { (self.functions.init)(&raw mut **shared) }
    }

    /// The instance that the shared struct names.
    pub(super) fn last_initialized(&self) -> Handle {
        Handle::from_pointer(self.lock_shared().i_ins)
    }

    pub(super) fn pre_run(&self, hot_reload: bool) {
        if let Some(pre_run) = self.functions.pre_run {
            // SAFETY: called on the instance's thread after a successful init.
            unsafe { pre_run(hot_reload.into()) };
        }
    }

    pub(super) fn pause(&self) {
        if let Some(pause) = self.functions.pause {
            // SAFETY: called on the instance's thread after a successful init.
            unsafe { pause() };
        }
    }

    pub(super) fn resume(&self) {
        if let Some(resume) = self.functions.resume {
            // SAFETY: called on the instance's thread after a successful init.
            unsafe { resume() };
        }
    }

    /// One callback. Its bytes go to `take`, then back to the plugin.
    pub(super) fn collect(&self, take: impl FnOnce(&[u8])) -> Collected {
        let (mut data, mut size) = (std::ptr::null_mut(), 0);
        // SAFETY: both point at this frame; called on the instance's thread after a successful init.
        let answer = unsafe { (self.functions.callback)(&raw mut data, &raw mut size) };
        if size == 0 {
            return Collected::Nothing;
        }
        if answer == -1 {
            return Collected::Failed;
        }
        // SAFETY: the plugin lends `size` bytes at `data` until the cleanup call.
        take(unsafe { bytes(data, size) });
        Collected::Bytes { cleanup: self.clean_up(data) }
    }

    fn clean_up(&self, data: *mut c_void) -> i32 {
        match self.functions.cleanup {
            // SAFETY: `data` is what the last callback gave, passed back once.
            Some(cleanup) => unsafe { cleanup(data) },
            None => {
                // SAFETY: a plugin without a cleanup function gives memory of `malloc`, for the host to free.
                unsafe { libc::free(data) };
                0
            }
        }
    }

    pub(super) fn pre_exit(&self, reloading: bool) {
        if let Some(pre_exit) = self.functions.pre_exit {
            // SAFETY: called on the instance's thread, before its exit.
            unsafe { pre_exit(reloading.into()) };
        }
    }

    pub(super) fn exit(&self) -> i32 {
        // SAFETY: called on the instance's thread, last.
        self.functions.exit.map_or(0, |exit| unsafe { exit() })
    }

    /// `FLBPluginUnregister`, then `dlclose`. True: the library is no longer mapped.
    pub(super) fn close(self, journal: &Journal) -> bool {
        let Self { path, functions, def, library, .. } = self;
        let mut def = def.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(unregister) = functions.unregister {
            // SAFETY: the definition this plugin filled in, after its last instance is gone.
            unsafe { unregister(def.as_def()) };
        }
        def.check_canary(journal);
        drop(library);
        !is_mapped(&path)
    }

    /// Leaves the library loaded for good, as after a crash.
    pub(super) fn forget(self) {
        std::mem::forget(self.library);
    }

    fn lock_shared(&self) -> std::sync::MutexGuard<'_, Box<PluginStruct>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Functions {
    fn find(library: &Library, path: &Path, journal: &Journal) -> Result<Self, LoadError> {
        let missing = |name| LoadError::NoFunction { path: path.to_owned(), name };
        for context in ["FLBPluginInputCallbackCtx", "FLBPluginInputCleanupCallbackCtx"] {
            // SAFETY: only its presence is looked at.
            if unsafe { find::<unsafe extern "C" fn()>(library, context) }.is_some() {
                journal
                    .add(format!("{context} is exported: hosts from 4.1 on would call it instead"));
            }
        }
        // SAFETY: the types are those of the interface, which a library with these names claims to have.
        unsafe {
            Ok(Self {
                init: find(library, "FLBPluginInit").ok_or_else(|| missing("FLBPluginInit"))?,
                pre_run: find(library, "FLBPluginInputPreRun"),
                callback: find(library, "FLBPluginInputCallback")
                    .ok_or_else(|| missing("FLBPluginInputCallback"))?,
                cleanup: find(library, "FLBPluginInputCleanupCallback"),
                pause: find(library, "FLBPluginInputPause"),
                resume: find(library, "FLBPluginInputResume"),
                pre_exit: find(library, "FLBPluginInputPreExit"),
                exit: find(library, "FLBPluginExit"),
                unregister: find(library, "FLBPluginUnregister"),
            })
        }
    }
}

/// SAFETY: `T` is the type of the function pointer named so.
unsafe fn find<T: Copy>(library: &Library, name: &str) -> Option<T> {
    // SAFETY: as the caller promises. The copy is used only while the library is loaded.
    unsafe { library.get::<T>(name) }.ok().map(|symbol| *symbol)
}

fn register(
    library: &Library,
    path: &Path,
    def: &mut DefMemory,
    reloading: bool,
) -> Result<(), LoadError> {
    let refused = |answer| LoadError::Refused { path: path.to_owned(), answer };
    // SAFETY: the interface's type for this name.
    let before =
        unsafe { find::<unsafe extern "C" fn(c_int) -> c_int>(library, "FLBPluginPreRegister") };
    // SAFETY: called before anything else.
    if let Some(answer) = before.map(|before| unsafe { before(reloading.into()) })
        && answer == -1
    {
        return Err(refused(answer));
    }
    // SAFETY: the interface's type for this name.
    let register =
        unsafe { find::<unsafe extern "C" fn(*mut Def) -> c_int>(library, "FLBPluginRegister") };
    let Some(register) = register else {
        return Err(LoadError::NoFunction { path: path.to_owned(), name: "FLBPluginRegister" });
    };
    // SAFETY: the memory is the host's definition, with room after it.
    match unsafe { register(def.as_def()) } {
        -1 => Err(refused(-1)),
        _ => Ok(()),
    }
}

/// The host's definition as an allocation of a certain size, with a canary after it.
struct DefMemory {
    /// In words, for the alignment of the pointers in it.
    words: Box<[u64]>,
    size: usize,
    before: Vec<u8>,
}

impl DefMemory {
    fn new(size: DefSize, dirty: bool) -> Self {
        let size = size.bytes();
        let mut words = vec![0u64; (size + CANARY.len()) / 8].into_boxed_slice();
        for (i, word) in words.iter_mut().enumerate() {
            *word = match (i * 8 >= size, dirty) {
                (true, _) => u64::from_ne_bytes([CANARY[0]; 8]),
                (false, true) => 0xa5a5_a5a5_a5a5_a5a5,
                (false, false) => 0,
            };
        }
        // Before it asks, the host writes down what it thinks the plugin is.
        let mut memory = Self { words, size, before: Vec::new() };
        memory.words[0] = if cfg!(target_endian = "little") { 1 } else { 1 << 32 };
        memory.before = memory.bytes();
        memory
    }

    fn as_def(&mut self) -> *mut Def {
        self.words.as_mut_ptr().cast()
    }

    fn bytes(&self) -> Vec<u8> {
        self.words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    /// What the plugin wrote must be an input of the Go kind, and nothing after the description.
    fn check(&mut self, path: &Path, journal: &Journal) -> Result<CString, LoadError> {
        self.check_canary(journal);
        if self.bytes()[32..self.size] != self.before[32..self.size] {
            journal.add("FLBPluginRegister wrote after `description`");
        }
        // SAFETY: the memory is aligned, at least as large as `Def`, and all its bytes are set. The plugin
        // has written the strings' pointers, which the checks below rely on.
        let def = unsafe { self.as_def().read() };
        if (def.kind, def.proxy) != (KIND_INPUT, PROXY_GO) {
            let (kind, proxy) = (def.kind, def.proxy);
            return Err(LoadError::NotAnInput { path: path.to_owned(), kind, proxy });
        }
        if def.flags != 0 {
            journal.add(format!("FLBPluginRegister left flags at {:#x}", def.flags));
        }
        // SAFETY: a registered plugin has set both to C strings that live as long as the library.
        let (name, description) = unsafe { (text(def.name), text(def.description)) };
        if name.is_empty() || description.is_empty() {
            journal.add("FLBPluginRegister gave no name or no description");
        }
        Ok(super::properties::c_string(&name))
    }

    fn check_canary(&self, journal: &Journal) {
        if self.bytes()[self.size..] != CANARY {
            journal.add(format!("the plugin wrote past the definition's {} bytes", self.size));
        }
    }
}

fn is_mapped(path: &Path) -> bool {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    maps.lines().any(|line| line.ends_with(&*path.to_string_lossy()))
}
