//! Which member of a body is which feature. The names are those that engines read: the request models of vLLM,
//! SGLang, llama.cpp, Ollama and TGI, and the APIs of OpenAI and Anthropic. They hold for each form and engine: a
//! member that this engine doesn't read does no harm where it is refused as well.

use crate::llm::feature::Feature;

/// Which values of a member are a use of it. `null`, empty texts, lists and objects are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// What is neither `false` nor 0.
    Set,
    /// What is not `false`: 0 says something.
    Number,
    /// Any.
    Given,
}

/// A member that is a feature whenever it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) feature: Feature,
    pub(super) when: When,
}

const fn text(name: &'static [u8]) -> &'static str {
    match std::str::from_utf8(name) {
        Ok(name) => name,
        Err(_) => "",
    }
}

/// Makes of lines the list of members and the function that finds one by its name.
macro_rules! members {
    ($($feature:ident $when:ident: $($name:literal)+;)+) => {
        /// Every such member.
        #[cfg(test)]
        pub(super) const MEMBERS: &[Member] = &[$($(Member {
            name: text($name), feature: Feature::$feature, when: When::$when,
        },)+)+];

        /// The member of this name, in lower case.
        pub(super) fn member(name: &[u8]) -> Option<Member> {
            Some(match name {
                $($($name => Member {
                    name: const { text($name) }, feature: Feature::$feature, when: When::$when,
                },)+)+
                _ => return None,
            })
        }
    };
}

members! {
    // Tools are looked into; these are settings of such that the engine runs.
    ServerTools Set: b"web_search_options" b"mcp_servers" b"container";

    MediaOptions Set: b"mm_processor_kwargs" b"media_io_kwargs" b"images_config" b"video_config"
        b"max_dynamic_patch" b"min_dynamic_patch" b"image_max_dynamic_patch" b"video_max_dynamic_patch"
        b"use_audio_in_video";

    Embeds Set: b"prompt_embeds" b"input_embeds" b"embed_overrides" b"query_embed_overrides"
        b"item_embed_overrides" b"positional_embed_overrides" b"image_embeds" b"audio_embeds" b"video_embeds";

    // 0: those of the token itself.
    Logprobs Number: b"logprobs" b"prompt_logprobs";
    Logprobs Set: b"top_logprobs" b"n_probs" b"return_logprob" b"top_logprobs_num" b"token_ids_logprob"
        b"logprob_token_ids" b"top_n_tokens" b"decoder_input_details" b"return_sampling_mask"
        b"return_flat_raw_top_logprobs" b"return_entropy";

    HiddenStates Set: b"return_hidden_states" b"return_routed_experts" b"return_pooled_hidden_states"
        b"return_indexer_topk";

    GuidedDecoding Set: b"guided_json" b"guided_regex" b"guided_choice" b"guided_grammar"
        b"guided_json_object" b"guided_decoding_backend" b"guided_whitespace_pattern" b"structured_outputs"
        b"structural_tag" b"grammar" b"grammar_triggers" b"json_schema" b"regex" b"ebnf" b"stop_regex";

    LogitBias Set: b"logit_bias" b"bad_words" b"bad_words_token_ids" b"allowed_token_ids";
    LogitsProcessors Set: b"logits_processors" b"custom_logit_processor" b"custom_params" b"chat_parser";
    BeamSearch Set: b"use_beam_search" b"beam_width";
    ForcedOutput Set: b"ignore_eos" b"min_tokens" b"min_new_tokens" b"min_length";
    Echo Set: b"echo" b"return_full_text";
    ChatTemplate Set: b"chat_template" b"template";

    Lora Set: b"lora" b"lora_path" b"lora_id" b"lora_request" b"adapter_id" b"adapters";

    // Of vLLM, the lowest comes first.
    Priority Set: b"priority";

    Store Set: b"store" b"previous_response_id" b"conversation";
    // By its hash, SGLang takes a picture for one that it knows.
    Sessions Set: b"session_params" b"session_id" b"uuid" b"content_hash";
    RequestIds Given: b"request_id" b"rid";

    // The first one has the number 0.
    Slots Given: b"id_slot";
    Slots Set: b"n_discard" b"n_cache_reuse";

    // To Ollama, 0 says that the model is to be unloaded.
    LoadOptions Given: b"keep_alive" b"num_ctx" b"num_batch" b"num_gpu" b"main_gpu" b"use_mmap" b"use_mlock"
        b"num_thread" b"numa" b"low_vram" b"draft_num_predict";

    Internals Given: b"kv_transfer_params" b"ec_transfer_params" b"vllm_xargs" b"extra_args"
        b"bootstrap_host" b"bootstrap_port" b"bootstrap_room" b"bootstrap_pair_key" b"decode_tp_size"
        b"routed_dp_rank" b"data_parallel_rank" b"disagg_prefill_dp_rank" b"kv_router_hint" b"routing_key"
        b"http_worker_ipc" b"external_trace_header" b"received_time" b"need_wait_for_mm_inputs"
        b"num_items_assigned" b"encoder_urls" b"features" b"mm_hashes" b"mm_content_hashes" b"custom_labels"
        b"ngram_corpus_id" b"no_logs" b"log_metrics";
}

/// Whether a tier that names no features might refuse a body for this member of it. In lower case.
pub(super) fn is_suspect(name: &[u8]) -> bool {
    name == b"service_tier"
        || member(name).is_some_and(|member| !member.feature.is_allowed_by_default())
}

/// The same of a member somewhere in what the model is given to read: media that may have to be fetched, and tools.
pub(super) fn is_suspect_within(name: &[u8]) -> bool {
    match name {
        b"image_url" | b"audio_url" | b"video_url" | b"file_url" | b"input_image"
        | b"input_video" | b"input_audio" | b"file" | b"file_data" | b"images"
        | b"multimodal_data" | b"image" | b"video" | b"audio" | b"source" | b"tools" | b"uuid"
        | b"image_embeds" | b"audio_embeds" | b"video_embeds" | b"prompt_embeds" => true,
        // A tensor, if the kind says so.
        b"data" => true,
        // Servers that fold case may take it for one of these.
        name => name.iter().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii()),
    }
}

