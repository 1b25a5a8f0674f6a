//! The members by which a request says how much it asks for.

/// Makes the enum of lines: variant, name.
macro_rules! quantities {
    ($($variant:ident $name:literal;)+) => {
        /// A member by which a request says how many tokens, or how many answers, it asks for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Quantity {
            $(
                #[doc = concat!("`", $name, "`")]
                $variant,
            )+
        }

        impl Quantity {
            /// That of this name.
            pub(super) fn of(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// Its name.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

quantities! {
    MaxTokens "max_tokens";
    MaxCompletionTokens "max_completion_tokens";
    MaxOutputTokens "max_output_tokens";
    MaxNewTokens "max_new_tokens";
    NPredict "n_predict";
    NumPredict "num_predict";
    N "n";
    NCmpl "n_cmpl";
    BestOf "best_of";
}

#[cfg(test)]
mod tests {
    use super::super::members;
    use super::*;
    use crate::llm::{Endpoint, Engine};

    #[test]
    fn each_member_that_says_how_much_is_one() {
        for engine in Engine::ALL {
            for form in Endpoint::ALL {
                let bounds = members::bounds_of(form, engine);
                let names = bounds.iter().map(|(_, name)| *name);
                for name in names.chain(members::counts(form, engine).iter().copied()) {
                    assert_eq!(Quantity::of(name).map(Quantity::as_str), Some(name), "{form:?}");
                }
            }
        }
        assert_eq!(Quantity::of("seed"), None);
    }
}
