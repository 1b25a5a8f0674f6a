//! Directives as Rust functions, and configurations as Rust values.

mod commands;
mod complex_value;
mod glob;
mod locations;
mod numbers;
pub(crate) mod variables;

use std::cell::OnceCell;
use std::ffi::{c_char, c_void};
use std::fmt;
use std::marker::PhantomData;

use ngx::ffi::{
    ngx_command_t, ngx_conf_full_name, ngx_conf_log_error, ngx_conf_parse, ngx_conf_t, ngx_cycle_t,
    ngx_http_conf_ctx_t, ngx_http_module, ngx_pnalloc, ngx_pool_cleanup_add, ngx_pool_t, ngx_str_t,
    ngx_uint_t, NGX_LOG_EMERG,
};

pub use commands::{Args, Command, Level, Table};
pub use complex_value::ComplexValue;
pub use locations::{Found, HeaderRules, Location, Server};
pub use numbers::{parse_offset, parse_size, parse_time_ms};

use crate::guard::guard;
use crate::log::Log;

use crate::module::Module;
use crate::request::variable_cache::HeaderVariables;
use crate::text;
use crate::types::Types;

/// `NGX_CONF_ERROR`: -1 as a pointer.
const CONF_ERROR: *mut c_char = usize::MAX as *mut c_char;
const CONF_OK: *mut c_char = std::ptr::null_mut();

/// What is wrong with a directive, and the way out: a lower-case sentence without a full stop. nginx
/// adds the file and the line.
#[derive(Debug)]
pub struct ConfError(String);

impl ConfError {
    /// An error of these words.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// The same, with the name of the directive if it doesn't have that yet.
    pub fn of(self, directive: &str) -> Self {
        if self.0.is_empty() || self.0.contains(directive) {
            return self;
        }
        Self(format!("\"{directive}\": {}", self.0))
    }
}

impl fmt::Display for ConfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a directive stands, for errors that show only later.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Position {
    file: String,
    line: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in {}:{}", self.file, self.line)
    }
}

/// The configuration that is being read.
pub struct ConfContext<'c> {
    cf: *mut ngx_conf_t,
    life: PhantomData<&'c mut ngx_conf_t>,
}

impl ConfContext<'_> {
    /// # Safety
    ///
    /// `cf` is the one that nginx passed to the callback that is running.
    pub(crate) unsafe fn from_raw(cf: *mut ngx_conf_t) -> Self {
        Self { cf, life: PhantomData }
    }

    pub(crate) fn as_ptr(&self) -> *mut ngx_conf_t {
        self.cf
    }

    /// A copy of `bytes` in the configuration's pool, with a NUL behind it that isn't counted.
    pub(crate) fn pool_str(&self, bytes: &[u8]) -> Option<ngx_str_t> {
        // SAFETY: the pool is valid while it is being configured; the block has room for the copy
        // and the NUL.
        unsafe {
            let data: *mut u8 = ngx_pnalloc((*self.cf).pool, bytes.len() + 1).cast();
            if data.is_null() {
                return None;
            }
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), data, bytes.len());
            *data.add(bytes.len()) = 0;
            Some(ngx_str_t { len: bytes.len(), data })
        }
    }

    /// The words of the directive, its name first.
    pub fn args(&self) -> Result<Vec<String>, ConfError> {
        // SAFETY: nginx fills `args` with `ngx_str_t` before it calls the handler of a directive.
        let words = unsafe { (*(*self.cf).args).as_slice::<ngx_str_t>() };
        words
            .iter()
            .map(|word| {
                // SAFETY: the words live in the configuration's pool.
                let bytes = unsafe { text::bytes(*word) };
                String::from_utf8(bytes.to_vec())
                    .map_err(|_| ConfError::new("an argument is not valid UTF-8"))
            })
            .collect()
    }

    /// The file and line that are being read.
    pub fn position(&self) -> Position {
        // SAFETY: while directives are read, `conf_file` is set; `-g` has one without a name.
        unsafe {
            let Some(file) = (*self.cf).conf_file.as_ref() else {
                return Position::default();
            };
            Position {
                file: String::from_utf8_lossy(text::bytes(file.file.name)).into_owned(),
                line: file.line,
            }
        }
    }

    /// `path`, taken from the folder of nginx.conf unless it is absolute.
    pub fn full_path(&self, path: &str) -> Result<String, ConfError> {
        self.absolute(path, true)
    }

    /// `path`, taken from nginx's prefix unless it is absolute, as for what nginx writes.
    pub fn prefix_path(&self, path: &str) -> Result<String, ConfError> {
        self.absolute(path, false)
    }

    fn absolute(&self, path: &str, from_conf: bool) -> Result<String, ConfError> {
        let out = || ConfError::new("out of memory");
        let mut name = self.pool_str(path.as_bytes()).ok_or_else(out)?;
        // SAFETY: the cycle and its pool are valid while it is being configured.
        if unsafe { ngx_conf_full_name((*self.cf).cycle, &raw mut name, from_conf.into()) } != 0 {
            return Err(out());
        }
        // SAFETY: nginx allocated the new name in the cycle's pool.
        let bytes = unsafe { text::bytes(name) };
        String::from_utf8(bytes.to_vec()).map_err(|_| ConfError::new("a path is not valid UTF-8"))
    }

    /// Whether an nginx runs, with the configuration of before.
    pub fn is_running(&self) -> bool {
        crate::process::is_running()
    }

    /// The configuration's log, for messages that carry their own place.
    pub fn log(&self) -> Log<'_> {
        // SAFETY: the log is valid while the context is.
        unsafe { Log::from_raw((*self.cf).log) }
    }

    /// An error, to which nginx adds the place that is being read.
    fn error(&self, message: &str) {
        // SAFETY: `%*s` takes a length and a pointer to so many bytes.
        unsafe {
            ngx_conf_log_error(
                NGX_LOG_EMERG as ngx_uint_t,
                self.cf,
                0,
                c"%*s".as_ptr(),
                message.len(),
                message.as_ptr(),
            );
        }
    }

    /// Reads the block that follows, whose directives are those of the level `inside`.
    fn block(&self, inside: Level) -> Result<(), ConfError> {
        // SAFETY: as every block directive of nginx does it: a copy of the context for the block.
        let rc = unsafe {
            let mut inner = *self.cf;
            inner.cmd_type = inside.bit();
            ngx_conf_parse(&raw mut inner, std::ptr::null_mut())
        };
        if rc.is_null() {
            Ok(())
        } else {
            Err(ConfError(String::new())) // It has been said.
        }
    }
}

