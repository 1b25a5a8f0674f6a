//! What engines tell of a model that names no other one. What isn't known to, a gateway may fill with names: those that
//! it goes on to, or that a model was made of.

use super::node::Node;
use super::NAMES;

/// Members of a model.
const OF_MODEL: [&str; 25] = [
    "object",
    "type",
    "created",
    "created_at",
    "owned_by",
    "display_name",
    "root",
    "parent",
    "permission",
    "max_model_len",
    "max_input_tokens",
    "max_tokens",
    "context_length",
    "context_window",
    "size",
    "size_vram",
    "digest",
    "modified_at",
    "expires_at",
    "details",
    "meta",
    "status",
    "architecture",
    "capabilities",
    "aliases",
];

/// Members within these that are texts, or lists of such.
const TEXTS_WITHIN: [&str; 14] = [
    "object",
    "organization",
    "group",
    "parent_model",
    "format",
    "family",
    "families",
    "parameter_size",
    "quantization_level",
    "vocab_type",
    "value",
    "modality",
    "input_modalities",
    "output_modalities",
];

/// How ids of permissions begin, which are no names.
const PERMISSION: &str = "modelperm-";

/// Leaves what is known. `true`: that is less than there was.
pub(super) fn retain(model: &mut Vec<(String, Node)>) -> bool {
    let before = model.len();
    model.retain(|(name, _)| NAMES.contains(&name.as_str()) || OF_MODEL.contains(&name.as_str()));
    let mut has_changed = model.len() != before;
    for (name, value) in model {
        if name != "aliases" {
            has_changed |= within(value);
        }
    }
    has_changed
}

/// Numbers and the like say no name, and are kept whatever they are called.
fn within(node: &mut Node) -> bool {
    let mut is_less = false;
    match node {
        Node::Object(members) => {
            let before = members.len();
            members.retain(|(name, value)| match value {
                Node::Text(text) => {
                    TEXTS_WITHIN.contains(&name.as_str()) || is_permission(name, text)
                }
                Node::Array(_) => TEXTS_WITHIN.contains(&name.as_str()),
                Node::Object(_) | Node::Other(_) => true,
            });
            is_less = members.len() != before;
            for (_, value) in members {
                is_less |= within(value);
            }
        }
        Node::Array(elements) => {
            for element in elements {
                is_less |= within(element);
            }
        }
        Node::Text(_) | Node::Other(_) => {}
    }
    is_less
}

fn is_permission(name: &str, text: &str) -> bool {
    name == "id" && text.starts_with(PERMISSION)
}
