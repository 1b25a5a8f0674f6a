//! Ollama.

use super::row::{rows, Table};

pub(super) static TABLE: Table = Table {
    version: "the source of Ollama of August 2026",
    rows: rows! {
        POST "/api/chat" Generates as OllamaChat: "its own chat";
        POST "/api/generate" Generates as OllamaGenerate: "its own completions";
        POST "/api/embed" Prefill as OllamaEmbed: "its own embeddings";
        POST "/api/embeddings" Prefill as OllamaEmbed: "the older of these";
        POST "/v1/chat/completions" Generates as Chat: "OpenAI chat";
        POST "/v1/completions" Generates as Completions: "OpenAI completions";
        POST "/v1/responses" Generates as Responses: "OpenAI responses";
        POST "/v1/embeddings" Prefill as Embeddings: "OpenAI embeddings";
        POST "/v1/messages" Generates as Messages: "Anthropic messages";
        POST "/v1/audio/transcriptions" Generates: "speech to text";
        GET "/" Reads: "health";
        GET "/api/version" Reads: "version";
        GET "/api/tags" Reads: "models";
        POST "/api/show" Reads: "a model";
        GET "/v1/models" Reads: "models";
        GET "/v1/models/{model}" Reads: "a model";
        GET "/api/experimental/model-recommendations" Reads: "models to try";
        GET "/api/ps" Info: "what is loaded";
        GET "/api/status" Info: "settings";
        POST "/api/me" Info: "the account of the machine";
        GET "/api/blobs/{digest}" Info: "whether a file is there";
        POST "/api/signout" Admin: "signs the machine out";
        DELETE "/api/user/keys/{key}" Admin: "signs the machine out";
        POST "/api/pull" Admin: "downloads a model";
        POST "/api/push" Admin: "publishes a model";
        POST "/api/create" Admin: "makes a model";
        POST "/api/copy" Admin: "copies a model";
        DELETE "/api/delete" Admin: "removes a model";
        POST "/api/blobs/{digest}" Admin: "uploads a file";
        POST "/api/experimental/web_search" Admin: "searches, on the machine's account";
        POST "/api/experimental/web_fetch" Admin: "fetches any URL";
    },
};
