//! llama.cpp's server.

use super::row::{rows, Table};

pub(super) static TABLE: Table = Table {
    version: "llama-server of llama.cpp b11549, as it runs, and the source of b11434",
    rows: rows! {
        POST "/v1/chat/completions" Generates as Chat: "OpenAI chat";
        POST "/chat/completions" Generates as Chat: "OpenAI chat";
        POST "/api/chat" Generates as Chat: "OpenAI chat, in older versions";
        POST "/v1/completions" Generates as Completions: "OpenAI completions";
        POST "/completion" Generates as LlamaCompletion: "its own completions";
        POST "/completions" Generates as LlamaCompletion: "its own completions, and not OpenAI's";
        POST "/infill" Generates as LlamaInfill: "fills in code";
        POST "/v1/responses" Generates as Responses: "OpenAI responses";
        POST "/responses" Generates as Responses: "OpenAI responses";
        POST "/v1/messages" Generates as Messages: "Anthropic messages";
        POST "/v1/embeddings" Prefill as Embeddings: "OpenAI embeddings";
        POST "/embedding" Prefill as LlamaEmbedding: "its own embeddings";
        POST "/embeddings" Prefill as LlamaEmbedding: "its own embeddings, and not OpenAI's";
        POST "/rerank" Prefill as Rerank: "documents in the order of their relevance";
        POST "/reranking" Prefill as Rerank: "the same";
        POST "/v1/rerank" Prefill as Rerank: "the same";
        POST "/v1/reranking" Prefill as Rerank: "the same";
        POST "/predict" Generates: "Vertex AI: any of these, by \"@requestFormat\"";
        POST "/v1/systemone" Generates: "structured decisions";
        POST "/v1/audio/transcriptions" Generates: "speech to text";
        POST "/audio/transcriptions" Generates: "speech to text";
        POST "/tokenize" Counts: "text to token ids";
        POST "/detokenize" Counts: "token ids to text";
        POST "/apply-template" Counts: "template of a chat";
        POST "/v1/chat/completions/input_tokens" Counts: "token count of a chat";
        POST "/chat/completions/input_tokens" Counts: "token count of a chat";
        POST "/v1/responses/input_tokens" Counts: "token count of responses";
        POST "/responses/input_tokens" Counts: "token count of responses";
        POST "/v1/messages/count_tokens" Counts: "token count of messages";
        GET "/" Reads: "web page";
        GET "/health" Reads: "health";
        GET "/v1/health" Reads: "health";
        GET "/models" Reads: "models";
        GET "/v1/models" Reads: "models";
        GET "/metrics" Info: "metrics of all clients";
        GET "/props" Info: "settings, template, path of the model";
        GET "/lora-adapters" Info: "adapters";
        GET "/models/sse" Info: "events about models";
        GET "/slots" Others: "what runs, of all clients";
        GET DELETE "/v1/stream" Others: "goes on with, or ends, a stream of anybody";
        POST "/v1/streams/lookup" Others: "streams of anybody";
        POST "/v1/chat/completions/control" Others: "controls a chat of anybody";
        POST "/slots/{id}" Admin: "erases, saves, restores the cache of a slot";
        POST "/props" Admin: "changes settings";
        POST "/lora-adapters" Admin: "scales adapters, for everybody";
        GET POST "/cors-proxy" Admin: "a proxy to any URL";
        GET POST "/tools" Admin: "files and a shell";
        POST DELETE "/models" Admin: "adds or removes a model";
        POST "/models/load" Admin: "loads a model";
        POST "/models/unload" Admin: "unloads a model";
    },
};
