//! The members of a body that matter, for each form of request and each engine: what bounds the output,
//! what multiplies it, and what of it the model is given to read.

use super::names::Known;
use super::place::Place;
use crate::llm::{Endpoint, Engine};

/// The body's members that matter, to whichever form: one that reads `prompt` may also look at
/// `messages`.
pub(super) const BODY: Known = Known {
    policy: &[
        "model",
        "stream",
        "stream_options",
        "background",
        "max_tokens",
        "max_completion_tokens",
        "max_output_tokens",
        "max_new_tokens",
        "n_predict",
        "num_predict",
        "n",
        "n_cmpl",
        "best_of",
        "messages",
        "prompt",
        "prompt_embeds",
        "input",
        "inputs",
        "input_ids",
        "token_ids",
        "items",
        "text",
        "options",
        "parameters",
        "sampling_params",
        "cache_salt",
        "extra_key",
        "priority",
    ],
    measured: &[
        "system",
        "instructions",
        "images",
        "image_data",
        "video_data",
        "audio_data",
        "context",
        "suffix",
        "template",
        "tools",
        "functions",
        "format",
        "response_format",
        "guided_json",
        "guided_regex",
        "guided_grammar",
        "documents",
        "chat_template",
        "chat_template_kwargs",
        "content",
        "content_parts",
        "input_prefix",
        "input_suffix",
        "input_extra",
        "input_embeds",
        "query",
        "queries",
        "text_1",
        "text_2",
        "data_1",
        "data_2",
        "texts",
        "data",
        "instruction",
    ],
};

const OPTIONS: Known = Known { policy: &["num_predict"], measured: &[] };
const PARAMETERS: Known = Known { policy: &["max_new_tokens", "best_of"], measured: &[] };
const SGLANG_SAMPLING: Known = Known { policy: &["max_new_tokens", "n"], measured: &[] };
const VLLM_SAMPLING: Known = Known { policy: &["max_tokens", "n"], measured: &[] };

/// The body's members that bound the output.
pub(super) fn bounds(form: Endpoint, engine: Engine) -> &'static [&'static str] {
    match (form, engine) {
        // It knows no `max_completion_tokens`.
        (Endpoint::Chat | Endpoint::Completions, Engine::Ollama) => &["max_tokens"],
        (
            Endpoint::Chat
            | Endpoint::Completions
            | Endpoint::LlamaCompletion
            | Endpoint::LlamaInfill,
            Engine::LlamaCpp,
        ) => &["max_tokens", "max_completion_tokens", "n_predict"],
        (Endpoint::Chat | Endpoint::ChatBatch | Endpoint::Invocations, _) => {
            &["max_tokens", "max_completion_tokens"]
        }
        (Endpoint::Completions | Endpoint::Messages, _) => &["max_tokens"],
        // Turned into a request to chat, with whatever else it holds.
        (Endpoint::Responses, Engine::LlamaCpp) => {
            &["max_output_tokens", "max_tokens", "max_completion_tokens", "n_predict"]
        }
        (Endpoint::Responses, _) => &["max_output_tokens"],
        (Endpoint::LlamaCompletion | Endpoint::LlamaInfill, _) => &["max_tokens", "n_predict"],
        _ => &[],
    }
}

/// The body's members that say how many outputs there will be.
pub(super) fn counts(form: Endpoint, engine: Engine) -> &'static [&'static str] {
    match (form, engine) {
        (
            Endpoint::Chat
            | Endpoint::Completions
            | Endpoint::Responses
            | Endpoint::LlamaCompletion
            | Endpoint::LlamaInfill,
            Engine::LlamaCpp,
        ) => &["n", "n_cmpl", "best_of"],
        (
            Endpoint::Chat
            | Endpoint::ChatBatch
            | Endpoint::Completions
            | Endpoint::Invocations
            | Endpoint::LlamaCompletion
            | Endpoint::LlamaInfill,
            _,
        ) => &["n", "best_of"],
        _ => &[],
    }
}

