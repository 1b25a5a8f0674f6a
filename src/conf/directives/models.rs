//! What a tier says of models, and how those look that are not open.

use super::engine::is_model_name;
use super::words::{error, flag, given, literal, once, word, words, Done};
use crate::conf::rules::{Draft, Tier};
use crate::conf::{LocConf, MainConf};
use nginx::conf::{ConfContext, ConfError};
use tollgate_core::llm::request::MAX_MODEL_LEN;
use tollgate_core::pattern::Pattern;

/// `models PATTERN...`
pub(super) fn open(cx: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Done {
    let Some(draft) = of_tier(conf, "models")? else { return Ok(()) };
    let tier = format!("tollgate_tier {}", draft.tier.name);
    let (_, texts) = words(args);
    let mut patterns: Vec<Pattern> = Vec::with_capacity(texts.len());
    for text in texts {
        literal("\"models\":", text).map_err(|error| error.of(&tier))?;
        let pattern = Pattern::of_models(text).map_err(|problem| {
            let text = text.escape_debug();
            error(format!("invalid pattern \"{text}\" of \"models\": {problem}")).of(&tier)
        })?;
        if let Some(doubt) = pattern.doubt() {
            cx.log()
                .warn(format_args!("\"{text}\" of \"models\" of {tier} {doubt} {}", cx.position()));
        }
        if patterns.contains(&pattern) {
            return Err(
                error(format!("\"{text}\" stands in \"models\" twice; once is enough")).of(&tier)
            );
        }
        patterns.push(pattern);
    }
    once(&mut draft.tier.open_models, args, patterns)
}

/// `default_model NAME`
pub(super) fn default(_: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Done {
    let Some(draft) = of_tier(conf, "default_model")? else { return Ok(()) };
    let name = word(args, 1);
    if !is_model_name(name) {
        return Err(error(format!(
            "invalid name \"{}\" in \"default_model\"; it takes the name of a model of at most \
             {MAX_MODEL_LEN} bytes, without variables and patterns",
            name.escape_debug()
        ))
        .of(&format!("tollgate_tier {}", draft.tier.name)));
    }
    once(&mut draft.tier.default_model, args, name.into())
}

/// The tier that is being read, and not a `model` block of it.
fn of_tier<'c>(
    conf: &'c mut MainConf,
    directive: &str,
) -> Result<Option<&'c mut Draft>, ConfError> {
    match &mut conf.draft {
        Some(draft) if draft.model.is_some() => {
            Err(error(format!("\"{directive}\" belongs to the tier, and not into its \"model\""))
                .of(&format!("tollgate_tier {}", draft.tier.name)))
        }
        draft => Ok(draft.as_mut()),
    }
}

/// Whether the models of a tier that has been read fit each other.
pub(super) fn check(tier: &Tier) -> Done {
    let (Some(patterns), Some(default)) = (&tier.open_models, &tier.default_model) else {
        return Ok(());
    };
    match patterns.iter().any(|pattern| pattern.matches(default)) {
        true => Ok(()),
        false => Err(error(format!(
            "\"default_model {default}\" fits none of \"models\", so that each request without a model would \
             be refused; add it to \"models\", or leave \"default_model\" out"
        ))
        .of(&format!("tollgate_tier {}", tier.name))),
    }
}

/// `tollgate_hide_models on | off`
pub(super) fn hide(cx: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    once(&mut conf.settings.hide_models, args, given(cx, flag(args)?))
}
