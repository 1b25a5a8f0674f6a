//! What nginx finds in the library, and the hooks that it calls.

use std::ffi::{c_char, c_void};
use std::ptr::null;

use ngx::ffi::{
    ngx_array_push, ngx_conf_t, ngx_cycle, ngx_cycle_t, ngx_http_conf_ctx_t,
    ngx_http_core_main_conf_t, ngx_http_core_module, ngx_http_handler_pt, ngx_http_module_t,
    ngx_http_phases_NGX_HTTP_ACCESS_PHASE, ngx_http_phases_NGX_HTTP_LOG_PHASE,
    ngx_http_phases_NGX_HTTP_POST_READ_PHASE, ngx_http_phases_NGX_HTTP_PREACCESS_PHASE,
    ngx_http_phases_NGX_HTTP_PRECONTENT_PHASE, ngx_http_request_t, ngx_int_t, ngx_module_t,
    ngx_uint_t, NGX_ERROR, NGX_HTTP_MODULE, NGX_OK,
};

use super::guard::{guard, install_panic_hook};
use super::request::{Request, Verdict};
use super::{commands, composed, conf, early_id, file_size, filters, variables};
use crate::request::access;
use crate::request::audit;
use crate::request::identity;
use crate::request::settlement;
use crate::worker::status;
use crate::worker::upkeep;
use crate::worker::watch;

static mut MODULE: ngx_module_t = ngx_module_t {
    ctx: (&raw const CONTEXT).cast_mut().cast(),
    commands: commands::TABLE.as_ptr(),
    type_: NGX_HTTP_MODULE as ngx_uint_t,
    init_module: Some(init_module),
    init_process: Some(init_process),
    exit_process: Some(exit_process),
    exit_master: Some(exit_master),
    ..ngx_module_t::default()
};

static CONTEXT: ngx_http_module_t = ngx_http_module_t {
    preconfiguration: Some(preconfiguration),
    postconfiguration: Some(postconfiguration),
    create_main_conf: Some(conf::create_main),
    init_main_conf: None,
    create_srv_conf: None,
    merge_srv_conf: None,
    create_loc_conf: Some(conf::create_loc),
    merge_loc_conf: Some(conf::merge_loc),
};

/// Pointers to constants, which nginx reads when it loads the library.
#[repr(transparent)]
#[allow(unreachable_pub)] // exported to nginx
pub struct Exported<T>(T);

// SAFETY: nothing writes to them.
unsafe impl<T> Sync for Exported<T> {}

const NAME: *const c_char = c"ngx_http_tollgate_module".as_ptr();

/// The modules in this library.
#[no_mangle]
#[allow(non_upper_case_globals, unreachable_pub)]
pub static ngx_modules: Exported<[*const ngx_module_t; 2]> = Exported([&raw const MODULE, null()]);

/// Their names.
#[no_mangle]
#[allow(non_upper_case_globals, unreachable_pub)]
pub static ngx_module_names: Exported<[*const c_char; 2]> = Exported([NAME, null()]);

/// Our place in the chain of filters: below the copy filter, as for any module of nginx's type
/// `HTTP_AUX_FILTER`, where bodies are in memory and not yet compressed.
#[no_mangle]
#[allow(non_upper_case_globals, unreachable_pub)]
pub static ngx_module_order: Exported<[*const c_char; 3]> =
    Exported([NAME, c"ngx_http_copy_filter_module".as_ptr(), null()]);

/// The address of the module: a tag that is nobody else's.
pub(super) fn address() -> *mut c_void {
    (&raw mut MODULE).cast()
}

/// The index of our entries in the arrays of configurations and contexts.
#[inline]
pub(super) fn ctx_index() -> usize {
    // SAFETY: nginx writes it while it reads the configuration, before any of our callbacks, and
    // each time the same.
    unsafe { MODULE.ctx_index }
}

unsafe extern "C" fn preconfiguration(cf: *mut ngx_conf_t) -> ngx_int_t {
    install_panic_hook();
    file_size::survive_limit();
    guard(NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx passes its context.
        match unsafe { variables::add(cf) } {
            Some(()) => NGX_OK as ngx_int_t,
            None => NGX_ERROR as ngx_int_t,
        }
    })
}

