//! The members that engines know, by form: those of the request models in their sources (vLLM 0.32, SGLang 0.5,
//! llama.cpp b11434, TGI 3.3, Ollama of August 2026), and those of OpenAI's and Anthropic's references.

use crate::llm::{Endpoint, Engine};

type Names = &'static [&'static str];

/// A list of names, as many in a line as fit.
macro_rules! names {
    ($($name:literal)*) => { &[$($name,)*] };
}

const OPENAI_CHAT: Names = names! {
    "messages" "model" "audio" "frequency_penalty" "function_call" "functions" "logit_bias" "logprobs"
    "max_completion_tokens" "max_tokens" "metadata" "modalities" "moderation" "n" "parallel_tool_calls"
    "prediction" "presence_penalty" "prompt_cache_key" "prompt_cache_options" "prompt_cache_retention"
    "reasoning_effort" "response_format" "safety_identifier" "seed" "service_tier" "stop" "store" "stream"
    "stream_options" "temperature" "tool_choice" "tools" "top_logprobs" "top_p" "user" "verbosity"
    "web_search_options"
};

const OPENAI_COMPLETIONS: Names = names! {
    "model" "prompt" "best_of" "echo" "frequency_penalty" "logit_bias" "logprobs" "max_tokens" "n"
    "presence_penalty" "seed" "stop" "stream" "stream_options" "suffix" "temperature" "top_p" "user"
};

const OPENAI_RESPONSES: Names = names! {
    "background" "context_management" "conversation" "include" "input" "instructions" "max_output_tokens"
    "max_tool_calls" "metadata" "model" "moderation" "parallel_tool_calls" "previous_response_id" "prompt"
    "prompt_cache_key" "prompt_cache_options" "prompt_cache_retention" "reasoning" "safety_identifier"
    "service_tier" "store" "stream" "stream_options" "temperature" "text" "tool_choice" "tools" "top_logprobs"
    "top_p" "truncation" "user"
};

const OPENAI_EMBEDDINGS: Names = names! {
    "input" "model" "dimensions" "encoding_format" "user"
};

const ANTHROPIC_MESSAGES: Names = names! {
    "max_tokens" "messages" "model" "cache_control" "container" "context_management" "inference_geo"
    "mcp_servers" "metadata" "output_config" "output_format" "service_tier" "speed" "stop_sequences" "stream"
    "system" "temperature" "thinking" "tool_choice" "tools" "top_k" "top_p"
};

const VLLM_SAMPLING: Names = names! {
    "use_beam_search" "top_k" "min_p" "repetition_penalty" "watermarking" "length_penalty" "stop_token_ids"
    "include_stop_str_in_output" "ignore_eos" "min_tokens" "skip_special_tokens"
    "spaces_between_special_tokens" "truncate_prompt_tokens" "truncation_side" "prompt_logprobs"
    "logprob_token_ids" "allowed_token_ids" "bad_words" "structured_outputs" "repetition_detection"
    "thinking_token_budget" "stream_interval" "guided_json" "guided_regex" "guided_choice" "guided_grammar"
    "structural_tag" "guided_decoding_backend" "guided_whitespace_pattern" "logits_processors"
};

const VLLM_EXTRA: Names = names! {
    "priority" "request_id" "session_id" "return_tokens_as_token_ids" "return_token_ids"
    "routed_experts_prompt_start" "cache_salt" "kv_transfer_params" "ec_transfer_params" "vllm_xargs"
    "add_special_tokens" "response_format"
};

const VLLM_CHAT: Names = names! {
    "echo" "add_generation_prompt" "continue_final_message" "documents" "chat_template" "chat_template_kwargs"
    "media_io_kwargs" "mm_processor_kwargs" "include_reasoning" "return_prompt_text"
};

const VLLM_RESPONSES: Names = names! {
    "logit_bias" "top_k" "skip_special_tokens" "include_stop_str_in_output" "request_id" "mm_processor_kwargs"
    "priority" "cache_salt" "enable_response_messages" "previous_input_messages" "previous_response"
    "structured_outputs" "repetition_penalty" "seed" "stop" "ignore_eos" "vllm_xargs" "kv_transfer_params"
};

