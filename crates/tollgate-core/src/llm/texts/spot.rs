//! What the values of a body are to a guard.

use super::Role;
use crate::llm::Endpoint;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spot {
    /// The body.
    Body,
    /// Nothing that a model is shown.
    Hidden,
    /// Whatever is in it is shown as it is written: schemas, arguments. Names of members as well.
    Free,
    /// The messages: an array, or several such arrays; or the text of one.
    Messages,
    /// What is said: a message, a part of one.
    Talk,
    /// A document: templates write whatever it has into the prompt, names of members as well.
    Document,
    /// What a tool was called with: an object, or JSON in a string.
    Arguments,
    /// A prompt: a text, ids of tokens, or an array of these.
    Prompt,
    /// A picture, sound or file: by value, by a URL, or after all as text.
    Media,
    /// Ids of tokens, or embeddings.
    Unseen(&'static str),
    /// Says who is speaking.
    Role,
    /// Says what an object is, and so perhaps who is speaking.
    Kind,
}

/// Members of bodies that hold nothing that a model is shown, whatever their values.
const HIDDEN: &[&[u8]] = &[
    b"model",
    b"user",
    b"metadata",
    b"stop",
    b"stop_sequences",
    b"request_id",
    b"rid",
    b"session_id",
    b"session_params",
    b"conversation",
    b"conversation_id",
    b"previous_response_id",
    b"prompt_cache_key",
    b"safety_identifier",
    b"cache_salt",
    b"extra_key",
    b"lora_path",
    b"adapter_id",
    b"keep_alive",
    b"options",
    b"cache_control",
    b"mm_hashes",
    b"mm_content_hashes",
    b"bootstrap_host",
    b"logit_bias",
    b"include",
];

/// Members of messages and of their parts that hold nothing that a model is shown.
const HIDDEN_IN_TALK: &[&[u8]] = &[
    b"cache_control",
    b"signature",
    b"encrypted_content",
    b"uuid",
    b"detail",
    b"format",
    b"media_type",
    b"file_id",
    b"container",
];

impl Spot {
    /// What the member `name` of the body is, in this form of request.
    pub(super) fn of_body(form: Endpoint, name: &[u8]) -> Self {
        match name {
            b"messages" | b"previous_input_messages" => Self::Messages,
            b"input" if form == Endpoint::Responses => Self::Messages,
            b"prompt" | b"input" | b"inputs" | b"text" | b"texts" | b"content" | b"suffix"
            | b"query" | b"queries" | b"items" | b"text_1" | b"text_2" | b"data_1" | b"data_2"
            | b"input_prefix" | b"input_suffix" => match form {
                // A stored prompt and its variables; the form of the output.
                Endpoint::Responses => Self::Free,
                _ => Self::Prompt,
            },
            b"system" | b"instructions" | b"prediction" | b"input_extra" | b"previous_response"
            | b"data" => Self::Talk,
            b"documents" => Self::Document,
            b"images" | b"image_data" | b"video_data" | b"audio_data" => Self::Media,
            // What Ollama made of a talk before: ids of tokens.
            b"context" if form == Endpoint::OllamaGenerate => Self::Unseen("context"),
            name => match unseen(name) {
                Some(name) => Self::Unseen(name),
                None if HIDDEN.contains(&name) => Self::Hidden,
                None => Self::Free,
            },
        }
    }

    /// The same of a member of what is said.
    pub(super) fn of_talk(name: &[u8]) -> Self {
        match name {
            b"role" => Self::Role,
            b"type" => Self::Kind,
            b"arguments" => Self::Arguments,
            // What a tool was called with, and what it is. Templates write the ids of calls into the prompt.
            b"input" | b"parameters" | b"action" | b"input_schema" | b"tools" | b"function"
            | b"function_call" | b"tool_calls" | b"id" | b"tool_call_id" | b"tool_use_id"
            | b"call_id" => Self::Free,
            b"image_url" | b"audio_url" | b"video_url" | b"file_url" | b"input_image"
            | b"input_video" | b"input_audio" | b"file_data" | b"images" | b"image" | b"video"
            | b"audio" | b"url" | b"data" | b"multimodal_data" => Self::Media,
            name => match unseen(name) {
                Some(name) => Self::Unseen(name),
                None if HIDDEN_IN_TALK.contains(&name) => Self::Hidden,
                None => Self::Talk,
            },
        }
    }
}

/// What holds ids of tokens or embeddings, wherever it stands.
fn unseen(name: &[u8]) -> Option<&'static str> {
    const NAMES: &[&str] = &[
        "input_ids",
        "prompt_token_ids",
        "token_ids",
        "input_embeds",
        "prompt_embeds",
        "image_embeds",
        "audio_embeds",
        "video_embeds",
    ];
    NAMES.iter().copied().find(|known| known.as_bytes() == name)
}

