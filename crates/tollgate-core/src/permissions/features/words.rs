//! The words of a tier that say what its requests may ask for.

use super::{FeatureRules, TooMuchOutput, UnknownMembers};
use crate::llm::feature::Feature;

/// The largest number of tokens, messages and so on.
const LARGEST: u64 = 1_000_000_000;

impl FeatureRules {
    /// Takes a line of a tier: the name of the directive, and what stands behind it.
    ///
    /// # Errors
    /// What is wrong with it, as a lower-case sentence that names the directive and the way out.
    pub fn take(&mut self, directive: &str, values: &[&str]) -> Result<(), String> {
        self.is_own = true;
        match directive {
            "allow" | "deny" => self.name(directive, values),
            "unknown_members" => self.take_unknown(values),
            "max_output_tokens" => self.take_output(values),
            _ => {
                let number = one_number(directive, values)?;
                let place = match directive {
                    "max_n" => &mut self.max_n,
                    "max_input_tokens" => &mut self.max_input_tokens,
                    "max_messages" => &mut self.max_messages,
                    "max_tools" => &mut self.max_tools,
                    _ => &mut self.max_schema_bytes,
                };
                once(directive, place, number)
            }
        }
    }

    fn name(&mut self, directive: &str, values: &[&str]) -> Result<(), String> {
        for value in values {
            let Some(feature) = Feature::from_name(value) else {
                let known: Vec<_> = Feature::ALL.iter().map(|known| known.as_str()).collect();
                return Err(format!(
                    "unknown feature \"{}\" in \"{directive}\"; known are {}",
                    value.escape_debug(),
                    known.join(", ")
                ));
            };
            let is_denied = directive == "deny";
            if self.named.has(feature) {
                return Err(match self.denied.has(feature) == is_denied {
                    true => format!("\"{directive} {feature}\" is said twice; keep one of them"),
                    false => {
                        format!("\"{feature}\" is both allowed and denied; keep one of the two")
                    }
                });
            }
            self.named = self.named.with(feature);
            self.denied = match is_denied {
                true => self.denied.with(feature),
                false => self.denied.without(feature),
            };
        }
        Ok(())
    }

    fn take_unknown(&mut self, values: &[&str]) -> Result<(), String> {
        let unknown = match values {
            ["allow"] => UnknownMembers::Allow,
            ["deny"] => UnknownMembers::Deny,
            ["strip"] => UnknownMembers::Strip,
            _ => {
                return Err(format!(
                    "invalid value \"{}\" of \"unknown_members\"; it takes \"allow\", \"deny\" or \
                     \"strip\"",
                    values.join(" ").escape_debug()
                ))
            }
        };
        once("unknown_members", &mut self.unknown, unknown)
    }

    fn take_output(&mut self, values: &[&str]) -> Result<(), String> {
        let (number, too_much) = match values {
            [number] | [number, "clamp"] => (*number, TooMuchOutput::Clamp),
            [number, "refuse"] => (*number, TooMuchOutput::Refuse),
            _ => {
                return Err(format!(
                "invalid \"max_output_tokens {}\"; it takes a number of tokens, and \"clamp\" or \
                     \"refuse\"",
                values.join(" ").escape_debug()
            ))
            }
        };
        let number = one_number("max_output_tokens", &[number])?;
        if number == 0 {
            return Err("\"max_output_tokens\" takes 1 or more; to refuse all output, leave the \
                        endpoints closed"
                .to_owned());
        }
        once("max_output_tokens", &mut self.max_output_tokens, (number, too_much))
    }

    /// Looks at all of it when the tier has ended.
    ///
    /// # Errors
    /// What has no effect beside the rest of it, and the way out.
    pub fn finish(&self) -> Result<(), String> {
        let denies = |feature| self.named.has(feature) && self.denied.has(feature);
        let allows = |feature| self.named.has(feature) && !self.denied.has(feature);
        for (part, whole) in
            [(Feature::RemoteMedia, Feature::Media), (Feature::ServerTools, Feature::Tools)]
        {
            if denies(whole) && allows(part) {
                return Err(format!(
                    "\"allow {part}\" has no effect beside \"deny {whole}\", which denies them as well; \
                     leave one of the two out"
                ));
            }
        }
        if denies(Feature::Tools) && self.max_tools.is_some() {
            return Err(
                "\"max_tools\" has no effect beside \"deny tools\"; leave one of the two out"
                    .to_owned(),
            );
        }
        if self.max_n == Some(0) {
            return Err(
                "\"max_n 0\" refuses every request that makes an answer; \"max_n 1\" is the \
                        least"
                    .to_owned(),
            );
        }
        if self.max_messages == Some(0) || self.max_input_tokens == Some(0) {
            return Err(
                "\"max_messages\" and \"max_input_tokens\" take 1 or more, or every request \
                        would be refused"
                    .to_owned(),
            );
        }
        if self.max_tools == Some(0) {
            return Err("\"max_tools 0\" is written \"deny tools\"".to_owned());
        }
        Ok(())
    }
}

fn once<T>(directive: &str, place: &mut Option<T>, value: T) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("\"{directive}\" is given twice; keep one of them")),
    }
}

/// A whole number, maybe with `k` or `m` behind it for thousands and millions.
fn one_number(directive: &str, values: &[&str]) -> Result<u64, String> {
    let parse = |text: &str| {
        let (digits, factor) = match text.strip_suffix(['k', 'm']) {
            Some(digits) => (digits, if text.ends_with('k') { 1_000 } else { 1_000_000 }),
            None => (text, 1),
        };
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.parse::<u64>().ok().filter(|_| is_number)?;
        number.checked_mul(factor).filter(|number| *number <= LARGEST)
    };
    match values {
        [value] => parse(value).ok_or_else(|| {
            format!(
                "invalid number \"{}\" of \"{directive}\"; it takes a whole number up to {LARGEST}, \
                 such as 4096 or 8k",
                value.escape_debug()
            )
        }),
        _ => Err(format!("\"{directive}\" takes one number: \"{directive} 8;\"")),
    }
}
