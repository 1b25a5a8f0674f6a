//! The objects that the parts of a form with files name: `input_reference[file_id]`, `video[id]`.

use super::{At, Found, Item, Mentions, Unread, THEIRS};
use crate::llm::engines::Engine;
use crate::multipart::Part;
use crate::objects::kind::Kind;
use crate::objects::{query, MAX_ID_LEN};

impl Mentions {
    /// What a form says of objects, which `engine` gets.
    ///
    /// # Errors
    ///
    /// See [`Unread`].
    pub fn of_form(parts: &[Part], engine: Engine) -> Result<Self, Unread> {
        let mut found = Found::new(engine);
        for part in parts {
            let place = part.names().fold(At::Root, |place, name| match place {
                At::Skip => At::Skip,
                _ if THEIRS.contains(&name.as_bytes()) => At::Skip,
                At::Ids(kind) => At::Id(kind),
                // An index, in the way of those who have them in forms.
                place if name.bytes().all(|byte| byte.is_ascii_digit()) => place,
                place => found.place(place, name.as_bytes(), false),
            });
            let kind = match place {
                At::Id(kind) | At::Ids(kind) | At::IdOrObject(kind) => kind,
                At::ItemId => Kind::Item,
                At::ChosenId => {
                    found.mentions.chooses_id = true;
                    continue;
                }
                _ => continue,
            };
            // The thing itself is sent.
            if part.is_file && matches!(place, At::IdOrObject(_)) {
                continue;
            }
            if part.is_file || !part.is_whole() || part.len > MAX_ID_LEN {
                return Err(Unread::NoId);
            }
            let id = match kind {
                Kind::Stream if !query::is_stream_id(&part.text) => &[],
                Kind::Stream => query::stem(&part.text),
                _ => &*part.text,
            };
            found.name(kind, id.into()).map_err(|_| Unread::TooMany)?;
        }
        Ok(found.mentions)
    }
}

impl Found {
    pub(super) fn new(engine: Engine) -> Self {
        Self {
            keeps_files: matches!(engine, Engine::OpenAi | Engine::Anthropic),
            mentions: Mentions::default(),
            text: Vec::new(),
            item: Item::default(),
            is_too_many: false,
        }
    }
}
