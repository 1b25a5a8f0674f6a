//! What nginx calls: the configuration, the phases and the life of processes.

use ngx::ffi::{
    ngx_array_push, ngx_command_t, ngx_conf_t, ngx_cycle_t, ngx_http_conf_ctx_t,
    ngx_http_core_main_conf_t, ngx_http_core_module, ngx_http_handler_pt, ngx_http_module_t,
    ngx_http_phases_NGX_HTTP_ACCESS_PHASE, ngx_http_phases_NGX_HTTP_LOG_PHASE,
    ngx_http_phases_NGX_HTTP_POST_READ_PHASE, ngx_http_phases_NGX_HTTP_PREACCESS_PHASE,
    ngx_http_phases_NGX_HTTP_PRECONTENT_PHASE, ngx_http_request_t, ngx_int_t, ngx_module_t,
    ngx_uint_t, NGX_ERROR, NGX_HTTP_MODULE, NGX_OK,
};

use crate::answer::{composed, filters};
use crate::conf::callbacks as conf;
use crate::conf::context::ConfContext;
use crate::conf::{proxied, variables};
use crate::file::{log_file, size};
use crate::guard::{guard, inside, install_panic_hook};
use crate::module::Module;
use crate::process;
use crate::registration::{Marks, Registration};
use crate::request::{attachment, body, early_id, Request, Verdict};

/// What nginx is told of a module of its type `HTTP`.
#[derive(Debug)]
pub struct Context(ngx_http_module_t);

// SAFETY: nginx only reads it.
unsafe impl Sync for Context {}

impl Context {
    /// The functions of `M`.
    #[must_use]
    pub const fn of<M: Module>() -> Self {
        Self(ngx_http_module_t {
            preconfiguration: Some(preconfiguration::<M>),
            postconfiguration: Some(postconfiguration::<M>),
            create_main_conf: Some(conf::create_main::<M>),
            init_main_conf: None,
            create_srv_conf: None,
            merge_srv_conf: None,
            create_loc_conf: Some(conf::create_loc::<M>),
            merge_loc_conf: Some(conf::merge_loc::<M>),
        })
    }
}

/// Registers `M` with these directives.
#[must_use]
pub const fn register<M: Module>(
    context: &'static Context,
    commands: *const ngx_command_t,
) -> Registration {
    let module = ngx_module_t {
        ctx: (&raw const context.0).cast_mut().cast(),
        commands: commands.cast_mut(),
        type_: NGX_HTTP_MODULE as ngx_uint_t,
        init_module: Some(init_module::<M>),
        init_process: Some(init_process::<M>),
        exit_process: Some(exit_process::<M>),
        exit_master: Some(exit_master::<M>),
        ..ngx_module_t::default()
    };
    let marks = Marks {
        attachment: Some(attachment::drop_attachment::<M>),
        early_id: Some(early_id::forget),
        write_first: Some(early_id::write_first::<M>),
        write_early: Some(early_id::write_early::<M>),
    };
    Registration::new(module, marks)
}

/// Registers the module `$module`, by the symbols by which nginx finds it.
///
/// `module!($module, $name, $above)` makes those of a library that nginx loads: its name is `$name`, and its
/// filters are below those of the module `$above`. `module!($module, static $symbol)` makes the one symbol that
/// nginx's own build asks for, which lists its modules itself.
#[macro_export]
macro_rules! module {
    ($module:ty, $name:literal, $above:literal) => {
        const _: () = {
            use $crate::registration::Exported;

            static REGISTRATION: $crate::registration::Registration =
                $crate::registration_of!($module);
            $crate::registered_as!($module, REGISTRATION);

            /// The modules in this library.
            #[no_mangle]
            #[allow(non_upper_case_globals, unreachable_pub)]
            pub static ngx_modules: Exported<[*const $crate::hooks::NginxModule; 2]> =
                Exported::modules([REGISTRATION.as_ptr(), ::std::ptr::null()]);

            /// Their names.
            #[no_mangle]
            #[allow(non_upper_case_globals, unreachable_pub)]
            pub static ngx_module_names: Exported<[*const ::std::ffi::c_char; 2]> =
                Exported::names([$name.as_ptr(), ::std::ptr::null()]);

            /// Our place in the chain of filters.
            #[no_mangle]
            #[allow(non_upper_case_globals, unreachable_pub)]
            pub static ngx_module_order: Exported<[*const ::std::ffi::c_char; 3]> =
                Exported::names([$name.as_ptr(), $above.as_ptr(), ::std::ptr::null()]);
        };
    };
    ($module:ty, static $symbol:ident) => {
        const _: () = {
            /// The module, for nginx's list of them.
            #[no_mangle]
            #[allow(non_upper_case_globals, unreachable_pub)]
            pub static $symbol: $crate::registration::Registration =
                $crate::registration_of!($module);
            $crate::registered_as!($module, $symbol);
        };
    };
}

/// The [`Registration`] of a module.
#[doc(hidden)]
#[macro_export]
macro_rules! registration_of {
    ($module:ty) => {{
        const COUNT: usize = <$module as $crate::Module>::DIRECTIVES.len() + 1;
        static COMMANDS: $crate::conf::Table<COUNT> = $crate::conf::Table::of::<$module>();
        static CONTEXT: $crate::hooks::Context = $crate::hooks::Context::of::<$module>();
        $crate::hooks::register::<$module>(&CONTEXT, COMMANDS.as_ptr())
    }};
}

