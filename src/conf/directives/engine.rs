//! What a location says of the engine behind it, and of what may be asked of it.

use super::words::{error, flag, given, once, word, words, Done};
use crate::conf::settings::{CachedAnswers, IncludeUsage};
use crate::conf::LocConf;
use nginx::conf::ConfContext;
use tollgate_core::llm::engines::Exception;
use tollgate_core::llm::request::MAX_MODEL_LEN;
use tollgate_core::llm::{Aliases, Engine};

/// `tollgate_engine NAME`
pub(super) fn engine(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let name = word(args, 1);
    let engine = Engine::from_name(name.as_bytes()).ok_or_else(|| {
        let known: Vec<_> = Engine::ALL.iter().map(|engine| engine.as_str()).collect();
        error(format!(
            "unknown engine \"{}\" in \"tollgate_engine\"; known are {}",
            name.escape_debug(),
            known.join(", ")
        ))
    })?;
    once(&mut conf.settings.engine, args, engine)
}

/// `tollgate_model NAME | off`
pub(super) fn model(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let name = word(args, 1);
    if !is_model_name(name) && name != "off" {
        return Err(error(format!(
            "invalid name \"{}\" in \"tollgate_model\"; it takes the name of a model of at most \
             {MAX_MODEL_LEN} bytes, without variables and patterns, or \"off\"",
            name.escape_debug()
        )));
    }
    once(&mut conf.settings.model, args, (name != "off").then(|| name.into()))
}

/// `tollgate_model_alias ALIAS MODEL | off`
pub(super) fn model_alias(cx: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let aliases = &mut conf.settings.model_aliases;
    let (alias, model) = match words(args).1 {
        [off] if off == "off" => return once(aliases, args, given(cx, Aliases::default())),
        [alias, model] => (alias, model),
        _ => {
            return Err(error(
                "\"tollgate_model_alias\" takes an alias and the name of a model, or \"off\"",
            ))
        }
    };
    if aliases.as_ref().is_some_and(|given| given.value.is_empty()) {
        return Err(error("\"tollgate_model_alias\" is off here already; leave \"off\" out"));
    }
    let aliases = aliases.get_or_insert_with(|| given(cx, Aliases::default()));
    aliases.value.add(alias, model).map_err(|problem| {
        let alias = alias.escape_debug();
        error(format!("\"tollgate_model_alias {alias}\": {problem}"))
    })
}

/// Whether `name` can be that of one model. "on" is none, nor is "off".
pub(super) fn is_model_name(name: &str) -> bool {
    let is_flag = name.eq_ignore_ascii_case("on") || name.eq_ignore_ascii_case("off");
    let is_name =
        !name.is_empty() && name.len() <= MAX_MODEL_LEN && !name.contains(char::is_control);
    let is_pattern = name.starts_with('~') || name.contains('*');
    is_name && !is_flag && !is_pattern && !name.contains('$')
}

/// `tollgate_endpoints +METHOD:PATH[:SCOPE] | -[METHOD:]PATH ... | default`
pub(super) fn endpoints(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let (_, given) = words(args);
    if given == ["default"] {
        return once(&mut conf.settings.endpoints, args, Vec::new());
    }
    let parse = |text: &String| {
        Exception::parse(text).map_err(|problem| {
            error(format!(
                "invalid \"{}\" in \"tollgate_endpoints\": {problem}",
                text.escape_debug()
            ))
        })
    };
    let exceptions = given.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    once(&mut conf.settings.endpoints, args, exceptions)
}

/// `tollgate_background on | off`
pub(super) fn background(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    once(&mut conf.settings.background, args, flag(args)?)
}

/// `tollgate_resumable_streams on | off`
pub(super) fn resumable_streams(
    _: &mut ConfContext<'_>,
    args: &[String],
    conf: &mut LocConf,
) -> Done {
    once(&mut conf.settings.resumable_streams, args, flag(args)?)
}

/// `tollgate_include_usage auto | always | off`
pub(super) fn include_usage(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let value = match word(args, 1) {
        "auto" => IncludeUsage::Auto,
        "always" => IncludeUsage::Always,
        "off" => IncludeUsage::Off,
        other => {
            return Err(error(format!(
            "invalid value \"{}\" in \"tollgate_include_usage\"; it takes \"always\", \"auto\" \
                 or \"off\"",
            other.escape_debug()
        )))
        }
    };
    once(&mut conf.settings.include_usage, args, value)
}

/// `tollgate_cached_answers free | charged`
pub(super) fn cached_answers(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let value = match word(args, 1) {
        "free" => CachedAnswers::Free,
        "charged" => CachedAnswers::Charged,
        other => {
            return Err(error(format!(
            "invalid value \"{}\" in \"tollgate_cached_answers\"; it takes \"free\" or \"charged\"",
            other.escape_debug()
        )))
        }
    };
    once(&mut conf.settings.cached_answers, args, value)
}
