//! Scopes: what a credential is for. Each line of an engine's table has one, and `admin` is what is for
//! operators.
//!
//! | who says which       | where nobody else says any | together with a tier that says some     |
//! |----------------------|----------------------------|-----------------------------------------|
//! | nobody               | all but `admin`            | those of the tier                       |
//! | `scopes` of the key  | those of the key           | those that both have                    |
//! | the claim of a token | those of it, never `admin` | those that both have                    |

use std::fmt;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Chats, in whatever form, and what goes along with them.
    Chat,
    /// Completions of a text.
    Completions,
    /// Embeddings, pooling, classification.
    Embeddings,
    /// OpenAI's responses, and the conversations and threads that the engine keeps.
    Responses,
    /// Speech to text, and text to speech.
    Audio,
    /// Pictures and videos.
    Images,
    /// The relevance of documents, and scores of pairs.
    Rerank,
    /// Counting tokens, filling in templates.
    Tokenize,
    /// Which models there are, and whether the engine lives.
    Models,
    /// Files, and stores of them.
    Files,
    /// Many requests in a file, answered later.
    Batches,
    /// What is for operators, and what is not known.
    Admin,
}

impl Scope {
    /// Every scope, in the order of the documentation.
    pub const ALL: [Self; 12] = [
        Self::Chat,
        Self::Completions,
        Self::Embeddings,
        Self::Responses,
        Self::Audio,
        Self::Images,
        Self::Rerank,
        Self::Tokenize,
        Self::Models,
        Self::Files,
        Self::Batches,
        Self::Admin,
    ];

    /// The name in tiers, keys, tokens and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Responses => "responses",
            Self::Audio => "audio",
            Self::Images => "images",
            Self::Rerank => "rerank",
            Self::Tokenize => "tokenize",
            Self::Models => "models",
            Self::Files => "files",
            Self::Batches => "batches",
            Self::Admin => "admin",
        }
    }

    /// The scope of this name, in exactly this case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }

    /// The names of all, for messages.
    #[must_use]
    pub fn names() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// Some of the scopes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scopes(u16);

impl Scopes {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// What whoever is restricted to nothing has: all but `admin`, which somebody has to give.
    pub const DEFAULT: Self = Self(Scope::Admin.bit() - 1);

    /// These, and this one.
    #[must_use]
    pub const fn with(self, scope: Scope) -> Self {
        Self(self.0 | scope.bit())
    }

    /// Whether this is one of them.
    #[must_use]
    #[inline]
    pub const fn has(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Those that are in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those among `names` that are scopes. Others are somebody else's.
    pub fn among<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let known = names.into_iter().filter_map(Scope::from_name);
        known.fold(Self::NONE, Self::with)
    }

    /// Which they are, in the order of the documentation.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.has(*scope))
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Scope::as_str)).finish()
    }
}

/// Who restricts a credential to scopes, beside its tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Said {
    /// Nobody.
    #[default]
    Nothing,
    /// The operator, in the entry of the key.
    ByKey(Scopes),
    /// The issuer of the token, who can give nothing that the tier has not.
    ByToken(Scopes),
}

/// What a credential may be used for, in a tier that says `tier`.
#[must_use]
#[inline]
pub fn granted(tier: Option<Scopes>, said: Said) -> Scopes {
    match (tier, said) {
        (None, Said::Nothing) => Scopes::DEFAULT,
        (Some(tier), Said::Nothing) => tier,
        (None, Said::ByKey(key)) => key,
        (Some(tier), Said::ByKey(other) | Said::ByToken(other)) => tier.and(other),
        (None, Said::ByToken(token)) => token.and(Scopes::DEFAULT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(names: &str) -> Scopes {
        Scopes::among(names.split_whitespace())
    }

    #[test]
    fn scope_is_found_by_its_name_and_no_other_spelling() {
        for scope in Scope::ALL {
            assert_eq!(Scope::from_name(scope.as_str()), Some(scope));
        }
        for name in ["", "Chat", "chat ", "openid", "all", "*"] {
            assert_eq!(Scope::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn each_scope_has_a_place_of_its_own() {
        for scope in Scope::ALL {
            let one = Scopes::NONE.with(scope);
            assert_eq!(one.iter().collect::<Vec<_>>(), [scope]);
            assert_eq!(Scopes::DEFAULT.has(scope), scope != Scope::Admin);
        }
    }

    #[test]
    fn names_of_others_grant_nothing() {
        assert_eq!(scopes("openid profile CHAT"), Scopes::NONE);
        assert_eq!(scopes("openid chat"), Scopes::NONE.with(Scope::Chat));
    }

    #[test]
    fn all_that_say_something_must_allow() {
        for (tier, key, expected) in [
            (None, None, Scopes::DEFAULT),
            (Some("chat"), None, scopes("chat")),
            (None, Some("chat"), scopes("chat")),
            (Some("chat embeddings"), Some("chat audio"), scopes("chat")),
            (Some("chat"), Some("audio"), Scopes::NONE),
            (Some(""), Some("audio"), Scopes::NONE),
        ] {
            let tier = tier.map(scopes);
            let key = key.map(scopes);
            assert_eq!(granted(tier, key.map_or(Said::Nothing, Said::ByKey)), expected);
            assert_eq!(granted(tier, key.map_or(Said::Nothing, Said::ByToken)), expected);
        }
    }

    #[test]
    fn admin_is_given_by_the_operator_and_by_nobody_else() {
        let (admin, chat) = (scopes("admin"), scopes("chat"));
        for (tier, said, expected) in [
            (None, Said::Nothing, false),
            (Some(admin), Said::Nothing, true),
            (Some(chat), Said::Nothing, false),
            (None, Said::ByKey(admin), true),
            (None, Said::ByKey(chat), false),
            (Some(admin), Said::ByKey(admin), true),
            (Some(admin), Said::ByKey(chat), false),
            (Some(chat), Said::ByKey(admin), false),
            (None, Said::ByToken(admin), false),
            (Some(chat), Said::ByToken(admin), false),
            (Some(admin), Said::ByToken(chat), false),
            (Some(admin), Said::ByToken(admin), true),
        ] {
            assert_eq!(granted(tier, said).has(Scope::Admin), expected, "{tier:?} {said:?}");
        }
    }
}
