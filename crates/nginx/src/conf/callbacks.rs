//! What nginx calls while it reads a configuration.

use std::ffi::{c_char, c_void};

use ngx::ffi::{ngx_command_t, ngx_conf_t, ngx_cycle_t, ngx_http_conf_ctx_t, ngx_http_module};

use super::context::{boxed, ConfContext, ConfError};
use super::directive::Directive;
use crate::answer::page;
use crate::guard::guard;
use crate::main_entry::MainEntry;
use crate::module::Module;
use crate::text;
use crate::types::Types;

/// `NGX_CONF_ERROR`: -1 as a pointer.
const CONF_ERROR: *mut c_char = usize::MAX as *mut c_char;
const CONF_OK: *mut c_char = std::ptr::null_mut();

fn finish(cx: &ConfContext<'_>, result: Result<(), ConfError>) -> *mut c_char {
    match result {
        Ok(()) => CONF_OK,
        Err(error) => {
            cx.error(&error);
            CONF_ERROR
        }
    }
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
            Directive::Page(set) => {
                // SAFETY: as above.
                let conf: &mut M::Loc = unsafe { &mut *conf.cast() };
                M::note(conf, &name, cx.position());
                // SAFETY: nginx passes the context of a location.
                set(&mut cx, &args, conf).and_then(|()| unsafe { page::install::<M>(cf) })
            }
        });
        finish(&cx, result.map_err(|error| error.of(&name)))
    })
}

pub(crate) unsafe extern "C" fn create_main<T: Types>(cf: *mut ngx_conf_t) -> *mut c_void {
    guard(std::ptr::null_mut(), || {
        // SAFETY: nginx passes its context.
        unsafe { boxed((*cf).pool, MainEntry::<T>::new()).cast() }
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
    unsafe { &mut (*MainEntry::<T>::of(cf)).main }
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
