//! Anything that speaks OpenAI's API.

use super::row::{rows, Table};

pub(super) static TABLE: Table = Table {
    version: "OpenAI's reference, with the APIs that servers and gateways have beside it",
    rows: rows! {
        POST "/v1/chat/completions" Generates as Chat: "chat";
        POST "/v1/completions" Generates as Completions: "completions";
        POST "/v1/responses" Generates as Responses: "responses";
        POST "/v1/embeddings" Prefill as Embeddings: "embeddings";
        POST "/v1/messages" Generates as Messages: "Anthropic messages";
        POST "/api/chat" Generates as OllamaChat: "Ollama's chat";
        POST "/api/generate" Generates as OllamaGenerate: "Ollama's completions";
        POST "/generate" Generates as TgiGenerate: "TGI's completions";
        POST "/generate_stream" Generates as TgiGenerateStream: "TGI's completions, streamed";
        POST "/inference/v1/generate" Generates as TokenGenerate: "vLLM: token ids in, token ids out";
        POST "/api/embed" Prefill as OllamaEmbed: "Ollama's embeddings";
        GET "/v1/responses" Generates: "responses over a WebSocket";
        POST "/v1/responses/compact" Generates: "shortens a conversation";
        GET POST "/v1/realtime" Generates: "speech over a WebSocket or WebRTC";
        POST "/v1/realtime/sessions" Generates: "credentials for that";
        POST "/v1/realtime/client_secrets" Generates: "credentials for that";
        POST "/v1/audio/speech" Generates: "text to speech";
        POST "/v1/audio/transcriptions" Generates: "speech to text";
        POST "/v1/audio/translations" Generates: "speech to English text";
        POST "/v1/images/generations" Generates: "pictures";
        POST "/v1/images/edits" Generates: "pictures";
        POST "/v1/images/variations" Generates: "pictures";
        POST "/v1/videos" Generates: "videos";
        POST "/v1/batches" Generates: "requests in a file, later";
        POST "/v1/threads/runs" Generates: "assistants";
        POST "/v1/threads/{id}/runs" Generates: "assistants";
        POST "/v1/moderations" Prefill: "moderation";
        POST "/v1/responses/input_tokens" Counts: "token count of responses";
        POST "/v1/messages/count_tokens" Counts: "token count of messages";
        GET "/v1/models" Reads: "models";
        GET "/v1/models/{model}" Reads: "a model";
        GET DELETE "/v1/responses/{id}" Stores: "a response that was stored";
        GET "/v1/responses/{id}/input_items" Stores: "what it was asked with";
        POST "/v1/responses/{id}/cancel" Stores: "ends a response in the background";
        GET DELETE "/v1/chat/completions/{id}" Stores: "a chat that was stored";
        GET "/v1/chat/completions/{id}/messages" Stores: "its messages";
        GET POST "/v1/files" Stores: "files";
        GET DELETE "/v1/files/{id}" Stores: "a file";
        GET "/v1/files/{id}/content" Stores: "what is in it";
        GET "/v1/batches" Stores: "batches";
        GET "/v1/batches/{id}" Stores: "a batch";
        POST "/v1/batches/{id}/cancel" Stores: "ends it";
        POST "/v1/conversations" Stores: "conversations";
        GET POST DELETE "/v1/conversations/{id}" Stores: "a conversation";
        GET POST "/v1/conversations/{id}/items" Stores: "what is in it";
        GET DELETE "/v1/conversations/{id}/items/{item}" Stores: "a part of it";
    },
};