unsafe extern "C" fn postconfiguration(cf: *mut ngx_conf_t) -> ngx_int_t {
    guard(NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx passes its context, in which `http` is complete.
        let (main, cx) = unsafe { (conf::main_conf(cf), conf::ConfContext::from_raw(cf)) };
        // SAFETY: as above; nobody else has configurations of locations.
        let servers = if main.in_use() { unsafe { cx.servers() } } else { Vec::new() };
        main.finish(&cx, &servers);
        if !main.in_use() {
            // Loaded, but nowhere switched on: then it costs nothing.
            return NGX_OK as ngx_int_t;
        }
        // nginx runs the handlers of a phase from the last one to the first. In ACCESS we come last,
        // so that whoever is refused by `deny`, auth_basic or auth_request spends nothing; in
        // PRECONTENT first, so that mirrored requests carry no credential either. Those of LOG it runs from
        // the first one on, and what a request took is known before any of them writes it down.
        let added =
            add_handler(
                cf,
                ngx_http_phases_NGX_HTTP_POST_READ_PHASE,
                Some(early_id::on_post_read),
                false,
            ) && add_handler(
                cf,
                ngx_http_phases_NGX_HTTP_PREACCESS_PHASE,
                Some(on_preaccess),
                false,
            ) && add_handler(cf, ngx_http_phases_NGX_HTTP_ACCESS_PHASE, Some(on_access), true)
                && add_handler(
                    cf,
                    ngx_http_phases_NGX_HTTP_PRECONTENT_PHASE,
                    Some(on_precontent),
                    false,
                )
                && add_handler(cf, ngx_http_phases_NGX_HTTP_LOG_PHASE, Some(on_log), true);
        if !added {
            return NGX_ERROR as ngx_int_t;
        }
        filters::install();
        // SAFETY: nginx passes its context.
        unsafe { composed::find(cf) };
        NGX_OK as ngx_int_t
    })
}

fn add_handler(
    cf: *mut ngx_conf_t,
    phase: u32,
    handler: ngx_http_handler_pt,
    is_first: bool,
) -> bool {
    // SAFETY: in postconfiguration the core module's main configuration is complete, and a phase's
    // array holds handlers.
    unsafe {
        let ctx = (*cf).ctx.cast::<ngx_http_conf_ctx_t>();
        let index = ngx_http_core_module.ctx_index;
        let core = &mut *(*(*ctx).main_conf.add(index)).cast::<ngx_http_core_main_conf_t>();
        let Some(phase) = core.phases.get_mut(phase as usize) else {
            return false;
        };
        let pushed: *mut ngx_http_handler_pt = ngx_array_push(&raw mut phase.handlers).cast();
        if pushed.is_null() {
            return false;
        }
        pushed.write(handler);
        if is_first {
            phase.handlers.as_slice_mut::<ngx_http_handler_pt>().rotate_right(1);
        }
    }
    true
}

unsafe extern "C" fn on_preaccess(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes a live request.
    phase(unsafe { Request::from_raw(r) }, |r| {
        if r.is_led_astray() {
            return Some(Verdict::Status(502));
        }
        if r.is_main() && r.is_after_answer() {
            settlement::before_post_action(r);
        }
        identity::silence(r);
        Some(Verdict::Declined)
    })
}

unsafe extern "C" fn on_access(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes a live request.
    phase(unsafe { Request::from_raw(r) }, |r| Some(access::judge(r)))
}

/// Runs a phase handler. If it fails, the request fails: with a 500, in our words if possible.
fn phase(r: Request<'_>, handler: impl FnOnce(Request<'_>) -> Option<Verdict>) -> ngx_int_t {
    guard(None, || handler(r))
        .unwrap_or_else(|| guard(Verdict::Status(500), || access::fail(r)))
        .code()
}

unsafe extern "C" fn on_precontent(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes a live request.
    phase(unsafe { Request::from_raw(r) }, identity::seal)
}

unsafe extern "C" fn on_log(r: *mut ngx_http_request_t) -> ngx_int_t {
    guard(NGX_OK as ngx_int_t, || {
        // SAFETY: nginx passes a live request.
        audit::write(unsafe { Request::from_raw(r) });
        NGX_OK as ngx_int_t
    })
}

/// The configuration comes into use, in the process that makes the workers.
unsafe extern "C" fn init_module(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    guard(NGX_OK as ngx_int_t, || {
        if !super::process::is_test() {
            // SAFETY: nginx passes its cycle, which is complete.
            let found = unsafe { (conf::main_of(cycle), super::process::place(cycle)) };
            match found {
                (Some(main), Some(place)) => {
                    status::begin(main, &place);
                    // A single process lives through reloads, and is told of them here.
                    let reloaded = super::process::is_single() && super::process::is_running();
                    if reloaded {
                        // SAFETY: until this returns, it is the cycle before, whose files are open.
                        unsafe { super::open_file::end_all(ngx_cycle) };
                    }
                    if let Some((zone, _)) = main.zone().filter(|_| reloaded) {
                        upkeep::move_to(zone, main);
                    }
                }
                _ => status::end(),
            }
        }
        NGX_OK as ngx_int_t
    })
}

unsafe extern "C" fn exit_master(_cycle: *mut ngx_cycle_t) {
    guard((), status::end);
}

unsafe extern "C" fn init_process(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    guard(NGX_ERROR as ngx_int_t, || {
        if super::process::is_worker() {
            // SAFETY: nginx passes its cycle.
            if let Some(main) = unsafe { conf::main_of(cycle) } {
                if let Some((zone, _)) = main.zone() {
                    watch::start(main, **zone);
                    upkeep::start(main);
                }
            }
        }
        NGX_OK as ngx_int_t
    })
}

unsafe extern "C" fn exit_process(cycle: *mut ngx_cycle_t) {
    guard((), || {
        // SAFETY: nginx passes its cycle.
        unsafe { super::open_file::end_all(cycle) };
        status::leave();
        watch::stop();
        upkeep::stop();
    });
}