/// Kinds of tools that the client runs itself, by their `type`. Any other is run by the engine.
const FOR_THE_CLIENT: [&[u8]; 11] = [
    b"function",
    b"custom",
    b"namespace",
    b"bash",
    b"text_editor",
    b"computer",
    b"computer_use_preview",
    b"memory",
    b"local_shell",
    b"apply_patch",
    b"shell",
];

/// Whether a tool of this `type` is run by the client.
pub(super) fn is_for_client(kind: &[u8]) -> bool {
    FOR_THE_CLIENT.contains(&without_date(kind))
}

/// The name of a version of a tool: `bash` of `bash_20250124`.
fn without_date(kind: &[u8]) -> &[u8] {
    match kind.split_last_chunk::<9>() {
        Some((name, [b'_', date @ ..])) if date.iter().all(u8::is_ascii_digit) => name,
        _ => kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_is_found_by_its_name_and_stands_there_once() {
        for (index, row) in MEMBERS.iter().enumerate() {
            assert_eq!(member(row.name.as_bytes()), Some(*row));
            assert!(
                MEMBERS.iter().skip(index + 1).all(|other| other.name != row.name),
                "{}",
                row.name
            );
            assert!(row
                .name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || b"_0123456789".contains(&byte)));
        }
        assert_eq!(member(b""), None);
        assert_eq!(member(b"temperature"), None);
    }

    #[test]
    fn what_the_default_refuses_is_suspect() {
        for row in MEMBERS {
            assert_eq!(
                is_suspect(row.name.as_bytes()),
                !row.feature.is_allowed_by_default(),
                "{}",
                row.name
            );
        }
    }

    #[test]
    fn tools_of_an_unknown_type_are_the_engines() {
        for kind in [
            "function",
            "custom",
            "bash_20250124",
            "text_editor_20250728",
            "computer_use_preview",
            "local_shell",
        ] {
            assert!(is_for_client(kind.as_bytes()), "{kind}");
        }
        for kind in ["", "mcp", "web_search", "web_search_20250305", "code_interpreter", "FUNCTION"]
            .into_iter()
            .chain(["functionx", "bash_code_execution_20250825", "bash_2025012x", "_20250124"])
        {
            assert!(!is_for_client(kind.as_bytes()), "{kind}");
        }
    }
}
