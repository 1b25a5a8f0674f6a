//! What a request may ask an engine for beyond an answer: the features that a tier allows or denies.

use std::fmt;

/// Makes the enum of features and its tables of lines: variant, name, whether it is allowed unless the tier
/// says otherwise, and what it is.
macro_rules! features {
    ($($variant:ident $name:literal $default:ident $what:literal;)+) => {
        /// Something that requests may ask for, in members of several names. The names are part of the
        /// configuration and of the audit log's format.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Feature {
            $(
                #[doc = $what]
                $variant,
            )+
        }

        impl Feature {
            /// Every feature, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name in `allow` and `deny`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Whether a tier that doesn't name it allows it: what reaches the network, the disk or other clients
            /// through the engine, or runs code there, is not.
            #[must_use]
            pub const fn is_allowed_by_default(self) -> bool {
                match self { $(Self::$variant => features!(@ $default),)+ }
            }

            /// What it is, for the documentation.
            #[must_use]
            pub fn what(self) -> &'static str {
                match self { $(Self::$variant => $what,)+ }
            }
        }
    };
    (@ allowed) => { true };
    (@ denied) => { false };
}

features! {
    Tools "tools" allowed "functions that the model may call, for the client to run";
    ServerTools "server_tools" denied "tools that the engine runs itself: searches, MCP servers, code";
    Media "media" allowed "pictures, sounds, videos and files";
    RemoteMedia "remote_media" denied "the same by a URL or path, which the engine fetches";
    MediaOptions "media_options" allowed "how media are decoded and scaled";
    Embeds "embeds" denied "tensors in the place of text or media";
    Logprobs "logprobs" allowed "probabilities of tokens, of the output or of the prompt";
    HiddenStates "hidden_states" allowed "what the model computes inside: hidden states, experts";
    GuidedDecoding "guided_decoding" allowed "output by a schema, a grammar or a pattern";
    LogitBias "logit_bias" allowed "tokens that are preferred or banned";
    LogitsProcessors "logits_processors" denied "code that the engine runs for each token";
    BeamSearch "beam_search" allowed "beam search";
    ForcedOutput "forced_output" allowed "output that doesn't end where the model would end it";
    Echo "echo" allowed "the prompt in the answer";
    ChatTemplateKwargs "chat_template_kwargs" allowed "variables of the chat template";
    ChatTemplate "chat_template" denied "a template of the client's own, which the engine runs";
    Lora "lora" denied "an adapter that \"model\" doesn't name";
    Priority "priority" denied "a place before other requests";
    Background "background" allowed "answers that are made after the request was answered";
    Store "store" allowed "answers that the engine keeps, and what it kept before";
    Sessions "sessions" denied "contexts and media that the engine keeps for whoever names them";
    RequestIds "request_ids" denied "ids within the engine that the client chooses";
    Slots "slots" denied "which part of the cache is used, and how it is shifted";
    LoadOptions "load_options" allowed "how a model is loaded, for all clients, and for how long";
    Internals "internals" denied "what the parts of a cluster tell each other";
}

impl Feature {
    /// The feature of this name, in exactly this case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|feature| feature.as_str() == name)
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Some of the features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeatureSet(u32);

impl FeatureSet {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// Those that a tier denies which names none.
    #[must_use]
    pub fn denied_by_default() -> Self {
        let denied = |feature: &&Feature| !feature.is_allowed_by_default();
        Feature::ALL.iter().filter(denied).fold(Self::NONE, |set, feature| set.with(*feature))
    }

    /// These, and `feature`.
    #[must_use]
    pub const fn with(self, feature: Feature) -> Self {
        Self(self.0 | 1 << feature as u8)
    }

    /// These, but not `feature`.
    #[must_use]
    pub const fn without(self, feature: Feature) -> Self {
        Self(self.0 & !(1 << feature as u8))
    }

    /// Whether it is one of them.
    #[must_use]
    pub const fn has(self, feature: Feature) -> bool {
        self.0 & 1 << feature as u8 != 0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that are in both, in the order of the documentation.
    pub fn both(self, other: Self) -> impl Iterator<Item = Feature> {
        let both = Self(self.0 & other.0);
        let all = if both.is_empty() { &[] } else { Feature::ALL };
        all.iter().copied().filter(move |feature| both.has(*feature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feature_is_found_by_its_name_and_no_other_spelling() {
        for feature in Feature::ALL {
            assert_eq!(Feature::from_name(feature.as_str()), Some(*feature));
            assert_eq!(Feature::from_name(&feature.as_str().to_uppercase()), None);
        }
        assert_eq!(Feature::from_name(""), None);
    }

    #[test]
    fn sets_hold_what_was_put_into_them() {
        assert!(Feature::ALL.len() <= 32);
        for feature in Feature::ALL {
            let set = FeatureSet::NONE.with(*feature);
            let others = Feature::ALL.iter().filter(|other| set.has(**other));
            assert_eq!(others.collect::<Vec<_>>(), [feature]);
            assert!(set.without(*feature).is_empty());
        }
    }

    #[test]
    fn what_reaches_beyond_the_request_is_denied_by_default() {
        let denied = FeatureSet::denied_by_default();
        for name in
            ["remote_media", "server_tools", "logits_processors", "embeds", "priority", "lora"]
        {
            assert!(denied.has(Feature::from_name(name).unwrap()), "{name}");
        }
        for name in ["tools", "media", "logprobs", "guided_decoding", "store", "background"] {
            assert!(!denied.has(Feature::from_name(name).unwrap()), "{name}");
        }
    }
}
