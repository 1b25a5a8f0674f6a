//! Anything that speaks Anthropic's API.

use super::row::{rows, Table};

pub(super) static TABLE: Table = Table {
    version: "Anthropic's reference",
    rows: rows! {
        POST "/v1/messages" Generates as Messages: "messages";
        POST "/v1/chat/completions" Generates as Chat: "OpenAI chat";
        POST "/v1/complete" Generates: "completions, of older models";
        POST "/v1/messages/batches" Generates: "requests in a file, later";
        POST "/v1/messages/count_tokens" Counts: "token count of messages";
        GET "/v1/models" Reads: "models";
        GET "/v1/models/{model}" Reads: "a model";
        GET "/v1/messages/batches" Stores: "batches";
        GET DELETE "/v1/messages/batches/{id}" Stores: "a batch";
        GET "/v1/messages/batches/{id}/results" Stores: "its answers";
        POST "/v1/messages/batches/{id}/cancel" Stores: "ends it";
        GET POST "/v1/files" Stores: "files";
        GET DELETE "/v1/files/{id}" Stores: "a file";
        GET "/v1/files/{id}/content" Stores: "what is in it";
    },
};
