//! The members of answers that are known. Whatever has a name that isn't here is text.

/// Ids, kinds and the like: an engine's own words, which programs read. A part of one that is masked breaks
/// whoever looks it up.
pub(super) fn is_no_text(name: &str) -> bool {
    matches!(
        name,
        "id" | "object"
            | "model"
            | "role"
            | "type"
            | "index"
            | "finish_reason"
            | "done_reason"
            | "stop_type"
            | "created"
            | "created_at"
            | "completed_at"
            | "system_fingerprint"
            | "service_tier"
            | "status"
            | "item_id"
            | "call_id"
            | "tool_call_id"
            | "tool_use_id"
            | "response_id"
            | "request_id"
            | "previous_response_id"
            | "container_id"
            | "file_id"
            | "obfuscation"
            | "weight_version"
            // Encrypted, signed or numbers: whoever gets them can only send them back.
            | "encrypted_content"
            | "encrypted_index"
            | "signature"
            | "thought_signature"
            | "thoughtSignature"
            | "embedding"
            | "b64_json"
    )
}

/// Those of them that are another one in each event of a stream.
pub(super) fn varies(name: &str) -> bool {
    matches!(name, "created_at" | "obfuscation")
}

/// What shows an answer's text, or the prompt, another way: by its tokens.
pub(super) fn is_sealed(name: &str) -> bool {
    matches!(
        name,
        "logprobs"
            | "top_logprobs"
            | "token_logprobs"
            | "prompt_logprobs"
            | "prompt_token_id_logprobs"
            | "completion_probabilities"
            | "probs"
            | "bytes"
            | "tokens"
            | "token_ids"
            | "prompt_token_ids"
            | "prompt_tokens_ids"
            | "prefill"
            | "top_tokens"
            | "input_ids"
            | "output_ids"
            | "input_token_ids"
            | "output_token_ids"
            | "input_token_logprobs"
            | "output_token_logprobs"
            | "input_top_logprobs"
            | "output_top_logprobs"
            | "input_token_ids_logprobs"
            | "output_token_ids_logprobs"
            | "sampling_mask"
            | "hidden_states"
            // llama.cpp's, for those who look into it.
            | "__verbose"
    )
}

/// What a tool is called with, or an answer that is JSON, once more: all of it is the model's, the names of members
/// too.
pub(super) fn is_arguments(name: &str) -> bool {
    matches!(name, "arguments" | "input" | "parameters" | "parsed")
}

/// The texts that come piece by piece, wherever in a delta they stand.
pub(super) fn comes_in_pieces(name: &str) -> bool {
    matches!(
        name,
        "content"
            | "text"
            | "reasoning"
            | "reasoning_content"
            | "reasoning_text"
            | "thinking"
            | "thought"
            | "thoughts"
            | "analysis"
            | "refusal"
            | "arguments"
            | "input"
            | "partial_json"
            | "transcript"
            | "summary"
            | "summary_text"
            | "output"
            | "output_text"
            | "code"
    )
}

/// Those of a delta that are told at once, and are of no use in parts.
pub(super) fn comes_whole(name: &str) -> bool {
    matches!(
        name,
        "name"
            | "stop_reason"
            | "stop_sequence"
            | "native_finish_reason"
            | "url"
            | "uri"
            | "title"
            | "filename"
            | "file_name"
            | "mime_type"
            | "media_type"
            | "format"
            | "language"
            | "date"
            | "provider"
            | "images"
            | "image_url"
    )
}

/// Those that are JSON themselves.
pub(super) fn is_json(name: &str) -> bool {
    matches!(name, "arguments" | "partial_json")
}

/// What an answer repeats of its request, at its root.
pub(super) fn is_echo(name: &str) -> bool {
    matches!(name, "prompt" | "prompt_text" | "generation_settings" | "input_messages")
}

/// The same in `response` of Responses.
pub(super) fn is_echo_of_response(name: &str) -> bool {
    is_echo(name)
        || matches!(
            name,
            "instructions"
                | "tools"
                | "tool_choice"
                | "metadata"
                | "text"
                | "user"
                | "input"
                | "reasoning"
        )
}
