//! What `proxy_pass` says. nginx tells no module what the directives of another one are, and what a location
//! forwards can't be told without. So while `http` is being read, the function of that directive is ours,
//! which calls nginx's own.

use std::ffi::{c_char, c_void, CStr};
use std::sync::OnceLock;

use ngx::ffi::{
    ngx_command_t, ngx_conf_t, ngx_http_conf_ctx_t, ngx_http_core_loc_conf_t, ngx_http_core_module,
    ngx_pool_cleanup_add,
};

use super::context::ConfContext;
use crate::guard::guard;
use crate::module::Module;
use crate::text;

type SetFunction =
    unsafe extern "C" fn(*mut ngx_conf_t, *mut ngx_command_t, *mut c_void) -> *mut c_char;

/// A function of a module of nginx's; two are the same if they stand at the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentHandler(pub(crate) usize);

/// nginx's own function.
static OWN: OnceLock<SetFunction> = OnceLock::new();

/// `NGX_CONF_ERROR`
const CONF_ERROR: *mut c_char = usize::MAX as *mut c_char;

/// Looks at each `proxy_pass` of the `http` block that is about to be read. `None` when nginx has no memory.
///
/// # Safety
///
/// `cf` is the context that nginx passed to `preconfiguration`.
pub(crate) unsafe fn watch<M: Module>(cf: *mut ngx_conf_t) -> Option<()> {
    // SAFETY: by the contract of this function: the modules of the cycle are complete, and the pool is
    // destroyed when the configuration has been read, well or not.
    unsafe {
        let Some(command) = find(cf) else { return Some(()) };
        let Some(own) = (*command).set else { return Some(()) };
        let cleanup = ngx_pool_cleanup_add((*cf).temp_pool, 0);
        if cleanup.is_null() {
            return None;
        }
        OWN.get_or_init(|| own);
        (*cleanup).data = command.cast();
        (*cleanup).handler = Some(restore);
        (*command).set = Some(set::<M>);
    }
    Some(())
}

/// The command `proxy_pass`; `None`: nginx was built without it.
///
/// # Safety
///
/// As [`watch`].
unsafe fn find(cf: *mut ngx_conf_t) -> Option<*mut ngx_command_t> {
    // SAFETY: by the contract of this function; the list of modules ends with a null, and a module's
    // commands with one that has no name.
    unsafe {
        let mut module = (*(*cf).cycle).modules;
        while let Some(one) = (*module).as_ref() {
            let is_it = !one.name.is_null()
                && CStr::from_ptr(one.name.cast()).to_bytes() == b"ngx_http_proxy_module";
            if is_it {
                let mut command = one.commands;
                while command.as_ref().is_some_and(|command| command.name.len > 0) {
                    if text::bytes((*command).name) == b"proxy_pass" {
                        return Some(command);
                    }
                    command = command.add(1);
                }
            }
            module = module.add(1);
        }
    }
    None
}

unsafe extern "C" fn restore(command: *mut c_void) {
    // SAFETY: what `watch` put here is a command of nginx's, which is there as long as the process.
    unsafe { (*command.cast::<ngx_command_t>()).set = OWN.get().copied() };
}

unsafe extern "C" fn set<M: Module>(
    cf: *mut ngx_conf_t,
    cmd: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    let Some(own) = OWN.get() else { return CONF_ERROR };
    // SAFETY: what nginx passed.
    let rc = unsafe { own(cf, cmd, conf) };
    if !rc.is_null() {
        return rc;
    }
    guard(CONF_ERROR, || {
        // SAFETY: nginx passes its context, in which `ctx` is that of the location; our entry is what
        // `create_loc` made, and nothing else holds it.
        let (cx, ours, location) = unsafe {
            let confs = (*(*cf).ctx.cast::<ngx_http_conf_ctx_t>()).loc_conf;
            let core =
                (*confs.add(ngx_http_core_module.ctx_index)).cast::<ngx_http_core_loc_conf_t>();
            let ours = &mut *(*confs.add(M::registration().ctx_index())).cast::<M::Loc>();
            let location = text::bytes((*core).name);
            (ConfContext::from_raw(cf), ours, location)
        };
        let words = match cx.args() {
            Ok(words) => words,
            Err(error) => {
                cx.error(&error);
                return CONF_ERROR;
            }
        };
        let url = words.get(1).map_or("", String::as_str);
        match M::proxies(&cx, ours, location, url) {
            Ok(()) => std::ptr::null_mut(),
            Err(error) => {
                cx.error(&error);
                CONF_ERROR
            }
        }
    })
}

impl ConfContext<'_> {
    /// Whether the block whose configurations are being merged is an `if` or a `limit_except`, which forwards
    /// as the location around it does.
    pub fn is_nameless(&self) -> bool {
        // SAFETY: while locations are merged, `ctx` is that of the location at hand.
        unsafe {
            let confs = (*(*self.as_ptr()).ctx.cast::<ngx_http_conf_ctx_t>()).loc_conf;
            let core =
                (*confs.add(ngx_http_core_module.ctx_index)).cast::<ngx_http_core_loc_conf_t>();
            (*core).noname() != 0
        }
    }

    /// What makes the answers of the location that is being read, or merged, by what was read so far. `None`: that is
    /// for the level around it to say, or for nginx's phases.
    #[must_use]
    pub fn content_handler(&self) -> Option<ContentHandler> {
        // SAFETY: within `http`, `ctx` is that of the level at hand.
        unsafe {
            let confs = (*(*self.as_ptr()).ctx.cast::<ngx_http_conf_ctx_t>()).loc_conf;
            let core =
                (*confs.add(ngx_http_core_module.ctx_index)).cast::<ngx_http_core_loc_conf_t>();
            (*core).handler.map(|handler| ContentHandler(handler as usize))
        }
    }
}
