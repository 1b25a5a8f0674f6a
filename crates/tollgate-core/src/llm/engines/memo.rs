//! Paths that were asked for a moment ago, so that the next request for one searches no table.
//!
//! A direct-mapped table, as that of [keys](crate::keys::KeyMemo): the path picks one place, and what was
//! asked for last has it. What is remembered depends on nothing but the engine, the method and the path,
//! which are compared to the letter: so nothing has to be forgotten, and whoever asks for many paths
//! costs what they would cost without it.

use super::named::models_before_end;
use super::naming::{naming, page};
use super::route::{classify, Standing};
use super::{Engine, Naming, Page};
use crate::detail::Cause;
use crate::llm::endpoint::Dialect;
use crate::llm::Endpoint;
use crate::objects::Access;
use crate::path::{ambiguity, is_ambiguous, up_to_query};

/// What of a path is to be looked at again in each request. One member for two questions: a route is kept with
/// its request, whose state may not grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Nothing.
    Plain,
    /// It may name a model beside the body, before its end or behind a `?` that was encoded.
    NamesBeside,
    /// Another server could see another path in it, even if the client sent just this. It may name a model, too.
    Ambiguous,
}

impl Look {
    fn of(engine: Engine, path: &[u8]) -> Self {
        if is_ambiguous(path, path) {
            Self::Ambiguous
        } else if !models_before_end(engine, path).is_empty() || up_to_query(path).is_some() {
            Self::NamesBeside
        } else {
            Self::Plain
        }
    }
}

/// What the tables and rules say of a method and a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The form in which the request is read.
    pub form: Option<Endpoint>,
    /// How a refusal looks.
    pub dialect: Dialect,
    /// The path of its line in the table; `other`, where it has none.
    pub line: &'static str,
    /// Whom it is for.
    pub standing: Standing,
    /// What it does to objects of clients.
    pub objects: Access,
    /// Where it names its model.
    pub naming: Naming,
    /// Which page of models it asks for.
    pub page: Option<Page>,
    look: Look,
}

impl Route {
    /// What is asked for by `method` and `path`, the one that the engine gets, decoded, of which `own` bytes
    /// at its beginning are the operator's (see [`Engine::standing`]).
    #[must_use]
    pub fn of(engine: Engine, method: &[u8], (path, own): (&[u8], usize)) -> Self {
        let (form, dialect) = classify(method, path, engine);
        Self {
            form,
            dialect,
            line: engine.line(method, path, own).map_or("other", |row| row.path),
            standing: engine.standing(method, path, own),
            objects: Access::of(engine, form, method, path),
            naming: naming(engine, method, path, form),
            page: page(method, path),
            look: Look::of(engine, path),
        }
    }

    /// Whether it is known not to make a model work.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        match self.standing {
            Standing::Clients { is_harmless, .. } => is_harmless,
            Standing::Operators | Standing::Others => true,
            Standing::Unknown => false,
        }
    }

    /// Whether its path may name a model beside the body: before its end (see [`models_before_end`]), or behind
    /// a `?` that was encoded.
    #[must_use]
    pub fn names_beside(&self) -> bool {
        self.look != Look::Plain
    }

    /// What makes the path ambiguous (see [`ambiguity`]) that the engine gets, where nginx has `uri` for it,
    /// and the client sent `target`.
    #[must_use]
    pub fn ambiguity(&self, path: &[u8], uri: &[u8], target: &[u8]) -> Option<Cause> {
        // Most often all of them are one text in one place.
        let is_path = |other: &[u8]| std::ptr::eq(other, path) || other == path;
        match self.look != Look::Ambiguous && is_path(target) && is_path(uri) {
            true => None,
            false => ambiguity(path, path).or_else(|| ambiguity(uri, target)),
        }
    }
}

/// The longest path that is remembered.
const MAX_PATH: usize = 64;
/// The longest method.
const MAX_METHOD: usize = 8;
/// How many routes a worker remembers: those of all clients together.
const PLACES: usize = 64;

/// The routes that one worker remembers.
pub struct RouteMemo {
    places: Box<[Option<Known>]>,
}

/// Zeros follow the letters. What is in nginx's path or method as a zero is told apart by the length.
struct Known {
    engine: Engine,
    method_len: usize,
    path_len: usize,
    own: usize,
    method: [u8; MAX_METHOD],
    path: [u8; MAX_PATH],
    route: Route,
}

impl Known {
    fn is(&self, engine: Engine, method: &[u8], (path, own): (&[u8], usize)) -> bool {
        self.engine == engine
            && self.own == own
            && self.path.get(..self.path_len) == Some(path)
            && self.method.get(..self.method_len) == Some(method)
    }

    fn new(
        engine: Engine,
        method: &[u8],
        (path, own): (&[u8], usize),
        route: Route,
    ) -> Option<Self> {
        let mut known = Self {
            engine,
            method_len: method.len(),
            path_len: path.len(),
            own,
            method: [0; MAX_METHOD],
            path: [0; MAX_PATH],
            route,
        };
        known.method.get_mut(..method.len())?.copy_from_slice(method);
        known.path.get_mut(..path.len())?.copy_from_slice(path);
        Some(known)
    }
}

impl Default for RouteMemo {
    fn default() -> Self {
        Self { places: (0..PLACES).map(|_| None).collect() }
    }
}