const VLLM_POOLING: Names = names! {
    "model" "user" "truncate_prompt_tokens" "padding" "truncation_side" "request_id" "priority"
    "mm_processor_kwargs" "cache_salt" "input" "messages" "add_special_tokens" "add_generation_prompt"
    "continue_final_message" "chat_template" "chat_template_kwargs" "media_io_kwargs" "encoding_format"
    "embed_dtype" "endianness" "dimensions" "use_activation" "activation" "softmax" "task" "data"
};

const VLLM_SCORES: Names = names! {
    "query" "queries" "documents" "items" "text_1" "text_2" "data_1" "data_2" "top_n" "instruction" "instruct"
    "return_documents" "label_token_ids" "apply_softmax" "item_first" "max_tokens_per_doc"
};

const SGLANG_SAMPLING: Names = names! {
    "top_k" "min_p" "min_tokens" "json_schema" "regex" "ebnf" "repetition_penalty" "stop_token_ids"
    "stop_regex" "no_stop_trim" "ignore_eos" "skip_special_tokens"
};

const SGLANG_EXTRA: Names = names! {
    "return_hidden_states" "return_routed_experts" "routed_experts_start_len" "return_cached_tokens_details"
    "return_prompt_token_ids" "return_token_ids" "return_meta_info" "lora_path" "session_id" "session_params"
    "response_format" "custom_params" "custom_logit_processor" "images_config" "bootstrap_host"
    "bootstrap_port" "bootstrap_room" "routed_dp_rank" "disagg_prefill_dp_rank" "data_parallel_rank" "rid"
    "extra_key" "cache_salt" "ngram_corpus_id" "priority" "custom_labels"
};

const SGLANG_CHAT: Names = names! {
    "continue_final_message" "separate_reasoning" "stream_reasoning" "chat_template_kwargs"
    "max_dynamic_patch" "min_dynamic_patch" "use_audio_in_video" "input_ids" "task" "reasoning"
};

const SGLANG_RESPONSES: Names = names! {
    "chat_template_kwargs" "request_id" "session_id" "priority" "extra_key" "cache_salt" "ngram_corpus_id"
    "frequency_penalty" "presence_penalty" "stop" "top_k" "min_p" "repetition_penalty"
};

const SGLANG_GENERATE: Names = names! {
    "rid" "session_id" "text" "input_ids" "input_embeds" "image_data" "video_data" "audio_data" "mm_hashes"
    "mm_content_hashes" "use_audio_in_video" "video_config" "sampling_params" "return_logprob"
    "logprob_start_len" "top_logprobs_num" "token_ids_logprob" "return_sampling_mask"
    "return_text_in_logprobs" "return_flat_raw_top_logprobs" "return_flat_raw_top_logprobs_b64" "stream"
    "log_metrics" "return_hidden_states" "return_routed_experts" "routed_experts_start_len"
    "return_indexer_topk" "modalities" "session_params" "lora_path" "custom_logit_processor" "bootstrap_host"
    "bootstrap_port" "bootstrap_room" "bootstrap_pair_key" "decode_tp_size" "routed_dp_rank"
    "data_parallel_rank" "disagg_prefill_dp_rank" "kv_router_hint" "routing_key" "conversation_id"
    "require_reasoning" "max_thinking_tokens" "priority" "extra_key" "no_logs" "custom_labels" "return_bytes"
    "return_entropy" "return_prompt_token_ids" "max_dynamic_patch" "min_dynamic_patch"
    "image_max_dynamic_patch" "video_max_dynamic_patch" "images_config" "cache_salt" "model" "dimensions"
    "is_cross_encoder_request"
};

