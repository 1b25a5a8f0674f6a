//! Our table of directives, as nginx wants it.

use ngx::ffi::{
    ngx_command_t, ngx_http_conf_ctx_t, ngx_uint_t, NGX_CONF_1MORE, NGX_CONF_2MORE, NGX_CONF_ANY,
    NGX_CONF_BLOCK, NGX_CONF_TAKE1, NGX_CONF_TAKE2, NGX_HTTP_LOC_CONF, NGX_HTTP_MAIN_CONF,
    NGX_HTTP_SRV_CONF,
};

use super::callbacks::set;
use super::directive::{Args, Command, Directive, Level};
use crate::module::Module;
use crate::text;

/// The table, ended by an empty entry.
pub struct Table<const COUNT: usize>([ngx_command_t; COUNT]);

// SAFETY: nginx only reads the table, and so do we.
unsafe impl<const COUNT: usize> Sync for Table<COUNT> {}

impl<const COUNT: usize> Table<COUNT> {
    /// The address that nginx is given.
    #[must_use]
    pub const fn as_ptr(&self) -> *const ngx_command_t {
        self.0.as_ptr()
    }

    /// The directives of `M`. `COUNT` is one more than there are.
    #[allow(clippy::indexing_slicing)] // evaluated by the compiler
    #[must_use]
    pub const fn of<M: Module>() -> Self {
        let mut table = [ngx_command_t::empty(); COUNT];
        let mut at = 0;
        while at + 1 < COUNT {
            table[at] = entry(&M::DIRECTIVES[at]);
            at += 1;
        }
        Self(table)
    }
}

const fn entry<M: Module>(command: &'static Command<M>) -> ngx_command_t {
    let args = match command.args {
        Args::Any => NGX_CONF_ANY,
        Args::One => NGX_CONF_TAKE1,
        Args::OneOrTwo => NGX_CONF_TAKE1 | NGX_CONF_TAKE2,
        Args::Two => NGX_CONF_TAKE2,
        Args::OneOrMore => NGX_CONF_1MORE,
        Args::TwoOrMore => NGX_CONF_2MORE,
        Args::Block => NGX_CONF_BLOCK | NGX_CONF_TAKE1,
    };
    let main = std::mem::offset_of!(ngx_http_conf_ctx_t, main_conf);
    let (contexts, conf) = match command.directive {
        Directive::Main(_) => (Level::Main.bit(), main),
        Directive::Inside(levels, _) => (bits(levels), main),
        Directive::Block { level, .. } => (level.bit(), main),
        Directive::Loc(_) => (
            (NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF) as ngx_uint_t,
            std::mem::offset_of!(ngx_http_conf_ctx_t, loc_conf),
        ),
        Directive::Page(_) => {
            (NGX_HTTP_LOC_CONF as ngx_uint_t, std::mem::offset_of!(ngx_http_conf_ctx_t, loc_conf))
        }
    };
    ngx_command_t {
        name: text::of_c_str(command.name),
        type_: args as ngx_uint_t | contexts,
        set: Some(set::<M>),
        conf,
        offset: 0,
        post: (&raw const command.directive).cast_mut().cast(),
    }
}

const fn bits(levels: &[Level]) -> ngx_uint_t {
    match levels {
        [] => 0,
        [first, rest @ ..] => first.bit() | bits(rest),
    }
}
