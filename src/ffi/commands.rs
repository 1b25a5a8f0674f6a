//! Our table of directives, as nginx wants it.

use std::ptr::null_mut;

use ngx::ffi::{
    ngx_command_t, ngx_http_conf_ctx_t, ngx_uint_t, NGX_CONF_1MORE, NGX_CONF_2MORE, NGX_CONF_BLOCK,
    NGX_CONF_TAKE1, NGX_CONF_TAKE2, NGX_HTTP_LOC_CONF, NGX_HTTP_MAIN_CONF, NGX_HTTP_SRV_CONF,
};

use super::conf::{set, Directive};
use super::text;
use crate::conf::directives::DIRECTIVES;

/// How many arguments a directive takes; nginx checks it.
#[derive(Clone, Copy)]
pub(crate) enum Args {
    One,
    OneOrTwo,
    Two,
    OneOrMore,
    TwoOrMore,
    /// A name, and a block.
    Block,
}

/// Where a directive may stand.
#[derive(Clone, Copy)]
pub(crate) enum Level {
    /// In `http`.
    Main,
    /// In the block of a tier, and in the blocks in there.
    Tier,
    /// In a `model` block of a tier.
    Model,
}

impl Level {
    /// The bit of its directives' types. nginx has bits for its own blocks up to 2^31, and compares
    /// whole words.
    pub(super) const fn bit(self) -> ngx_uint_t {
        match self {
            Self::Main => NGX_HTTP_MAIN_CONF as ngx_uint_t,
            Self::Tier => 1 << 32,
            Self::Model => 1 << 33,
        }
    }
}

/// One directive.
pub(crate) struct Command {
    /// With a NUL at its end, by which nginx compares.
    pub(crate) name: &'static str,
    pub(crate) args: Args,
    pub(crate) directive: Directive,
}

const COUNT: usize = DIRECTIVES.len();

/// The table, ended by an empty entry.
pub(super) struct Table([ngx_command_t; COUNT + 1]);

// SAFETY: nginx only reads the table, and so do we.
unsafe impl Sync for Table {}

impl Table {
    pub(super) const fn as_ptr(&self) -> *mut ngx_command_t {
        self.0.as_ptr().cast_mut()
    }
}

pub(super) static TABLE: Table = Table(table());

#[allow(clippy::indexing_slicing)] // evaluated by the compiler
const fn table() -> [ngx_command_t; COUNT + 1] {
    let mut table = [ngx_command_t::empty(); COUNT + 1];
    let mut at = 0;
    while at < COUNT {
        let command = &DIRECTIVES[at];
        let args = match command.args {
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
            Directive::Tier(_) => (Level::Tier.bit() | Level::Model.bit(), main),
            Directive::Block { level, .. } => (level.bit(), main),
            Directive::Loc(_) => (
                (NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF) as ngx_uint_t,
                std::mem::offset_of!(ngx_http_conf_ctx_t, loc_conf),
            ),
        };
        table[at] = ngx_command_t {
            name: text::of_c_str(command.name),
            type_: args as ngx_uint_t | contexts,
            set: Some(set),
            conf,
            offset: 0,
            post: (&raw const command.directive).cast_mut().cast(),
        };
        at += 1;
    }
    table[COUNT] = ngx_command_t { post: null_mut(), ..ngx_command_t::empty() };
    table
}
