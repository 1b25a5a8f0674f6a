//! Anything that speaks Anthropic's API.

use super::row::{rows, Table};

pub(super) static TABLE: Table = Table {
    version: "Anthropic's reference, as its Python package of August 2026 has it",
    rows: rows! {
        POST "/v1/messages" Generates(Chat) as Messages: "messages";
        POST "/v1/chat/completions" Generates(Chat) as Chat: "OpenAI chat";
        POST "/v1/complete" Generates(Completions): "completions, of older models";
        POST "/v1/messages/batches" Generates(Batches): "requests in a file, later";
        POST "/v1/messages/count_tokens" Counts(Tokenize): "token count of messages";
        GET "/v1/models" Reads(Models): "models";
        GET "/v1/models/{model}" Reads(Models): "a model";
        GET "/v1/messages/batches" Stores(Batches): "batches";
        GET DELETE "/v1/messages/batches/{id}" Stores(Batches): "a batch";
        GET "/v1/messages/batches/{id}/results" Stores(Batches): "its answers";
        POST "/v1/messages/batches/{id}/cancel" Stores(Batches): "ends it";
        GET POST "/v1/files" Stores(Files): "files";
        GET DELETE "/v1/files/{id}" Stores(Files): "a file";
        GET "/v1/files/{id}/content" Stores(Files): "what is in it";
    },
};