const LLAMA: Names = names! {
    "model" "stream" "stream_options" "verbose" "timings_per_token" "cache_prompt" "return_tokens"
    "return_progress" "sse_ping_interval" "n_predict" "max_completion_tokens" "max_tokens" "n_indent" "n_keep"
    "n_discard" "n_cmpl" "n" "n_cache_reuse" "t_max_predict_ms" "response_fields" "top_k" "top_p" "min_p"
    "top_n_sigma" "xtc_probability" "xtc_threshold" "typical_p" "temperature" "dynatemp_range"
    "dynatemp_exponent" "repeat_last_n" "repeat_penalty" "frequency_penalty" "presence_penalty"
    "dry_multiplier" "dry_base" "dry_allowed_length" "dry_penalty_last_n" "dry_sequence_breakers" "mirostat"
    "mirostat_tau" "mirostat_eta" "adaptive_target" "adaptive_decay" "seed" "n_probs" "logprobs" "min_keep"
    "backend_sampling" "post_sampling_probs" "lora" "json_schema" "grammar" "grammar_lazy" "grammar_triggers"
    "preserved_tokens" "chat_format" "reasoning_format" "generation_prompt" "parse_tool_calls" "chat_parser"
    "continue_final_message" "echo" "reasoning_control" "reasoning_budget_tokens" "reasoning_budget_start_tag"
    "reasoning_budget_end_tags" "reasoning_budget_end_tag" "reasoning_budget_message" "logit_bias"
    "ignore_eos" "stop" "samplers" "id_slot" "prompt" "best_of"
};

const LLAMA_CHAT: Names = names! {
    "chat_template_kwargs" "add_generation_prompt" "thinking_budget_tokens" "reasoning"
};
const LLAMA_INFILL: Names = names! {
    "input_prefix" "input_suffix" "input_extra"
};
const LLAMA_EMBEDDING: Names = names! {
    "model" "input" "content" "encoding_format" "embd_normalize" "dimensions" "user"
};
const LLAMA_RERANK: Names = names! {
    "model" "query" "documents" "texts" "top_n" "return_text"
};

const OLLAMA_NATIVE: Names = names! {
    "model" "stream" "format" "keep_alive" "options" "think" "truncate" "shift" "_debug_render_only"
    "logprobs" "top_logprobs" "messages" "tools" "prompt" "suffix" "system" "template" "context" "raw"
    "images" "width" "height" "steps" "input" "dimensions"
};
const OLLAMA_OPENAI: Names = names! {
    "reasoning" "_debug_render_only"
};
const OLLAMA_OPTIONS: Names = names! {
    "num_keep" "seed" "num_predict" "top_k" "top_p" "min_p" "typical_p" "repeat_last_n" "temperature"
    "repeat_penalty" "presence_penalty" "frequency_penalty" "stop" "num_ctx" "num_batch" "num_gpu" "main_gpu"
    "use_mmap" "num_thread" "draft_num_predict"
};

const TGI_GENERATE: Names = names! {
    "inputs" "parameters" "stream" "add_special_tokens"
};
const TGI_CHAT: Names = names! {
    "tool_prompt"
};
const TGI_COMPLETIONS: Names = names! {
    "repetition_penalty"
};
const TGI_PARAMETERS: Names = names! {
    "best_of" "temperature" "repetition_penalty" "frequency_penalty" "top_k" "top_p" "typical_p" "do_sample"
    "max_new_tokens" "return_full_text" "stop" "truncate" "watermark" "details" "decoder_input_details" "seed"
    "top_n_tokens" "grammar" "adapter_id"
};

const COHERE_EMBED: Names = names! {
    "model" "input_type" "texts" "images" "inputs" "max_tokens" "output_dimension" "embedding_types"
    "truncate" "priority"
};
const TOKEN_GENERATE: Names = names! {
    "request_id" "token_ids" "features" "sampling_params" "model" "stream" "stream_options" "cache_salt"
    "priority" "kv_transfer_params" "content_parts"
};
const NONE: Names = &[];

