//! How the words of a directive are read.

use crate::conf::settings::Given;
use nginx::conf::{ConfContext, ConfError};
use tollgate_core::nginx_text::file_name::{self as file_names, Use};
use tollgate_core::nginx_text::literal as literals;

pub(super) type Done = Result<(), ConfError>;

pub(super) fn error(message: impl Into<String>) -> ConfError {
    ConfError::new(message)
}

pub(super) fn words(args: &[String]) -> (&str, &[String]) {
    args.split_first().map_or(("", &[]), |(name, rest)| (name.as_str(), rest))
}

pub(super) fn word(args: &[String], index: usize) -> &str {
    args.get(index).map_or("", String::as_str)
}

/// Fills a value that a level may give once.
pub(super) fn once<T>(place: &mut Option<T>, args: &[String], value: T) -> Done {
    if place.is_some() {
        return Err(error(format!("\"{}\" directive is duplicate", word(args, 0))));
    }
    *place = Some(value);
    Ok(())
}

pub(super) fn flag(args: &[String]) -> Result<bool, ConfError> {
    match word(args, 1) {
        "on" => Ok(true),
        "off" => Ok(false),
        other => Err(error(format!(
            "invalid value \"{other}\" in \"{}\" directive, it must be \"on\" or \"off\"",
            word(args, 0)
        ))),
    }
}

/// The path of a file, as `text` says it, for the directive or parameter `what`.
pub(super) fn file_name<'t>(what: &str, text: &'t str, purpose: Use) -> Result<&'t str, ConfError> {
    match file_names::check(text) {
        Ok(()) => Ok(text),
        // Without the text, which may be a secret.
        Err(found) => Err(error(format!("{what} {}", file_names::advice(found, purpose)))),
    }
}

/// `text`, of which `what` makes nothing but itself.
pub(super) fn literal(what: &str, text: &str) -> Done {
    literals::check(text)
        .map_err(|found| error(format!("{what} \"{}\" {found}", text.escape_debug())))
}

pub(super) fn given<T>(cx: &ConfContext<'_>, value: T) -> Given<T> {
    Given { value, place: cx.position() }
}