/// The body's members that are objects with more such members, and what is known of these.
pub(super) fn settings(
    form: Endpoint,
    engine: Engine,
) -> &'static [(&'static str, &'static Known)] {
    match form {
        Endpoint::OllamaChat | Endpoint::OllamaGenerate | Endpoint::OllamaEmbed => {
            &[("options", &OPTIONS)]
        }
        // SGLang's own has the same path.
        Endpoint::TgiGenerate | Endpoint::TgiGenerateStream if engine == Engine::OpenAi => {
            &[("parameters", &PARAMETERS), ("sampling_params", &SGLANG_SAMPLING)]
        }
        Endpoint::TgiGenerate | Endpoint::TgiGenerateStream | Endpoint::Invocations => {
            &[("parameters", &PARAMETERS)]
        }
        Endpoint::SglangGenerate => &[("sampling_params", &SGLANG_SAMPLING)],
        Endpoint::TokenGenerate => &[("sampling_params", &VLLM_SAMPLING)],
        _ => &[],
    }
}

/// Whether each prompt has an output of its own.
pub(super) fn has_output_for_each_prompt(form: Endpoint) -> bool {
    matches!(
        form,
        Endpoint::ChatBatch
            | Endpoint::Completions
            | Endpoint::LlamaCompletion
            | Endpoint::GenerativeScoring
            | Endpoint::SglangGenerate
            // Where it is SGLang's all the same.
            | Endpoint::TgiGenerate
    )
}

/// What the model reads with each of the prompts: the question of a score.
pub(super) fn is_question(form: Endpoint, name: &str) -> bool {
    matches!(
        form,
        Endpoint::Score | Endpoint::Rerank | Endpoint::GenerativeScoring | Endpoint::Invocations
    ) && matches!(name, "query" | "queries" | "text_1" | "data_1" | "instruction")
}

/// What a member is to the model.
pub(super) fn place(form: Endpoint, engine: Engine, name: &str) -> Place {
    use Endpoint::{
        Classify, CohereEmbed, Embeddings, GenerativeScoring, Invocations, LlamaCompletion,
        LlamaEmbedding, LlamaInfill, OllamaChat, OllamaEmbed, OllamaGenerate, Pooling, Rerank,
        Score, SglangEncode, SglangGenerate, TgiGenerate, TgiGenerateStream, TokenGenerate,
    };
    match (name, form) {
        ("messages", Endpoint::ChatBatch | Embeddings | Pooling | Classify | Invocations) => {
            Place::Chats
        }
        ("messages", _) => Place::Messages,
        ("input", Endpoint::Responses) => Place::Messages,
        ("inputs", CohereEmbed) => Place::Messages,
        // These read nothing but `prompt`: what stands here is no further prompt.
        ("input" | "inputs", Endpoint::Completions | LlamaCompletion) => Place::Plain,
        ("prompt" | "input" | "inputs", _) => Place::Prompt,
        ("token_ids", TokenGenerate) => Place::Tokens,
        ("content_parts", TokenGenerate) => Place::Content,
        ("text" | "input_ids", SglangGenerate | SglangEncode) => Place::Prompt,
        ("text" | "input_ids", TgiGenerate | TgiGenerateStream) if engine == Engine::OpenAi => {
            Place::Prompt
        }
        ("input_embeds", SglangGenerate | SglangEncode) => Place::Json,
        ("content", LlamaEmbedding) => Place::Prompt,
        // It takes either.
        ("content", Embeddings) if engine == Engine::LlamaCpp => Place::Prompt,
        (
            "documents" | "items" | "text_2" | "data_2" | "texts",
            Score | Rerank | GenerativeScoring | Invocations,
        ) => Place::Prompt,
        ("texts", CohereEmbed) => Place::Prompt,
        ("images", OllamaChat | OllamaGenerate | OllamaEmbed | CohereEmbed) => Place::Images,
        ("image_data" | "video_data" | "audio_data", SglangGenerate | SglangEncode) => {
            Place::Images
        }
        ("prompt_embeds", Endpoint::Completions | Invocations) => Place::Images,
        ("context", OllamaChat | OllamaGenerate | OllamaEmbed) => Place::Tokens,
        ("input_prefix" | "input_suffix", LlamaInfill) => Place::Plain,
        ("input_extra", LlamaInfill) => Place::Json,
        ("data", Pooling | Invocations) => Place::Json,
        ("system" | "instructions", _) => Place::Content,
        (
            "suffix"
            | "template"
            | "tools"
            | "functions"
            | "text"
            | "format"
            | "response_format"
            | "guided_json"
            | "guided_regex"
            | "guided_grammar"
            | "documents"
            | "chat_template"
            | "chat_template_kwargs",
            _,
        ) => Place::Plain,
        _ => Place::Skip,
    }
}