/// The lists that hold for a form.
fn body(form: Endpoint, engine: Engine) -> [Names; 4] {
    use Endpoint as E;
    match (form, engine) {
        (E::Chat, Engine::OpenAi | Engine::Anthropic) => [OPENAI_CHAT, NONE, NONE, NONE],
        (E::Chat | E::ChatBatch, Engine::Sglang) => {
            [OPENAI_CHAT, SGLANG_SAMPLING, SGLANG_EXTRA, SGLANG_CHAT]
        }
        (E::Chat, Engine::LlamaCpp) => [OPENAI_CHAT, LLAMA, LLAMA_CHAT, NONE],
        (E::Chat, Engine::Ollama) => [OPENAI_CHAT, OLLAMA_OPENAI, NONE, NONE],
        (E::Chat, Engine::Tgi) => [OPENAI_CHAT, TGI_CHAT, NONE, NONE],
        (E::Chat | E::ChatBatch, _) => [OPENAI_CHAT, VLLM_SAMPLING, VLLM_EXTRA, VLLM_CHAT],
        (E::Completions, Engine::OpenAi | Engine::Anthropic) => {
            [OPENAI_COMPLETIONS, NONE, NONE, NONE]
        }
        (E::Completions, Engine::Sglang) => {
            [OPENAI_COMPLETIONS, SGLANG_SAMPLING, SGLANG_EXTRA, NONE]
        }
        (E::Completions, Engine::LlamaCpp) => [OPENAI_COMPLETIONS, LLAMA, NONE, NONE],
        (E::Completions, Engine::Ollama) => [OPENAI_COMPLETIONS, OLLAMA_OPENAI, NONE, NONE],
        (E::Completions, Engine::Tgi) => [OPENAI_COMPLETIONS, TGI_COMPLETIONS, NONE, NONE],
        (E::Completions, Engine::Vllm) => {
            [OPENAI_COMPLETIONS, VLLM_SAMPLING, VLLM_EXTRA, &["prompt_embeds"]]
        }
        (E::Responses, Engine::Vllm) => [OPENAI_RESPONSES, VLLM_RESPONSES, NONE, NONE],
        (E::Responses, Engine::Sglang) => [OPENAI_RESPONSES, SGLANG_RESPONSES, NONE, NONE],
        // It makes a chat of it.
        (E::Responses, Engine::LlamaCpp) => [OPENAI_RESPONSES, LLAMA, LLAMA_CHAT, OPENAI_CHAT],
        (E::Responses, _) => [OPENAI_RESPONSES, NONE, NONE, NONE],
        (E::Messages, Engine::Vllm) => {
            [ANTHROPIC_MESSAGES, &["kv_transfer_params", "chat_template_kwargs"], NONE, NONE]
        }
        // It copies these alone into the chat that it makes of it.
        (E::Messages, Engine::LlamaCpp) => {
            [ANTHROPIC_MESSAGES, &["chat_template_kwargs"], NONE, NONE]
        }
        (E::Messages, _) => [ANTHROPIC_MESSAGES, NONE, NONE, NONE],
        (E::Embeddings, Engine::Vllm) => [OPENAI_EMBEDDINGS, VLLM_POOLING, NONE, NONE],
        (E::Embeddings, Engine::Sglang) => [
            OPENAI_EMBEDDINGS,
            names! {
                 "rid" "priority" "lora_path" "embed_override_token_id" "embed_overrides"
            },
            NONE,
            NONE,
        ],
        (E::Embeddings | E::LlamaEmbedding, Engine::LlamaCpp) => {
            [LLAMA_EMBEDDING, NONE, NONE, NONE]
        }
        (E::Embeddings, _) => [OPENAI_EMBEDDINGS, NONE, NONE, NONE],
        (E::LlamaEmbedding, _) => [LLAMA_EMBEDDING, NONE, NONE, NONE],
        (E::OllamaChat | E::OllamaGenerate | E::OllamaEmbed, _) => {
            [OLLAMA_NATIVE, NONE, NONE, NONE]
        }
        // SGLang's own has the same path.
        (E::TgiGenerate | E::TgiGenerateStream, Engine::OpenAi) => {
            [TGI_GENERATE, SGLANG_GENERATE, NONE, NONE]
        }
        (E::TgiGenerate | E::TgiGenerateStream, _) => [TGI_GENERATE, NONE, NONE, NONE],
        (E::LlamaCompletion, _) => [LLAMA, NONE, NONE, NONE],
        (E::LlamaInfill, _) => [LLAMA, LLAMA_INFILL, NONE, NONE],
        (E::TokenGenerate, _) => [TOKEN_GENERATE, NONE, NONE, NONE],
        (E::SglangGenerate | E::SglangEncode, _) => [SGLANG_GENERATE, NONE, NONE, NONE],
        (E::Rerank, Engine::LlamaCpp) => [LLAMA_RERANK, NONE, NONE, NONE],
        (E::Pooling | E::Classify, Engine::Sglang) => [VLLM_POOLING, &["rid"], NONE, NONE],
        (E::Pooling | E::Classify, _) => [VLLM_POOLING, &["data_format", "priority"], NONE, NONE],
        (E::Score | E::Rerank | E::GenerativeScoring, Engine::Sglang) => [
            VLLM_POOLING,
            VLLM_SCORES,
            names! {
                 "embed_override_token_id" "query_embed_overrides" "item_embed_overrides"
                 "return_pooled_hidden_states"
            },
            NONE,
        ],
        (E::Score | E::Rerank | E::GenerativeScoring, _) => [VLLM_POOLING, VLLM_SCORES, NONE, NONE],
        (E::CohereEmbed, _) => [COHERE_EMBED, NONE, NONE, NONE],
        // It is read as one of the others.
        (E::Invocations, _) => [NONE; 4],
    }
}