/// The member of the body of this name, as a client is told; `body` for one that is not known.
pub(super) fn shown(name: &[u8]) -> &'static str {
    const NAMES: &[&str] = &[
        "messages",
        "prompt",
        "input",
        "inputs",
        "system",
        "instructions",
        "tools",
        "functions",
        "documents",
        "text",
        "texts",
        "content",
        "suffix",
        "query",
        "queries",
        "items",
        "text_1",
        "text_2",
        "data_1",
        "data_2",
        "data",
        "input_prefix",
        "input_suffix",
        "input_extra",
        "response_format",
        "format",
        "prediction",
        "previous_response",
        "previous_input_messages",
        "chat_template_kwargs",
        "chat_template",
        "tool_choice",
        "json_schema",
        "grammar",
        "structured_outputs",
    ];
    NAMES.iter().copied().find(|known| known.as_bytes() == name).unwrap_or("body")
}

/// Who says what stands in the member `name` of the body, where nobody in there says otherwise.
pub(super) fn default_role(name: &[u8]) -> Role {
    match name {
        b"prompt" | b"input" | b"inputs" | b"text" | b"texts" | b"content" | b"suffix"
        | b"query" | b"queries" | b"text_1" | b"data_1" | b"input_prefix" | b"input_suffix" => {
            Role::User
        }
        b"system"
        | b"instructions"
        | b"tools"
        | b"functions"
        | b"response_format"
        | b"format"
        | b"json_schema"
        | b"grammar"
        | b"structured_outputs" => Role::System,
        b"documents" | b"items" | b"text_2" | b"data_2" | b"input_extra" => Role::Tool,
        b"prediction" | b"previous_response" => Role::Assistant,
        _ => Role::Any,
    }
}

/// Who speaks, by what `role` says.
pub(super) fn role(said: &str) -> Role {
    let is = |name: &str| said.eq_ignore_ascii_case(name);
    if is("user") {
        Role::User
    } else if is("assistant") || is("model") {
        Role::Assistant
    } else if is("system") || is("developer") {
        Role::System
    } else if is("tool") || is("function") {
        Role::Tool
    } else {
        Role::Any
    }
}

/// Who speaks, by what `type` says, if that says something.
pub(super) fn role_of_kind(said: &str) -> Option<Role> {
    match said {
        "tool_result"
        | "document"
        | "search_result"
        | "function_call_output"
        | "computer_call_output"
        | "custom_tool_call_output"
        | "local_shell_call_output"
        | "shell_call_output"
        | "apply_patch_call_output"
        | "web_search_tool_result"
        | "web_fetch_tool_result"
        | "code_execution_tool_result"
        | "mcp_tool_result"
        | "mcp_call"
        | "file_search_call" => Some(Role::Tool),
        "function_call" | "custom_tool_call" | "tool_use" | "server_tool_use" | "mcp_tool_use"
        | "reasoning" | "thinking" | "output_text" => Some(Role::Assistant),
        _ => None,
    }
}
