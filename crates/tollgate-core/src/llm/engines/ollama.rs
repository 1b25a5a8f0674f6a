//! Ollama.

use super::row::{rows, Table};

pub(super) static TABLE: Table = Table {
    version: "the source of Ollama 0.33.0",
    rows: rows! {
        POST "/api/chat" Generates(Chat) as OllamaChat: "its own chat";
        POST "/api/generate" Generates(Completions) as OllamaGenerate: "its own completions";
        POST "/api/embed" Prefill(Embeddings) as OllamaEmbed: "its own embeddings";
        POST "/api/embeddings" Prefill(Embeddings) as OllamaEmbed: "the older of these";
        POST "/v1/chat/completions" Generates(Chat) as Chat: "OpenAI chat";
        POST "/v1/completions" Generates(Completions) as Completions: "OpenAI completions";
        POST "/v1/responses" Generates(Responses) as Responses: "OpenAI responses";
        POST "/v1/embeddings" Prefill(Embeddings) as Embeddings: "OpenAI embeddings";
        POST "/v1/messages" Generates(Chat) as Messages: "Anthropic messages";
        POST "/v1/audio/transcriptions" Generates(Audio): "speech to text";
        GET "/" Reads(Models): "health";
        GET "/api/version" Reads(Models): "version";
        GET "/api/tags" Reads(Models): "models";
        POST "/api/show" Reads(Models): "a model";
        GET "/v1/models" Reads(Models): "models";
        GET "/v1/models/{model}" Reads(Models): "a model";
        GET "/api/experimental/model-recommendations" Reads(Models): "models to try";
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