/// The lists that hold for an object of settings.
fn settings(form: Endpoint, object: &str) -> [Names; 4] {
    match (object, form) {
        ("options", _) => [OLLAMA_OPTIONS, NONE, NONE, NONE],
        ("parameters", _) => [TGI_PARAMETERS, NONE, NONE, NONE],
        (_, Endpoint::TokenGenerate) => [
            VLLM_SAMPLING,
            names! {
                 "max_tokens" "n" "temperature" "top_p" "seed" "stop" "logprobs" "logit_bias"
                 "presence_penalty" "frequency_penalty" "detokenize" "output_kind" "extra_args"
                 "flat_logprobs" "skip_reading_prefix_cache" "routed_experts_prompt_start"
            },
            NONE,
            NONE,
        ],
        _ => [
            SGLANG_SAMPLING,
            names! {
                 "max_new_tokens" "n" "stop" "temperature" "top_p" "frequency_penalty" "presence_penalty"
                 "min_new_tokens" "structural_tag" "spaces_between_special_tokens" "custom_params"
                 "stream_interval" "logit_bias" "sampling_seed" "beam_width"
            },
            NONE,
            NONE,
        ],
    }
}

/// Whether the engine knows this member of a body.
#[must_use]
pub fn is_known(form: Endpoint, engine: Engine, name: &str) -> bool {
    body(form, engine).into_iter().flatten().any(|known| *known == name)
}

/// Whether the engine knows this member of an object of settings.
#[must_use]
pub fn is_known_setting(form: Endpoint, object: &str, name: &str) -> bool {
    settings(form, object).into_iter().flatten().any(|known| *known == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::request::members;

    #[test]
    fn what_is_decided_on_is_known_where_it_counts() {
        for engine in Engine::ALL {
            for row in engine.table().rows {
                let Some(form) = row.form.filter(|form| *form != Endpoint::Invocations) else {
                    continue;
                };
                for name in
                    members::bounds(form, engine).iter().chain(members::counts(form, engine))
                {
                    // No engine reads these two of OpenAI's any more.
                    let is_old = matches!(*name, "best_of" | "n") && engine != Engine::LlamaCpp;
                    let is_foreign = engine == Engine::LlamaCpp || is_old;
                    assert!(
                        is_known(form, engine, name) || is_foreign,
                        "{engine:?} {form:?} {name}"
                    );
                }
                for (object, known) in members::settings(form, engine) {
                    assert!(is_known(form, engine, object), "{engine:?} {form:?} {object}");
                    for name in known.policy {
                        assert!(is_known_setting(form, object, name), "{form:?} {object}.{name}");
                    }
                }
            }
        }
    }

    #[test]
    fn names_are_known_to_the_letter() {
        assert!(is_known(Endpoint::Chat, Engine::Vllm, "temperature"));
        for name in ["Temperature", "temperature ", "", "max_new_tokens"] {
            assert!(!is_known(Endpoint::Chat, Engine::Vllm, name), "{name}");
        }
        assert!(!is_known(Endpoint::Chat, Engine::OpenAi, "top_k"));
        assert!(is_known(Endpoint::Chat, Engine::Vllm, "top_k"));
    }
}