/// What the body of a SageMaker request makes of it, given the members that hold something, as vLLM and
/// TGI choose: the first form that fits.
pub(super) fn form_of_shape(engine: Engine, has: impl Fn(&str) -> bool) -> Endpoint {
    if engine == Engine::Tgi && has("inputs") {
        Endpoint::TgiGenerate
    } else if has("messages") {
        Endpoint::Chat
    } else if has("prompt") || has("prompt_embeds") {
        Endpoint::Completions
    } else if has("query") {
        Endpoint::Rerank
    } else if has("queries") || has("text_1") || has("data_1") {
        Endpoint::Score
    } else if has("input") {
        Endpoint::Embeddings
    } else if has("data") {
        Endpoint::Pooling
    } else {
        Endpoint::Chat
    }
}

/// Where a form's bounds of the output stand: the object of settings, if it is in one, and the name.
pub(crate) fn bounds_of(
    form: Endpoint,
    engine: Engine,
) -> Vec<(Option<&'static str>, &'static str)> {
    let own = bounds(form, engine).iter().map(|name| (None, *name));
    let inner = settings(form, engine).iter().flat_map(|(object, known)| {
        let names = known.policy.iter().filter(|name| !matches!(**name, "n" | "best_of"));
        names.map(move |name| (Some(*object), *name))
    });
    own.chain(inner).collect()
}

/// The names of a form's objects of settings.
pub(crate) fn settings_of(form: Endpoint, engine: Engine) -> impl Iterator<Item = &'static str> {
    settings(form, engine).iter().map(|(object, _)| *object)
}

/// Whether a form heeds the bound `name`, of the body or of its settings.
pub(super) fn is_bound(form: Endpoint, engine: Engine, name: &str) -> bool {
    bounds(form, engine).contains(&name)
        || settings(form, engine).iter().any(|(_, known)| known.policy.contains(&name))
}

/// The object that has a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// The body itself.
    Body,
    /// An object of settings in it.
    Settings,
}

/// Whether a form heeds `name` of that object where it says how many outputs there will be.
pub(super) fn is_count(form: Endpoint, engine: Engine, holder: Holder, name: &str) -> bool {
    match holder {
        Holder::Body => counts(form, engine).contains(&name),
        Holder::Settings => {
            settings(form, engine).iter().any(|(_, known)| known.policy.contains(&name))
        }
    }
}

/// The members of a form that bound its output, and those that multiply it, for the documentation.
#[must_use]
pub fn documented(form: Endpoint, engine: Engine) -> (Vec<String>, Vec<String>) {
    let is_count = |name: &str| matches!(name, "n" | "n_cmpl" | "best_of");
    if form == Endpoint::GenerativeScoring {
        return (Vec::new(), vec!["items".to_owned()]);
    }
    let inner = settings(form, engine).iter().flat_map(|(object, known)| {
        known.policy.iter().map(move |name| (format!("{object}.{name}"), is_count(name)))
    });
    let (inner_counts, inner_bounds): (Vec<_>, Vec<_>) = inner.partition(|(_, counts)| *counts);
    let names = |list: &[&str], inner: Vec<(String, bool)>| {
        let own = list.iter().map(|name| (*name).to_owned());
        own.chain(inner.into_iter().map(|(name, _)| name)).collect()
    };
    (names(bounds(form, engine), inner_bounds), names(counts(form, engine), inner_counts))
}
