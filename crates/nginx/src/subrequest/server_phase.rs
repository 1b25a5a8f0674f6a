//! Where a question to a provider begins: in its location, and not in the rewrite phase of the server
//! around it, which is there for clients (`if ($http_user_agent = "") { return 403; }`). Only what `set`
//! sets there, holds: a location may be made of it (`proxy_pass $provider;`).

use std::ffi::CStr;
use std::ptr::null_mut;

use ngx::ffi::{
    ngx_array_t, ngx_cycle, ngx_flag_t, ngx_http_core_find_config_phase, ngx_http_core_main_conf_t,
    ngx_http_core_module, ngx_http_core_run_phases, ngx_http_finalize_request, ngx_http_request_t,
    ngx_http_script_code_pt, ngx_http_script_engine_t, ngx_http_script_regex_code_t,
    ngx_http_script_regex_start_code, ngx_http_script_return_code, ngx_http_script_return_code_t,
    ngx_http_variable_value_t, ngx_int_t, ngx_pcalloc, ngx_uint_t, NGX_DECLINED,
    NGX_HTTP_INTERNAL_SERVER_ERROR,
};

use crate::guard::inside;
use crate::request::flags;

/// `ngx_http_rewrite_loc_conf_t`, which is the same in all versions.
#[repr(C)]
struct RewriteConf {
    /// Of the directives of `rewrite`, in their order; a zero ends them.
    codes: *mut ngx_array_t,
    stack_size: ngx_uint_t,
    log: ngx_flag_t,
    warn: ngx_flag_t,
}

/// The handler with which a subrequest begins, in the place of `ngx_http_handler`.
pub(crate) unsafe extern "C" fn begin_behind(r: *mut ngx_http_request_t) {
    // SAFETY: nginx passes a subrequest that has just been made.
    let place = inside(None, || unsafe {
        let place = find_location_phase(r)?;
        set_variables(r)?;
        Some(place)
    });
    // SAFETY: as above; as nginx does it.
    unsafe {
        match place {
            Some(place) => {
                (*(*(*r).connection).log).action = null_mut();
                (*r).phase_handler = place;
                flags::set_valid_location(r, 1);
                (*r).write_event_handler = Some(ngx_http_core_run_phases);
                ngx_http_core_run_phases(r);
            }
            None => ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t),
        }
    }
}

/// The number of the phase handler that finds the location.
///
/// # Safety
///
/// `r` is live.
unsafe fn find_location_phase(r: *mut ngx_http_request_t) -> Option<ngx_int_t> {
    let sought = ngx_http_core_find_config_phase as *const ();
    // SAFETY: by the contract of this function; nginx ends its handlers with one without a checker.
    unsafe {
        let core: *const ngx_http_core_main_conf_t =
            (*(*r).main_conf.add(ngx_http_core_module.ctx_index)).cast();
        let handlers = (*core).phase_engine.handlers;
        let mut place = 0;
        while let Some(checker) = (*handlers.add(place)).checker {
            if checker as *const () == sought {
                return ngx_int_t::try_from(place).ok();
            }
            place = place.saturating_add(1);
        }
    }
    None
}

/// Does what the rewrite phase of the server does, except for what would lead elsewhere: `return` and
/// `rewrite`. `None` when nginx has no memory.
///
/// # Safety
///
/// `r` is live, and in no location yet.
unsafe fn set_variables(r: *mut ngx_http_request_t) -> Option<()> {
    let is = |code: usize, other: *const ()| code == other as usize;
    // SAFETY: by the contract of this function. The directives are code for nginx's own machine: each
    // piece begins with the function that does it, and that finds the next one; those that are left out
    // say by their type, or in their data, where the next one is.
    unsafe {
        let Some(conf) = rewrite_conf(r) else { return Some(()) };
        let Some(codes) = conf.codes.as_ref() else { return Some(()) };
        let size = conf.stack_size.checked_mul(size_of::<ngx_http_variable_value_t>())?;
        let stack: *mut ngx_http_variable_value_t = ngx_pcalloc((*r).pool, size).cast();
        if stack.is_null() {
            return None;
        }
        let args = (*r).args;
        let mut engine: ngx_http_script_engine_t = std::mem::zeroed();
        engine.ip = codes.elts.cast();
        engine.sp = stack;
        engine.request = r;
        engine.status = NGX_DECLINED as ngx_int_t;
        engine.set_quote(1);
        engine.set_log(u32::from(conf.log != 0));
        loop {
            match *engine.ip.cast::<usize>() {
                0 => break,
                code if is(code, ngx_http_script_return_code as *const ()) => {
                    engine.ip = engine.ip.add(size_of::<ngx_http_script_return_code_t>());
                }
                code if is(code, ngx_http_script_regex_start_code as *const ())
                    && (*engine.ip.cast::<ngx_http_script_regex_code_t>()).test() == 0 =>
                {
                    let next = (*engine.ip.cast::<ngx_http_script_regex_code_t>()).next;
                    engine.ip = engine.ip.add(next);
                }
                _ => {
                    let code: ngx_http_script_code_pt = *engine.ip.cast();
                    code?(&raw mut engine);
                }
            }
        }
        // `set $args` is about what a client asks for.
        (*r).args = args;
    }
    Some(())
}

/// What `rewrite` and its like are in this place; `None` where nginx was built without them.
///
/// # Safety
///
/// `r` is live.
unsafe fn rewrite_conf<'r>(r: *mut ngx_http_request_t) -> Option<&'r RewriteConf> {
    // SAFETY: by the contract of this function; a null ends the modules of a cycle, and their names are C
    // strings.
    unsafe {
        let mut module = ngx_cycle.as_ref()?.modules;
        while let Some(entry) = (*module).as_ref() {
            let name = entry.name;
            if !name.is_null() && CStr::from_ptr(name) == c"ngx_http_rewrite_module" {
                return (*(*r).loc_conf.add(entry.ctx_index)).cast::<RewriteConf>().as_ref();
            }
            module = module.add(1);
        }
    }
    None
}