fn finish(cx: &ConfContext<'_>, result: Result<(), ConfError>) -> *mut c_char {
    match result {
        Ok(()) => CONF_OK,
        Err(error) => {
            if !error.0.is_empty() {
                cx.error(&error.0);
            }
            CONF_ERROR
        }
    }
}

/// A directive's function; found through the `post` field of its command.
pub enum Directive<T: Types> {
    /// In `http`, about all of it.
    Main(Set<T::Main>),
    /// In `http`, in a server or in a location.
    Loc(Set<T::Loc>),
    /// In blocks of the module's own.
    Inside(&'static [Level], Set<T::Main>),
    /// A block with a name, read between two calls.
    Block {
        /// Where it stands.
        level: Level,
        /// What the directives in it say that they stand in.
        inside: Level,
        /// Before they are read.
        open: Set<T::Main>,
        /// When they have been read.
        close: Close<T::Main>,
    },
}

/// What a directive does, which gets its words, its name first.
pub type Set<C> = fn(&mut ConfContext<'_>, &[String], &mut C) -> Result<(), ConfError>;
/// What the end of a block does.
pub type Close<C> = fn(&mut C) -> Result<(), ConfError>;

/// The main configuration, and what we keep beside it.
pub(crate) struct MainEntry<T: Types> {
    pub(crate) main: T::Main,
    /// The variables that come of a request's header, once the first one asks.
    pub(crate) header_variables: OnceCell<HeaderVariables>,
}

pub(crate) unsafe extern "C" fn set<M: Module>(
    cf: *mut ngx_conf_t,
    cmd: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    guard(CONF_ERROR, || {
        // SAFETY: nginx passes its context, and an entry of our table of commands.
        let (mut cx, directive, name) = unsafe {
            let (cmd, cx) = (&*cmd, ConfContext::from_raw(cf));
            (cx, &*cmd.post.cast::<Directive<M>>(), String::from_utf8_lossy(text::bytes(cmd.name)))
        };
        // SAFETY: the offset of the command says which of our configurations nginx passes; it is not
        // shared while directives are read, and each of the calls below gives it up again.
        let main = || unsafe { &mut (*conf.cast::<MainEntry<M>>()).main };
        let result = cx.args().and_then(|args| match directive {
            Directive::Main(set) | Directive::Inside(_, set) => set(&mut cx, &args, main()),
            // While the block is read, its directives have the configuration.
            Directive::Block { inside, open, close, .. } => open(&mut cx, &args, main())
                .and_then(|()| cx.block(*inside))
                .and_then(|()| close(main())),
            Directive::Loc(set) => {
                // SAFETY: as above.
                let conf: &mut M::Loc = unsafe { &mut *conf.cast() };
                M::note(conf, &name, cx.position());
                set(&mut cx, &args, conf)
            }
        });
        finish(&cx, result.map_err(|error| error.of(&name)))
    })
}

unsafe extern "C" fn drop_boxed<T>(data: *mut c_void) {
    guard((), || {
        // SAFETY: `boxed` put a `Box<T>` here, and nginx runs a cleanup once.
        drop(unsafe { Box::from_raw(data.cast::<T>()) });
    });
}

/// Moves `value` to the heap, to be dropped with the pool. Null when nginx has no memory.
///
/// # Safety
///
/// `pool` is valid.
pub(crate) unsafe fn boxed<T>(pool: *mut ngx_pool_t, value: T) -> *mut T {
    // SAFETY: the pool is valid.
    let cleanup = unsafe { ngx_pool_cleanup_add(pool, 0) };
    if cleanup.is_null() {
        return std::ptr::null_mut();
    }
    let value = Box::into_raw(Box::new(value));
    // SAFETY: nginx has just made the entry.
    unsafe {
        (*cleanup).data = value.cast();
        (*cleanup).handler = Some(drop_boxed::<T>);
    }
    value
}

/// Keeps `value` for as long as the configuration lives. `None` when nginx has no memory.
pub(crate) fn keep<T>(cx: &ConfContext<'_>, value: T) -> Option<()> {
    // SAFETY: the pool is valid while it is being configured.
    let kept = unsafe { boxed((*cx.cf).pool, value) };
    (!kept.is_null()).then_some(())
}

pub(crate) unsafe extern "C" fn create_main<T: Types>(cf: *mut ngx_conf_t) -> *mut c_void {
    guard(std::ptr::null_mut(), || {
        // SAFETY: nginx passes its context.
        unsafe {
            let main = T::Main::default();
            let entry = MainEntry::<T> { main, header_variables: OnceCell::new() };
            boxed((*cf).pool, entry).cast()
        }
    })
}

pub(crate) unsafe extern "C" fn create_loc<T: Types>(cf: *mut ngx_conf_t) -> *mut c_void {
    guard(std::ptr::null_mut(), || {
        // SAFETY: nginx passes its context.
        unsafe { boxed((*cf).pool, T::Loc::default()).cast() }
    })
}

/// The main configuration of the `http` block that `cf` is in.
///
/// # Safety
///
/// `cf` is the context of a callback below `http`, and nothing else holds the main configuration.
pub(crate) unsafe fn main_conf<'c, T: Types>(cf: *mut ngx_conf_t) -> &'c mut T::Main {
    // SAFETY: in such a callback `ctx` is the context of `http`, and our entry is what
    // `create_main` made.
    unsafe {
        let ctx = (*cf).ctx.cast::<ngx_http_conf_ctx_t>();
        let entry = *(*ctx).main_conf.add(T::registration().ctx_index());
        &mut (*entry.cast::<MainEntry<T>>()).main
    }
}

/// The main configuration of a cycle, if it has an `http` block, and that anything of ours in use.
///
/// # Safety
///
/// `cycle` is complete.
pub(crate) unsafe fn main_of<'c, M: Module>(cycle: *mut ngx_cycle_t) -> Option<&'c M::Main> {
    // SAFETY: by the contract of this function; the context of `http` holds what `create_main` made.
    unsafe {
        let ctx = *(*cycle).conf_ctx.add(ngx_http_module.index);
        let ctx = ctx.cast::<ngx_http_conf_ctx_t>().as_ref()?;
        let entry = *ctx.main_conf.add(M::registration().ctx_index());
        let main = &entry.cast::<MainEntry<M>>().as_ref()?.main;
        Some(main).filter(|main| M::in_use(main))
    }
}

pub(crate) unsafe extern "C" fn merge_loc<M: Module>(
    cf: *mut ngx_conf_t,
    prev: *mut c_void,
    conf: *mut c_void,
) -> *mut c_char {
    guard(CONF_ERROR, || {
        // SAFETY: nginx passes its context, and two configurations that `create_loc` made; it calls
        // us for one pair at a time.
        let (cx, main, parent, own) = unsafe {
            let (parent, own) = (&*prev.cast::<M::Loc>(), &mut *conf.cast::<M::Loc>());
            (ConfContext::from_raw(cf), main_conf::<M>(cf), parent, own)
        };
        match M::merge(&cx, parent, own, main) {
            Ok(()) => CONF_OK,
            Err(error) => {
                // The place that nginx would add is the end of the block.
                cx.log().emerg(format_args!("{error}"));
                CONF_ERROR
            }
        }
    })
}
