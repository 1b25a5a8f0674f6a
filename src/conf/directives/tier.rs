//! The blocks of `tollgate_tier`, and of `model` in it.

use std::rc::Rc;

use super::models;
use super::words::{error, literal, once, word, words, Done};
use crate::conf::rules::{Draft, LimitSet, ModelBlock, Reach, Tier};
use crate::conf::MainConf;
use crate::observed::OfTier;
use nginx::conf::{ConfContext, ConfError};
use tollgate_core::address::Cidr;
use tollgate_core::clients::tier_mark;
use tollgate_core::pattern::Pattern;
use tollgate_core::permissions::networks::Networks;
use tollgate_core::permissions::scopes::{Scope, Scopes};
use tollgate_core::permissions::FeatureRules;
use tollgate_core::price::Price;
use tollgate_core::principal::is_valid_name;
use tollgate_core::whereabouts::AddressLimit;

/// `tollgate_tier NAME {`
pub(super) fn open(cx: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Done {
    let name = word(args, 1).to_owned();
    if !is_valid_name(&name) {
        return Err(error(format!(
            "invalid tier name \"{}\"; it has no control characters, no space at either end, and \
             1 to 256 bytes",
            name.escape_debug()
        )));
    }
    literal("\"tollgate_tier\": the name", &name)?;
    if conf.tiers.iter().any(|tier| tier.name == name) {
        return Err(error(format!("the tier \"{name}\" is declared twice; keep one of them")));
    }
    let tier = Tier {
        mark: tier_mark(&name),
        counted: OfTier::default(),
        name,
        limits: LimitSet::default(),
        reach: None,
        models: Vec::new(),
        features: FeatureRules::default(),
        open_models: None,
        default_model: None,
        default_price: None,
        scopes: None,
        objective: None,
        priority: None,
        networks: Networks::default(),
        addresses: None,
        guards: Vec::new(),
        place: cx.position(),
    };
    conf.draft = Some(Draft { tier, model: None, cidrs: None, deny_cidrs: None });
    Ok(())
}

/// `}`
pub(super) fn close(conf: &mut MainConf) -> Done {
    if let Some(mut draft) = conf.draft.take() {
        let name = &draft.tier.name;
        let of_tier = |problem| error(problem).of(&format!("tollgate_tier {name}"));
        draft.tier.features.finish().map_err(of_tier)?;
        draft.tier.networks = Networks::new(draft.cidrs, draft.deny_cidrs.unwrap_or_default());
        if let Some((allowed, denied)) = draft.tier.networks.contradiction() {
            return Err(error(format!(
                "\"{allowed}\" of \"cidrs\" has no effect, as \"{denied}\" of \"deny_cidrs\" denies all of it; \
                 leave out one of them"
            ))
            .of(&format!("tollgate_tier {}", draft.tier.name)));
        }
        models::check(&draft.tier)?;
        conf.tiers.push(Rc::new(draft.tier));
    }
    Ok(())
}

/// `model PATTERN {`
pub(super) fn open_model(cx: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Done {
    let text = word(args, 1);
    let Some(draft) = &mut conf.draft else { return Ok(()) };
    let tier = format!("tollgate_tier {}", draft.tier.name);
    let pattern = Pattern::of_models(text).map_err(|problem| {
        let text = text.escape_debug();
        error(format!("invalid pattern \"{text}\" of \"model\": {problem}")).of(&tier)
    })?;
    if let Some(doubt) = pattern.doubt() {
        cx.log().warn(format_args!("\"model {text}\" of {tier} {doubt} {}", cx.position()));
    }
    if let Some(earlier) = draft.tier.models.iter().find(|other| other.pattern.covers(&pattern)) {
        return Err(error(format!(
            "\"model {text}\" is never reached, as \"model {}\" before it fits all of its models; \
             put it before that one",
            earlier.pattern
        ))
        .of(&tier));
    }
    draft.model = Some(ModelBlock { pattern, limits: LimitSet::default() });
    Ok(())
}

/// `}`
pub(super) fn close_model(conf: &mut MainConf) -> Done {
    let Some(draft) = &mut conf.draft else { return Ok(()) };
    if let Some(block) = draft.model.take() {
        if block.limits.is_empty() {
            return Err(error(format!(
                "\"model {}\" limits nothing; add a limit such as \"tokens 20k/m;\", or leave the \
                 block out",
                block.pattern
            ))
            .of(&format!("tollgate_tier {}", draft.tier.name)));
        }
        draft.tier.models.push(block);
    }
    Ok(())
}

/// `requests RATE [burst=N]` and the other limits
pub(super) fn limit(_: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Done {
    let Some(draft) = &mut conf.draft else { return Ok(()) };
    let (name, values) = words(args);
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let of_model = draft.model.as_ref().map(|block| block.pattern.to_string());
    let limits = match &mut draft.model {
        Some(block) => &mut block.limits,
        None => &mut draft.tier.limits,
    };
    limits
        .add(name, &values, of_model.as_deref())
        .map_err(|error| error.of(&format!("tollgate_tier {}", draft.tier.name)))
}

/// `default_price input=N output=N [cached_input=N] [cache_write=N] [above=N input=N ...]`
pub(super) fn default_price(_: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Done {
    let Some(draft) = &mut conf.draft else { return Ok(()) };
    if draft.model.is_some() {
        return Err(error(
            "\"default_price\" belongs to the tier; for some models use \"tollgate_price\"",
        )
        .of(&format!("tollgate_tier {}", draft.tier.name)));
    }
    let (_, values) = words(args);
    let price = Price::parse(values.iter().map(String::as_str)).map_err(|problem| {
        let tier = format!("tollgate_tier {}", draft.tier.name);
        error(format!("\"default_price\": {problem}")).of(&tier)
    })?;
    once(&mut draft.tier.default_price, args, price)
}

/// `scope cluster | node`
pub(super) fn reach(_: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Done {
    let Some(draft) = &mut conf.draft else { return Ok(()) };
    let reach = Reach::parse(word(args, 1)).ok_or_else(|| {
        error(format!(
            "invalid \"scope {}\"; it takes \"cluster\" or \"node\"; what credentials may be used for is said by \
             \"scopes\"",
            word(args, 1).escape_debug()
        ))
        .of(&format!("tollgate_tier {}", draft.tier.name))
    })?;
    once(&mut draft.tier.reach, args, reach)
}

/// `scopes SCOPE...`
pub(super) fn scopes(_: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Done {
    let Some(draft) = &mut conf.draft else { return Ok(()) };
    let tier = format!("tollgate_tier {}", draft.tier.name);
    if draft.model.is_some() {
        return Err(
            error("\"scopes\" belongs to the tier, and not to some of its models").of(&tier)
        );
    }
    let (_, names) = words(args);
    let mut scopes = Scopes::NONE;
    for name in names {
        let scope = Scope::from_name(name).ok_or_else(|| {
            let (name, known) = (name.escape_debug(), Scope::names());
            error(format!("unknown scope \"{name}\" in \"scopes\"; known are {known}")).of(&tier)
        })?;
        scopes = scopes.with(scope);
    }
    once(&mut draft.tier.scopes, args, scopes)
}

/// `allow FEATURE... | deny FEATURE...`, `max_n N` and the like: what requests may ask for
pub(super) fn features(_: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Done {
    let Some(draft) = &mut conf.draft else { return Ok(()) };
    let (name, values) = words(args);
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let of_tier = |problem| error(problem).of(&format!("tollgate_tier {}", draft.tier.name));
    draft.tier.features.take(name, &values).map_err(of_tier)
}

/// `objective NAME`
pub(super) fn objective(_: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Done {
    let Some(draft) = &mut conf.draft else { return Ok(()) };
    let tier = format!("tollgate_tier {}", draft.tier.name);
    let name = word(args, 1);
    let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    let is_name = !name.is_empty() && name.len() <= 253 && name.bytes().all(is_plain);
    if draft.model.is_some() || !is_name {
        return Err(error(format!(
            "invalid \"objective {}\"; it belongs to the tier, and takes the name of an InferenceObjective: \
             lower-case letters, digits, \"-\" and \".\"",
            name.escape_debug()
        ))
        .of(&tier));
    }
    once(&mut draft.tier.objective, args, name.to_owned())
}

/// `priority N`
pub(super) fn priority(_: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Done {
    let Some(draft) = &mut conf.draft else { return Ok(()) };
    let tier = format!("tollgate_tier {}", draft.tier.name);
    let text = word(args, 1);
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse::<i32>().ok().filter(|_| is_number && draft.model.is_none());
    let number = number.ok_or_else(|| {
        error(format!(
            "invalid \"priority {}\"; it belongs to the tier, and takes a whole number, by which vLLM serves \
             lower ones earlier",
            text.escape_debug()
        ))
        .of(&tier)
    })?;
    once(&mut draft.tier.priority, args, number)
}

/// `cidrs NETWORK...`
pub(super) fn cidrs(_: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Done {
    let Some(draft) = &mut conf.draft else { return Ok(()) };
    let networks = networks(args, draft)?;
    once(&mut draft.cidrs, args, networks)
}

/// `deny_cidrs NETWORK...`
pub(super) fn deny_cidrs(_: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Done {
    let Some(draft) = &mut conf.draft else { return Ok(()) };
    let networks = networks(args, draft)?;
    once(&mut draft.deny_cidrs, args, networks)
}

/// `addresses N/h [alert | refuse]`
pub(super) fn addresses(_: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Done {
    let Some(draft) = &mut conf.draft else { return Ok(()) };
    let (name, values) = words(args);
    of_no_model(name, draft)?;
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let limit = AddressLimit::parse(&values).map_err(|(word, problem)| {
        let word = word.escape_debug();
        error(format!("invalid \"{word}\" of \"{name}\": {problem}"))
            .of(&format!("tollgate_tier {}", draft.tier.name))
    })?;
    once(&mut draft.tier.addresses, args, limit)
}

fn of_no_model(name: &str, draft: &Draft) -> Done {
    match draft.model {
        None => Ok(()),
        Some(_) => Err(error(format!(
            "\"{name}\" belongs to the tier: a client comes from where it comes from, whatever model it asks for"
        ))
        .of(&format!("tollgate_tier {}", draft.tier.name))),
    }
}

fn networks(args: &[String], draft: &Draft) -> Result<Box<[Cidr]>, ConfError> {
    let (name, networks) = words(args);
    let tier = format!("tollgate_tier {}", draft.tier.name);
    of_no_model(name, draft)?;
    let parse = |text: &String| {
        text.parse().map_err(|problem| {
            error(format!("\"{}\" of \"{name}\" {problem}", text.escape_debug())).of(&tier)
        })
    };
    networks.iter().map(parse).collect()
}
