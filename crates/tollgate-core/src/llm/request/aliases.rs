//! Other names for models: what clients ask for, and what the engine is asked for in its place.

use std::fmt;

use super::MAX_MODEL_LEN;

/// The aliases that hold in a location.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aliases(Vec<Alias>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Alias {
    alias: Box<str>,
    model: Box<str>,
}

impl Aliases {
    /// Adds an alias of a model.
    ///
    /// # Errors
    ///
    /// When one of them is no name, the alias is there already, or one of them stands on the other side of
    /// an alias: what a name leads to is never looked up again.
    pub fn add(&mut self, alias: &str, model: &str) -> Result<(), AliasError> {
        for name in [alias, model] {
            if !is_name(name) {
                return Err(AliasError::Name(name.to_owned()));
            }
        }
        if alias == model {
            return Err(AliasError::Itself);
        }
        for other in &self.0 {
            if *other.alias == *alias {
                return Err(AliasError::Twice { model: other.model.clone() });
            }
            if *other.alias == *model {
                let (alias, next) = (model.into(), other.model.clone());
                return Err(AliasError::Chain { alias, model: next });
            }
            if *other.model == *alias {
                return Err(AliasError::Shadow { by: other.alias.clone() });
            }
        }
        self.0.push(Alias { alias: alias.into(), model: model.into() });
        Ok(())
    }

    /// The model that this name stands for; `None`: it is no alias.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|known| *known.alias == *name).map(|known| &*known.model)
    }

    /// Each alias with its model, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|known| (&*known.alias, &*known.model))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A name that a request can have, and nothing that looks like more.
fn is_name(name: &str) -> bool {
    let is_pattern = name.starts_with('~') || name.contains(['*', '?', '$']);
    let is_flag = name.eq_ignore_ascii_case("on") || name.eq_ignore_ascii_case("off");
    let is_plain = !name.contains(char::is_control) && name.trim() == name;
    !name.is_empty() && name.len() <= MAX_MODEL_LEN && is_plain && !is_pattern && !is_flag
}

/// What is wrong with an alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AliasError {
    /// It, or the model, is no name.
    Name(String),
    /// It is the model's own name.
    Itself,
    /// It is there already.
    Twice {
        /// What it stands for.
        model: Box<str>,
    },
    /// The model is an alias itself.
    Chain {
        /// The model.
        alias: Box<str>,
        /// What it stands for.
        model: Box<str>,
    },
    /// It is the model of another alias.
    Shadow {
        /// That one.
        by: Box<str>,
    },
}

impl fmt::Display for AliasError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(
                f,
                "invalid name \"{}\"; it takes an alias and the name of a model, each of at most {MAX_MODEL_LEN} \
                 bytes, without variables and patterns",
                name.escape_debug()
            ),
            Self::Itself => f.write_str("the alias is the name of its model; leave it out"),
            Self::Twice { model } => write!(
                f,
                "the alias is there already, for \"{model}\"; keep one of them"
            ),
            Self::Chain { alias, model } => write!(
                f,
                "\"{alias}\" is an alias itself, and aliases are not followed any further; name \"{model}\" in its \
                 place"
            ),
            Self::Shadow { by } => write!(
                f,
                "the alias is the model of the alias \"{by}\", which so would never be reached; choose another name"
            ),
        }
    }
}

impl std::error::Error for AliasError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_leads_to_its_model_and_nothing_else_does() {
        let mut aliases = Aliases::default();
        assert!(aliases.is_empty());
        aliases.add("chat-default", "llama-3.1-8b").unwrap();
        aliases.add("chat-large", "meta/llama 70b").unwrap();
        aliases.add("chat-small", "llama-3.1-8b").unwrap();
        assert_eq!(aliases.find("chat-default"), Some("llama-3.1-8b"));
        assert_eq!(aliases.find("chat-large"), Some("meta/llama 70b"));
        for name in ["llama-3.1-8b", "Chat-default", "chat-default ", "", "chat"] {
            assert_eq!(aliases.find(name), None, "{name}");
        }
        assert_eq!(aliases.iter().count(), 3);
    }

    #[test]
    fn no_alias_leads_to_another_one() {
        let mut aliases = Aliases::default();
        aliases.add("a", "b").unwrap();
        for (alias, model, message) in [
            ("a", "a", "the alias is the name of its model; leave it out"),
            ("a", "c", "the alias is there already, for \"b\"; keep one of them"),
            ("b", "c", "the alias is the model of the alias \"a\", which so would never be reached; choose another \
              name"),
            ("b", "a", "\"a\" is an alias itself, and aliases are not followed any further; name \"b\" in its place"),
            ("c", "a", "\"a\" is an alias itself, and aliases are not followed any further; name \"b\" in its place"),
        ] {
            assert_eq!(aliases.add(alias, model).unwrap_err().to_string(), message);
        }
        for (alias, model) in
            [("", "x"), ("x", ""), ("x*", "y"), ("x", "$y"), ("~x", "y"), ("off", "y"), (" x", "y")]
        {
            assert!(
                matches!(aliases.add(alias, model), Err(AliasError::Name(_))),
                "{alias} {model}"
            );
        }
        assert_eq!(aliases.iter().collect::<Vec<_>>(), [("a", "b")]);
    }
}