/// Tells a module which registration is its own.
#[doc(hidden)]
#[macro_export]
macro_rules! registered_as {
    ($module:ty, $registration:ident) => {
        // SAFETY: nobody else names it.
        unsafe impl $crate::registration::Registered for $module {
            #[inline]
            fn registration() -> &'static $crate::registration::Registration {
                &$registration
            }
        }
    };
}

pub use ngx::ffi::ngx_module_t as NginxModule;

unsafe extern "C" fn preconfiguration<M: Module>(cf: *mut ngx_conf_t) -> ngx_int_t {
    process::set_nginx_thread();
    install_panic_hook(M::NAME);
    size::survive_limit();
    guard(NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx passes its context.
        match unsafe { variables::add::<M>(cf).and_then(|()| proxied::watch::<M>(cf)) } {
            Some(()) => NGX_OK as ngx_int_t,
            None => NGX_ERROR as ngx_int_t,
        }
    })
}

unsafe extern "C" fn postconfiguration<M: Module>(cf: *mut ngx_conf_t) -> ngx_int_t {
    guard(NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx passes its context, in which `http` is complete.
        let (main, cx) = unsafe { (conf::main_conf::<M>(cf), ConfContext::from_raw(cf)) };
        // SAFETY: as above; nobody else has configurations of locations.
        let servers = if M::in_use(main) { unsafe { cx.servers() } } else { Vec::new() };
        M::complete(main, &cx, &servers);
        if !M::in_use(main) {
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
                Some(early_id::on_post_read::<M>),
                false,
            ) && add_handler(
                cf,
                ngx_http_phases_NGX_HTTP_PREACCESS_PHASE,
                Some(on_preaccess::<M>),
                false,
            ) && add_handler(cf, ngx_http_phases_NGX_HTTP_ACCESS_PHASE, Some(on_access::<M>), true)
                && add_handler(
                    cf,
                    ngx_http_phases_NGX_HTTP_PRECONTENT_PHASE,
                    Some(on_precontent::<M>),
                    false,
                )
                && add_handler(cf, ngx_http_phases_NGX_HTTP_LOG_PHASE, Some(on_log::<M>), true);
        if !added {
            return NGX_ERROR as ngx_int_t;
        }
        filters::install::<M>();
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

unsafe extern "C" fn on_preaccess<M: Module>(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes a live request.
    unsafe {
        phase::<M>(r, |r| match r.is_led_astray() {
            true => Some(Verdict::Status(502)),
            false => Some(M::preaccess(r)),
        })
    }
}

unsafe extern "C" fn on_access<M: Module>(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes a live request.
    unsafe { phase::<M>(r, |r| Some(M::access(r))) }
}

unsafe extern "C" fn on_precontent<M: Module>(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes a live request.
    unsafe { phase::<M>(r, M::precontent) }
}

/// Runs a phase handler. If it fails, the request fails.
///
/// # Safety
///
/// nginx passed the request to the handler that is running.
unsafe fn phase<M: Module>(
    r: *mut ngx_http_request_t,
    handler: impl FnOnce(Request<'_, M>) -> Option<Verdict>,
) -> ngx_int_t {
    // SAFETY: by the contract of this function.
    let request = unsafe { Request::<M>::from_raw(r) };
    let verdict = inside(None, || handler(request))
        .unwrap_or_else(|| inside(Verdict::Status(500), || M::fail(request)));
    match verdict {
        // SAFETY: as above. The request isn't used after this.
        Verdict::ReadBody => unsafe { body::read(request) },
        verdict => verdict.code(),
    }
}

unsafe extern "C" fn on_log<M: Module>(r: *mut ngx_http_request_t) -> ngx_int_t {
    inside(NGX_OK as ngx_int_t, || {
        // SAFETY: nginx passes a live request.
        M::log(unsafe { Request::from_raw(r) });
        NGX_OK as ngx_int_t
    })
}

/// The configuration comes into use, in the process that makes the workers.
unsafe extern "C" fn init_module<M: Module>(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    guard(NGX_OK as ngx_int_t, || {
        if !process::is_test() {
            // SAFETY: nginx passes its cycle, which is complete.
            let found = unsafe { (conf::main_of::<M>(cycle), process::processes(cycle)) };
            M::takes_effect(match &found {
                (Some(main), Some(processes)) => Some((*main, processes)),
                _ => None,
            });
        }
        NGX_OK as ngx_int_t
    })
}

unsafe extern "C" fn exit_master<M: Module>(_cycle: *mut ngx_cycle_t) {
    guard((), M::master_ends);
}

unsafe extern "C" fn init_process<M: Module>(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    guard(NGX_ERROR as ngx_int_t, || {
        if process::is_worker() {
            // SAFETY: nginx passes its cycle.
            if let Some(main) = unsafe { conf::main_of::<M>(cycle) } {
                M::worker_starts(main);
            }
        }
        NGX_OK as ngx_int_t
    })
}

unsafe extern "C" fn exit_process<M: Module>(cycle: *mut ngx_cycle_t) {
    guard((), || {
        // SAFETY: nginx passes its cycle.
        unsafe { log_file::end_all(cycle) };
        M::worker_ends();
    });
}