impl RouteMemo {
    /// [`Route::of`], remembered.
    pub fn get(&mut self, engine: Engine, method: &[u8], path: (&[u8], usize)) -> Route {
        // Any place will do: only how often routes share one depends on it.
        let last = path.0.last_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let mixed =
            (last ^ u32::try_from(path.0.len()).unwrap_or(0)).wrapping_mul(0x9e37_79b1) >> 26;
        let place = usize::try_from(mixed).ok().and_then(|index| self.places.get_mut(index));
        let Some(place) = place else { return Route::of(engine, method, path) };
        match place {
            Some(known) if known.is(engine, method, path) => known.route,
            _ => {
                let route = Route::of(engine, method, path);
                if let Some(known) = Known::new(engine, method, path, route) {
                    *place = Some(known);
                }
                route
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::named::{model_in_queries, model_in_query};
    use super::*;
    use proptest::prelude::*;

    const METHODS: [&[u8]; 7] =
        [b"GET", b"HEAD", b"POST", b"DELETE", b"OPTIONS", b"get", b"A-METHOD-OF-ITS-OWN"];

    fn rows() -> Vec<(Engine, &'static str)> {
        let rows = |engine: Engine| engine.table().rows.iter().map(move |row| (engine, row.path));
        Engine::ALL.into_iter().flat_map(rows).collect()
    }

    #[test]
    fn what_is_remembered_is_what_the_tables_say() {
        let mut memo = RouteMemo::default();
        let mut check = |engine, method: &[u8], path: &str| {
            for own in [0, 8, path.len()] {
                let path = (path.as_bytes(), own);
                let expected = Route::of(engine, method, path);
                // Remembered or not, in whatever order they come.
                assert_eq!(memo.get(engine, method, path), expected, "{path:?}");
                assert_eq!(memo.get(engine, method, path), expected, "{path:?}");
            }
        };
        for (_, path) in rows() {
            for engine in Engine::ALL {
                for method in METHODS {
                    check(engine, method, path);
                    check(engine, method, &format!("/{}{path}", "prefix/".repeat(9)));
                }
            }
        }
    }

    #[test]
    fn there_is_a_place_for_every_hash() {
        assert_eq!(PLACES, 1 << (32 - 26));
        assert_eq!(RouteMemo::default().places.len(), PLACES);
    }

    #[test]
    fn a_path_is_ambiguous_by_itself_or_by_how_it_was_sent() {
        let of = |path: &[u8], target: &[u8]| {
            Route::of(Engine::OpenAi, b"GET", (path, 0)).ambiguity(path, path, target)
        };
        assert_eq!(of(b"/v1/models", b"/v1/models"), None);
        assert_eq!(of(b"/v1/models", b"/v1/./models"), None);
        assert_eq!(of(b"/v1/models", b"/v1/models%0a"), Some(Cause::UnsafeByte));
        assert_eq!(of(b"/v1//models", b"/v1//models"), Some(Cause::OddSegment));
        assert_eq!(of(b"/v1/models\n", b"/v1/models\n"), Some(Cause::UnsafeByte));
    }

    #[test]
    fn it_is_known_which_paths_may_name_a_model_beside_a_body() {
        let of =
            |path: &str| Route::of(Engine::OpenAi, b"POST", (path.as_bytes(), 0)).names_beside();
        for path in ["/v1/chat/completions", "/openai/v1/embeddings", "/v1/models", "/"] {
            assert!(!of(path), "{path}");
        }
        for path in [
            "/openai/deployments/gpt/chat/completions",
            "/ENGINES/a/completions",
            "/v1/chat/completions?model=a",
            "/v1/chat/completions#?model=a",
        ] {
            assert!(of(path), "{path}");
        }
    }

    proptest! {
        #[test]
        fn where_no_path_names_a_model_the_query_alone_does(
            path in "/(openai/|v1/)?(deployments/|engines/|models/)?([a-c?#%]{0,3}/)?(chat/)?completions[?#]?(model=a)?",
            query in "(model=[ab])?&?(x=1)?",
        ) {
            for engine in Engine::ALL {
                if !Route::of(engine, b"POST", (path.as_bytes(), 0)).names_beside() {
                    let (path, query) = (path.as_bytes(), query.as_bytes());
                    prop_assert_eq!(model_in_queries(path, query), model_in_query(query));
                    prop_assert!(models_before_end(engine, path).is_empty());
                }
            }
        }

        #[test]
        fn routes_that_share_a_place_are_told_apart(
            paths in prop::collection::vec("/(v1/)?[a-c\0/.%]{0,3}(models|slots|completions)", 1..40),
            engines in prop::collection::vec(0..Engine::ALL.len(), 1..5),
        ) {
            let mut memo = RouteMemo::default();
            for (index, path) in paths.iter().enumerate() {
                let engine = Engine::ALL[engines[index % engines.len()]];
                let method = METHODS[index % METHODS.len()];
                let (bytes, own) = (path.as_bytes(), index % 3);
                let expected = Route::of(engine, method, (bytes, own));
                prop_assert_eq!(memo.get(engine, method, (bytes, own)), expected);
                let (route, target) = (expected.ambiguity(bytes, bytes, bytes), bytes);
                prop_assert_eq!(route, ambiguity(path.as_bytes(), target));
            }
        }
    }
}
