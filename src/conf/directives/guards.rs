//! The block of a guard, and who uses it.

use super::words::{error, file_name, given, literal, once, word, words, Done};
use crate::conf::guard_files::GuardFile;
use crate::conf::guards::Declared;
use crate::conf::{LocConf, MainConf};
use nginx::conf::{parse_size, parse_time_ms, ConfContext, ConfError};
use tollgate_core::guards::classifier::words::{line as read_classifier, Units};
use tollgate_core::guards::classifier::Side;
use tollgate_core::guards::words::{line, roles as read_roles, Direction, Line};
use tollgate_core::guards::Guard;
use tollgate_core::nginx_text::file_name::Use;
use tollgate_core::principal::is_valid_name;
use tollgate_guard::settings::{Settings, What, Wish};

/// `tollgate_guard NAME {`
pub(super) fn open(cx: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Done {
    let name = word(args, 1).to_owned();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !is_valid_name(&name) || name.len() > 64 || !name.bytes().all(is_plain) || name == "off" {
        return Err(error(format!(
            "invalid guard name \"{}\"; it has 1 to 64 letters, digits, \"-\", \"_\" and \".\", and is not \"off\"",
            name.escape_debug()
        )));
    }
    if conf.guards.has(&name) {
        return Err(error(format!("the guard \"{name}\" is declared twice; keep one of them")));
    }
    conf.guards.draft = Some(Declared::new(name, cx.position()));
    Ok(())
}

/// `}`
pub(super) fn close(conf: &mut MainConf) -> Done {
    let Some(guard) = conf.guards.draft.take() else { return Ok(()) };
    let of_guard = |problem: &str| error(problem).of(&format!("tollgate_guard {}", guard.name));
    let is_idle = guard.input.is_empty()
        && guard.output.is_empty()
        && guard.leak.is_none()
        && guard.classifiers.is_empty();
    if is_idle {
        return Err(of_guard(
            "looks for nothing; add a line such as \"input secrets block;\", or leave the block out",
        ));
    }
    let judges_requests =
        guard.classifiers.iter().any(|(one, _)| one.sides.contains(&Side::Request));
    if guard.roles.is_some() && guard.input.is_empty() && !judges_requests {
        return Err(of_guard("\"roles\" has no effect, as nothing is looked for in the input"));
    }
    conf.guards.add(guard);
    Ok(())
}

/// `input WHAT ... ACTION`
pub(super) fn input(cx: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Done {
    add(cx, args, conf, Direction::Input)
}

/// `output WHAT ... ACTION`
pub(super) fn output(cx: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Done {
    add(cx, args, conf, Direction::Output)
}

/// `classifier URI input ...`
pub(super) fn classifier(cx: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Done {
    let Some(draft) = &mut conf.guards.draft else { return Ok(()) };
    let values: Vec<&str> = words(args).1.iter().map(String::as_str).collect();
    let of_line = |problem: String| {
        error(format!("\"classifier\": {problem}")).of(&format!("tollgate_guard {}", draft.name))
    };
    let units = Units { time_ms: parse_time_ms, size: parse_size };
    let classifier = read_classifier(&values, units).map_err(of_line)?;
    let name = &classifier.name;
    if draft.classifiers.iter().any(|(other, _)| other.name == *name) {
        return Err(of_line(format!(
            "two have the name \"{name}\" for the log; give one of them another, with \"name=toxicity\" say"
        )));
    }
    draft.classifiers.push((classifier, cx.position()));
    Ok(())
}

fn add(cx: &ConfContext<'_>, args: &[String], conf: &mut MainConf, direction: Direction) -> Done {
    let Some(guard) =
        conf.guards.draft.as_ref().map(|draft| format!("tollgate_guard {}", draft.name))
    else {
        return Ok(());
    };
    let (name, values) = words(args);
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let of_line = |problem: String| error(format!("\"{name}\": {problem}")).of(&guard);
    let line = line(direction, &values).map_err(of_line)?;
    let list = match &line {
        Line::List { path, .. } => {
            let path = cx.full_path(file_name("\"list\"", path, Use::Read)?)?;
            let list = conf.guards.list(cx, path);
            Some(list.map_err(|problem| problem.of(&guard))?)
        }
        Line::Wish(_) | Line::Leak(_) => None,
    };
    let Some(draft) = &mut conf.guards.draft else { return Ok(()) };
    let wish = match line {
        Line::Wish(wish) => wish,
        Line::List { name, action, .. } => {
            let terms = list.as_ref().and_then(GuardFile::now);
            let terms =
                terms.ok_or_else(|| of_line("what was read of the list is lost".to_owned()))?;
            Wish { what: What::List { name, terms }, action, threshold: None }
        }
        Line::Leak(action) => {
            if draft.leak.is_some() {
                return Err(of_line("\"leak\" is said twice; keep one of them".to_owned()));
            }
            draft.leak = Some(action);
            return Ok(());
        }
    };
    // What is wrong with it, is told in its line.
    let alone = Settings { wishes: vec![wish.clone()] };
    let alone = Guard::new(&alone).map_err(|problem| of_line(problem.to_string()))?;
    let (wishes, lists, rules) = match direction {
        Direction::Input => (&mut draft.input, &mut draft.input_lists, &mut draft.input_rules),
        Direction::Output => (&mut draft.output, &mut draft.output_lists, &mut draft.output_rules),
    };
    wishes.push(wish);
    lists.extend(list);
    rules.extend_from_slice(alone.rules());
    Ok(())
}

/// `tollgate_guard_rules PATH [alone]`
pub(super) fn rules(cx: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Done {
    let (directive, values) = words(args);
    let is_alone = match values {
        [_] => false,
        [_, alone] if alone == "alone" => true,
        _ => {
            return Err(error(format!(
                "invalid \"{directive}\"; it takes a file or a folder, and \"alone\" if the shipped rules are not to be used"
            )))
        }
    };
    let named = format!("\"{directive}\"");
    let path = cx.full_path(file_name(&named, word(args, 1), Use::Read)?)?;
    if conf.guards.rules.is_some() {
        return Err(error(format!(
            "{named} directive is duplicate; name a folder for several files"
        )));
    }
    let rules = GuardFile::rules(cx, path, is_alone).map_err(|problem| problem.of(directive))?;
    conf.guards.rules = Some(rules);
    Ok(())
}

/// `roles ROLE...`
pub(super) fn roles(_: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Done {
    let Some(draft) = &mut conf.guards.draft else { return Ok(()) };
    let values: Vec<&str> = words(args).1.iter().map(String::as_str).collect();
    let roles = read_roles(&values).map_err(|problem| {
        error(format!("\"roles\": {problem}")).of(&format!("tollgate_guard {}", draft.name))
    })?;
    once(&mut draft.roles, args, roles)
}

/// `guards NAME...` of a tier
pub(super) fn of_tier(_: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Done {
    let Some(draft) = &mut conf.draft else { return Ok(()) };
    let names =
        names(args).map_err(|problem| problem.of(&format!("tollgate_tier {}", draft.tier.name)))?;
    if !draft.tier.guards.is_empty() {
        return Err(error("\"guards\" directive is duplicate"));
    }
    draft.tier.guards = names;
    Ok(())
}

/// `tollgate_guards NAME... | off`
pub(super) fn applied(cx: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let names = match words(args).1 {
        [off] if off == "off" => Vec::new(),
        _ => names(args)?,
    };
    once(&mut conf.settings.guards, args, given(cx, names))
}

fn names(args: &[String]) -> Result<Vec<String>, ConfError> {
    let (directive, names) = words(args);
    for (index, name) in names.iter().enumerate() {
        literal(&format!("\"{directive}\":"), name)?;
        if name == "off" {
            return Err(error(format!("\"off\" in \"{directive}\" stands alone")));
        }
        if names.iter().skip(index + 1).any(|other| other == name) {
            return Err(error(format!("the guard \"{name}\" is named twice; once is enough")));
        }
    }
    Ok(names.to_vec())
}
